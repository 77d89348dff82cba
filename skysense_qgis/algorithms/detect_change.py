"""skysense:detect_change."""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsProcessingParameterEnum,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterVectorDestination,
)

from ..protocol.requests import DetectChange
from .base import SkySenseAlgorithm

METHODS = ("auto", "change-vector", "log-ratio", "deep-features")


class DetectChangeAlgorithm(SkySenseAlgorithm):
    NAME = "detect_change"
    LABEL = "Detect change between dates"
    ICON = "change.svg"
    HELP = (
        "Compares two dated scenes of one place. Gives a score for every pixel, the pixels that changed by a threshold "
        "found from the scene itself, and polygons with both dates, area and score. Everything that differs counts as "
        "change: choose dates of the same season, and look at the threshold."
    )

    def initAlgorithm(self, configuration=None) -> None:
        self.add_scene("BEFORE", "Layers before")
        self.add_scene("AFTER", "Layers after")
        self.add_extent()
        self.addParameter(QgsProcessingParameterEnum("METHOD", self.tr("Method"), list(METHODS), defaultValue=0))
        double = Qgis.ProcessingNumberParameterType.Double
        self.addParameter(
            QgsProcessingParameterNumber("THRESHOLD", self.tr("Threshold (empty: found automatically)"), double, optional=True)
        )
        self.addParameter(
            QgsProcessingParameterNumber("MINIMUM_AREA", self.tr("Smallest area in square metres"), double, 0.0, minValue=0.0)
        )
        self.add_device()
        self.addParameter(QgsProcessingParameterRasterDestination("SCORE", self.tr("Change score")))
        self.addParameter(QgsProcessingParameterRasterDestination("MASK", self.tr("Changed pixels"), optional=True))
        self.addParameter(
            QgsProcessingParameterVectorDestination(
                "POLYGONS", self.tr("Changed areas"), Qgis.ProcessingSourceType.VectorPolygon, optional=True
            )
        )

    def processAlgorithm(self, parameters, context, feedback) -> dict:
        extent = self.extent(parameters, context)
        given = parameters.get("THRESHOLD") not in (None, "")
        request = DetectChange(
            before=self.scene("BEFORE", parameters, context, feedback, extent),
            after=self.scene("AFTER", parameters, context, feedback, extent),
            score_path=self.output(parameters, "SCORE", context),
            mask_path=self.output(parameters, "MASK", context),
            polygons_path=self.output(parameters, "POLYGONS", context),
            method=METHODS[self.parameterAsEnum(parameters, "METHOD", context)],
            threshold=self.parameterAsDouble(parameters, "THRESHOLD", context) if given else None,
            minimum_area_m2=self.parameterAsDouble(parameters, "MINIMUM_AREA", context),
            device=self.device(parameters, context),
        )
        written = self.ask(request, feedback)
        for warning in written.warnings:
            feedback.pushWarning(warning)
        feedback.pushInfo(
            self.tr("Method {}, threshold {:.4g}: {:.1f} % changed.").format(
                written.method, written.threshold, 100 * written.changed_share
            )
        )
        results = {"SCORE": written.score_path, "MASK": written.mask_path, "POLYGONS": written.polygons_path}
        return {name: path for name, path in results.items() if path}
