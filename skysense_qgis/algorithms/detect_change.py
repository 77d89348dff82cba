"""skysense:detect_change."""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsMapLayer,
    QgsProcessingOutputNumber,
    QgsProcessingParameterEnum,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterVectorDestination,
    QgsProject,
)

from ..layers.results import add_dates, change_title, finish_changes, finish_mask, finish_score, hide
from ..layers.vectors import convert
from ..protocol.requests import CHANGE_METHODS, ChangeWritten, DetectChange
from .scene import SceneAlgorithm


class DetectChangeAlgorithm(SceneAlgorithm):
    NAME = "detect_change"
    LABEL = "Detect change between dates"
    ICON = "change.svg"
    TAGS = ("difference", "before", "after", "monitoring", "deforestation", "damage", "flood", "sentinel")
    HELP = (
        "Compares two dated scenes of one place. Gives a score for every pixel, the pixels that changed by a threshold "
        "found from the scene itself, and polygons with both dates, area and score. Everything that differs counts as "
        "change: choose dates of the same season, and look at the threshold."
    )
    PARAMETER_HELP = {
        "BEFORE": "Rasters of the first date.",
        "AFTER": "Rasters of the second date, of the same place and sensors.",
        "METHOD": "Change vector compares the bands, log-ratio is for radar, deep features compare what the model sees.",
        "THRESHOLD": "Pixels with a higher score count as changed. Empty: found from the scene itself.",
        "MINIMUM_AREA": "Smaller changes are left out of pixels and polygons.",
        "SCORE": "How much each pixel changed, in the method's own measure.",
        "MASK": "1 changed, 0 not, 255 no data.",
        "POLYGONS": "What changed, with both dates, area and mean score.",
    }

    def initAlgorithm(self, configuration=None) -> None:
        self.add_scene("BEFORE", "Layers before")
        self.add_scene("AFTER", "Layers after")
        self.add_extent()
        labels = ["Recommended for the sensor", "Change vector", "Log-ratio (radar)", "Deep features"]
        self.addParameter(
            QgsProcessingParameterEnum("METHOD", self.tr("Method"), [self.tr(label) for label in labels], defaultValue=0)
        )
        double = Qgis.ProcessingNumberParameterType.Double
        self.addParameter(
            QgsProcessingParameterNumber("THRESHOLD", self.tr("Threshold (empty: found automatically)"), double, optional=True)
        )
        self.addParameter(
            QgsProcessingParameterNumber("MINIMUM_AREA", self.tr("Smallest area in square metres"), double, 0.0, minValue=0.0)
        )
        self.add_encoder()
        self.add_device()
        self.addParameter(QgsProcessingParameterRasterDestination("SCORE", self.tr("Change score")))
        self.addParameter(QgsProcessingParameterRasterDestination("MASK", self.tr("Changed pixels"), optional=True))
        self.addParameter(
            QgsProcessingParameterVectorDestination(
                "POLYGONS", self.tr("Changed areas"), Qgis.ProcessingSourceType.VectorPolygon, optional=True
            )
        )
        self.addOutput(QgsProcessingOutputNumber("THRESHOLD_USED", self.tr("Threshold used")))
        self.addOutput(QgsProcessingOutputNumber("CHANGED_SHARE", self.tr("Share of pixels that changed")))

    def request(self, parameters, context, feedback) -> DetectChange:
        extent = self.extent(parameters, context)
        self.polygons = self.output(parameters, "POLYGONS", context)
        return DetectChange(
            before=self.scene("BEFORE", parameters, context, feedback, extent),
            after=self.scene("AFTER", parameters, context, feedback, extent),
            score_path=self.output(parameters, "SCORE", context),
            mask_path=self.output(parameters, "MASK", context),
            polygons_path=self.draft(self.polygons, context),
            method=CHANGE_METHODS[self.parameterAsEnum(parameters, "METHOD", context)],
            encoder=self.parameterAsString(parameters, "ENCODER", context),
            threshold=self.number(parameters, "THRESHOLD", context),
            minimum_area_m2=self.parameterAsDouble(parameters, "MINIMUM_AREA", context),
            device=self.parameterAsString(parameters, "DEVICE", context),
        )

    def results(self, written: ChangeWritten, parameters, context, feedback) -> dict:
        for warning in written.warnings:
            feedback.pushWarning(warning)
        feedback.pushInfo(
            self.tr("Method {}, threshold {:.4g}: {:.1f} % changed.").format(
                written.method, written.threshold, 100 * written.changed_share
            )
        )
        if self.polygons and self.polygons != written.polygons_path:
            convert(written.polygons_path, self.polygons, context.transformContext(), feedback)
        self.finish(
            change_title(written),
            (self.polygons, lambda layer, project: finish_changes(layer, written)),
            (written.mask_path, lambda layer, project: self._finish_mask(layer, project, written)),
            (written.score_path, lambda layer, project: self._finish_score(layer, project, written)),
        )
        paths = {"SCORE": written.score_path, "MASK": written.mask_path, "POLYGONS": self.polygons}
        return {
            **{name: path for name, path in paths.items() if path},
            "THRESHOLD_USED": written.threshold,
            "CHANGED_SHARE": written.changed_share,
        }

    def _finish_mask(self, layer: QgsMapLayer, project: QgsProject, written: ChangeWritten) -> None:
        finish_mask(layer, written)
        if self.polygons:
            hide(layer, project)

    def _finish_score(self, layer: QgsMapLayer, project: QgsProject, written: ChangeWritten) -> None:
        """The score lies lowest of the results; under it come the layers of both dates."""
        finish_score(layer, written)
        if self.polygons or written.mask_path:
            hide(layer, project)
        node = project.layerTreeRoot().findLayer(layer.id())
        if node is not None:
            before, after = ([entry.layer_id for entry in self.inputs[name]] for name in ("BEFORE", "AFTER"))
            add_dates(project, node.parent(), written, before, after)
