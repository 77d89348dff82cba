"""Algorithms that work on a scene: layers with dates and sensors, and where to work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorLayer,
    QgsProcessingUtils,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QThread

from ..layers.crs import assigned_crs
from ..layers.dates import date_of_layer
from ..layers.drawing import draw_and_wait
from ..layers.extents import extent_from_rectangle, extent_of_features, transformed_box
from ..layers.sheet import Sheet, finest, sheet_beside, sheet_for
from ..layers.sources import LayerError, file_path, needs_drawing
from ..layers.vector_input import File, VectorInput, take
from ..protocol.bands import parse_bands
from ..protocol.requests import RasterDescription
from ..protocol.scene_source import AcquisitionSource, Extent, SceneSource
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
    assigned_crs: str  # where it is not the file's own
    path: str | None  # None: QGIS has to draw it
    copy: QgsRasterLayer | None  # to be drawn from, on whatever thread the algorithm runs


class SceneAlgorithm(SkySenseAlgorithm):
    """Turns layers, dates and sensors into a SceneSource by the same guesses as the panel and the shell."""

    def __init__(self, engine) -> None:
        super().__init__(engine)
        self.inputs: dict[str, list[Input]] = {}
        self.vectors: dict[str, VectorInput] = {}

    # -- parameters --------------------------------------------------------------------------------------------------
    def add_scene(self, name: str, label: str, optional: bool = False) -> None:
        """Layers of one place, their dates and sensors as comma-separated lists in the same order."""
        raster = Qgis.ProcessingSourceType.Raster
        self.addParameter(QgsProcessingParameterMultipleLayers(name, self.tr(label), raster, optional=optional))
        for suffix, text in (
            ("DATES", "Dates, comma-separated in the order of the layers (- or empty: read from the layer)"),
            ("SENSORS", "Sensors, comma-separated: hr, s2, s1, landsat (- or empty: guessed)"),
            ("BANDS", "Bands, one mapping a layer, separated by semicolons: R=1 G=2 B=3; - (- or empty: guessed)"),
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
        """On the main thread: layers are looked at here and not later, when the user may have removed them."""
        if not super().prepareAlgorithm(parameters, context, feedback):
            return False
        try:
            for definition in self.parameterDefinitions():
                name = definition.name()
                if isinstance(definition, QgsProcessingParameterMultipleLayers):
                    self.inputs[name] = [input_of(layer) for layer in self.parameterAsLayerList(parameters, name, context)]
                elif isinstance(definition, QgsProcessingParameterRasterLayer):
                    self.inputs[name] = [input_of(self.parameterAsRasterLayer(parameters, name, context))]
                elif isinstance(definition, QgsProcessingParameterVectorLayer | QgsProcessingParameterFeatureSource):
                    layer, chosen = self.vector_layer(parameters, name, context)
                    if layer is not None:
                        self.vectors[name] = take(layer, chosen)
        except LayerError as error:
            raise QgsProcessingException(str(error)) from None
        return True

    def vector_file(self, name: str, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> File:
        """The file of a vector parameter, with a layer name where there is one; saved first where it is none."""
        path = QgsProcessingUtils.generateTempFilename(f"{name.lower()}.gpkg", context)
        return self.vectors[name].file(path, context.transformContext(), feedback)

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
        mappings = self._listed(parameters, f"{name}_BANDS", context, len(inputs), ";")
        acquisitions = []
        for layer, description, date, sensor, mapping in zip(
            inputs, self._described(inputs, parameters, context, feedback, extent), dates, sensors, mappings
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
            if mapping is not None:
                source = self._with_bands(source, mapping, description.count)
            bands = ", ".join(f"{band.band} = {band.index}" for band in source.bands)
            feedback.pushInfo(
                self.tr("{}: {}, {}, bands {}").format(
                    layer.name, SENSORS[source.sensor].label, source.date or self.tr("no date"), bands
                )
            )
            acquisitions.append(source)
        return SceneSource(tuple(acquisitions), extent)

    def extent(self, parameters: dict, context: QgsProcessingContext) -> Extent | None:
        """The rectangle, the polygons, or the polygons inside the rectangle; None for everything.

        Raises:
            LayerError: a rectangle without area, no polygons, or polygons outside of the rectangle.
        """
        area = self.vectors.get("AREA")
        if not self.given(parameters, "EXTENT"):
            return None if area is None else extent_of_features(area.features(), area.crs, area.name)
        box = self.parameterAsExtent(parameters, "EXTENT", context)
        if box.isEmpty():
            raise LayerError("The extent has no area. Give west, east, south and north in this order, or leave it empty.")
        crs = self.parameterAsExtentCrs(parameters, "EXTENT", context)
        if not crs.isValid():  # in qgis_process, where no project says what its numbers mean
            crs = next((layer.crs for layers in self.inputs.values() for layer in layers), crs)
        if area is None:
            return extent_from_rectangle(box, crs)
        polygons = extent_of_features(area.features(), area.crs, area.name)
        around = QgsRectangle(polygons.west, polygons.south, polygons.east, polygons.north)
        around = around.intersect(transformed_box(box, crs, area.crs, context.transformContext()))
        if around.isEmpty():
            raise LayerError("The polygons lie outside of the extent. Choose one of the two, or make them meet.")
        return extent_from_rectangle(around, area.crs, polygons.polygon_wkt)

    # -- layers that are no files ------------------------------------------------------------------------------------
    def _described(
        self, inputs: list[Input], parameters: dict, context: QgsProcessingContext, feedback: QgsProcessingFeedback,
        extent: Extent | None,
    ) -> list[RasterDescription]:  # fmt: skip
        files = [layer.path and self.describe(layer.path, feedback, layer.assigned_crs) for layer in inputs]
        beside = finest(file for file in files if file is not None)
        descriptions = []
        for layer, file in zip(inputs, files):
            if file is None:
                path = self.drawn(layer, self._sheet(layer.name, parameters, context, extent, beside), context, feedback)
                file = self.describe(path, feedback)
            descriptions.append(file)
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

    def _with_bands(self, source: AcquisitionSource, mapping: str, count: int) -> AcquisitionSource:
        try:
            return replace(source, bands=parse_bands(mapping, source.sensor, count))
        except ValueError as error:
            raise QgsProcessingException(self.tr("{}: {} Correct it under Bands.").format(source.name, error)) from None

    def _listed(
        self, parameters: dict, name: str, context: QgsProcessingContext, count: int, separator: str = ","
    ) -> list[str | None]:
        text = self.parameterAsString(parameters, name, context).strip()
        if not text:
            return [None] * count
        values = [value.strip() for value in text.split(separator)]
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
    assigned = "" if path is None else assigned_crs(layer)
    return Input(layer.id(), layer.name(), date_of_layer(layer), layer.crs(), assigned, path, copy)
