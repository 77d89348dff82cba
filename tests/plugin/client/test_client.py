"""The engine's client with the real workers."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QEventLoop, QTimer

from skysense_qgis.client.environment import find_engine
from skysense_qgis.protocol.messages import Failure
from skysense_qgis.protocol.requests import (
    DescribeRaster,
    Diagnose,
    Diagnosis,
    EmbedScene,
    ListModels,
    ModelList,
)
from skysense_qgis.protocol.scene_source import AcquisitionSource, BandIndex, Scaling, SceneSource

DATA = Path(__file__).resolve().parents[2] / "data"


@pytest.fixture
def long_job(tmp_path) -> EmbedScene:
    """Half a minute of work."""
    from osgeo import gdal

    image = str(tmp_path / "large.tif")
    gdal.Translate(image, str(DATA / "kampala/images/kampala_a.tif"), width=2048, height=2048)
    bands = tuple(BandIndex(band, index) for index, band in enumerate("RGB", 1))
    source = AcquisitionSource(image, "hr", bands, Scaling(1 / 255), "2020-01-01")
    (tmp_path / "out").mkdir()
    return EmbedScene(SceneSource((source,)), str(tmp_path / "out/f.tif"), None, tile_px=256)


def answers_of(handle) -> list:
    answers: list = []
    handle.done.connect(answers.append)
    handle.failed.connect(answers.append)
    return answers


def stages_of(handle) -> list[str]:
    stages: list[str] = []
    handle.progressed.connect(lambda progress: stages.append(progress.stage))
    return stages


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_workers_start_when_they_are_first_needed(engine, wait):
    states: list[str] = []
    engine.state_changed.connect(states.append)
    assert engine.state == "stopped" and engine.reason == "" and engine.interactive.pid is None
    answers = answers_of(engine.submit(ListModels("")))
    assert isinstance(wait(lambda: answers)[0], ModelList)
    wait(lambda: engine.state == "ready")
    assert states == ["starting", "ready"]
    assert engine.jobs.pid is None
    assert engine.capabilities.devices[0].key == "cpu" and engine.interactive.hello.pid == engine.interactive.pid


def test_prompts_do_not_wait_for_long_jobs_and_a_cancel_leaves_nothing(warm_engine, wait, long_job):
    handle = warm_engine.submit(long_job)
    answers, stages = answers_of(handle), stages_of(handle)
    wait(lambda: "Encoding tiles" in stages or answers)
    first = answers_of(warm_engine.submit(DescribeRaster(str(DATA / "kampala/images/kampala_a.tif"))))
    wait(lambda: first)
    began = time.monotonic()
    second = answers_of(warm_engine.submit(DescribeRaster(str(DATA / "naip_wetlands/NAIP_20090818.tif"))))
    wait(lambda: second)
    assert time.monotonic() - began < 2.0 and second[0].count == 4
    assert not answers
    began = time.monotonic()
    handle.cancel()
    assert wait(lambda: answers)[0].code == "cancelled"
    assert time.monotonic() - began < 2.0
    assert list(Path(long_job.output_path).parent.iterdir()) == []


def test_a_job_in_the_line_is_cancelled_alone(warm_engine, wait, long_job):
    at_work = warm_engine.submit(long_job)
    answers, stages = answers_of(at_work), stages_of(at_work)
    wait(lambda: "Encoding tiles" in stages or answers)
    pid = warm_engine.jobs.pid
    waiting = warm_engine.submit(long_job)
    other = answers_of(waiting)
    waiting.cancel()
    wait(lambda: other, 2)
    end = time.monotonic() + 3.0  # longer than the client's patience with a cancelled job
    wait(lambda: time.monotonic() > end)
    assert other[0].code == "cancelled" and not answers and warm_engine.jobs.pid == pid
    at_work.cancel()
    wait(lambda: answers)


def test_a_cancel_while_the_worker_loads_its_libraries_costs_it_nothing(engine, wait, long_job):
    """Somebody who zooms at once: the first view is dropped, the next one has to come."""
    handle = engine.submit(long_job)
    answers, stages = answers_of(handle), stages_of(handle)
    wait(lambda: stages)
    pid = engine.jobs.pid
    handle.cancel()
    wait(lambda: answers, 1)
    assert answers[0].code == "cancelled"
    following = answers_of(engine.jobs.submit(ListModels("")))
    assert isinstance(wait(lambda: following)[0], ModelList)
    assert engine.jobs.pid == pid and len(answers) == 1
    assert list(Path(long_job.output_path).parent.iterdir()) == []


def test_a_killed_worker_fails_its_requests_and_the_next_is_answered(engine, wait, long_job):
    handle = engine.submit(long_job)
    answers, stages = answers_of(handle), stages_of(handle)
    queued = answers_of(engine.submit(long_job))
    wait(lambda: "Sampling tiles" in stages)
    pid = engine.jobs.pid
    os.kill(pid, 9)
    wait(lambda: answers and queued, 5)
    for answer in (answers[0], queued[0]):
        assert isinstance(answer, Failure) and answer.code == "crashed" and answer.remedy
    assert "worker for jobs" in answers[0].log
    assert len(answers) == len(queued) == 1
    wait(lambda: engine.jobs.pid not in (None, pid), 5)
    again = answers_of(engine.jobs.submit(ListModels("")))
    assert isinstance(wait(lambda: again)[0], ModelList)


def test_what_cannot_be_sent_fails_through_the_handle(engine, wait):
    for path in ("x" * (17 * 2**20), "/data/\udce9t\udce9.tif"):  # too long; a file's name in another encoding
        answers = answers_of(engine.submit(DescribeRaster(path)))
        assert not answers
        assert wait(lambda answers=answers: answers)[0].code == "bad-request" and answers[0].remedy
    answers = answers_of(engine.submit(EmbedScene(SceneSource(()), "/a.tif", None, components=float("nan"))))
    assert "finite" in wait(lambda: answers)[0].sentence


def test_a_job_in_the_line_says_so_once(warm_engine, wait, long_job):
    at_work = warm_engine.submit(long_job)
    stages = stages_of(at_work)
    waiting = warm_engine.jobs.submit(ListModels(""))
    answers, told = answers_of(waiting), stages_of(waiting)
    wait(lambda: "Encoding tiles" in stages)
    assert told == ["Waiting for another job"] and "Waiting for another job" not in stages
    at_work.cancel()
    wait(lambda: answers)
    assert told[0] == "Waiting for another job" and told.count("Waiting for another job") == 1 and "Starting" in told


def test_the_private_folder_is_ours_alone_and_goes(engine):
    folder = engine.private_folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and engine.private_folder == folder
    (folder / "mask1").write_bytes(b"\1" * 100)
    engine.close()
    assert not folder.exists()


def test_the_private_folder_goes_when_no_worker_writes_there_any_more(engine, wait):
    folder = engine.private_folder
    answers = answers_of(engine.submit(ListModels("")))
    wait(lambda: answers)
    pid = engine.interactive.pid
    loop = QEventLoop()
    seen: list[bool] = []

    def close() -> None:
        engine.close()
        seen.append(folder.exists() and not gone(pid))

    def look() -> None:
        if seen and not folder.exists():
            loop.quit()

    QTimer.singleShot(0, close)
    timer = QTimer()
    timer.timeout.connect(look)
    timer.start(5)
    QTimer.singleShot(6000, loop.quit)
    loop.exec()
    assert seen == [True] and not folder.exists() and gone(pid)


def test_private_folders_of_crashed_sessions_go_at_the_next_start(qgis_app, wait, tmp_path, monkeypatch):
    from skysense_qgis.client import client as module
    from skysense_qgis.client import logs
    from skysense_qgis.protocol.half_done import mark

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(logs, "log_folder", lambda: tmp_path / "logs")
    dead = subprocess.Popen(["true"])
    dead.wait()
    crashed, alive = (tmp_path / f"skysense.{mark(pid)}.abc" for pid in (dead.pid, os.getppid()))
    for folder in (crashed, alive):
        folder.mkdir()
        (folder / "mask1").write_bytes(b"\1")
    engine = module.Engine()
    wait(lambda: not crashed.exists(), 5)
    assert alive.exists() and engine.private_folder.name.startswith(f"skysense.{mark(os.getpid())}.")
    engine.close()


def test_logs_lie_in_the_cache_folder_that_is_set_one_for_each_window_and_old_ones_go(qgis_app, wait, tmp_path):
    from skysense_qgis.client import client as module
    from skysense_qgis.settings import Settings

    QgsSettings().remove("skysense")
    Settings(cache_folder=str(tmp_path / "cache")).save()
    try:
        logs = tmp_path / "cache/logs"
        logs.mkdir(parents=True)
        for age in range(20):
            path = logs / f"jobs-{10**8 + age}.log"
            path.write_text("old")
            os.utime(path, (time.time() - 100 * age,) * 2)
        (logs / "setup.log").write_text("")
        engine = module.Engine()
        assert engine.jobs.log == logs / f"jobs-{os.getpid()}.log" and engine.interactive.log.parent == logs
        wait(lambda: len(list(logs.glob("jobs-*.log"))) == 10, 5)
        assert (logs / f"jobs-{10**8}.log").exists() and (logs / "setup.log").exists()
        answers = answers_of(engine.submit(ListModels("")))
        wait(lambda: answers)
        assert "worker for interactive" in engine.interactive.log.read_text()
        Settings(cache_folder=str(tmp_path / "other")).save()
        engine.restart()
        assert engine.interactive.log.parent == tmp_path / "other/logs" and engine.state == "stopped"
        engine.close()
    finally:
        QgsSettings().remove("skysense")


def test_an_environment_in_use_is_noted_until_qgis_ends(qgis_app, wait, tmp_path):
    from skysense_qgis.client import client as module
    from skysense_qgis.client.engines import in_use
    from skysense_qgis.client.environment import managed_folder, managed_python
    from skysense_qgis.settings import Settings

    QgsSettings().remove("skysense")
    python = find_engine().python
    Settings(cache_folder=str(tmp_path)).save()
    try:
        managed_python().parent.mkdir(parents=True)
        managed_python().symlink_to(python)
        home = managed_folder()
        engine = module.Engine()
        assert not in_use(home)
        engine.submit(ListModels(""))
        assert in_use(home)
        engine.close()
        assert not in_use(home)
    finally:
        QgsSettings().remove("skysense")


def test_a_restart_takes_the_interpreter_that_is_set_now(engine, wait, tmp_path):
    from skysense_qgis.settings import Settings

    answers = answers_of(engine.submit(ListModels("")))
    wait(lambda: answers)
    wait(lambda: engine.state == "ready")
    states: list[str] = []
    engine.state_changed.connect(states.append)
    QgsSettings().remove("skysense")
    other = tmp_path / "other python"
    other.write_text(f'#!/bin/sh\necho "another one" >&2\nexec {Path(find_engine().python)} "$@"\n')
    other.chmod(0o755)
    Settings(interpreter=str(other)).save()
    try:
        engine.restart()
        assert engine.interactive.pid is None and states[-1] == "stopped"
        again = answers_of(engine.submit(ListModels("")))
        assert isinstance(wait(lambda: again)[0], ModelList)
        assert "another one" in engine.interactive.log.read_text()
    finally:
        QgsSettings().remove("skysense")


def test_closing_without_an_event_loop_waits_for_the_workers(engine, wait):
    answers = answers_of(engine.submit(ListModels("")))
    wait(lambda: answers)
    pid = engine.interactive.pid
    engine.close()
    assert gone(pid)


def test_closing_in_the_event_loop_does_not_hold_it(engine, wait, long_job):
    """As QGIS does it when a plugin is reloaded while a job runs."""
    handle = engine.submit(long_job)
    answers, stages = answers_of(handle), stages_of(handle)
    wait(lambda: "Encoding tiles" in stages or answers)
    pid = engine.jobs.pid
    took: list[float] = []
    loop = QEventLoop()

    def close() -> None:
        began = time.monotonic()
        engine.close()
        took.append(time.monotonic() - began)

    def look() -> None:
        if took and gone(pid):
            loop.quit()

    QTimer.singleShot(0, close)
    timer = QTimer()
    timer.timeout.connect(look)
    timer.start(20)
    QTimer.singleShot(6000, loop.quit)
    loop.exec()
    assert took[0] < 0.05 and gone(pid)
    assert answers[0].code == "cancelled"
    assert list(Path(long_job.output_path).parent.iterdir()) == []


def test_the_report_is_scrubbed_of_the_home_folder(warm_engine, wait):
    answers = answers_of(warm_engine.submit(Diagnose(str(Path.home()))))
    diagnosis = wait(lambda: answers)[0]
    assert isinstance(diagnosis, Diagnosis)
    assert any(line.startswith("torch: 2") for line in diagnosis.lines)
    assert not any(str(Path.home()) in line for line in diagnosis.lines)
