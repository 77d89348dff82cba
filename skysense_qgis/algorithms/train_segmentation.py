"""skysense:train_segmentation."""

from __future__ import annotations

from pathlib import Path

from qgis.core import (
    Qgis,
    QgsProcessingParameterEnum,
    QgsProcessingParameterField,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorLayer,
)

from ..layers.labels import labels_file
from ..protocol.requests import TrainSegmentation
from .base import SkySenseAlgorithm

TUNE = ("head", "last-blocks", "all")


class TrainSegmentationAlgorithm(SkySenseAlgorithm):
    NAME = "train_segmentation"
    LABEL = "Train a segmentation"
    ICON = "train.svg"
    HELP = (
        "Learns your classes from polygons drawn on a scene. Whole blocks of the scene are kept apart to measure the "
        "accuracy, which the model's card tells. Tuning the head alone takes about a minute on a laptop."
    )

    def initAlgorithm(self, configuration=None) -> None:
        self.add_scene("LAYERS", "Layers of one place")
        self.addParameter(
            QgsProcessingParameterVectorLayer("LABELS", self.tr("Labelled polygons"), [Qgis.ProcessingSourceType.VectorPolygon])
        )
        self.addParameter(QgsProcessingParameterField("CLASS_FIELD", self.tr("Class field"), parentLayerParameterName="LABELS"))
        self.add_extent()
        self.addParameter(QgsProcessingParameterString("NAME", self.tr("Name of the model"), optional=True))
        self.addParameter(
            QgsProcessingParameterEnum(
                "TUNE", self.tr("What is trained"), [self.tr("Head only"), self.tr("Last blocks too"), self.tr("Everything")],
                defaultValue=0,
            )
        )  # fmt: skip
        self.addParameter(QgsProcessingParameterNumber("STEPS", self.tr("Steps"), defaultValue=300, minValue=1))
        self.add_advanced(QgsProcessingParameterNumber("BATCH", self.tr("Batch"), defaultValue=8, minValue=1))
        self.add_advanced(QgsProcessingParameterNumber("SEED", self.tr("Seed"), defaultValue=0, minValue=0))
        self.add_device()
        self.addParameter(
            QgsProcessingParameterFileDestination("MODEL", self.tr("Model"), self.tr("Models (*.safetensors)"))
        )

    def prepareAlgorithm(self, parameters, context, feedback) -> bool:
        super().prepareAlgorithm(parameters, context, feedback)
        layer = self.parameterAsVectorLayer(parameters, "LABELS", context)
        self.labels_path, self.labels_layer = labels_file(layer, context)
        return True

    def processAlgorithm(self, parameters, context, feedback) -> dict:
        path = self.parameterAsFileOutput(parameters, "MODEL", context)
        request = TrainSegmentation(
            scene=self.scene("LAYERS", parameters, context, feedback, self.extent(parameters, context)),
            labels_path=self.labels_path,
            labels_layer=self.labels_layer,
            class_field=self.parameterAsString(parameters, "CLASS_FIELD", context),
            model_path=path,
            name=self.parameterAsString(parameters, "NAME", context) or Path(path).stem,
            tune=TUNE[self.parameterAsEnum(parameters, "TUNE", context)],
            steps=self.parameterAsInt(parameters, "STEPS", context),
            batch=self.parameterAsInt(parameters, "BATCH", context),
            seed=self.parameterAsInt(parameters, "SEED", context),
            device=self.device(parameters, context),
        )
        trained = self.ask(request, feedback)
        if trained.card.mean_iou is not None:
            feedback.pushInfo(self.tr("Mean IoU {:.2f} on held-out blocks.").format(trained.card.mean_iou))
        return {"MODEL": path}
