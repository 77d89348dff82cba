"""Progress of a job as a bar on stderr."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Never

from tqdm import tqdm

from skysense.errors import Cancelled
from skysense.protocol.messages import Series


class BarReport:
    """A `Report` for the command line. The first Ctrl-C cancels the job, which may keep what it has so far; the second
    is a KeyboardInterrupt wherever the job stands."""

    def __init__(self) -> None:
        self._bar: tqdm[Never] | None = None
        self._latest: dict[str, float] = {}  # of each curve
        self._stop = False
        self._before: Any = None

    def __enter__(self) -> BarReport:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python sets no handlers
            self._before = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def progress(
        self, fraction: float, stage: str, detail: str = "", points: tuple[Series, ...] = (), seconds_left: float | None = None
    ) -> None:
        if self._stop:
            raise Cancelled()
        if self._bar is None:
            self._bar = tqdm(total=100, bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}")
        self._bar.set_description_str(stage, refresh=False)
        self._latest |= {point.name: point.value for point in points}
        latest = ", ".join(f"{name} {value:.3f}" for name, value in self._latest.items())
        if latest or detail:
            self._bar.set_postfix_str(latest or detail, refresh=False)
        self._bar.update(max(0.0, 100 * fraction - self._bar.n))

    def cancelled(self) -> bool:
        return self._stop

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        self._stop = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
