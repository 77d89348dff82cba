"""A vector layer as it is now, for a job that reads it on another thread, and also after the user removed it."""

from __future__ import annotations

from collections.abc import Iterator

from qgis.core import (
    QgsFeature,
    QgsFeatureRequest,
    QgsRectangle,
    QgsVectorLayer,
    QgsVectorLayerFeatureSource,
    QgsVectorLayerSelectedFeatureSource,
)


class Snapshot:
    """Made on the layer's own thread, at once whatever its size; read on any."""

    def __init__(
        self, layer: QgsVectorLayer, selected_only: bool = False, request: QgsFeatureRequest | None = None
    ) -> None:
        """The layer's features with edits that are not saved yet; those selected now, or those that a request asks for."""
        self.name = layer.name()
        self.crs = layer.crs()
        self.fields = layer.fields()
        self._source = (
            QgsVectorLayerSelectedFeatureSource(layer) if selected_only else QgsVectorLayerFeatureSource(layer)
        )
        self._request = request or QgsFeatureRequest()

    def features(self) -> Iterator[QgsFeature]:
        """From the first one on, each time it is asked."""
        yield from self._source.getFeatures(self._request)

    def extent(self) -> QgsRectangle:
        """Around all features, in `crs`; null without any."""
        box = QgsRectangle()
        for feature in self.features():
            box.combineExtentWith(feature.geometry().boundingBox())
        return box
