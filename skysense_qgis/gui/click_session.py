"""One session of clicking: encodes the view, sends prompts one at a time, keeps their history."""

from __future__ import annotations

from qgis.core import QgsCoordinateTransform, QgsPointXY, QgsProject, QgsRasterLayer, QgsRectangle
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..client.client import Engine, JobHandle
from ..layers.sources import LayerError
from ..layers.views import RenderedView, view_of
from ..protocol.messages import Failure
from ..protocol.requests import (
    CloseView,
    MaskReady,
    OpenView,
    OutlineMask,
    OutlineReady,
    Prompt,
    PromptView,
    ViewReady,
)
from ..protocol.scene_source import ViewSource

SETTLED_MS = 300  # the view stands still: encode it


class ClickSession(QObject):
    """Works on one raster layer; prompts come in the canvas's CRS."""

    status = pyqtSignal(str)
    failed = pyqtSignal(object)  # Failure
    view_opened = pyqtSignal(object)  # Extent
    mask_changed = pyqtSignal(object, tuple)  # MaskReady or None, the prompts that it answers
    outlined = pyqtSignal(object, int)  # OutlineReady, number of prompts

    def __init__(self, engine: Engine, canvas: QgsMapCanvas, layer: QgsRasterLayer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine, self._canvas, self.layer_id = engine, canvas, layer.id()
        self._crs = layer.crs()
        self._view: str | None = None
        self._seen = QgsRectangle()  # by the view, in the layer's CRS
        self._opening: JobHandle | None = None
        self._rendering: RenderedView | None = None
        self._asking: JobHandle | None = None
        self.prompts: tuple[Prompt, ...] = ()
        self._undone: list[Prompt] = []
        self._shown: tuple[Prompt, ...] = ()
        self._number = 0
        self._keeping = False  # an outline was asked for and has not come yet
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLED_MS)
        self._settle.timeout.connect(self._open)
        canvas.extentsChanged.connect(self._moved)
        self._settle.start(0)

    @property
    def layer(self) -> QgsRasterLayer | None:
        return QgsProject.instance().mapLayer(self.layer_id)

    @property
    def ready(self) -> bool:
        return self._view is not None

    # -- prompts -----------------------------------------------------------------------------------------------------
    def add_point(self, point: QgsPointXY, positive: bool) -> None:
        here = self._to_layer().transform(point)
        if self._view is not None and not self._seen.contains(here):
            self.status.emit(self.tr("Here is nothing of the layer that was prepared. Click inside of it."))
            return
        self._add(Prompt(here.x(), here.y(), positive))

    def add_box(self, box: QgsRectangle) -> None:
        b = self._to_layer().transformBoundingBox(box)
        self._add(Prompt(b.xMinimum(), b.yMaximum(), True, b.xMaximum(), b.yMinimum()))

    def undo(self) -> None:
        if self.prompts:
            self._undone.append(self.prompts[-1])
            self.prompts = self.prompts[:-1]
            self._ask()

    def redo(self) -> None:
        if self._undone:
            self.prompts += (self._undone.pop(),)
            self._ask()

    def drop(self) -> None:
        self.prompts, self._undone = (), []
        self._ask()

    def repeat(self) -> None:
        """Show the mask again, in another colour."""
        if self.prompts:
            self._ask()

    def keep(self, simplify_px: float, fill_holes_px: int) -> None:
        """Ask for the outline; `outlined` follows, and the prompts are gone."""
        if not self.prompts or self._view is None or self._keeping:
            return
        self._keeping = True
        prompts = self.prompts
        handle = self._engine.submit(OutlineMask(self._view, prompts, simplify_px, fill_holes_px))
        handle.done.connect(lambda outline: self._outlined(outline, len(prompts)))
        handle.failed.connect(self.failed)
        handle.finished.connect(self._kept)

    def close(self) -> None:
        """End the session; nothing is emitted any more."""
        self._settle.stop()
        self._canvas.extentsChanged.disconnect(self._moved)
        self.blockSignals(True)
        if self._view is not None:
            self._engine.submit(CloseView(self._view))
        self.deleteLater()

    def _add(self, prompt: Prompt) -> None:
        if self._view is None:
            self.status.emit(self.tr("The view is still being prepared. Click again in a moment."))
            return
        self.prompts += (prompt,)
        self._undone.clear()
        self._ask()

    def _ask(self) -> None:
        """Only the newest state is asked for; what was clicked meanwhile goes with it."""
        if self._view is None or self._asking is not None:
            return
        if not self.prompts:
            self._shown = ()
            self.mask_changed.emit(None, ())
            return
        asked = self.prompts
        self._asking = self._engine.submit(PromptView(self._view, asked))
        self._asking.done.connect(lambda mask: self._answered(mask, asked))
        self._asking.failed.connect(lambda failure: self._refused(failure, asked))

    def _answered(self, mask: MaskReady, asked: tuple[Prompt, ...]) -> None:
        self._asking = None
        self._shown = asked
        self.mask_changed.emit(mask, asked)
        if self.prompts != asked:
            self._ask()

    def _refused(self, failure: Failure, asked: tuple[Prompt, ...]) -> None:
        """A prompt that cannot be used is taken back."""
        self._asking = None
        if self.prompts[: len(asked)] == asked:
            self.prompts = self._shown
        self.failed.emit(failure)

    def _kept(self) -> None:
        self._keeping = False

    def _outlined(self, outline: OutlineReady, count: int) -> None:
        self.drop()
        self.outlined.emit(outline, count)

    # -- the view ----------------------------------------------------------------------------------------------------
    def _moved(self) -> None:
        """Another part of the map: encode it, unless prompts were made here; they are kept or dropped first."""
        if not self.prompts:
            self._settle.start()

    def _open(self) -> None:
        layer = self.layer
        if layer is None or self.prompts:
            return
        settings = self._canvas.mapSettings()
        try:
            view = view_of(layer, settings.visibleExtent(), settings.destinationCrs(), QgsProject.instance())
        except LayerError as error:
            self.status.emit(str(error))
            return
        if self._opening is not None:
            self._opening.cancel()
        self.status.emit(self.tr("Preparing the view …"))
        if view.path is not None:
            self._encode(view)
            return
        self._rendering = RenderedView(layer, view)
        self._rendering.job.finished.connect(self._rendered)
        self._rendering.job.start()

    def _rendered(self) -> None:
        if self._rendering is None:
            return
        try:
            view = self._rendering.write(self._engine.private_folder)
        except LayerError as error:
            self.status.emit(str(error))
            return
        self._encode(view)

    def _encode(self, view: ViewSource) -> None:
        old, self._view = self._view, None
        if old is not None:
            self._engine.submit(CloseView(old))
        self._number += 1
        mask_path = str(self._engine.private_folder / f"mask{self._number}")
        handle = self._engine.submit(OpenView(view, mask_path))
        self._opening = handle
        handle.done.connect(lambda ready: self._opened(ready, view, handle))
        handle.failed.connect(lambda failure: self._not_opened(failure, handle))

    def _opened(self, ready: ViewReady, view: ViewSource, handle: JobHandle) -> None:
        if handle is not self._opening:
            return
        self._opening = None
        self._view = ready.view
        self._seen = QgsRectangle(view.extent.west, view.extent.south, view.extent.east, view.extent.north)
        self.view_opened.emit(view.extent)
        self.status.emit(self.tr("Click on an object. Right-click what does not belong to it."))

    def _not_opened(self, failure: Failure, handle: JobHandle) -> None:
        if handle is self._opening:
            self._opening = None
            if failure.code != "cancelled":
                self.failed.emit(failure)

    def _to_layer(self) -> QgsCoordinateTransform:
        canvas_crs = self._canvas.mapSettings().destinationCrs()
        if not (self._crs.isValid() and canvas_crs.isValid()):
            return QgsCoordinateTransform()
        return QgsCoordinateTransform(canvas_crs, self._crs, QgsProject.instance().transformContext())
