"""skysense:train_segmentation."""

from __future__ import annotations

from pathlib import Path

from qgis.core import (
    Qgis,
    QgsProcessingOutputNumber,
    QgsProcessingParameterEnum,
    QgsProcessingParameterField,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorLayer,
)

from ..protocol.requests import TUNED_PARTS, ModelTrained, TrainSegmentation
from .scene import SceneAlgorithm

SUFFIX = ".safetensors"


class TrainSegmentationAlgorithm(SceneAlgorithm):
    NAME = "train_segmentation"
    LABEL = "Train a segmentation"
    ICON = "train.svg"
    TAGS = ("fine-tune", "classification", "land cover", "labels", "deep learning", "supervised")
    HELP = (
        "Learns your classes from polygons drawn on a scene. Whole blocks of the scene are kept apart to measure the "
        "accuracy, which the model's card tells. Tuning the head alone is the quickest. Save the model in the models' folder "
        "of the SkySense settings, and the panel lists it too."
    )

    PARAMETER_HELP = {
        "LABELS": "Polygons drawn on the scene. What lies under none of them teaches nothing.",
        "CLASS_FIELD": "Field of the polygons whose values are the classes.",
        "NAME": "As the list of models shows it. Empty: the file's name.",
        "TUNE": "The head alone is quick and needs few labels; the more is trained, the more labels and time it takes.",
        "STEPS": "More steps take longer and may learn more; the best state on the blocks kept apart is saved.",
        "BATCH": "Pieces of the scene in one step; halved by itself when memory runs out.",
        "LEARNING_RATE": "How far a step goes. Smaller ones for more than the head.",
        "VALIDATION_SHARE": "These blocks are never trained on: the accuracy on the model's card comes from them.",
        "SEED": "The same seed chooses the same blocks and pieces again.",
        "MODEL": "A .safetensors file; in the models' folder of the settings the panel lists it too.",
    }

    def initAlgorithm(self, configuration=None) -> None:
        integer, double = Qgis.ProcessingNumberParameterType.Integer, Qgis.ProcessingNumberParameterType.Double
        self.add_scene("LAYERS", "Layers of one place")
        self.addParameter(
            QgsProcessingParameterVectorLayer("LABELS", self.tr("Labelled polygons"), [Qgis.ProcessingSourceType.VectorPolygon])
        )
        self.addParameter(QgsProcessingParameterField("CLASS_FIELD", self.tr("Class field"), parentLayerParameterName="LABELS"))
        self.add_extent()
        self.addParameter(QgsProcessingParameterString("NAME", self.tr("Name of the model"), optional=True))
        labels = ["Head only", "Last blocks too", "Everything"]
        self.addParameter(
            QgsProcessingParameterEnum("TUNE", self.tr("What is trained"), [self.tr(label) for label in labels], defaultValue=0)
        )
        self.addParameter(QgsProcessingParameterNumber("STEPS", self.tr("Steps"), integer, 300, minValue=1))
        for name, text, kind, default, least, most in (
            ("BATCH", "Batch (halved when memory runs out)", integer, 8, 1, 1024),
            ("LEARNING_RATE", "Learning rate", double, 1e-3, 1e-7, 1.0),
            ("VALIDATION_SHARE", "Share of the blocks kept apart to measure the accuracy", double, 0.25, 0.05, 0.9),
            ("SEED", "Seed", integer, 0, 0, 2**31 - 1),
        ):
            self.add_advanced(
                QgsProcessingParameterNumber(name, self.tr(text), kind, default, minValue=least, maxValue=most)
            )
        self.add_encoder()
        self.add_device()
        self.addParameter(
            QgsProcessingParameterFileDestination("MODEL", self.tr("Model"), self.tr("Models") + f" (*{SUFFIX})")
        )
        self.addOutput(QgsProcessingOutputNumber("MEAN_IOU", self.tr("Mean IoU on the blocks kept apart")))

    def request(self, parameters, context, feedback) -> TrainSegmentation:
        path = self.parameterAsFileOutput(parameters, "MODEL", context)
        if not path.lower().endswith(SUFFIX):
            path += SUFFIX
        labels_path, labels_layer = self.vector_file("LABELS", context, feedback)
        self.made = TrainSegmentation(
            scene=self.scene("LAYERS", parameters, context, feedback, self.extent(parameters, context)),
            labels_path=labels_path,
            labels_layer=labels_layer,
            class_field=self.parameterAsString(parameters, "CLASS_FIELD", context),
            model_path=path,
            name=self.parameterAsString(parameters, "NAME", context) or Path(path).stem,
            encoder=self.parameterAsString(parameters, "ENCODER", context),
            tune=TUNED_PARTS[self.parameterAsEnum(parameters, "TUNE", context)],
            steps=self.parameterAsInt(parameters, "STEPS", context),
            batch=self.parameterAsInt(parameters, "BATCH", context),
            learning_rate=self.parameterAsDouble(parameters, "LEARNING_RATE", context),
            validation_share=self.parameterAsDouble(parameters, "VALIDATION_SHARE", context),
            seed=self.parameterAsInt(parameters, "SEED", context),
            device=self.parameterAsString(parameters, "DEVICE", context),
        )
        return self.made

    def results(self, written: ModelTrained, parameters, context, feedback) -> dict:
        results = {"MODEL": self.made.model_path}
        if written.stopped == "diverged":
            feedback.pushWarning(self.tr("The loss was no number any more: try a smaller learning rate."))
        if written.stopped != "finished":
            feedback.pushWarning(
                self.tr("Stopped after {} steps; the model is the best one so far, of step {}.").format(
                    written.steps, written.best_step
                )
            )
        if written.card.mean_iou is not None:
            feedback.pushInfo(self.tr("Mean IoU {:.2f} on held-out blocks.").format(written.card.mean_iou))
            results["MEAN_IOU"] = written.card.mean_iou
        for entry in written.card.accuracy:
            if entry.iou is not None:
                feedback.pushInfo(self.tr("{}: IoU {:.2f}").format(entry.name, entry.iou))
        return results
