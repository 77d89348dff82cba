"""Requests that are waited for, on the engine's thread and on others."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from qgis.core import QgsProcessingFeedback, QgsTask
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QCoreApplication, QEventLoop, Qt, QTimer

from skysense_qgis.client.blocking import RequestFailed, run_request
from skysense_qgis.client.call import encode_call
from skysense_qgis.protocol.requests import DescribeRaster, EmbedScene, ListModels, ModelList
from skysense_qgis.protocol.scene_source import AcquisitionSource, BandIndex, Scaling, SceneSource

DATA = Path(__file__).resolve().parents[2] / "data"


class Said(QgsProcessingFeedback):
    def __init__(self) -> None:
        super().__init__(False)
        self.infos: list[str] = []
        self.percents: list[float] = []
        self.progressChanged.connect(self.percents.append)

    def pushInfo(self, info: str) -> None:
        self.infos.append(info)


class Asking(QgsTask):
    """Asks in one of QGIS's background threads."""

    def __init__(self, engine, request, feedback) -> None:
        super().__init__("asking")
        self.engine, self.request, self.feedback = engine, request, feedback
        self.answer: object = None

    def run(self) -> bool:
        try:
            self.answer = run_request(self.engine, self.request, self.feedback)
        except RequestFailed as error:
            self.answer = error.failure
        return True


@pytest.fixture
def ask(qgis_app):
    """Asks in the background; gives the task."""
    tasks = []

    def ask(*arguments) -> Asking:
        tasks.append(Asking(*arguments))
        qgis_app.taskManager().addTask(tasks[-1])
        return tasks[-1]

    yield ask


def job(tmp_path, pixels: int, tile_px: int) -> EmbedScene:
    from osgeo import gdal

    image = str(tmp_path / "image.tif")
    gdal.Translate(image, str(DATA / "kampala/images/kampala_a.tif"), width=pixels, height=pixels)
    bands = tuple(BandIndex(band, index) for index, band in enumerate("RGB", 1))
    source = AcquisitionSource(image, "hr", bands, Scaling(1 / 255), "2020-01-01")
    return EmbedScene(SceneSource((source,)), str(tmp_path / "f.tif"), None, tile_px=tile_px)


def test_on_the_engines_thread_the_event_loop_goes_on(warm_engine, tmp_path):
    feedback, ticks = Said(), []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start(20)
    result = run_request(warm_engine, job(tmp_path, 512, 256), feedback)
    assert Path(result.path).stat().st_size > 0 and result.bands == 16
    assert len(ticks) > 20
    assert feedback.infos[0] == "Starting" and "Encoding tiles" in feedback.infos
    assert len(feedback.infos) == len(set(feedback.infos))  # a stage is told once
    assert feedback.percents == sorted(feedback.percents) and feedback.percents[-1] > 50


def test_a_failure_is_raised_with_sentence_and_remedy(warm_engine):
    with pytest.raises(RequestFailed, match=r"nowhere\.tif") as caught:
        run_request(warm_engine, DescribeRaster("/nowhere.tif"), None)
    assert caught.value.failure.code == "raster" and caught.value.failure.remedy in str(caught.value)


def test_a_cancel_on_the_engines_thread(warm_engine, tmp_path):
    """While the worker is at work: it has to stop, not only the client to answer."""
    feedback, asked = Said(), []

    def look() -> None:
        if "Sampling tiles" in feedback.infos and not asked:
            asked.append(time.monotonic())
            feedback.cancel()

    timer = QTimer()
    timer.timeout.connect(look)
    timer.start(10)
    with pytest.raises(RequestFailed) as caught:
        run_request(warm_engine, job(tmp_path, 2048, 256), feedback)
    assert time.monotonic() - asked[0] < 2.0
    assert caught.value.failure.code == "cancelled" and not list(tmp_path.glob("f.tif")) and not list(tmp_path.glob(".*"))
    assert warm_engine.jobs.state == "ready"


def test_a_cancel_on_the_engines_thread_before_the_worker_is_ready(engine, tmp_path):
    feedback = Said()
    asked = time.monotonic()
    QTimer.singleShot(100, feedback.cancel)
    with pytest.raises(RequestFailed) as caught:
        run_request(engine, job(tmp_path, 512, 256), feedback)
    assert caught.value.failure.code == "cancelled" and time.monotonic() - asked < 1.0


def test_from_background_threads_two_at_once(warm_engine, ask, wait):
    tasks = [ask(warm_engine, ListModels(""), Said()), ask(warm_engine, DescribeRaster(str(DATA / "treesat_ts/S2_20190622.tif")), Said())]
    wait(lambda: all(task.answer is not None for task in tasks))
    assert isinstance(tasks[0].answer, ModelList) and tasks[1].answer.sensor == "s2"


def test_a_cancel_from_a_background_thread(warm_engine, ask, wait, tmp_path):
    feedback = Said()
    task = ask(warm_engine, job(tmp_path, 2048, 256), feedback)
    wait(lambda: "Sampling tiles" in feedback.infos)
    asked = time.monotonic()
    feedback.cancel()
    wait(lambda: task.answer)
    assert task.answer.code == "cancelled" and time.monotonic() - asked < 2.0


def test_closing_the_engine_frees_a_thread_that_waits(engine, ask, wait, tmp_path):
    feedback = Said()
    task = ask(engine, job(tmp_path, 2048, 256), feedback)
    wait(lambda: "Sampling tiles" in feedback.infos)
    engine.close()
    wait(lambda: task.answer, 5)
    assert task.answer.code == "cancelled"


def test_a_request_after_the_plugin_was_unloaded_fails_as_closed(engine, ask, wait):
    """An algorithm that was at work asks once more; its engine is deleted."""
    engine.close()
    sip.delete(engine)
    for asked in (engine, engine.jobs):
        with pytest.raises(RequestFailed) as caught:
            run_request(asked, ListModels(""), Said())
        assert caught.value.failure.code == "cancelled" and "closed" in caught.value.failure.sentence
    task = ask(engine.jobs, ListModels(""), Said())
    wait(lambda: task.answer, 5)
    assert task.answer.code == "cancelled"


def test_an_engine_that_is_deleted_while_the_request_is_handed_over(engine):
    """The background thread has found it alive; when its thread looks at the request, it is gone."""
    failures = []

    def work() -> None:
        try:
            run_request(engine, ListModels(""), Said())
        except RequestFailed as error:
            failures.append(error.failure)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.3)  # this thread, the engine's, has not looked yet
    engine.close()
    sip.delete(engine)
    end = time.monotonic() + 5
    while thread.is_alive() and time.monotonic() < end:
        QCoreApplication.processEvents()
    assert not thread.is_alive() and failures[0].code == "cancelled" and "closed" in failures[0].sentence


def test_a_fault_in_handing_over_is_answered(engine, ask, wait, monkeypatch):
    def fail(call) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(engine, "send", fail)
    task = ask(engine, ListModels(""), Said())
    wait(lambda: task.answer, 5)
    assert task.answer.code == "internal" and "a fault of ours" in task.answer.log
    with pytest.raises(RequestFailed, match="KeyError"):
        run_request(engine, ListModels(""), None)


def test_a_large_request_is_encoded_where_it_was_made(warm_engine, ask, wait):
    """A long series takes half a second; QGIS's own thread goes on meanwhile."""
    bands = (BandIndex("VV", 1), BandIndex("VH", 2))
    series = tuple(AcquisitionSource(f"/nowhere/{i}.tif", "s1", bands, Scaling(), None) for i in range(25_000))
    request = EmbedScene(SceneSource(series), "/tmp/features.tif", None)
    began = time.monotonic()
    encode_call(request)
    alone = time.monotonic() - began
    ready = ask(warm_engine.jobs, ListModels(""), Said())
    wait(lambda: ready.answer)
    ticks = [time.monotonic()]
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start(10)
    task = ask(warm_engine.jobs, request, Said())
    loop = QEventLoop()
    task.taskCompleted.connect(loop.quit)
    QTimer.singleShot(20_000, loop.quit)
    loop.exec()
    gaps = np.diff(ticks)
    print(f"encoding alone {alone:.2f} s; gaps p99 {np.percentile(gaps, 99):.3f} s, max {gaps.max():.3f} s")
    assert task.answer.code == "raster"
    assert np.percentile(gaps, 99) < 0.100 and gaps.max() < min(0.250, alone)


def test_a_thread_gives_up_when_the_event_loop_does_not_come_back(engine, monkeypatch):
    """QGIS waits for its tasks when it ends, and nobody works on its events any more."""
    from skysense_qgis.client import blocking

    monkeypatch.setattr(blocking, "GIVE_UP_S", 0.5)
    feedback, failures = Said(), []

    def work() -> None:
        try:
            run_request(engine, ListModels(""), feedback)
        except RequestFailed as error:
            failures.append(error.failure)

    feedback.cancel()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)  # this thread, the engine's, does nothing meanwhile
    assert not thread.is_alive() and failures[0].code == "cancelled"
