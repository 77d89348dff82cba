"""What all algorithms share: the engine, scenes from parameters, and errors in words."""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsMessageLog,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterExtent,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterString,
)
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtGui import QIcon

from ..client.blocking import RequestFailed, run_request
from ..client.client import Engine
from ..layers.dates import date_of_layer
from ..layers.extents import extent_from_rectangle
from ..layers.sources import LayerError, file_path
from ..paths import RESOURCES
from ..protocol.requests import DescribeRaster, RasterDescription
from ..protocol.scene_source import Extent, SceneSource
from ..protocol.sensors import SENSORS
from ..protocol.source import acquisition
from ..settings import Settings

GUESSED = "-"


class SkySenseAlgorithm(QgsProcessingAlgorithm):
    """A subclass has NAME, LABEL, HELP and ICON, declares its parameters, and turns them into a request."""

    NAME = ""
    LABEL = ""
    HELP = ""
    ICON = "skysense.svg"

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    # -- what QGIS asks ----------------------------------------------------------------------------------------------
    def createInstance(self) -> SkySenseAlgorithm:
        return type(self)(self.engine)

    def name(self) -> str:
        return self.NAME

    def displayName(self) -> str:
        return self.tr(self.LABEL)

    def shortHelpString(self) -> str:
        return self.tr(self.HELP)

    def icon(self) -> QIcon:
        return QIcon(str(RESOURCES / "icons" / self.ICON))

    def tr(self, text: str) -> str:
        return QCoreApplication.translate("SkySense", text)

    def canExecute(self) -> tuple[bool, str]:
        reason = self.engine.reason
        return not reason, reason

    # -- parameters --------------------------------------------------------------------------------------------------
    def add_scene(self, name: str, label: str) -> None:
        """Layers of one place, their dates and sensors as comma-separated lists in the same order."""
        self.addParameter(
            QgsProcessingParameterMultipleLayers(name, self.tr(label), Qgis.ProcessingSourceType.Raster)
        )
        for suffix, text in (
            ("DATES", "Dates, comma-separated in the order of the layers (- or empty: read from the layer)"),
            ("SENSORS", "Sensors, comma-separated: hr, s2, s1, landsat (- or empty: guessed)"),
        ):
            self.add_advanced(QgsProcessingParameterString(f"{name}_{suffix}", self.tr(text), optional=True))

    def add_extent(self) -> None:
        self.addParameter(QgsProcessingParameterExtent("EXTENT", self.tr("Extent"), optional=True))

    def add_advanced(self, parameter: QgsProcessingParameterDefinition) -> None:
        parameter.setFlags(parameter.flags() | Qgis.ProcessingParameterFlag.Advanced)
        self.addParameter(parameter)

    def add_device(self) -> None:
        text = self.tr("Device: auto, cpu, cuda")
        self.add_advanced(QgsProcessingParameterString("DEVICE", text, "auto"))

    # -- from parameters to records ----------------------------------------------------------------------------------
    def prepareAlgorithm(self, parameters, context, feedback) -> bool:
        """On the main thread: layers are looked at here and not later."""
        self.context_facts = {}
        for definition in self.parameterDefinitions():
            if isinstance(definition, QgsProcessingParameterMultipleLayers):
                layers = self.parameterAsLayerList(parameters, definition.name(), context)
                try:
                    self.context_facts[definition.name()] = [
                        (file_path(layer), date_of_layer(layer), layer.name()) for layer in layers
                    ]
                except LayerError as error:
                    raise QgsProcessingException(str(error)) from None
        return True

    def scene(
        self,
        name: str,
        parameters: dict,
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
        extent: Extent | None = None,
    ) -> SceneSource:
        """The scene of a layers parameter: each file described by the engine, as everywhere."""
        facts = self.context_facts[name]
        if not facts:
            raise QgsProcessingException(self.tr("The scene has no layers. Choose at least one raster layer."))
        dates = self._listed(parameters, f"{name}_DATES", context, len(facts))
        sensors = self._listed(parameters, f"{name}_SENSORS", context, len(facts))
        acquisitions = []
        for (path, layer_date, layer_name), date, sensor in zip(facts, dates, sensors):
            description = self.describe(path, feedback)
            if sensor is None and description.sensor is None:
                raise QgsProcessingException(
                    self.tr("The sensor of {} cannot be told from its bands. Name it under Sensors.").format(layer_name)
                )
            if sensor is not None and sensor not in SENSORS:
                raise QgsProcessingException(
                    self.tr("There is no sensor {}. Choose among {}.").format(sensor, ", ".join(SENSORS))
                )
            acquisitions.append(acquisition(description, sensor, date or layer_date, layer_name))
        return SceneSource(tuple(acquisitions), extent)

    def describe(self, path: str, feedback: QgsProcessingFeedback) -> RasterDescription:
        return self.ask(DescribeRaster(path), feedback)

    def extent(self, parameters: dict, context: QgsProcessingContext) -> Extent | None:
        if not parameters.get("EXTENT"):
            return None
        crs = self.parameterAsExtentCrs(parameters, "EXTENT", context)
        return extent_from_rectangle(self.parameterAsExtent(parameters, "EXTENT", context), crs)

    def output(self, parameters: dict, name: str, context: QgsProcessingContext) -> str | None:
        """The path of an output, None where an optional one is not wanted."""
        return self.parameterAsOutputLayer(parameters, name, context) or None

    def device(self, parameters: dict, context: QgsProcessingContext) -> str:
        return self.parameterAsString(parameters, "DEVICE", context) or Settings.load().device

    def ask(self, request: object, feedback: QgsProcessingFeedback):
        """Run a request; its failure becomes the sentence and the remedy, the log keeps the rest."""
        try:
            return run_request(self.engine, request, feedback)
        except RequestFailed as error:
            if error.failure.log:
                QgsMessageLog.logMessage(error.failure.log, "SkySense", Qgis.MessageLevel.Info)
            raise QgsProcessingException(str(error)) from None

    def _listed(self, parameters: dict, name: str, context: QgsProcessingContext, count: int) -> list[str | None]:
        text = self.parameterAsString(parameters, name, context).strip()
        if not text:
            return [None] * count
        values = [value.strip() for value in text.split(",")]
        if len(values) != count:
            raise QgsProcessingException(
                self.tr("{} layers, but {} values under {}. Give one a layer; - is guessed.").format(count, len(values), name)
            )
        return [None if value in ("", GUESSED) else value for value in values]


TEMPORARY = QgsProcessing.TEMPORARY_OUTPUT
