"""skysense:embed."""

from __future__ import annotations

from qgis.core import QgsProcessingParameterNumber, QgsProcessingParameterRasterDestination

from ..layers.results import finish_features
from ..protocol.requests import EmbedScene
from .scene import SceneAlgorithm


class EmbedAlgorithm(SceneAlgorithm):
    NAME = "embed"
    LABEL = "Feature map"
    ICON = "embed.svg"
    TAGS = ("embedding", "features", "foundation model", "deep learning", "sentinel")
    HELP = (
        "Turns layers of one place, of any sensors and dates, into one dense feature map by a remote-sensing foundation "
        "model: similar ground gets similar values. Use it for clustering, classification or as input of your own "
        "models. The picture shows the first three principal components as colours."
    )
    PARAMETER_HELP = {
        "COMPONENTS": (
            "The feature map keeps so many bands, in the order of how much they tell apart. 0 keeps all features as the model "
            "gives them: several hundred bands, a large file."
        ),
        "PICTURE": "The first three components as red, green and blue, to look at.",
    }

    def initAlgorithm(self, configuration=None) -> None:
        self.add_scene("LAYERS", "Layers of one place")
        self.add_extent()
        components = QgsProcessingParameterNumber(
            "COMPONENTS", self.tr("Principal components to keep (0: all features)"), defaultValue=16, minValue=0, maxValue=4096
        )
        self.addParameter(components)
        self.add_encoder()
        self.add_device()
        self.addParameter(QgsProcessingParameterRasterDestination("OUTPUT", self.tr("Feature map")))
        self.addParameter(
            QgsProcessingParameterRasterDestination("PICTURE", self.tr("Picture of the features"), optional=True)
        )

    def request(self, parameters, context, feedback) -> EmbedScene:
        self.made = EmbedScene(
            scene=self.scene("LAYERS", parameters, context, feedback, self.extent(parameters, context)),
            output_path=self.output(parameters, "OUTPUT", context),
            picture_path=self.output(parameters, "PICTURE", context),
            encoder=self.parameterAsString(parameters, "ENCODER", context),
            components=self.parameterAsInt(parameters, "COMPONENTS", context),
            device=self.parameterAsString(parameters, "DEVICE", context),
        )
        return self.made

    def results(self, written, parameters, context, feedback) -> dict:
        if written.explained_variance is not None:
            feedback.pushInfo(self.tr("{} components keep {:.0f} % of the features' variance.").format(
                written.bands, 100 * written.explained_variance))  # fmt: skip
        scene = self.made.scene
        self.finish(
            self.tr("Features"),
            (written.picture_path, lambda layer, project: finish_features(layer, written, scene)),
            (written.path, lambda layer, project: finish_features(layer, written, scene)),
        )
        results = {"OUTPUT": written.path}
        if written.picture_path:
            results["PICTURE"] = written.picture_path
        return results
