"""skysense:apply_model."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsProcessingParameterFile, QgsProcessingParameterRasterDestination

from ..layers.results import finish_classes, finish_confidence
from ..protocol.requests import ApplyModel
from .scene import SceneAlgorithm


class ApplyModelAlgorithm(SceneAlgorithm):
    NAME = "apply_model"
    LABEL = "Apply a model"
    ICON = "apply.svg"
    TAGS = ("classification", "segmentation", "land cover", "inference", "predict", "deep learning")
    HELP = (
        "Classifies a whole scene by a model that you trained, tile by tile, so that the size does not matter. The "
        "confidence raster tells how sure the model is of each pixel."
    )
    PARAMETER_HELP = {
        "MODEL": "A .safetensors file that “Train a segmentation” or the panel wrote.",
        "LAYERS": "Rasters of the same place, of the sensors that the model was trained on.",
        "CONFIDENCE": "Probability of the class in per cent, 255 where there is no data.",
    }

    def initAlgorithm(self, configuration=None) -> None:
        self.add_scene("LAYERS", "Layers of one place")
        self.addParameter(QgsProcessingParameterFile("MODEL", self.tr("Model"), extension="safetensors"))
        self.add_extent()
        self.add_device()
        self.addParameter(QgsProcessingParameterRasterDestination("OUTPUT", self.tr("Classes")))
        self.addParameter(QgsProcessingParameterRasterDestination("CONFIDENCE", self.tr("Confidence"), optional=True))

    def request(self, parameters, context, feedback) -> ApplyModel:
        self.made = ApplyModel(
            scene=self.scene("LAYERS", parameters, context, feedback, self.extent(parameters, context)),
            model_path=self.parameterAsFile(parameters, "MODEL", context),
            output_path=self.output(parameters, "OUTPUT", context),
            confidence_path=self.output(parameters, "CONFIDENCE", context),
            device=self.parameterAsString(parameters, "DEVICE", context),
        )
        return self.made

    def results(self, written, parameters, context, feedback) -> dict:
        for entry, share in zip(written.classes, written.shares):
            feedback.pushInfo(self.tr("{}: {:.1f} %").format(entry.name, 100 * share))
        scene = self.made.scene
        self.finish(
            Path(self.made.model_path).stem,
            (written.path, lambda layer, project: finish_classes(layer, written, scene)),
            (written.confidence_path, lambda layer, project: finish_confidence(layer, written, scene)),
        )
        results = {"OUTPUT": written.path}
        if written.confidence_path:
            results["CONFIDENCE"] = written.confidence_path
        return results
