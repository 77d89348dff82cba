"""How free QGIS's event loop is: the gaps between the ticks of a timer of 10 ms."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

P99_S, MOST_S = 0.100, 0.250


@dataclass
class Gaps:
    """Seconds between two ticks."""

    seconds: np.ndarray

    def __str__(self) -> str:
        return f"p99 {1e3 * self.p99:.0f} ms, max {1e3 * self.seconds.max():.0f} ms, {len(self.seconds)} ticks"

    @property
    def p99(self) -> float:
        return float(np.percentile(self.seconds, 99))

    @property
    def free(self) -> bool:
        """Whether the promise is kept."""
        return self.p99 < P99_S and float(self.seconds.max()) < MOST_S


def measure(begin: Callable[[Callable[[], None]], None]) -> Gaps:
    """The gaps while an event loop runs until what `begin` started calls back."""
    from qgis.PyQt.QtCore import QEventLoop, Qt, QTimer

    loop, ticks = QEventLoop(), [time.monotonic()]
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start(10)
    QTimer.singleShot(120_000, loop.quit)
    QTimer.singleShot(0, lambda: begin(loop.quit))
    loop.exec()
    timer.stop()
    return Gaps(np.diff(ticks))


def idle(seconds: float = 2.0) -> Gaps:
    """The control: nothing is done."""
    from qgis.PyQt.QtCore import QTimer

    return measure(lambda over: QTimer.singleShot(round(1000 * seconds), over))
