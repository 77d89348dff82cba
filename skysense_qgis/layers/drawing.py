"""Layers that are no files (WMS, XYZ, WCS, virtual), drawn by QGIS: a GeoTIFF that can be part of a scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsFeedback,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QEventLoop, QObject, QSize, QTimer, pyqtSignal
from qgis.PyQt.QtGui import QColor, QImage

from .sheet import Sheet, SheetFile
from .sources import LayerError

POLL_MS = 50


def map_settings(
    layer: QgsRasterLayer, crs: QgsCoordinateReferenceSystem, box: QgsRectangle, size: QSize,
    transforms: QgsCoordinateTransformContext,
) -> QgsMapSettings:  # fmt: skip
    """For drawing one layer alone on nothing, so that what could not be drawn stays transparent."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(crs)
    settings.setTransformContext(transforms)
    settings.setExtent(box)
    settings.setOutputSize(size)
    settings.setBackgroundColor(QColor(0, 0, 0, 0))
    settings.setOutputImageFormat(QImage.Format.Format_ARGB32_Premultiplied)
    return settings


def colours_and_mask(image: QImage) -> tuple[np.ndarray, np.ndarray]:
    """A drawn picture as red, green, blue (H, W, 3) and where anything was drawn (H, W)."""
    image = image.convertToFormat(QImage.Format.Format_ARGB32)
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    bgra = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)[:, : image.width()]
    drawn = bgra[..., 3] > 0
    return np.ascontiguousarray(bgra[..., 2::-1]) * drawn[..., None], drawn


class LayerDrawing(QObject):
    """Draws a layer block by block beside the event loop. Either `finished` or `failed` is emitted once."""

    progressed = pyqtSignal(float)
    finished = pyqtSignal(str, float)  # the GeoTIFF, the share of it that could not be drawn
    failed = pyqtSignal(str)

    def __init__(
        self, layer: QgsRasterLayer, sheet: Sheet, path: Path, transforms: QgsCoordinateTransformContext,
        parent: QObject | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self._layer = layer.clone()  # the user may remove or restyle the layer meanwhile
        self._layer.setParent(self)
        self._sheet, self._path, self._transforms = sheet, path, transforms
        self._name = layer.name()
        self._blocks = list(sheet.blocks())
        self._done = 0
        self._file: SheetFile | None = None
        self._job: QgsMapRendererParallelJob | None = None

    def start(self) -> None:
        """Begin; returns at once."""
        try:
            self._file = SheetFile(self._path, self._sheet, self._name)
        except LayerError as error:
            self.failed.emit(str(error))
            return
        self._next()

    def cancel(self) -> None:
        """Stop and leave nothing behind; nothing is emitted any more."""
        self.blockSignals(True)
        if self._job is not None:
            self._job.finished.disconnect(self._drawn)
            self._job.cancelWithoutBlocking()
            self._job = None
        if self._file is not None:
            self._file.drop()
            self._file = None

    def _next(self) -> None:
        column, row, width, height = self._blocks[self._done]
        box = self._sheet.rectangle(column, row, width, height)
        settings = map_settings(self._layer, self._sheet.crs, box, QSize(width, height), self._transforms)
        self._job = QgsMapRendererParallelJob(settings)
        self._job.finished.connect(self._drawn)
        self._job.start()

    def _drawn(self) -> None:
        if self._job is None or self._file is None:
            return
        column, row, _, _ = self._blocks[self._done]
        job, self._job = self._job, None
        job.deleteLater()
        self._done += 1
        try:
            self._file.put(column, row, *colours_and_mask(job.renderedImage()))
            if self._done < len(self._blocks):
                self.progressed.emit(self._done / len(self._blocks))
                self._next()
                return
            file, self._file = self._file, None
            missing = file.finish()
        except LayerError as error:
            self._file = None
            self.failed.emit(str(error))
            return
        self.finished.emit(str(self._path), missing)


def draw_and_wait(
    layer: QgsRasterLayer, sheet: Sheet, path: Path, transforms: QgsCoordinateTransformContext, feedback: QgsFeedback
) -> float:
    """The same within the calling thread, for Processing's own; the share that could not be drawn.

    Args:
        layer: one that belongs to this thread.
        sheet: where and how finely.
        path: the GeoTIFF to write.
        transforms: of the project.
        feedback: is told how far it is, and asked all the time whether to go on.

    Raises:
        LayerError: nothing could be drawn, or it was cancelled.
    """
    file = SheetFile(path, sheet, layer.name())
    blocks = list(sheet.blocks())
    for done, (column, row, width, height) in enumerate(blocks):
        box = sheet.rectangle(column, row, width, height)
        image = _drawn_image(map_settings(layer, sheet.crs, box, QSize(width, height), transforms), feedback)
        if image is None:
            file.drop()
            raise LayerError("Drawing the layer was cancelled. Start it again when you like.")
        file.put(column, row, *colours_and_mask(image))
        feedback.setProgress(100 * (done + 1) / len(blocks))
    return file.finish()


def _drawn_image(settings: QgsMapSettings, feedback: QgsFeedback) -> QImage | None:
    """One block, whose tiles a server may take minutes for; None once it is cancelled."""
    if feedback.isCanceled():
        return None
    job = QgsMapRendererParallelJob(settings)
    loop, timer = QEventLoop(), QTimer()
    job.finished.connect(loop.quit)
    timer.timeout.connect(lambda: job.cancelWithoutBlocking() if feedback.isCanceled() else None)
    timer.start(POLL_MS)
    job.start()
    loop.exec()
    return None if feedback.isCanceled() else job.renderedImage()
