"""Progress of a job as a bar on stderr."""

from __future__ import annotations

from types import TracebackType
from typing import Never

from tqdm import tqdm

from skysense.protocol.messages import Series


class BarReport:
    """A `Report` for the command line; Ctrl-C stops the job as KeyboardInterrupt."""

    def __init__(self) -> None:
        self._bar: tqdm[Never] | None = None

    def __enter__(self) -> BarReport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def progress(
        self, fraction: float, stage: str, detail: str = "", points: tuple[Series, ...] = (), seconds_left: float | None = None
    ) -> None:
        if self._bar is None:
            self._bar = tqdm(total=100, bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}")
        self._bar.set_description_str(stage, refresh=False)
        latest = ", ".join(f"{point.name} {point.value:.3f}" for point in points)
        if latest or detail:
            self._bar.set_postfix_str(latest or detail, refresh=False)
        self._bar.update(max(0.0, 100 * fraction - self._bar.n))

    def cancelled(self) -> bool:
        return False
