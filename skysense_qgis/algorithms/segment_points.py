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

from ..layers.extents import crs_text, extent_from_rectangle
from ..layers.prompts import join_attributes, points_of
from ..layers.sheet import sheet_for
from ..layers.sources import LayerError
from ..layers.styles import style_objects
from ..protocol.requests import PolygonsWritten, SegmentPoints
from .scene import SceneAlgorithm, input_of

MARGIN_PX = 300  # around the points of a layer that is drawn: an object and what it stands on


class SegmentPointsAlgorithm(SceneAlgorithm):
    NAME = "segment_points"
    LABEL = "Segment objects at points"
    ICON = "segment.svg"
    TAGS = ("interactive", "click", "segment anything", "digitise", "outline", "building", "tree", "field")
    HELP = (
        "Outlines the object under each point of a layer, as if you had clicked it. Several points may describe one "
        "object: give them the same number in a field; points against the object have 0 in another. The polygons keep "
        "the points' attributes. Works on colour, single-band, multispectral and radar layers."
    )
    PARAMETER_HELP = {
        "LAYER": "A raster of any kind: colour, single-band, multispectral or radar.",
        "POINTS": "Every point lies on an object to outline, as a click in the panel does.",
        "OBJECT_SIZE": "Tells at which scale to look. Empty: a scale that suits most objects.",
        "OBJECT_FIELD": "Points with the same whole number describe one object. Empty: every point is an object.",
        "POSITIVE_FIELD": "Points with 0, no or false in it say what does not belong to the object. Empty: all are for it.",
        "CLASS_FIELD": "Its value becomes the polygon's class. Empty: the points' own field “class”, if there is one.",
        "SIMPLIFY": "How far an outline may lie from the pixels' edges. 0 keeps every step.",
        "FILL_HOLES": "Holes of at most so many pixels are filled.",
        "OUTPUT": (
            "One polygon for each object, with the attributes of its first point. Fields of the points that a polygon has "
            "for itself, such as date and source, go behind point_."
        ),
    }

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
        self.add_pixel_size()
        self.addParameter(
            QgsProcessingParameterVectorDestination("OUTPUT", self.tr("Objects"), Qgis.ProcessingSourceType.VectorPolygon)
        )
        self.addOutput(QgsProcessingOutputNumber("COUNT", self.tr("Number of objects")))

    def prepareAlgorithm(self, parameters, context, feedback) -> bool:
        if not super().prepareAlgorithm(parameters, context, feedback):
            return False
        try:
            self.image = input_of(self.parameterAsRasterLayer(parameters, "LAYER", context))
            self.points = self.snapshot("POINTS", parameters, context)
        except LayerError as error:
            raise QgsProcessingException(str(error)) from None
        return True

    def request(self, parameters, context, feedback) -> SegmentPoints:
        path = self.image.path or self._draw_around(parameters, context, feedback)
        image = self.describe(path, feedback)
        self.date = self.image.date or image.date
        # The engine writes a GeoPackage with the objects' numbers; the points' attributes are joined afterwards, into
        # whatever format was asked for.
        return SegmentPoints(
            path=path,
            display=image.display,
            points=points_of(
                self.points,
                self.parameterAsString(parameters, "OBJECT_FIELD", context),
                self.parameterAsString(parameters, "POSITIVE_FIELD", context),
            ),
            points_crs=crs_text(self.points.crs),
            output_path=QgsProcessingUtils.generateTempFilename("objects.gpkg", context),
            object_size_m=self.number(parameters, "OBJECT_SIZE", context) or None,
            simplify_px=self.parameterAsDouble(parameters, "SIMPLIFY", context),
            fill_holes_px=self.parameterAsInt(parameters, "FILL_HOLES", context),
        )

    def _draw_around(self, parameters, context, feedback) -> str:
        """The image as a file, where the points and their surroundings are."""
        pixel = self.number(parameters, "PIXEL_SIZE", context)
        if not pixel:
            raise LayerError(f"{self.image.name} is drawn by QGIS: give the pixel size to draw it at.")
        around = self.points.extent().buffered(MARGIN_PX * pixel)
        sheet = sheet_for(extent_from_rectangle(around, self.points.crs), pixel)
        return self.drawn(self.image, sheet, context, feedback)

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
            points=self.points,
            object_field=self.parameterAsString(parameters, "OBJECT_FIELD", context),
            class_field=self.parameterAsString(parameters, "CLASS_FIELD", context),
            image=self.image.name,
            date=self.date,
            path=path,
            transforms=context.transformContext(),
            feedback=feedback,
        )
        self.finish("", (path, lambda layer, project: style_objects(layer)))
        return {"OUTPUT": path, "COUNT": written.count}
