"""Pretraining runs as processes of their own; a stand-in obeys the contract of the run folder."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace

import pytest

from skysense_qgis.client import pretraining
from skysense_qgis.client.pretraining import PretrainingRuns, RunError, RunOptions
from skysense_qgis.client.run_folder import LogTail, RunStatus, look, read_status
from skysense_qgis.settings import KnownRun, known_runs, save_known_runs

OPTIONS = RunOptions(("/shards",), steps=15)
FINE, REFUSED, FAILS, DIES, STUMBLES = range(5)


@pytest.fixture
def runs(qgis_app, stand_in, monkeypatch):
    monkeypatch.setattr(pretraining, "LOOK_MS", 50)
    runs = PretrainingRuns()
    yield runs
    runs.close()


def start(runs, tmp_path, keep: bool = True, **options):
    return runs.start(tmp_path / "läufe 1" / "run", replace(OPTIONS, **options), keep)


def test_a_run_is_followed_to_its_end(runs, wait, tmp_path):
    seen: list[str] = []
    run = start(runs, tmp_path, start="/w.safetensors", preset="tiny", batch=3, seed=FINE, device="cpu")
    run.changed.connect(lambda: seen.append(run.status.state))
    assert run.status.state == "starting"
    tail, steps = LogTail(run.folder), []
    wait(lambda: steps.extend(tail.read()) or run.status.state == "finished", 10)
    steps.extend(tail.read())
    assert [step.step for step in steps] == list(range(1, 16)) and steps[4].loss == 1.0
    assert steps[0].parts == {"hr": 3.0, "fused": 2.0} and steps[0].prototype_entropy == 0.7
    assert "training" in seen and seen[-1] == "finished" and run.status.fraction == 1.0
    said = json.loads((run.folder / "output.log").read_text().splitlines()[0])
    assert said["words"] == [
        str(run.folder), "--shards", "/shards", "--preset", "tiny", "--steps", "15", "--batch", "3", "--accumulate", "1",
        "--learning-rate", "0.0005", "--seed", "0",
        "--start", "/w.safetensors", "--device", "cpu",
    ]  # fmt: skip
    assert not any(name.startswith(("QT_", "PYTHON", "QGIS", "GDAL")) for name in said["environment"])
    assert not run.resumable


def test_stopped_it_is_saved_and_goes_on_from_there(runs, wait, tmp_path):
    run = start(runs, tmp_path, steps=40, device="cpu")
    wait(lambda: run.status.step > 3, 10)
    asked = time.monotonic()
    run.stop()
    assert run.stopping
    wait(lambda: run.status.state == "stopped", 5)
    assert time.monotonic() - asked < 2.0 and not run.stopping and run.resumable
    reached, pid = run.status.step, run.status.pid
    runs.resume(run)
    assert run.status.state == "starting" and run.status.step == reached  # what is told is not the old process's word
    wait(lambda: run.status.state == "finished", 10)
    assert run.status.pid != pid and run.status.step == 40
    steps = [json.loads(line)["step"] for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 41))
    assert json.loads((run.folder / "output.log").read_text().splitlines()[1])["words"] == [str(run.folder), "--device", "cpu"]


def test_stopped_while_it_starts(runs, wait, tmp_path):
    """Before it has said anything, and when it is about to clear the wish away: nothing is lost, and nothing goes on."""
    early, late = (runs.start(tmp_path / name, replace(OPTIONS, steps=500), True) for name in ("early", "late"))
    early.stop()
    wait(lambda: (late.folder / "settings.json").exists(), 10)
    os.kill(late.status.pid, signal.SIGSTOP)
    late.stop()
    os.kill(late.status.pid, signal.SIGCONT)
    wait(lambda: early.status.state == late.status.state == "stopped", 5)


ENDS = {
    REFUSED: ("failed", "There are no shards there.", "Make some first."),
    STUMBLES: ("failed", "The run ended before it began.", "output.log"),
    FAILS: ("failed", "The loss was no number any more at step 5.", "lower learning rate"),
    DIES: ("lost", "its process is gone", "Resume it"),
}


def test_ends_that_were_not_wanted_are_told_in_words(runs, wait, tmp_path):
    started = {seed: runs.start(tmp_path / str(seed), replace(OPTIONS, seed=seed), True) for seed in ENDS}
    wait(lambda: not runs.at_work, 10)
    for seed, (state, sentence, remedy) in ENDS.items():
        status = started[seed].status
        assert status.state == state and sentence in status.sentence and remedy in status.remedy
        assert "Traceback" not in status.sentence + status.remedy
        assert started[seed].resumable == (seed in (FAILS, DIES))


def test_what_cannot_be_started_says_why(runs, wait, tmp_path):
    run = start(runs, tmp_path, steps=500)
    wait(lambda: run.status.step, 10)
    with pytest.raises(RunError, match="at work already"):
        runs.resume(run)
    with pytest.raises(RunError, match="holds a run already"):
        runs.start(run.folder, OPTIONS, True)
    run.stop()
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written.*another"):
        runs.start(tmp_path / "file" / "run", OPTIONS, True)
    with pytest.raises(RunError, match="holds no run"):
        runs.add(tmp_path)
    assert len(runs.runs) == len(known_runs()) == 1


@pytest.mark.parametrize("keep", [True, False], ids=["keep training", "save and stop"])
def test_when_qgis_closes_the_users_choice_is_obeyed_and_the_run_is_found_again(runs, wait, tmp_path, keep):
    run = start(runs, tmp_path, steps=100, keep=True)
    runs.choose(run, keep)
    wait(lambda: run.status.step > 2, 10)
    folder = run.folder
    began = time.monotonic()
    runs.close()
    assert time.monotonic() - began < 0.1
    save_known_runs([replace(entry, window=2**22 + 1) for entry in known_runs()])  # that QGIS is gone
    wait(lambda: read_status(folder).step > 20 if keep else read_status(folder).state == "stopped", 10)
    again = PretrainingRuns()
    (found,) = again.runs
    assert found.folder == folder and found.keep == keep and found.mine
    assert found.status.state == ("training" if keep else "stopped")
    if keep:
        again.choose(found, False)  # found again, it obeys the new window
        again.close()
        wait(lambda: look(folder).state == "stopped", 5)


def test_another_windows_run_is_not_stopped_here(runs, wait, tmp_path):
    run = start(runs, tmp_path, steps=500, keep=False)
    save_known_runs([KnownRun(str(run.folder), False, os.getppid())])
    other = PretrainingRuns()
    wait(lambda: other.runs[0].status.step > 2, 10)
    other.close()
    assert not (run.folder / "stop").exists()


def test_a_run_that_was_forgotten_keeps_its_files(runs, wait, tmp_path):
    run = start(runs, tmp_path, steps=2)
    wait(lambda: run.status.state == "finished", 10)
    runs.forget(run)
    assert runs.runs == [] and known_runs() == [] and (run.folder / "status.json").exists()
    assert runs.add(run.folder).status.state == "finished"


def test_statuses_and_lines_that_are_none(tmp_path):
    assert look(tmp_path) == RunStatus("new")
    for text in ("", "[]", "{}", '{"state": "training", "pid": "x", "updated": 1}', "[" * 100_000):
        (tmp_path / "status.json").write_text(text)
        assert look(tmp_path).state == "new"
    lines = b'{"step": 1, "loss": NaN, "parts": [1]}\n\xff\n[]\n{"step": 2, "loss": 1.5}\n{"step": 3'
    (tmp_path / "log.jsonl").write_bytes(lines)
    tail = LogTail(tmp_path)
    assert [(step.step, step.loss) for step in tail.read()] == [(1, None), (2, 1.5)]
    with (tmp_path / "log.jsonl").open("ab") as log:
        log.write(b', "loss": 1}\n')
    assert [step.step for step in tail.read()] == [3] and tail.read() == []
    (tmp_path / "new").write_text('{"step": 2}\n')
    (tmp_path / "new").replace(tmp_path / "log.jsonl")  # a resumed run leaves out what lay behind its saved state
    assert [step.step for step in tail.read()] == [2]


def test_an_old_status_of_a_number_that_lives_is_believed_if_the_lock_is_held(tmp_path):
    """Another process may have got the number since."""
    import fcntl

    status = {"state": "training", "pid": os.getpid(), "step": 1, "steps": 2, "updated": time.time() - 1000}
    (tmp_path / "status.json").write_text(json.dumps(status))
    assert look(tmp_path).state == "lost"
    with (tmp_path / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert look(tmp_path).state == "training"


def test_entries_that_were_edited_by_hand(qgis_app, stand_in):
    from qgis.core import QgsSettings

    for text in ("nonsense", "[1]", '{"a": 1}', "[{}]"):
        QgsSettings().setValue("skysense/pretraining_runs", text)
        assert known_runs() == []
