"""What jobs may do to the session: print, fail, run out of memory, send curves."""

from __future__ import annotations

from pathlib import Path

from skysense.protocol.framing import LARGEST_FRAME_BYTES
from skysense.protocol.messages import Failure, Progress, Result
from skysense.protocol.requests import DescribeRaster

PROGRAM = Path(__file__).with_name("own_jobs.py")


def answer(worker, what: str):
    """Everything said of this job."""
    job = worker.call(DescribeRaster(what))
    said = []
    while not said or not isinstance(said[-1], (Result, Failure)):
        _, message = worker.wait(lambda message: getattr(message, "job", None) == job)
        said.append(message)
    return said


def test_what_is_printed_lands_in_the_log(worker):
    assert isinstance(answer(worker, "print")[-1], Result)
    log = worker.log.read_text()
    assert "native noise" in log and "stderr noise" in log and "Content-Length: 2" in log


def test_a_fault_is_told_without_its_inside_and_the_log_keeps_it(worker):
    failure = answer(worker, "fault")[-1]
    assert failure.code == "internal" and failure.remedy
    assert "secret inside" not in failure.sentence + failure.remedy and "Traceback" not in failure.sentence
    assert "secret inside" in failure.log and "secret inside" in worker.log.read_text()
    assert isinstance(answer(worker, "print")[-1], Result)


def test_out_of_memory(worker):
    failure = answer(worker, "memory")[-1]
    assert failure.code == "device" and "memory" in failure.sentence and "extent" in failure.remedy


def test_a_failure_fits_into_a_frame_whatever_was_logged(worker):
    failure = answer(worker, "large")[-1]
    assert failure.code == "internal" and len(failure.log) < LARGEST_FRAME_BYTES / 100


def test_no_point_of_a_curve_is_lost_and_progress_is_thinned(worker):
    said = answer(worker, "points 5000")
    sent = [message for message in said if isinstance(message, Progress)]
    assert [point.step for message in sent for point in message.points] == list(range(5000))
    assert len(sent) < 50
    assert [message.fraction for message in sent] == sorted(message.fraction for message in sent)


def test_points_before_a_fault_are_not_lost_either(worker):
    said = answer(worker, "points 50 broken")
    assert said[-1].code == "internal"
    assert [point.step for message in said[:-1] for point in message.points] == list(range(50))
