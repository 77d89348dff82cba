"""The line of calls, without a process."""

from __future__ import annotations

import threading

from skysense.protocol.messages import Call
from skysense.protocol.requests import DescribeRaster
from skysense.worker.work import WorkQueue


def call(job: int) -> Call:
    return Call(job, DescribeRaster("/x.tif"))


def nothing() -> None:
    """What to do when idle."""


def test_first_come_first_served():
    queue = WorkQueue()
    for job in (1, 2, 3):
        queue.put(call(job))
    assert [queue.take(nothing, 60).job for _ in range(3)] == [1, 2, 3]


def test_a_waiting_call_is_taken_out_and_the_one_at_work_is_marked():
    queue = WorkQueue()
    for job in (1, 2, 3):
        queue.put(call(job))
    queue.take(nothing, 60)
    assert queue.cancel(2) is True and queue.cancel(2) is False
    assert queue.cancel(1) is False and queue.is_cancelled(1) and not queue.is_cancelled(3)
    queue.forget(1)
    assert queue.take(nothing, 60).job == 3 and not queue.is_cancelled(1)


def test_at_the_end_everything_is_cancelled_and_nothing_taken():
    queue = WorkQueue()
    queue.put(call(1))
    queue.take(nothing, 60)
    queue.put(call(2))
    queue.end()
    assert queue.is_cancelled(1) and queue.take(nothing, 60) is None and queue.working_on is None


def test_taking_waits_for_what_another_thread_puts():
    queue = WorkQueue()
    threading.Timer(0.1, queue.put, [call(4)]).start()
    assert queue.take(nothing, 60).job == 4 and queue.working_on == 4


def test_who_waits_long_is_idle_once_and_takes_what_comes_then():
    queue, idle = WorkQueue(), []

    def put_later() -> None:
        idle.append(queue.working_on)
        threading.Timer(0.1, queue.put, [call(5)]).start()

    assert queue.take(put_later, 0.01).job == 5 and idle == [None]
    queue.put(call(6))
    assert queue.take(put_later, 0.01).job == 6 and len(idle) == 1
