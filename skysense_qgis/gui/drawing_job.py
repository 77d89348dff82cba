"""Drawing what a job needs, as a step of that job: with progress and cancel like the engine's own."""

from __future__ import annotations

from collections.abc import Sequence

from qgis.core import QgsProject
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..layers.drawing import LayerDrawing
from ..layers.drawn import Drawing, make_room
from ..protocol.messages import Failure, Progress

STOPPED = Failure(None, "cancelled", "Drawing the layers was cancelled.", "Start it again when you like.")


class DrawingJob(QObject):
    """Draws one layer after the other. Exactly one of `done` and `failed` is emitted, then `finished`."""

    progressed = pyqtSignal(object)  # Progress
    done = pyqtSignal(object)  # sentences about what could not be drawn whole
    failed = pyqtSignal(object)  # Failure
    finished = pyqtSignal()

    def __init__(self, drawings: Sequence[Drawing], limit_bytes: int, parent: QObject | None = None) -> None:
        """Prepare; `start` begins.

        Args:
            drawings: what is not there yet is drawn.
            limit_bytes: for all pictures in the cache; older ones make room.
        """
        super().__init__(parent)
        self._all = list(drawings)
        self._left = [drawing for drawing in drawings if not drawing.path.exists()]
        self._limit = limit_bytes
        self._count = len(self._left)
        self._drawing: LayerDrawing | None = None
        self._warnings: list[str] = []
        self._over = False

    def start(self) -> None:
        """Begin; returns at once."""
        QTimer.singleShot(0, self._begin)

    def cancel(self) -> None:
        if self._drawing is not None:
            self._drawing.cancel()
        self._end(STOPPED)

    def _begin(self) -> None:
        if self._over:
            return
        kept = {drawing.path for drawing in self._all}
        try:
            for drawing in self._all:
                drawing.path.parent.mkdir(parents=True, exist_ok=True)
                if drawing.path.exists():
                    drawing.path.touch()  # used again
        except OSError as error:
            self._end(_failure(f"The cache folder cannot be used: {error.strerror}. Choose another one in the settings."))
            return
        if self._all:
            make_room(self._all[0].path.parent, self._limit, kept)
        self._next()

    def _next(self) -> None:
        if not self._left:
            self._end(None)
            return
        drawing = self._left[0]
        layer = QgsProject.instance().mapLayer(drawing.layer_id)
        if layer is None:
            self._end(_failure(f"The layer {drawing.name} was removed. Take it out of the scene and try again."))
            return
        self._tell(0.0)
        part = drawing.path.with_suffix(".part.tif")
        self._drawing = LayerDrawing(layer, drawing.sheet, part, QgsProject.instance().transformContext(), self)
        self._drawing.progressed.connect(self._tell)
        self._drawing.finished.connect(lambda _, missing: self._drawn(drawing, missing))
        self._drawing.failed.connect(lambda text: self._end(_failure(text)))
        self._drawing.start()

    def _drawn(self, drawing: Drawing, missing: float) -> None:
        part = drawing.path.with_suffix(".part.tif")
        try:
            part.replace(drawing.path)
        except OSError as error:
            self._end(_failure(f"{drawing.name} was drawn but cannot be kept: {error.strerror}. Check the cache folder."))
            return
        if missing > 0:
            self._warnings.append(f"{100 * missing:.1f} % of {drawing.name} could not be drawn and count as no data.")
        self._drawing.deleteLater()
        self._drawing = None
        self._left.pop(0)
        self._next()

    def _tell(self, share: float) -> None:
        done = self._count - len(self._left) + share
        text = self.tr("Drawing {}").format(self._left[0].name)
        self.progressed.emit(Progress(0, text, done / max(self._count, 1), None))

    def _end(self, failure: Failure | None) -> None:
        if self._over:
            return
        self._over = True
        if failure is None:
            self.done.emit(tuple(self._warnings))
        else:
            self.failed.emit(failure)
        self.finished.emit()
        self.deleteLater()


def _failure(text: str) -> Failure:
    """LayerErrors say in one text what came and what to do."""
    return Failure(None, "drawing", text, "", "")
