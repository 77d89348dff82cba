"""skysense:segment_points."""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorDestination,
)

from ..layers.extents import extent_from_rectangle
from ..layers.sheet import sheet_for
from ..layers.sources import LayerError
from ..layers.styles import style_objects
from ..layers.vectors import convert
from ..protocol.requests import PolygonsWritten, SegmentPoints
from .scene import Input, SceneAlgorithm

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

    def request(self, parameters, context, feedback) -> SegmentPoints:
        (image,) = self.inputs["LAYER"]
        path = image.path or self._draw_around(image, parameters, context, feedback)
        described = self.describe(path, feedback, image.assigned_crs)
        points_path, points_layer = self.vector_file("POINTS", context, feedback)
        self.objects = self.output(parameters, "OUTPUT", context)
        return SegmentPoints(
            path=path,
            points_path=points_path,
            points_layer=points_layer,
            output_path=self.draft(self.objects, context),
            object_field=self.parameterAsString(parameters, "OBJECT_FIELD", context),
            positive_field=self.parameterAsString(parameters, "POSITIVE_FIELD", context),
            class_field=self.parameterAsString(parameters, "CLASS_FIELD", context),
            crs=image.assigned_crs,
            display=described.display,
            name=image.name,
            date=image.date or described.date,
            object_size_m=self.number(parameters, "OBJECT_SIZE", context) or None,
            simplify_px=self.parameterAsDouble(parameters, "SIMPLIFY", context),
            fill_holes_px=self.parameterAsInt(parameters, "FILL_HOLES", context),
        )

    def _draw_around(self, image: Input, parameters, context, feedback) -> str:
        """The image as a file, where the points and their surroundings are."""
        pixel = self.number(parameters, "PIXEL_SIZE", context)
        if not pixel:
            raise LayerError(f"{image.name} is drawn by QGIS: give the pixel size to draw it at.")
        points = self.vectors["POINTS"]
        sheet = sheet_for(extent_from_rectangle(points.extent().buffered(MARGIN_PX * pixel), points.crs), pixel)
        return self.drawn(image, sheet, context, feedback)

    def results(self, written: PolygonsWritten, parameters, context, feedback) -> dict:
        if written.empty:
            numbers = ", ".join(str(number) for number in written.empty[:10])
            feedback.pushWarning(
                self.tr("No polygon for {} objects ({}): they lie outside of the image or on no data.").format(
                    len(written.empty), numbers
                )
            )
        if self.objects != written.path:
            convert(written.path, self.objects, context.transformContext(), feedback)
        self.finish("", (self.objects, lambda layer, project: style_objects(layer)))
        return {"OUTPUT": self.objects, "COUNT": written.count}
