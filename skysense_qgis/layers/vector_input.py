"""Vector layers as the engine reads them: taken on the main thread, saved as files on any other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsFeatureRequest,
    QgsFields,
    QgsProcessingFeatureSourceDefinition,
    QgsProviderRegistry,
    QgsRectangle,
    QgsTask,
    QgsVectorLayer,
    QgsVectorLayerFeatureSource,
)
from qgis.PyQt.QtCore import QCoreApplication, pyqtSignal

from .sources import LayerError
from .vectors import Cancellable, copy_features

File = tuple[str, str | None]  # path, layer in it


@dataclass(frozen=True)
class VectorInput:
    """A layer as it is now. It may be edited or removed afterwards, and be read on any thread."""

    name: str
    crs: QgsCoordinateReferenceSystem
    fields: QgsFields
    kind: Qgis.WkbType
    same: File | None  # the file that holds just this, None where there is none
    source: QgsVectorLayerFeatureSource
    chosen: frozenset[int] | None = None  # ids of features; None for all
    expression: str = ""
    limit: int | None = None

    def features(self) -> Iterator[QgsFeature]:
        request = QgsFeatureRequest()
        if self.expression:
            request.setFilterExpression(self.expression)
        found = (f for f in self.source.getFeatures(request) if self.chosen is None or f.id() in self.chosen)
        return islice(found, self.limit)

    def extent(self) -> QgsRectangle:
        """Around all features; null where there are none."""
        box = QgsRectangle()
        for feature in self.features():
            if feature.hasGeometry():
                box.combineExtentWith(feature.geometry().boundingBox())
        return box

    def file(self, path: str, transforms: QgsCoordinateTransformContext, feedback: Cancellable) -> File:
        """The layer's own file, or else a GeoPackage that is written.

        Args:
            path: of the GeoPackage.
            transforms: of the project.
            feedback: asked again and again whether to go on.

        Raises:
            LayerError: it cannot be saved, or was cancelled.
        """
        if self.same is not None:
            return self.same
        copy_features(path, self.features(), self.fields, ("fid",), self.kind, self.crs, transforms, feedback)
        return path, None


def take(layer: QgsVectorLayer, definition: QgsProcessingFeatureSourceDefinition | None = None) -> VectorInput:
    """The layer as it is now: with its edits, joins and filter, in the CRS that the user gave it.

    Args:
        layer: any vector layer.
        definition: which of its features, as Processing says it; None for all.
    """
    chosen, expression, limit = None, "", None
    if definition is not None:
        if definition.selectedFeaturesOnly:
            chosen = frozenset(layer.selectedFeatureIds())
        expression = definition.filterExpression
        limit = definition.featureLimit if definition.featureLimit >= 0 else None
    everything = chosen is None and not expression and limit is None
    return VectorInput(
        name=layer.name(),
        crs=layer.crs(),
        fields=layer.fields(),
        kind=layer.wkbType(),
        same=_own_file(layer) if everything else None,
        source=QgsVectorLayerFeatureSource(layer),
        chosen=chosen,
        expression=expression,
        limit=limit,
    )


def _own_file(layer: QgsVectorLayer) -> File | None:
    """Where the file says the same as the layer."""
    fields = layer.fields()
    changed = layer.subsetString() or layer.isModified() or layer.crs() != layer.dataProvider().crs()
    if layer.providerType() != "ogr" or changed:
        return None
    if any(fields.fieldOrigin(index) != Qgis.FieldOrigin.Provider for index in range(fields.count())):
        return None
    parts = QgsProviderRegistry.instance().decodeUri("ogr", layer.source())
    path = str(parts.get("path") or "")
    if not path or path.startswith("/vsi") or parts.get("vsiPrefix"):
        return None
    return path, str(parts["layerName"]) if parts.get("layerName") else None


class SavingTask(QgsTask):
    """Saves a layer for the engine in the background. Either `saved` or `failed` is emitted once, on the main thread."""

    saved = pyqtSignal(str, object)  # path, layer in it
    failed = pyqtSignal(str)

    def __init__(self, taken: VectorInput, path: str, transforms: QgsCoordinateTransformContext) -> None:
        super().__init__(QCoreApplication.translate("SkySense", "Saving {}").format(taken.name), QgsTask.Flag.CanCancel)
        self._taken, self._path, self._transforms = taken, path, transforms
        self._file: File | None = None
        self._reason = ""

    def run(self) -> bool:
        try:
            self._file = self._taken.file(self._path, self._transforms, self)
        except LayerError as error:
            self._reason = str(error)
        return self._file is not None

    def finished(self, fine: bool) -> None:
        if self._file is not None:
            self.saved.emit(*self._file)
        else:
            self.failed.emit(self._reason)
