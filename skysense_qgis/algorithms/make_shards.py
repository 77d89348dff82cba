"""skysense:shards."""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsProcessingException,
    QgsProcessingOutputNumber,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorLayer,
)

from ..protocol.requests import MakeShards, ShardsMade
from ..protocol.sensors import SENSORS
from .scene import SceneAlgorithm


class MakeShardsAlgorithm(SceneAlgorithm):
    NAME = "shards"
    LABEL = "Make shards for pretraining"
    ICON = "shards.svg"
    TAGS = ("training data", "dataset", "samples", "tiles", "webdataset", "foundation model", "self-supervised", "deep learning")
    HELP = (
        "Cuts layers of one place, of any sensors and dates, into samples that hold all sensors of the same ground, and "
        "writes them as shards, the files that pretraining reads. A folder of images can be cut instead or beside. After a "
        "cancel, the same parameters go on where it stopped."
    )
    PARAMETER_HELP = {
        "LAYERS": "Rasters of the same place, of any sensors and dates. A sample is a window on the finest of them.",
        "FOLDER": (
            "A folder with pictures under images/, or dated series as S2*_YYYYMMDD.tif and S1*_YYYYMMDD.tif, in place of "
            "layers or beside them."
        ),
        "HOLD_OUT": "Parts of paths below the folder, with commas between: files of such places are never read.",
        "LABELS": "Polygons of classes on the layers. They go along with the samples; pretraining does not need any.",
        "CLASS_FIELD": "Field of the polygons whose values are the classes.",
        "WINDOW": "Side of a sample in pixels of the finest sensor. 0: what suits it.",
        "LEAST_DATA": "Windows of which less has data are left out.",
        "OUTPUT": "An empty folder, or that of a run of this with the same parameters that was stopped.",
    }

    def initAlgorithm(self, configuration=None) -> None:
        self.add_scene("LAYERS", "Layers of one place", optional=True)
        self.add_extent()
        folder = QgsProcessingParameterFile.Behavior.Folder
        self.addParameter(QgsProcessingParameterFile("FOLDER", self.tr("Folder of images"), folder, optional=True))
        self.add_advanced(QgsProcessingParameterString("HOLD_OUT", self.tr("Kept apart from the folder"), optional=True))
        polygons = [Qgis.ProcessingSourceType.VectorPolygon]
        self.add_advanced(QgsProcessingParameterVectorLayer("LABELS", self.tr("Labelled polygons"), polygons, optional=True))
        self.add_advanced(
            QgsProcessingParameterField(
                "CLASS_FIELD", self.tr("Class field"), parentLayerParameterName="LABELS", optional=True
            )
        )
        for name, text, kind, default, least, most in (
            ("WINDOW", "Window, in pixels of the finest sensor", Qgis.ProcessingNumberParameterType.Integer, 0, 0, 4096),
            ("LEAST_DATA", "Least share with data", Qgis.ProcessingNumberParameterType.Double, 0.5, 0.0, 1.0),
        ):
            self.add_advanced(
                QgsProcessingParameterNumber(name, self.tr(text), kind, default, minValue=least, maxValue=most)
            )
        self.addParameter(QgsProcessingParameterFolderDestination("OUTPUT", self.tr("Folder of the shards")))
        self.addOutput(QgsProcessingOutputNumber("SAMPLES", self.tr("Samples")))
        self.addOutput(QgsProcessingOutputNumber("LEFT_OUT", self.tr("Windows left out")))

    def request(self, parameters, context, feedback) -> MakeShards:
        folder = self.parameterAsFile(parameters, "FOLDER", context)
        scene = None
        if self.inputs["LAYERS"]:
            scene = self.scene("LAYERS", parameters, context, feedback, self.extent(parameters, context))
        elif not folder:
            raise QgsProcessingException(self.tr("There is nothing to cut. Choose layers, a folder of images, or both."))
        labels_path, labels_layer = None, None
        if "LABELS" in self.vectors:
            if not self.given(parameters, "CLASS_FIELD"):
                raise QgsProcessingException(self.tr("Choose the field of the polygons that holds the classes."))
            labels_path, labels_layer = self.vector_file("LABELS", context, feedback)
        kept_apart = self.parameterAsString(parameters, "HOLD_OUT", context).split(",")
        return MakeShards(
            scene=scene,
            output_folder=self.parameterAsFileOutput(parameters, "OUTPUT", context),
            window_px=self.parameterAsInt(parameters, "WINDOW", context),
            least_data=self.parameterAsDouble(parameters, "LEAST_DATA", context),
            labels_path=labels_path,
            labels_layer=labels_layer,
            class_field=self.parameterAsString(parameters, "CLASS_FIELD", context) if labels_path else "",
            folders=(folder,) if folder else (),
            hold_out=tuple(part.strip() for part in kept_apart if part.strip()),
        )

    def results(self, written: ShardsMade, parameters, context, feedback) -> dict:
        sensors = ", ".join(SENSORS[key].short for key in written.sensors)
        feedback.pushInfo(
            self.tr("{} samples of {} in {} shards, {:.0f} MB.").format(
                written.samples, sensors, written.shards, written.bytes / 1e6
            )
        )
        if written.left_out:
            feedback.pushInfo(self.tr("{} windows with too little data were left out.").format(written.left_out))
        return {"OUTPUT": written.folder, "SAMPLES": written.samples, "LEFT_OUT": written.left_out}
