"""A worker that is killed at a random tile, by the system or by the client: nothing half-done stays in the user's folder."""

from __future__ import annotations

import hashlib
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from every_job import draw_labels, requests


@pytest.fixture(scope="module")
def engine(qgis_app, tmp_path_factory):
    from skysense_qgis.client import client as module
    from skysense_qgis.client import logs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "log_folder", lambda: tmp_path_factory.getbasetemp() / "logs")
        engine = module.Engine()
        yield engine
        engine.close()


@pytest.fixture(scope="module")
def jobs(engine, tmp_path_factory):
    """Requests in many small tiles; all have been done once, so that there are files that a killed job must not spoil."""
    from skysense_qgis.client.blocking import run_request

    folder = tmp_path_factory.mktemp("killed")
    (folder / "out").mkdir()
    all_jobs = requests(folder / "out", draw_labels(folder), tile_px=128)
    run_request(engine.jobs, replace(all_jobs["train"], steps=10), None)
    jobs = {name: all_jobs[name] for name in ("embed", "apply", "detect change")}
    for request in jobs.values():
        run_request(engine.jobs, request, None)
    return folder / "out", jobs


def digests(folder: Path) -> dict[str, str]:
    """Of every file, hidden ones too."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}  # fmt: skip


def begin(engine, request, share: float, then) -> list:
    """Start the job and call `then` once this share of it is done; its answers."""
    handle = engine.jobs.submit(request)
    answers: list = []
    handle.done.connect(answers.append)
    handle.failed.connect(answers.append)
    reached: list[float] = []

    def look(progress) -> None:
        if progress.fraction >= share and not reached:
            reached.append(progress.fraction)
            then(handle)

    handle.progressed.connect(look)
    return answers


@pytest.mark.parametrize("name", ["embed", "apply", "detect change"])
@pytest.mark.parametrize("attempt", [1, 2])
def test_a_worker_killed_at_a_random_tile(engine, wait, jobs, name, attempt):
    folder, requests = jobs
    before = digests(folder)
    share = float(np.random.default_rng().uniform(0.02, 0.9))
    print(f"killed at {share:.3f}")
    drafts: list[str] = []

    def kill(handle) -> None:
        drafts.extend(path.name for path in folder.glob(".*"))
        os.kill(engine.jobs.pid, signal.SIGKILL)

    engine.jobs._crashes.clear()  # more than the client forgives
    answers = begin(engine, requests[name], share, kill)
    assert wait(lambda: answers)[0].code == "crashed"
    wait(lambda: not list(folder.glob(".*")), 2)
    assert digests(folder) == before, f"killed at {share:.3f} beside {drafts}"


def test_a_worker_that_the_client_kills(engine, wait, jobs):
    """It stands still, so the cancel is not acknowledged; files of others in the same folder stay."""
    from skysense_qgis.protocol.half_done import mark

    folder, requests = jobs
    others = folder / f".features.{mark(os.getpid())}.abc.partial"
    others.mkdir()
    before = digests(folder)
    seen: list[int] = []

    def stop(handle) -> None:
        seen.append(len(list(folder.glob(".*"))))
        os.kill(engine.jobs.pid, signal.SIGSTOP)
        handle.cancel()

    answers = begin(engine, requests["embed"], 0.5, stop)
    assert wait(lambda: answers)[0].code == "cancelled"
    wait(lambda: list(folder.glob(".*")) == [others], 2)
    assert digests(folder) == before and seen[0] > 1
    others.rmdir()


def test_a_worker_that_is_closed_while_it_stands_still(engine, wait, jobs):
    """As when QGIS ends and there is no event loop any more."""
    folder, requests = jobs
    before = digests(folder)
    stopped: list[int] = []

    def stop(handle) -> None:
        stopped.append(engine.jobs.pid)
        os.kill(engine.jobs.pid, signal.SIGSTOP)

    answers = begin(engine, requests["embed"], 0.5, stop)
    wait(lambda: stopped)
    assert list(folder.glob(".*"))
    engine.close()
    assert list(folder.glob(".*")) == [] and digests(folder) == before and answers[0].code == "cancelled"
