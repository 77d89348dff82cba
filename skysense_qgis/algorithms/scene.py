"""Algorithms that work on a scene: layers with dates and sensors, and where to work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsFeatureRequest,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProcessingUtils,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QThread

from ..layers.dates import date_of_layer
from ..layers.drawing import draw_and_wait
from ..layers.extents import extent_from_rectangle, extent_of_features, transformed_box
from ..layers.sheet import Sheet, finest, sheet_beside, sheet_for
from ..layers.snapshot import Snapshot
from ..layers.sources import LayerError, file_path, needs_drawing
from ..protocol.requests import RasterDescription
from ..protocol.scene_source import Extent, SceneSource
from ..protocol.sensors import SENSORS
from ..protocol.source import acquisition
from .base import SkySenseAlgorithm

GUESSED = "-"


@dataclass(frozen=True)
class Input:
    """What is known of a layer of the scene before the engine is asked: taken on the main thread."""

    layer_id: str
    name: str
    date: str | None  # of the layer's temporal properties
    crs: QgsCoordinateReferenceSystem
    path: str | None  # None: QGIS has to draw it
    copy: QgsRasterLayer | None  # to be drawn from, on whatever thread the algorithm runs


class SceneAlgorithm(SkySenseAlgorithm):
    """Turns layers, dates and sensors into a SceneSource by the same guesses as the panel and the shell."""

    def __init__(self, engine) -> None:
        super().__init__(engine)
        self.inputs: dict[str, list[Input]] = {}
        self._box = QgsRectangle()
        self._box_crs = QgsCoordinateReferenceSystem()
        self._area: Snapshot | None = None

    # -- parameters --------------------------------------------------------------------------------------------------
    def add_scene(self, name: str, label: str) -> None:
        """Layers of one place, their dates and sensors as comma-separated lists in the same order."""
        self.addParameter(QgsProcessingParameterMultipleLayers(name, self.tr(label), Qgis.ProcessingSourceType.Raster))
        for suffix, text in (
            ("DATES", "Dates, comma-separated in the order of the layers (- or empty: read from the layer)"),
            ("SENSORS", "Sensors, comma-separated: hr, s2, s1, landsat (- or empty: guessed)"),
        ):
            self.add_advanced(
                QgsProcessingParameterString(f"{name}_{suffix}", f"{self.tr(label)}: {self.tr(text)}", optional=True)
            )

    def add_extent(self) -> None:
        """Where to work: a rectangle, polygons, or both."""
        self.addParameter(QgsProcessingParameterExtent("EXTENT", self.tr("Extent"), optional=True))
        self.add_advanced(
            QgsProcessingParameterFeatureSource(
                "AREA", self.tr("Only inside these polygons"), [Qgis.ProcessingSourceType.VectorPolygon], optional=True
            )
        )
        self.add_pixel_size()

    def add_pixel_size(self) -> None:
        self.add_advanced(
            QgsProcessingParameterNumber(
                "PIXEL_SIZE", self.tr("Pixel size at which layers without a file are drawn, in map units"),
                Qgis.ProcessingNumberParameterType.Double, optional=True, minValue=0.0,
            )
        )  # fmt: skip

    # -- from parameters to records ----------------------------------------------------------------------------------
    def prepareAlgorithm(self, parameters, context, feedback) -> bool:
        """On the main thread: layers are looked at here and not later."""
        if not super().prepareAlgorithm(parameters, context, feedback):
            return False
        try:
            for definition in self.parameterDefinitions():
                if isinstance(definition, QgsProcessingParameterMultipleLayers):
                    layers = self.parameterAsLayerList(parameters, definition.name(), context)
                    self.inputs[definition.name()] = [input_of(layer) for layer in layers]
            if self.parameterDefinition("EXTENT") is not None:
                self._prepare_extent(parameters, context)
        except LayerError as error:
            raise QgsProcessingException(str(error)) from None
        return True

    def _prepare_extent(self, parameters: dict, context: QgsProcessingContext) -> None:
        """Take rectangle and polygons.

        Raises:
            LayerError: the rectangle has no area.
        """
        if parameters.get("EXTENT"):
            self._box = self.parameterAsExtent(parameters, "EXTENT", context)
            self._box_crs = self.parameterAsExtentCrs(parameters, "EXTENT", context)
            if self._box.isEmpty():
                raise LayerError("The extent has no area. Give a larger one, or leave it empty to work everywhere.")
            if not self._box_crs.isValid():  # without a project four numbers alone name no CRS
                self._box_crs = next((layer.crs for inputs in self.inputs.values() for layer in inputs), self._box_crs)
        if parameters.get("AREA"):
            self._area = self.snapshot("AREA", parameters, context)

    def snapshot(self, name: str, parameters: dict, context: QgsProcessingContext) -> Snapshot:
        """The features of a source parameter as they are now: also the selected ones alone, a filter, a limit."""
        value, request, selected_only = parameters.get(name), QgsFeatureRequest(), False
        if isinstance(value, QgsProcessingFeatureSourceDefinition):
            selected_only = value.selectedFeaturesOnly
            if value.filterExpression:
                request.setFilterExpression(value.filterExpression)
                request.setExpressionContext(context.expressionContext())
            if value.featureLimit >= 0:
                request.setLimit(value.featureLimit)
            value = value.source
        layer = self.parameterAsVectorLayer({**parameters, name: value}, name, context)
        if layer is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, name))
        return Snapshot(layer, selected_only, request)

    def scene(
        self, name: str, parameters: dict, context: QgsProcessingContext, feedback: QgsProcessingFeedback,
        extent: Extent | None,
    ) -> SceneSource:  # fmt: skip
        """The scene of a layers parameter."""
        inputs = self.inputs[name]
        if not inputs:
            raise QgsProcessingException(self.tr("The scene has no layers. Choose at least one raster layer."))
        dates = self._listed(parameters, f"{name}_DATES", context, len(inputs))
        sensors = self._listed(parameters, f"{name}_SENSORS", context, len(inputs))
        acquisitions = []
        for layer, description, date, sensor in zip(
            inputs, self._described(inputs, parameters, context, feedback, extent), dates, sensors
        ):
            if sensor is not None and sensor not in SENSORS:
                raise QgsProcessingException(
                    self.tr("There is no sensor {}. Choose among {}.").format(sensor, ", ".join(SENSORS))
                )
            if sensor is None and description.sensor is None:
                raise QgsProcessingException(
                    self.tr("The sensor of {} cannot be told from its bands. Name it under Sensors.").format(layer.name)
                )
            source = acquisition(description, sensor, date or layer.date, layer.name)
            bands = ", ".join(f"{band.band} = {band.index}" for band in source.bands)
            feedback.pushInfo(
                self.tr("{}: {}, {}, bands {}").format(
                    layer.name, SENSORS[source.sensor].label, source.date or self.tr("no date"), bands
                )
            )
            acquisitions.append(source)
        return SceneSource(tuple(acquisitions), extent)

    def extent(self, context: QgsProcessingContext) -> Extent | None:
        """The rectangle, the polygons, or the polygons inside the rectangle; None for everything."""
        box, crs = self._box, self._box_crs
        if self._area is None:
            return None if box.isEmpty() else extent_from_rectangle(box, crs)
        area = extent_of_features(self._area.features(), self._area.crs, self._area.name)
        if box.isEmpty():
            return area
        around = QgsRectangle(area.west, area.south, area.east, area.north)
        around = around.intersect(transformed_box(box, crs, self._area.crs, context.transformContext()))
        if around.isEmpty():
            raise LayerError("The polygons lie outside of the extent. Choose one of the two, or make them meet.")
        return extent_from_rectangle(around, self._area.crs, area.polygon_wkt)

    # -- layers that are no files ------------------------------------------------------------------------------------
    def _described(
        self, inputs: list[Input], parameters: dict, context: QgsProcessingContext, feedback: QgsProcessingFeedback,
        extent: Extent | None,
    ) -> list[RasterDescription]:  # fmt: skip
        files = {layer.path: self.describe(layer.path, feedback) for layer in inputs if layer.path is not None}
        beside = finest(files.values())
        descriptions = []
        for layer in inputs:
            path = layer.path
            if path is None:
                path = self.drawn(layer, self._sheet(layer.name, parameters, context, extent, beside), context, feedback)
                files[path] = self.describe(path, feedback)
            descriptions.append(files[path])
        return descriptions

    def _sheet(
        self, name: str, parameters: dict, context: QgsProcessingContext, extent: Extent | None,
        beside: RasterDescription | None,
    ) -> Sheet:  # fmt: skip
        """Where a layer is drawn and at which pixel size: as the files beside it, or as the user says."""
        pixel = self.number(parameters, "PIXEL_SIZE", context)
        if beside is not None:
            return sheet_beside(beside, extent, pixel, context.transformContext())
        if extent is None or not pixel:
            raise LayerError(
                f"{name} is drawn by QGIS: it needs an extent and a pixel size. "
                "Give both, or add a file layer of the same place."
            )
        return sheet_for(extent, pixel)

    def drawn(self, layer: Input, sheet: Sheet, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> str:
        """The GeoTIFF of a layer that QGIS draws."""
        feedback.pushInfo(self.tr("{} is drawn by QGIS: {} x {} pixels of {:g}.").format(
            layer.name, sheet.width, sheet.height, sheet.pixel))  # fmt: skip
        path = QgsProcessingUtils.generateTempFilename("drawn.tif", context)
        layer.copy.moveToThread(QThread.currentThread())
        missing = draw_and_wait(layer.copy, sheet, Path(path), context.transformContext(), feedback)
        if missing > 0:
            feedback.pushWarning(
                self.tr("{:.1f} % of {} could not be drawn and count as no data.").format(100 * missing, layer.name)
            )
        return path

    def _listed(self, parameters: dict, name: str, context: QgsProcessingContext, count: int) -> list[str | None]:
        text = self.parameterAsString(parameters, name, context).strip()
        if not text:
            return [None] * count
        values = [value.strip() for value in text.split(",")]
        if len(values) != count:
            raise QgsProcessingException(
                self.tr("{} layers, but {} values under {}. Give one a layer; - is guessed.").format(count, len(values), name)
            )
        return [None if value in ("", GUESSED) else value for value in values]


def input_of(layer: QgsRasterLayer) -> Input:
    """What is needed of a layer later, when it may not be touched any more.

    Raises:
        LayerError: no raster, or one that is neither a local file nor something that QGIS draws.
    """
    copy, path = None, None
    if needs_drawing(layer):
        copy = layer.clone()
        copy.moveToThread(None)  # whichever thread the algorithm runs on takes it
    else:
        path = file_path(layer)
    return Input(layer.id(), layer.name(), date_of_layer(layer), layer.crs(), path, copy)
