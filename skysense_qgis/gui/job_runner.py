"""One long job at a time: layers drawn, its cost told and agreed to where it is high, then at work."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qgis.core import Qgis
from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtWidgets import QMessageBox, QWidget

from ..client.client import Engine
from ..layers.drawn import Drawing
from ..protocol.messages import Failure
from ..protocol.requests import (
    ApplyModel,
    CostEstimate,
    DetectChange,
    EmbedScene,
    EstimateCost,
    MakeShards,
    SegmentByExample,
    TrainSegmentation,
)
from ..settings import Settings
from .drawing_job import DrawingJob
from .jobs_bar import JobsBar
from .words import duration, size

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

    def __init__(self, engine: Engine, bar: JobsBar, drawings: Mapping[str, Drawing], parent: QWidget) -> None:
        """Wait for requests.

        Args:
            engine: answers them.
            bar: shows the job.
            drawings: by path, what has to be drawn before a scene that names it can be read.
            parent: window of the questions.
        """
        super().__init__(parent)
        self._engine, self._bar, self._drawings, self._window = engine, bar, drawings, parent
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
        needed = [self._drawings[path] for path in _paths(request) if path in self._drawings]
        if not needed:
            self._estimate(request, finish)
            return
        drawing = DrawingJob(needed, Settings.load().cache_limit_bytes, self)
        drawing.done.connect(lambda warnings: self._drawn(warnings, request, finish))
        drawing.failed.connect(self._give_up)
        self._bar.watch(drawing)
        drawing.start()

    def _drawn(self, warnings: tuple[str, ...], request: object, finish) -> None:
        for warning in warnings:
            self.message.emit(warning, Qgis.MessageLevel.Warning)
        self._estimate(request, finish)

    def _estimate(self, request: object, finish) -> None:
        if not isinstance(request, EmbedScene | ApplyModel | SegmentByExample | DetectChange):
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
            self._give_up(answer)
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

    def _give_up(self, failure: Failure) -> None:
        self._set_busy(False)
        self.failed.emit(failure)

    def _set_busy(self, busy: bool) -> None:
        self.busy = busy
        self.busy_changed.emit(busy)


def _paths(request: object) -> list[str]:
    """Files that the request reads scenes from."""
    if isinstance(request, DetectChange):
        scenes = [request.before, request.after]
    elif isinstance(request, EmbedScene | ApplyModel | SegmentByExample | TrainSegmentation):
        scenes = [request.scene]
    elif isinstance(request, MakeShards):
        scenes = [request.scene] if request.scene is not None else []
    else:
        scenes = []
    return [source.path for scene in scenes for source in scene.acquisitions]


def _question(cost: CostEstimate, parent: QWidget) -> QMessageBox:
    box = QMessageBox(parent)
    box.setWindowTitle("SkySense")
    text = box.tr("This takes {}, and up to {} of the {} that are free on the disk of the output.").format(
        duration(cost.seconds), size(cost.disk_bytes), size(cost.free_bytes)
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
