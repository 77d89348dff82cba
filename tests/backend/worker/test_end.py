"""How a worker ends: with its input, with its parent, in the middle of a job; never as an orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from skysense.protocol.framing import encode_frame
from skysense.protocol.messages import Call, Capabilities, Hello, Progress
from skysense.protocol.records import to_plain
from skysense.protocol.requests import DescribeRaster

BACKEND = Path(__file__).resolve().parents[3] / "backend"
OWN_JOBS = Path(__file__).with_name("own_jobs.py")
ORPHAN_S = 5.0

# Starts a worker that shares this process's pipes, says its number, and stays until it is killed.
PARENT = """
import subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-I", sys.argv[1], "serve"], stdin=0, stdout=subprocess.DEVNULL)
print(worker.pid, flush=True)
time.sleep(100)
"""


def alive(pid: int) -> bool:
    """Not gone, and not a zombie that nobody waits for."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_the_end_of_input_ends_an_idle_worker(start):
    worker = start()
    worker.wait_for(Capabilities)
    worker.process.stdin.close()
    assert worker.process.wait(ORPHAN_S) == 0


def test_and_one_that_is_still_loading(start):
    worker = start()
    worker.wait_for(Hello)
    worker.process.stdin.close()
    assert worker.process.wait(ORPHAN_S) == 0


def test_a_job_at_work_cleans_up_first(start, long_job):
    worker = start()
    job = worker.call(long_job)
    worker.wait_for(Progress, job=job, stage="Encoding tiles")
    folder = Path(long_job.output_path).parent
    assert list(folder.iterdir())  # its drafts
    worker.process.stdin.close()
    assert worker.process.wait(ORPHAN_S) == 0
    assert list(folder.iterdir()) == []


def test_a_signal_to_terminate_is_an_orderly_end(start, long_job):
    worker = start()
    job = worker.call(long_job)
    worker.wait_for(Progress, job=job, stage="Encoding tiles")
    folder = Path(long_job.output_path).parent
    assert list(folder.iterdir())
    worker.process.terminate()
    assert worker.process.wait(ORPHAN_S) == 0
    assert list(folder.iterdir()) == []


def test_what_a_stuck_job_has_half_done_is_removed(start, long_job):
    folder = Path(long_job.output_path).parent
    for end in (lambda worker: worker.process.stdin.close(), lambda worker: worker.process.terminate()):
        worker = start(program=OWN_JOBS)
        job = worker.call(long_job)
        worker.wait_for(Progress, job=job, stage="Stuck")
        assert list(folder.iterdir())
        end(worker)
        assert worker.process.wait(ORPHAN_S) == 0
        assert list(folder.iterdir()) == []


def test_a_slow_clean_up_gets_its_time_and_a_deaf_job_does_not_hold_the_worker(start, tmp_path):
    worker = start(program=OWN_JOBS)
    job = worker.call(DescribeRaster(f"tidy {tmp_path / 'draft'}"))
    worker.wait_for(Progress, job=job, stage="Holding")
    worker.process.stdin.close()
    assert worker.process.wait(ORPHAN_S) == 0
    assert not (tmp_path / "draft").exists()

    worker = start(program=OWN_JOBS)
    job = worker.call(DescribeRaster("deaf 60"))
    worker.wait_for(Progress, job=job, stage="Deaf")
    began = time.monotonic()
    worker.process.stdin.close()
    assert worker.process.wait(ORPHAN_S) == 0
    assert time.monotonic() - began > 1.5


def test_a_killed_parent_ends_the_worker_though_its_input_stays_open(tmp_path):
    reading, writing = os.pipe()
    with (tmp_path / "log").open("wb") as log:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(OWN_JOBS)], stdin=reading, stdout=subprocess.PIPE, stderr=log
        )
    os.close(reading)
    try:
        pid = int(parent.stdout.readline())
        os.write(writing, encode_frame(to_plain(Call(1, DescribeRaster(f"tidy {tmp_path / 'draft'}")))))
        end = time.monotonic() + 20
        while not (tmp_path / "draft").exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert alive(pid) and (tmp_path / "draft").exists()
        time.sleep(1.2)  # the worker looks at its parent each second, from its start
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        end = time.monotonic() + ORPHAN_S
        while alive(pid) and time.monotonic() < end:
            time.sleep(0.05)
        assert not alive(pid) and not (tmp_path / "draft").exists()
    finally:
        parent.kill()
        parent.stdout.close()
        os.close(writing)
