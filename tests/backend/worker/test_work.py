"""The line of calls, without a process."""

from __future__ import annotations

import threading

from skysense.protocol.messages import Call
from skysense.protocol.requests import DescribeRaster
from skysense.worker.work import WorkQueue


def call(job: int) -> Call:
    return Call(job, DescribeRaster("/x.tif"))


def test_first_come_first_served():
    queue = WorkQueue()
    for job in (1, 2, 3):
        queue.put(call(job))
    assert [queue.take().job for _ in range(3)] == [1, 2, 3]


def test_a_waiting_call_is_taken_out_and_the_one_at_work_is_marked():
    queue = WorkQueue()
    for job in (1, 2, 3):
        queue.put(call(job))
    queue.take()
    assert queue.cancel(2) is True and queue.cancel(2) is False
    assert queue.cancel(1) is False and queue.is_cancelled(1) and not queue.is_cancelled(3)
    queue.forget(1)
    assert queue.take().job == 3 and not queue.is_cancelled(1)


def test_at_the_end_everything_is_cancelled_and_nothing_taken():
    queue = WorkQueue()
    queue.put(call(1))
    queue.take()
    queue.put(call(2))
    queue.end()
    assert queue.is_cancelled(1) and queue.take() is None and queue.working_on is None


def test_taking_waits_for_what_another_thread_puts():
    queue = WorkQueue()
    threading.Timer(0.1, queue.put, [call(4)]).start()
    assert queue.take().job == 4 and queue.working_on == 4
