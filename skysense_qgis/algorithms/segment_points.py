"""skysense:segment_points."""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsProcessingException,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorDestination,
    QgsProcessingUtils,
)

from ..layers.dates import date_of_layer
from ..layers.extents import crs_text
from ..layers.prompts import join_attributes, points_of
from ..layers.sources import LayerError, file_path
from ..layers.styles import style_objects
from ..protocol.requests import PolygonsWritten, SegmentPoints
from .base import SkySenseAlgorithm


class SegmentPointsAlgorithm(SkySenseAlgorithm):
    NAME = "segment_points"
    LABEL = "Segment objects at points"
    ICON = "segment.svg"
    TAGS = ("interactive", "click", "segment anything", "digitise", "outline", "building", "tree", "field")
    HELP = (
        "Outlines the object under each point of a layer, as if you had clicked it. Several points may describe one "
        "object: give them the same number in a field; points against the object have 0 in another. The polygons keep "
        "the points' attributes. Works on colour, single-band, multispectral and radar layers."
    )

    def initAlgorithm(self, configuration=None) -> None:
        double = Qgis.ProcessingNumberParameterType.Double
        self.addParameter(QgsProcessingParameterRasterLayer("LAYER", self.tr("Image")))
        self.addParameter(
            QgsProcessingParameterFeatureSource("POINTS", self.tr("Points"), [Qgis.ProcessingSourceType.VectorPoint])
        )
        self.addParameter(
            QgsProcessingParameterNumber(
                "OBJECT_SIZE", self.tr("Typical diameter of the objects in metres"), double, optional=True, minValue=0.0
            )
        )
        for name, text in (
            ("OBJECT_FIELD", "Field with the object's number"),
            ("POSITIVE_FIELD", "Field that is 0 for points against"),
            ("CLASS_FIELD", "Field with the object's class"),
        ):
            self.add_advanced(
                QgsProcessingParameterField(name, self.tr(text), parentLayerParameterName="POINTS", optional=True)
            )
        self.add_advanced(
            QgsProcessingParameterNumber("SIMPLIFY", self.tr("Simplify outlines by pixels"), double, 1.0, minValue=0.0)
        )
        self.add_advanced(
            QgsProcessingParameterNumber("FILL_HOLES", self.tr("Fill holes up to pixels"), defaultValue=0, minValue=0)
        )
        self.addParameter(
            QgsProcessingParameterVectorDestination("OUTPUT", self.tr("Objects"), Qgis.ProcessingSourceType.VectorPolygon)
        )
        self.addOutput(QgsProcessingOutputNumber("COUNT", self.tr("Number of objects")))

    def prepareAlgorithm(self, parameters, context, feedback) -> bool:
        layer = self.parameterAsRasterLayer(parameters, "LAYER", context)
        try:
            self.image_path, self.image_name, self.image_date = file_path(layer), layer.name(), date_of_layer(layer)
        except LayerError as error:
            raise QgsProcessingException(str(error)) from None
        return True

    def request(self, parameters, context, feedback) -> SegmentPoints:
        source = self.parameterAsSource(parameters, "POINTS", context)
        image = self.describe(self.image_path, feedback)
        self.image_date = self.image_date or image.date
        # The engine writes a GeoPackage with the objects' numbers; the points' attributes are joined afterwards, into
        # whatever format was asked for.
        return SegmentPoints(
            path=self.image_path,
            display=image.display,
            points=points_of(
                source,
                self.parameterAsString(parameters, "OBJECT_FIELD", context),
                self.parameterAsString(parameters, "POSITIVE_FIELD", context),
            ),
            points_crs=crs_text(source.sourceCrs()),
            output_path=QgsProcessingUtils.generateTempFilename("objects.gpkg", context),
            object_size_m=self.number(parameters, "OBJECT_SIZE", context) or None,
            simplify_px=self.parameterAsDouble(parameters, "SIMPLIFY", context),
            fill_holes_px=self.parameterAsInt(parameters, "FILL_HOLES", context),
        )

    def results(self, written: PolygonsWritten, parameters, context, feedback) -> dict:
        if written.empty:
            numbers = ", ".join(str(number) for number in written.empty[:10])
            feedback.pushWarning(
                self.tr("No polygon for {} objects ({}): they lie outside of the image or on no data.").format(
                    len(written.empty), numbers
                )
            )
        path = self.output(parameters, "OUTPUT", context)
        join_attributes(
            draft=written.path,
            layer_name=written.layer,
            source=self.parameterAsSource(parameters, "POINTS", context),
            object_field=self.parameterAsString(parameters, "OBJECT_FIELD", context),
            class_field=self.parameterAsString(parameters, "CLASS_FIELD", context),
            image=self.image_name,
            date=self.image_date,
            path=path,
            transforms=context.transformContext(),
        )
        self.finish("", (path, lambda layer, project: style_objects(layer)))
        return {"OUTPUT": path, "COUNT": written.count}
