"""skysense:segment_by_example."""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsMapLayer,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterVectorDestination,
    QgsProject,
)

from ..layers.results import finish_found, finish_found_mask, finish_likeness, found_title, hide
from ..layers.vectors import convert
from ..protocol.requests import ExampleFound, SegmentByExample
from .scene import SceneAlgorithm


class SegmentByExampleAlgorithm(SceneAlgorithm):
    NAME = "segment_by_example"
    LABEL = "Segment by example"
    ICON = "example.svg"
    TAGS = ("one-shot", "few-shot", "find similar", "prototype", "more like this", "building", "tree", "field")
    HELP = (
        "Finds everything in a scene that looks like a few polygons drawn on it. Two or three examples that show how much "
        "the objects differ do better than one. Gives a mask of the whole extent, polygons with area and score, and the "
        "score itself, with a threshold found from examples and scene. The log tells which procedure the model made possible."
    )
    PARAMETER_HELP = {
        "EXAMPLES": "Polygons around objects of the kind to find. What lies outside of them may be more of it.",
        "THRESHOLD": "Pixels with a higher score are found: from 0, all, to 1, only what is most alike. Empty: found by itself.",
        "MINIMUM_AREA": "Smaller areas are left out of mask and polygons.",
        "MASK": "1 like the examples, 0 not, 255 no data.",
        "POLYGONS": "What was found, with area, score and date.",
        "SCORE": "From 0, unlike the examples, to 1, alike. By the released procedure of SkySense++ it is one of the two.",
    }

    def initAlgorithm(self, configuration=None) -> None:
        double = Qgis.ProcessingNumberParameterType.Double
        self.add_scene("LAYERS", "Layers of one place")
        self.addParameter(
            QgsProcessingParameterFeatureSource(
                "EXAMPLES", self.tr("Example polygons"), [Qgis.ProcessingSourceType.VectorPolygon]
            )
        )
        self.add_extent()
        self.addParameter(
            QgsProcessingParameterNumber(
                "THRESHOLD", self.tr("Threshold from 0 to 1 (empty: found automatically)"), double, optional=True,
                minValue=0.0, maxValue=1.0,
            )
        )  # fmt: skip
        self.addParameter(
            QgsProcessingParameterNumber("MINIMUM_AREA", self.tr("Smallest area in square metres"), double, 0.0, minValue=0.0)
        )
        self.add_encoder()
        self.add_device()
        self.addParameter(QgsProcessingParameterRasterDestination("MASK", self.tr("Found pixels")))
        self.addParameter(
            QgsProcessingParameterVectorDestination(
                "POLYGONS", self.tr("Found areas"), Qgis.ProcessingSourceType.VectorPolygon, optional=True
            )
        )
        self.addParameter(QgsProcessingParameterRasterDestination("SCORE", self.tr("Likeness"), optional=True))
        self.addOutput(QgsProcessingOutputNumber("THRESHOLD_USED", self.tr("Threshold used")))
        self.addOutput(QgsProcessingOutputNumber("FOUND_SHARE", self.tr("Share of pixels that were found")))

    def request(self, parameters, context, feedback) -> SegmentByExample:
        examples_path, examples_layer = self.vector_file("EXAMPLES", context, feedback)
        self.polygons = self.output(parameters, "POLYGONS", context)
        self.made = SegmentByExample(
            scene=self.scene("LAYERS", parameters, context, feedback, self.extent(parameters, context)),
            examples_path=examples_path,
            examples_layer=examples_layer,
            mask_path=self.output(parameters, "MASK", context),
            polygons_path=self.draft(self.polygons, context),
            score_path=self.output(parameters, "SCORE", context),
            encoder=self.parameterAsString(parameters, "ENCODER", context),
            threshold=self.number(parameters, "THRESHOLD", context),
            minimum_area_m2=self.parameterAsDouble(parameters, "MINIMUM_AREA", context),
            device=self.parameterAsString(parameters, "DEVICE", context),
        )
        return self.made

    def results(self, written: ExampleFound, parameters, context, feedback) -> dict:
        feedback.pushInfo(written.procedure)
        feedback.pushInfo(self.tr("Threshold {:.2f}: {:.1f} % found.").format(written.threshold, 100 * written.found_share))
        if self.polygons and self.polygons != written.polygons_path:
            convert(written.polygons_path, self.polygons, context.transformContext(), feedback)
        scene = self.made.scene
        self.finish(
            found_title(scene),
            (self.polygons, lambda layer, project: finish_found(layer, written, scene)),
            (written.mask_path, lambda layer, project: self._finish_mask(layer, project, written)),
            (written.score_path, lambda layer, project: self._finish_score(layer, project, written)),
        )
        paths = {"MASK": written.mask_path, "POLYGONS": self.polygons, "SCORE": written.score_path}
        return {
            **{name: path for name, path in paths.items() if path},
            "THRESHOLD_USED": written.threshold,
            "FOUND_SHARE": written.found_share,
        }

    def _finish_mask(self, layer: QgsMapLayer, project: QgsProject, written: ExampleFound) -> None:
        finish_found_mask(layer, written, self.made.scene)
        if self.polygons:
            hide(layer, project)

    def _finish_score(self, layer: QgsMapLayer, project: QgsProject, written: ExampleFound) -> None:
        finish_likeness(layer, written, self.made.scene)
        hide(layer, project)
