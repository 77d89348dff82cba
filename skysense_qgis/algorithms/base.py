"""What all algorithms share: the engine, a request and its answer, errors in words, results that look right."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from qgis.core import (
    NULL,
    Qgis,
    QgsMapLayer,
    QgsMessageLog,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterString,
    QgsProcessingUtils,
    QgsProject,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QCoreApplication, QUrl
from qgis.PyQt.QtGui import QIcon

from ..client.blocking import RequestFailed, run_request
from ..client.client import WAITING, Engine
from ..layers.sources import LayerError
from ..paths import RESOURCES
from ..protocol.requests import DescribeRaster, RasterDescription
from ..settings import Settings
from .clashes import clash_of
from .parameter_help import help_of

Finish = Callable[[QgsMapLayer, QgsProject], None]  # what a loaded result is given


class SkySenseAlgorithm(QgsProcessingAlgorithm):
    """A subclass has NAME, LABEL, HELP and ICON, declares its parameters, makes the request and reads its answer."""

    NAME = ""
    LABEL = ""
    HELP = ""
    PARAMETER_HELP: dict[str, str] = {}
    TAGS: tuple[str, ...] = ()
    ICON = "skysense.svg"

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self._loading: list[tuple[str, Finish]] = []
        self._group = ""

    # -- what a subclass does ----------------------------------------------------------------------------------------
    def request(self, parameters: dict, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> object:
        """The request that these parameters mean."""
        raise NotImplementedError

    def results(
        self, written: Any, parameters: dict, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict:
        """Output names and values, from the engine's answer; says its figures to the feedback."""
        raise NotImplementedError

    def finish(self, group: str, *layers: tuple[str | None, Finish]) -> None:
        """How loaded results look: path and what to do with the layer, the uppermost first, and their group's name."""
        self._group = group
        self._loading = [(path, finish) for path, finish in layers if path]

    # -- what QGIS asks ----------------------------------------------------------------------------------------------
    def createInstance(self) -> SkySenseAlgorithm:
        return type(self)(self.engine)

    def name(self) -> str:
        return self.NAME

    def displayName(self) -> str:
        return self.tr(self.LABEL)

    def shortHelpString(self) -> str:
        return self.tr(self.HELP)

    def helpUrl(self) -> str:
        url = QUrl.fromLocalFile(str(RESOURCES / "help" / "processing.html"))
        url.setFragment(self.NAME)
        return url.toString()

    def tags(self) -> list[str]:
        return list(self.TAGS)

    def icon(self) -> QIcon:
        return QIcon(str(RESOURCES / "icons" / self.ICON))

    def tr(self, text: str) -> str:
        return QCoreApplication.translate("SkySense", text)

    def canExecute(self) -> tuple[bool, str]:
        reason = self.engine.reason
        return not reason, reason

    def checkParameterValues(self, parameters, context) -> tuple[bool, str]:
        """Also what QGIS checks in its dialog alone, whether the outputs' formats can be written, and that no file is lost."""
        for definition in self.destinationParameterDefinitions():
            value = parameters.get(definition.name())
            if isinstance(value, str) and value:
                fine, reason = definition.isSupportedOutputValue(value, context)
                if not fine:
                    return False, reason
                if value.startswith("ogr:"):
                    return False, self.tr("{} is a file of its own, no layer of a database. Give the name of a file.").format(
                        definition.description()
                    )
        reason = clash_of(self, parameters, context)
        if reason:
            return False, reason
        return super().checkParameterValues(parameters, context)

    def prepareAlgorithm(self, parameters, context, feedback) -> bool:
        """Models and tasks run without asking `checkParameterValues`: no file may be lost there either."""
        reason = clash_of(self, parameters, context)
        if reason:
            raise QgsProcessingException(reason)
        return True

    def processAlgorithm(self, parameters, context, feedback) -> dict:
        try:
            written = self.ask(self.request(parameters, context, feedback), feedback)
            return self.results(written, parameters, context, feedback)
        except LayerError as error:
            raise QgsProcessingException(str(error)) from None

    def postProcessAlgorithm(self, context, feedback) -> dict:
        """On the main thread, where post-processors have to be made."""
        for order, (path, finish) in enumerate(reversed(self._loading)):
            if context.willLoadLayerOnCompletion(path):
                details = context.layerToLoadOnCompletionDetails(path)
                details.groupName = self._group
                details.layerSortKey = order
                details.setPostProcessor(_PostProcessor.keep(finish))
        return {}

    # -- parameters that many have -----------------------------------------------------------------------------------
    def addParameter(self, definition: QgsProcessingParameterDefinition, createOutput: bool = True) -> bool:
        """As QGIS's, with the help of the parameter."""
        definition.setHelp(self.tr(help_of(definition.name(), self.PARAMETER_HELP)))
        return super().addParameter(definition, createOutput)

    def add_advanced(self, parameter: QgsProcessingParameterDefinition) -> None:
        parameter.setFlags(parameter.flags() | Qgis.ProcessingParameterFlag.Advanced)
        self.addParameter(parameter)

    def add_device(self) -> None:
        text = self.tr("Device: auto, cpu, cuda")
        self.add_advanced(QgsProcessingParameterString("DEVICE", text, Settings.load().device))

    def add_encoder(self) -> None:
        self.add_advanced(QgsProcessingParameterString("ENCODER", self.tr("Encoder"), Settings.load().encoder))

    def output(self, parameters: dict, name: str, context: QgsProcessingContext) -> str | None:
        """The path of an output, None where an optional one is not wanted."""
        return self.parameterAsOutputLayer(parameters, name, context) or None

    def draft(self, path: str | None, context: QgsProcessingContext) -> str | None:
        """Where the engine writes polygons: GeoPackages in their place, what becomes another format in a temporary one."""
        if path is None or path.lower().endswith(".gpkg"):
            return path
        return QgsProcessingUtils.generateTempFilename("draft.gpkg", context)

    def given(self, parameters: dict, name: str) -> bool:
        """Whether an optional parameter has a value."""
        value = parameters.get(name)
        return not (value is None or value == NULL or value == "")

    def number(self, parameters: dict, name: str, context: QgsProcessingContext) -> float | None:
        """An optional number, None where it is not given."""
        return self.parameterAsDouble(parameters, name, context) if self.given(parameters, name) else None

    def vector_layer(
        self, parameters: dict, name: str, context: QgsProcessingContext
    ) -> tuple[QgsVectorLayer | None, QgsProcessingFeatureSourceDefinition | None]:
        """The layer of a parameter, and which of its features are meant where that is said."""
        value = parameters.get(name)
        if not isinstance(value, QgsProcessingFeatureSourceDefinition):
            return self.parameterAsVectorLayer(parameters, name, context), None
        return self.parameterAsVectorLayer({name: value.source}, name, context), value

    # -- the engine --------------------------------------------------------------------------------------------------
    def describe(self, path: str, feedback: QgsProcessingFeedback, crs: str = "") -> RasterDescription:
        """What the engine says of a file: the same guesses as in the panel and in the shell."""
        return self.ask(DescribeRaster(path, crs), _Quiet(feedback))

    def ask(self, request: object, feedback: QgsProcessingFeedback | _Quiet) -> Any:
        """Run a request; its failure becomes the sentence and the remedy, the log keeps the rest.

        Questions go to the worker that the job itself will need: in qgis_process only one has to start.
        """
        try:
            return run_request(self.engine.jobs, request, feedback)
        except RequestFailed as error:
            if error.failure.log:
                QgsMessageLog.logMessage(error.failure.log, "SkySense", Qgis.MessageLevel.Info)
            raise QgsProcessingException(str(error)) from None


class _Quiet:
    """Takes a cancel from the job's feedback, and says nothing to it."""

    def __init__(self, feedback: QgsProcessingFeedback) -> None:
        self.isCanceled, self._push = feedback.isCanceled, feedback.pushInfo

    def setProgress(self, percent: float) -> None:
        """A short question beside the job has no progress of its own."""

    def pushInfo(self, text: str) -> None:
        """Nor stages; but that it has to wait is told."""
        if text == WAITING:
            self._push(text)


class _PostProcessor(QgsProcessingLayerPostProcessorInterface):
    """Runs on the main thread once a result is in the project."""

    # QGIS holds no Python reference: without one the processor silently never runs. More than any run has outputs.
    _kept: deque[_PostProcessor] = deque(maxlen=64)

    def __init__(self, finish: Finish) -> None:
        super().__init__()
        self._finish = finish

    @classmethod
    def keep(cls, finish: Finish) -> _PostProcessor:
        processor = cls(finish)
        cls._kept.append(processor)
        return processor

    def postProcessLayer(self, layer, context, feedback) -> None:
        self._finish(layer, context.project())
        layer.triggerRepaint()
