"""The process itself: its log's cap, and the ladder from asking to killing."""

from __future__ import annotations

import stat
import time

import pytest

from skysense_qgis.client import process as module
from skysense_qgis.client.process import WorkerProcess


@pytest.fixture
def start(qgis_app, tmp_path):
    """Starts a program of the test's own."""
    processes = []

    def start(source: str) -> WorkerProcess:
        program = tmp_path / "program.py"
        program.write_text("#!/usr/bin/env python3\n" + source)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        process = WorkerProcess(program, "jobs", tmp_path / "worker.log")
        process.reasons = []
        process.ended.connect(process.reasons.append)
        processes.append(process)
        return process

    yield start
    for process in processes:
        if not process.reasons:
            process.kill()
            process.wait_for_end()


def test_it_is_started_isolated_and_in_unicode(start, wait):
    """Isolated, a Python does not read PYTHONUTF8: it has to be told."""
    process = start("import sys\nprint(sys.argv[1:])\n")
    received = bytearray()
    process.received.connect(received.extend)
    wait(lambda: process.reasons, 10)
    assert received.startswith(b"['-I', '-X', 'utf8', ") and b"'serve', '--role', 'jobs'" in received


def test_bytes_come_as_they_are(start, wait):
    process = start("import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read(256)[::-1])\n")
    received = bytearray()
    process.received.connect(received.extend)
    process.write(bytes(range(256)))
    wait(lambda: process.reasons, 10)
    assert bytes(received) == bytes(range(256))[::-1]
    assert process.reasons == ["it ended with code 0"]


def test_the_log_has_a_cap_and_a_flood_does_not_stop_the_worker(start, wait, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_LOG_BYTES", 100_000)
    process = start("import sys\nfor i in range(20000): print('line', i, 'x' * 80, file=sys.stderr)\n")
    wait(lambda: process.reasons, 20)
    assert process.reasons == ["it ended with code 0"]
    log, old = tmp_path / "worker.log", tmp_path / "worker.old.log"
    assert "line 19999" in log.read_text()
    assert log.stat().st_size <= 100_000 and old.stat().st_size <= 100_000


def test_a_log_that_cannot_be_written_is_no_reason_to_stop(start, wait, tmp_path):
    (tmp_path / "worker.log").mkdir()
    process = start("import sys\nprint('x', file=sys.stderr)\nprint('fine')\n")
    received = bytearray()
    process.received.connect(received.extend)
    wait(lambda: process.reasons, 10)
    assert received == b"fine\n"


@pytest.mark.parametrize(
    ("source", "least_s", "most_s", "reason"),
    [
        ("import sys\nsys.stdin.read()\n", 0.0, 1.0, "code 0"),
        ("import time\ntime.sleep(60)\n", 1.0, 2.0, "killed"),
        ("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)\n", 2.0, 3.0, "killed"),
    ],
    ids=["closing its input", "terminating", "killing"],
)
def test_the_ladder(start, wait, monkeypatch, source, least_s, most_s, reason):
    """Each rung ends what it should before the next one comes, a second later."""
    monkeypatch.setattr(module, "PATIENCE_MS", 1000)
    process = start("print('up', flush=True)\n" + source)
    received = bytearray()
    process.received.connect(received.extend)
    reasons = process.reasons
    wait(lambda: received, 10)
    time.sleep(0.2)
    began = time.monotonic()
    process.end()
    assert time.monotonic() - began < 0.05
    wait(lambda: reasons, 5)
    # Qt's coarse timers come up to 5 % early or late
    assert 0.93 * least_s <= time.monotonic() - began < 0.93 * most_s and reason in reasons[0]
