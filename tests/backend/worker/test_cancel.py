"""Cancelled jobs: acknowledged within a second, stopped within two, answered once, and nothing left behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skysense.protocol.messages import CancelReceived, Failure, Progress, Result
from skysense.protocol.requests import DescribeRaster

ACKNOWLEDGED_S, STOPPED_S = 1.0, 2.0


def test_before_the_libraries_are_loaded(start, long_job):
    worker = start()
    job = worker.call(long_job)
    worker.wait_for(Progress, job=job, stage="Starting")
    asked = worker.cancel(job)
    at, _ = worker.wait_for(CancelReceived, job=job)
    assert at - asked < ACKNOWLEDGED_S
    _, failure = worker.wait_for(Failure, job=job)  # as soon as the imports let it; the client may kill it before
    assert failure.code == "cancelled"


@pytest.mark.parametrize("stage", ["Loading the model", "Sampling tiles", "Encoding tiles"])
def test_at_every_stage(worker, long_job, stage):
    job = worker.call(long_job)
    worker.wait_for(Progress, job=job, stage=stage)
    asked = worker.cancel(job)
    at, _ = worker.wait_for(CancelReceived, job=job)
    assert at - asked < ACKNOWLEDGED_S
    at, failure = worker.wait_for(Failure, job=job)
    assert at - asked < STOPPED_S
    assert failure.code == "cancelled" and failure.remedy
    assert list(Path(long_job.output_path).parent.iterdir()) == []
    assert not worker.rest(0.3)


def test_while_it_waits_it_is_answered_at_once_and_the_other_goes_on(worker, long_job, short_job):
    first = worker.call(long_job)
    worker.wait_for(Progress, job=first, stage="Encoding tiles")
    second, third = worker.call(short_job), worker.call(replace(short_job, components=2))
    asked = worker.cancel(second)
    worker.wait_for(CancelReceived, job=second)
    at, failure = worker.wait_for(Failure, job=second)
    assert at - asked < ACKNOWLEDGED_S and failure.code == "cancelled"
    worker.wait_for(Progress, job=first)
    worker.cancel(first)
    worker.wait_for(Failure, job=first)
    worker.wait_for(Result, job=third)
    assert not worker.rest(0.3)


def test_of_a_job_that_is_done_or_never_was(worker, short_job):
    job = worker.call(short_job)
    worker.wait_for(Result, job=job)
    for number in (job, 12345):
        worker.cancel(number)
        worker.wait_for(CancelReceived, job=number)
    assert not worker.rest(0.3)
    again = worker.call(DescribeRaster(short_job.scene.acquisitions[0].path))
    worker.wait_for(Result, job=again)
