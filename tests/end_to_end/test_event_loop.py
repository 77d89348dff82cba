"""QGIS's event loop stays free during every job: a timer of 10 ms, beside a control run of an idle QGIS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from every_job import draw_labels, requests

P99_S, MOST_S = 0.100, 0.250


@dataclass
class Gaps:
    """Between two ticks of a timer of 10 ms."""

    seconds: np.ndarray

    def __str__(self) -> str:
        return f"p99 {1e3 * self.p99:.0f} ms, max {1e3 * self.seconds.max():.0f} ms, {len(self.seconds)} ticks"

    @property
    def p99(self) -> float:
        return float(np.percentile(self.seconds, 99))


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("loop")


@pytest.fixture(scope="module")
def engine(qgis_app, folder):
    from skysense_qgis.client import client as module
    from skysense_qgis.client import logs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "log_folder", lambda: folder / "logs")
        engine = module.Engine()
        yield engine
        engine.close()


def test_during_every_job(engine, folder):
    from qgis.PyQt.QtCore import QTimer

    from skysense_qgis.protocol.messages import Failure

    def idle(seconds: float) -> Gaps:
        return measure(lambda over: QTimer.singleShot(round(1000 * seconds), over))

    print(f"\n{'idle':<16}{idle(2.0)}")
    slow, failed = [], []
    for name, request in requests(folder, draw_labels(folder)).items():
        answers: list = []

        def begin(over, request=request, answers=answers) -> None:
            handle = engine.submit(request)
            handle.done.connect(answers.append)
            handle.failed.connect(answers.append)
            handle.finished.connect(over)

        gaps = measure(begin)
        print(f"{name:<16}{gaps}")
        if not answers or isinstance(answers[0], Failure):
            failed.append((name, answers))
        if gaps.p99 >= P99_S or gaps.seconds.max() >= MOST_S:
            slow.append(f"{name}: {gaps}")
    control = idle(2.0)
    print(f"{'idle':<16}{control}")
    assert not failed
    assert not slow, f"{slow}; idle: {control}"
