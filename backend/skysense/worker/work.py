"""Calls waiting for their turn, and the report of the one at work."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from skysense.errors import Cancelled
from skysense.jobs.report import by_rule_of_three
from skysense.protocol.half_done import parents_of
from skysense.protocol.messages import Call, Progress, Series
from skysense.worker.channel import Channel

PROGRESS_EACH_S = 0.1


class WorkQueue:
    """First come, first served. The reading thread puts and cancels, the main thread takes."""

    def __init__(self) -> None:
        self._waiting: deque[Call] = deque()
        self._cancelled: set[int] = set()
        self._changed = threading.Condition()
        self._ended = False
        self.working_on: int | None = None
        self.folders: set[Path] = set()  # that the call at work may have half-done files in

    def put(self, call: Call) -> None:
        with self._changed:
            self._waiting.append(call)
            self._changed.notify()

    def cancel(self, job: int) -> bool:
        """Stop the job at work, or take it out of the line; True for the latter: nobody else answers it then."""
        with self._changed:
            if job == self.working_on:
                self._cancelled.add(job)
                return False
            waiting = [call for call in self._waiting if call.job == job]
            for call in waiting:
                self._waiting.remove(call)
            return bool(waiting)

    def end(self) -> None:
        """Take no more: everything is cancelled."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def take(self, idle: Callable[[], None], idle_s: float) -> Call | None:
        """Wait for the next call; None when the worker ends. `idle` is called once, after so many seconds of waiting."""
        with self._changed:
            self.working_on = None
            if not self._changed.wait_for(self._is_due, idle_s):
                idle()
                self._changed.wait_for(self._is_due)
            if self._ended:
                return None
            call = self._waiting.popleft()
            self.working_on, self.folders = call.job, parents_of(call.request)
            return call

    def _is_due(self) -> bool:
        return bool(self._waiting) or self._ended

    def is_cancelled(self, job: int) -> bool:
        return self._ended or job in self._cancelled

    def forget(self, job: int) -> None:
        with self._changed:
            self._cancelled.discard(job)


class ChannelReport:
    """A job's report as Progress messages, at most ten a second; points of curves are never dropped."""

    def __init__(self, job: int, channel: Channel, queue: WorkQueue) -> None:
        self._job, self._channel, self._queue = job, channel, queue
        self._started = time.monotonic()
        self._sent = 0.0
        self._stage, self._fraction = "", 0.0
        self._points: list[Series] = []

    def progress(
        self, fraction: float, stage: str, detail: str = "", points: tuple[Series, ...] = (), seconds_left: float | None = None
    ) -> None:
        if self.cancelled():
            raise Cancelled()
        self._points.extend(points)
        self._fraction = min(max(fraction, self._fraction), 1.0)
        now = time.monotonic()
        if now - self._sent < PROGRESS_EACH_S and stage == self._stage:
            return
        self._sent, self._stage = now, stage
        left = by_rule_of_three(self._started, self._fraction) if seconds_left is None else seconds_left
        self._channel.send(Progress(self._job, stage, self._fraction, left, detail, tuple(self._points)))
        self._points.clear()

    def cancelled(self) -> bool:
        return self._queue.is_cancelled(self._job)

    def finish(self) -> None:
        """Send the points that are still held back."""
        if self._points:
            left = by_rule_of_three(self._started, self._fraction)
            self._channel.send(Progress(self._job, self._stage, self._fraction, left, "", tuple(self._points)))
            self._points.clear()
