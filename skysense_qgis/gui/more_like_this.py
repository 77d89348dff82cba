"""Kept polygons as the examples of a job: what is still needed of raster and polygons is asked for on the way."""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsExpression,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingUtils,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..client.client import Engine
from ..layers.crs import assigned_crs
from ..layers.dates import date_of_layer
from ..layers.results import add_found
from ..layers.sources import LayerError, file_path
from ..layers.vector_input import SavingTask, VectorInput, take
from ..protocol.requests import DescribeRaster, RasterDescription, SegmentByExample
from ..protocol.scene_source import SceneSource
from ..protocol.source import acquisition
from ..settings import Settings
from .outputs import output_path


class MoreLikeThis(QObject):
    """Prepares one request. Exactly one of `requested`, `message` and `failed` is emitted."""

    requested = pyqtSignal(object, object)  # the request, and what to do with its result
    message = pyqtSignal(str, object)  # text, Qgis.MessageLevel
    failed = pyqtSignal(object)  # Failure

    def __init__(
        self, engine: Engine, image: QgsRasterLayer, kept: QgsVectorLayer | None, class_name: str, class_field: str,
        parent: QObject,
    ) -> None:  # fmt: skip
        """Take both layers as they are now.

        Args:
            engine: says what the image is.
            image: where to look for more.
            kept: the polygons; None where no layer is chosen.
            class_name: those of this class are the examples.
            class_field: of the kept layer; empty: all polygons are.
            parent: owner.

        Raises:
            LayerError: no polygons of the class, or an image that is no file.
        """
        super().__init__(parent)
        self._engine = engine
        self._name, self._date = image.name(), date_of_layer(image)
        self._question = DescribeRaster(file_path(image), assigned_crs(image))
        self._examples = examples_of(kept, class_name, class_field)
        self._scene: SceneSource | None = None
        self._saving: SavingTask | None = None

    def start(self) -> None:
        """Begin; returns at once."""
        handle = self._engine.submit(self._question)
        handle.done.connect(self._described)
        handle.failed.connect(self._fail)

    def _described(self, description: RasterDescription) -> None:
        if description.sensor is None:
            self._say(
                self.tr(
                    "The sensor of {} cannot be told from its bands. Run “Segment by example” from the Processing toolbox, "
                    "where you can name it."
                ).format(self._name)
            )
            return
        self._scene = SceneSource((acquisition(description, date=self._date, name=self._name),))
        if self._examples.same is not None:
            self._request(*self._examples.same)
            return
        path = QgsProcessingUtils.generateTempFilename("examples.gpkg")
        self._saving = SavingTask(self._examples, path, QgsProject.instance().transformContext())
        self._saving.saved.connect(self._request)
        self._saving.failed.connect(self._say)
        QgsApplication.taskManager().addTask(self._saving)

    def _request(self, path: str, layer: str | None) -> None:
        settings, scene = Settings.load(), self._scene
        request = SegmentByExample(
            scene=scene,
            examples_path=path,
            examples_layer=layer,
            mask_path=output_path("found", ".tif"),
            polygons_path=output_path("found", ".gpkg"),
            score_path=output_path("likeness", ".tif"),
            encoder=settings.encoder,
            device=settings.device,
        )
        self.requested.emit(request, lambda written: add_found(QgsProject.instance(), written, scene))
        self.deleteLater()

    def _say(self, text: str) -> None:
        self.message.emit(text, Qgis.MessageLevel.Warning)
        self.deleteLater()

    def _fail(self, failure: object) -> None:
        self.failed.emit(failure)
        self.deleteLater()


def examples_of(kept: QgsVectorLayer | None, class_name: str, class_field: str) -> VectorInput:
    """The polygons of a class.

    Raises:
        LayerError: there are none.
    """
    remedy = "Keep two or three objects first: click on one, press Enter."
    if kept is None:
        raise LayerError(f"There are no kept polygons to go by. {remedy}")
    if not class_field:
        taken = take(kept)
        if next(taken.features(), None) is None:
            raise LayerError(f"{kept.name()} holds no polygons to go by. {remedy}")
        return taken
    chosen = QgsProcessingFeatureSourceDefinition(kept.id())
    chosen.filterExpression = QgsExpression.createFieldEqualityExpression(class_field, class_name)
    taken = take(kept, chosen)
    if next(taken.features(), None) is None:
        raise LayerError(f"{kept.name()} holds no polygons of the class {class_name}. {remedy} Or choose another class.")
    return taken
