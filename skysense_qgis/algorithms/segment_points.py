"""skysense:segment_points."""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsProcessingException,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorDestination,
    QgsProcessingUtils,
)

from ..layers.prompts import join_attributes, points_of
from ..layers.sources import LayerError, file_path
from ..protocol.requests import SegmentPoints
from .base import SkySenseAlgorithm


class SegmentPointsAlgorithm(SkySenseAlgorithm):
    NAME = "segment_points"
    LABEL = "Segment objects at points"
    ICON = "segment.svg"
    HELP = (
        "Outlines the object under each point of a layer, as if you had clicked it. Several points may describe one "
        "object: give them the same number in a field; points against the object have 0 in another. The polygons keep "
        "the points' attributes. Works on colour, single-band, multispectral and radar layers."
    )

    def initAlgorithm(self, configuration=None) -> None:
        self.addParameter(QgsProcessingParameterRasterLayer("LAYER", self.tr("Image")))
        self.addParameter(
            QgsProcessingParameterFeatureSource("POINTS", self.tr("Points"), [Qgis.ProcessingSourceType.VectorPoint])
        )
        self.addParameter(
            QgsProcessingParameterNumber(
                "OBJECT_SIZE", self.tr("Typical diameter of the objects in metres"), Qgis.ProcessingNumberParameterType.Double,
                optional=True, minValue=0.0,
            )
        )  # fmt: skip
        for name, text in (("OBJECT_FIELD", "Field with the object's number"), ("POSITIVE_FIELD", "Field that is 0 for points against")):
            self.add_advanced(
                QgsProcessingParameterField(name, self.tr(text), parentLayerParameterName="POINTS", optional=True)
            )
        self.add_advanced(
            QgsProcessingParameterNumber(
                "SIMPLIFY", self.tr("Simplify outlines by pixels"), Qgis.ProcessingNumberParameterType.Double, 1.0, minValue=0.0
            )
        )
        self.add_advanced(
            QgsProcessingParameterNumber("FILL_HOLES", self.tr("Fill holes up to pixels"), defaultValue=0, minValue=0)
        )
        self.addParameter(QgsProcessingParameterVectorDestination("OUTPUT", self.tr("Objects"), Qgis.ProcessingSourceType.VectorPolygon))

    def prepareAlgorithm(self, parameters, context, feedback) -> bool:
        super().prepareAlgorithm(parameters, context, feedback)
        layer = self.parameterAsRasterLayer(parameters, "LAYER", context)
        try:
            self.raster_path, self.raster_name = file_path(layer), layer.name()
        except LayerError as error:
            raise QgsProcessingException(str(error)) from None
        return True

    def processAlgorithm(self, parameters, context, feedback) -> dict:
        source = self.parameterAsSource(parameters, "POINTS", context)
        object_field = self.parameterAsString(parameters, "OBJECT_FIELD", context)
        positive_field = self.parameterAsString(parameters, "POSITIVE_FIELD", context)
        size = parameters.get("OBJECT_SIZE")
        path = self.output(parameters, "OUTPUT", context)
        # The engine writes a GeoPackage with the objects' numbers; the points' attributes are joined here, into
        # whatever format was asked for.
        draft = QgsProcessingUtils.generateTempFilename("objects.gpkg", context)
        written = self.ask(
            SegmentPoints(
                path=self.raster_path,
                display=self.describe(self.raster_path, feedback).display,
                points=points_of(source, object_field, positive_field),
                points_crs=source.sourceCrs().authid() or source.sourceCrs().toWkt(),
                output_path=draft,
                object_size_m=self.parameterAsDouble(parameters, "OBJECT_SIZE", context) or None if size else None,
                simplify_px=self.parameterAsDouble(parameters, "SIMPLIFY", context),
                fill_holes_px=self.parameterAsInt(parameters, "FILL_HOLES", context),
            ),
            feedback,
        )
        if written.empty:
            numbers = ", ".join(str(number) for number in written.empty[:10])
            feedback.pushWarning(self.tr("No polygon for objects {}: they lie outside of the image or on no data.").format(numbers))
        join_attributes(draft, written.layer, source, object_field, self.raster_name, path, context)
        return {"OUTPUT": path}
