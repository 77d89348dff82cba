"""How a job tells its caller where it stands, and how the caller stops it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from skysense.errors import Cancelled
from skysense.protocol.messages import Series

FINISHING = "Finishing the files"  # the last stage of every job that writes rasters


class Report(Protocol):
    """Given to every job. Implementations: the worker's, the command line's bar, `SilentReport`."""

    def progress(
        self, fraction: float, stage: str, detail: str = "", points: tuple[Series, ...] = (), seconds_left: float | None = None
    ) -> None:
        """Say where the job stands.

        Args:
            fraction: 0..1 over the whole job; never falls.
            stage: what is being done, for people.
            detail: one short line (device, batch, free memory).
            points: new points of live curves.
            seconds_left: of the whole job, from whoever knows better than the rule of three.

        Raises:
            Cancelled: the caller wants the job to stop. Call this at least each half second of work.
        """
        ...

    def cancelled(self) -> bool:
        """Whether the caller wants the job to stop, for jobs that keep something when they are stopped."""
        ...


class SilentReport:
    """Says nothing; stops when `cancel` was called or after `limit` calls of progress (tests use it)."""

    def __init__(self, limit: int | None = None) -> None:
        self._stop = False
        self._left = limit
        self.fractions: list[float] = []
        self.stages: list[str] = []

    def cancel(self) -> None:
        self._stop = True

    def progress(
        self, fraction: float, stage: str, detail: str = "", points: tuple[Series, ...] = (), seconds_left: float | None = None
    ) -> None:
        self.fractions.append(fraction)
        if stage not in self.stages:
            self.stages.append(stage)
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self._stop = True
        if self._stop:
            raise Cancelled()

    def cancelled(self) -> bool:
        return self._stop


class Part:
    """A share of another report: 0..1 here becomes `start`..`stop` there."""

    def __init__(self, report: Report, start: float, stop: float) -> None:
        self._report, self._start, self._stop = report, start, stop

    def progress(
        self, fraction: float, stage: str, detail: str = "", points: tuple[Series, ...] = (), seconds_left: float | None = None
    ) -> None:
        self._report.progress(self._start + (self._stop - self._start) * fraction, stage, detail, points, seconds_left)

    def cancelled(self) -> bool:
        return self._report.cancelled()


def telling(report: Report, stage: str, detail: str = "") -> Callable[[float], None]:
    """A function that tells the report the share done of one stage, for code that knows of no reports."""
    return lambda share: report.progress(share, stage, detail)


def by_rule_of_three(started: float, fraction: float) -> float | None:
    """Seconds left by rule of three, once two per cent and half a second have passed."""
    spent = time.monotonic() - started
    if fraction < 0.02 or spent < 0.5:
        return None
    return spent * (1.0 - fraction) / fraction
