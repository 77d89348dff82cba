"""One long job at a time: its cost told, agreed to where it is high, then at work."""

from __future__ import annotations

from collections.abc import Callable

from qgis.core import Qgis
from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtWidgets import QMessageBox, QWidget

from ..client.client import Engine
from ..protocol.messages import Failure
from ..protocol.requests import ApplyModel, CostEstimate, EmbedScene, EstimateCost
from .jobs_bar import JobsBar

LONG_S = 120.0  # from here on the user is asked before
LARGE_BYTES = 1_000_000_000
FULL = 0.9  # of the free space


class JobRunner(QObject):
    """Runs requests of the panels; the bar shows progress and takes the cancel."""

    began = pyqtSignal(object, object)  # request, JobHandle
    done = pyqtSignal(object)  # result
    failed = pyqtSignal(object)  # Failure
    busy_changed = pyqtSignal(bool)
    message = pyqtSignal(str, object)

    def __init__(self, engine: Engine, bar: JobsBar, parent: QWidget) -> None:
        super().__init__(parent)
        self._engine, self._bar, self._window = engine, bar, parent
        self.question: QMessageBox | None = None
        self.busy = False

    def run(self, request: object, finish: Callable[[object], object] | None) -> None:
        """Begin a job, unless one is at work.

        Args:
            request: any request of a long job.
            finish: what to do with its result.
        """
        if self.busy:
            self.message.emit(self.tr("Another job is at work. Wait for it, or cancel it."), Qgis.MessageLevel.Info)
            return
        self._set_busy(True)
        if not isinstance(request, EmbedScene | ApplyModel):
            self._start(request, finish)
            return
        handle = self._engine.submit(EstimateCost(request))
        answers: list[CostEstimate | Failure] = []
        handle.done.connect(answers.append)
        handle.failed.connect(answers.append)
        handle.finished.connect(lambda: self._estimated(answers[0], request, finish))
        self._bar.watch(handle)

    def _estimated(self, answer: CostEstimate | Failure, request: object, finish) -> None:
        if isinstance(answer, Failure):
            self._set_busy(False)
            self.failed.emit(answer)
            return
        if answer.seconds < LONG_S and answer.disk_bytes < min(LARGE_BYTES, FULL * answer.free_bytes):
            self._start(request, finish)
            return
        self.question = _question(answer, self._window)
        self.question.finished.connect(lambda _: self._answered(request, finish))
        self.question.open()

    def _answered(self, request: object, finish) -> None:
        question, self.question = self.question, None
        question.deleteLater()
        if question.standardButton(question.clickedButton()) == QMessageBox.StandardButton.Ok:
            self._start(request, finish)
        else:
            self._set_busy(False)

    def _start(self, request: object, finish) -> None:
        handle = self._engine.submit(request)
        self._bar.watch(handle)
        if finish is not None:
            handle.done.connect(finish)
        handle.done.connect(self.done)
        handle.failed.connect(self.failed)
        handle.finished.connect(lambda: self._set_busy(False))
        self.began.emit(request, handle)

    def _set_busy(self, busy: bool) -> None:
        self.busy = busy
        self.busy_changed.emit(busy)


def _question(cost: CostEstimate, parent: QWidget) -> QMessageBox:
    box = QMessageBox(parent)
    box.setWindowTitle("SkySense")
    text = box.tr("This takes {}, and up to {} of the {} that are free on the disk of the output.").format(
        _duration(cost.seconds), _size(cost.disk_bytes), _size(cost.free_bytes)
    )
    box.setIcon(QMessageBox.Icon.Question)
    if cost.disk_bytes >= FULL * cost.free_bytes:
        box.setIcon(QMessageBox.Icon.Warning)
        text += " " + box.tr("The disk may become full: free some space, or choose another output folder in the settings.")
    box.setText(text)
    box.setInformativeText(
        box.tr("{} × {} pixels in {} tiles. A smaller area takes less.").format(cost.width, cost.height, cost.tiles)
    )
    box.setStandardButtons(QMessageBox.StandardButton.Ok | QMessageBox.StandardButton.Cancel)
    box.button(QMessageBox.StandardButton.Ok).setText(box.tr("Start"))
    return box


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} seconds"
    if seconds < 5400:
        return f"about {round(seconds / 60)} minutes"
    return f"about {seconds / 3600:.1f} hours"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"
