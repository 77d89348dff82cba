"""skysense:pretrain. The run is a process of its own: this starts it and looks on."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from qgis.core import (
    Qgis,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputFile,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from ..client.pretraining import BUNDLED, RunError, RunOptions, begin, remember, uneven_parts
from ..client.run_folder import WEIGHTS, Begun, LoggedStep, LogTail, RunStatus, ask_to_stop, look, stop_was_asked
from .base import SkySenseAlgorithm

PRESETS = ("nano", "tiny", "base", "huge")
STARTS = ("The weights that come with the plugin", "Random weights", "A file of weights")
FROM_BUNDLED, FROM_RANDOM, FROM_FILE = range(3)
LOOK_S = 0.2
PATIENCE_S = 120.0  # for a run that was asked to stop: a large one takes a while to save


class PretrainAlgorithm(SkySenseAlgorithm):
    NAME = "pretrain"
    LABEL = "Pretrain an encoder"
    ICON = "pretrain.svg"
    TAGS = ("self-supervised", "contrastive", "foundation model", "continue", "deep learning", "training")
    HELP = (
        "Teaches an encoder on shards, without labels, from the bundled weights, others, or random ones. The run is a process "
        "of its own with a folder of its own: a cancel saves and stops it, the same folder without shards goes on with it, "
        "and the panel shows its curves. Its encoder is weights.safetensors in that folder."
    )
    PARAMETER_HELP = {
        "SHARDS": "A folder that “Make shards for pretraining” wrote. Empty: the run in the folder below goes on.",
        "MORE_SHARDS": "Other such folders, with semicolons between.",
        "PRESET": "nano has 4.45 million parameters and learns on a processor; huge, 2,078 million, needs a large graphics card.",
        "START": "Going on from weights takes far fewer steps. With the plugin come those of nano.",
        "START_FILE": "A .safetensors file of the same size.",
        "NEAR": "With little imagery: what the encoder knows is kept, and features change less.",
        "STEPS": "More steps take longer and may learn more.",
        "BATCH": "Places in one step. More make steadier steps and take more memory.",
        "ACCUMULATE": (
            "A batch goes through in so many equal parts, one after the other. With more parts a large batch fits into little "
            "memory; a step takes no less time, and places are compared within a part only. 1: all at once."
        ),
        "LEARNING_RATE": (
            "How far a step changes the encoder. Smaller learns more slowly, but keeps more of what it knows; too large, and "
            "the loss rises, or the run ends because it is no number any more."
        ),
        "SEED": "The same seed draws the same samples again.",
        "RUN": "A new folder, or that of the run to go on with.",
    }

    def initAlgorithm(self, configuration=None) -> None:
        integer, double = Qgis.ProcessingNumberParameterType.Integer, Qgis.ProcessingNumberParameterType.Double
        folder = QgsProcessingParameterFile.Behavior.Folder
        self.addParameter(QgsProcessingParameterFile("SHARDS", self.tr("Folder of shards"), folder, optional=True))
        self.add_advanced(QgsProcessingParameterString("MORE_SHARDS", self.tr("More folders of shards"), optional=True))
        self.addParameter(
            QgsProcessingParameterEnum(
                "PRESET", self.tr("Size"), list(PRESETS), defaultValue=PRESETS[0], usesStaticStrings=True
            )
        )
        self.addParameter(
            QgsProcessingParameterEnum("START", self.tr("Start from"), [self.tr(text) for text in STARTS], defaultValue=0)
        )
        self.addParameter(
            QgsProcessingParameterFile("START_FILE", self.tr("File of weights"), extension="safetensors", optional=True)
        )
        self.add_advanced(QgsProcessingParameterBoolean("NEAR", self.tr("Stay near these weights"), False))
        self.addParameter(QgsProcessingParameterNumber("STEPS", self.tr("Steps"), integer, 1000, minValue=1))
        self.addParameter(QgsProcessingParameterNumber("BATCH", self.tr("Batch"), integer, 8, minValue=1, maxValue=65_536))
        for name, text, kind, default, least, most in (
            ("ACCUMULATE", "Gradient accumulation: parts of a batch", integer, 1, 1, 65_536),
            ("LEARNING_RATE", "Learning rate", double, 5e-4, 1e-7, 1.0),
            ("SEED", "Seed", integer, 0, 0, 2**31 - 1),
        ):
            self.add_advanced(
                QgsProcessingParameterNumber(name, self.tr(text), kind, default, minValue=least, maxValue=most)
            )
        self.add_device()
        self.addParameter(QgsProcessingParameterFolderDestination("RUN", self.tr("Folder of the run")))
        self.addOutput(QgsProcessingOutputFile("WEIGHTS", self.tr("Encoder")))
        self.addOutput(QgsProcessingOutputNumber("STEP", self.tr("Steps done")))

    def checkParameterValues(self, parameters, context) -> tuple[bool, str]:
        """Also whether they make a run, before it is started."""
        fine, reason = super().checkParameterValues(parameters, context)
        if not fine:
            return False, reason
        try:
            self.options(parameters, context)
        except QgsProcessingException as error:
            return False, str(error)
        return True, ""

    def processAlgorithm(self, parameters, context, feedback) -> dict:
        folder = Path(self.parameterAsFileOutput(parameters, "RUN", context))
        try:
            begun = begin(folder, self.options(parameters, context))
        except RunError as error:
            raise QgsProcessingException(str(error)) from None
        remember(folder, True)
        status = self._follow(folder, begun, feedback)
        if status.state == "stopped":
            feedback.pushWarning(
                self.tr("Stopped at step {} of {} and saved. Without shards, the same folder goes on from there.").format(
                    status.step, status.steps
                )
            )
        elif status.state != "finished":
            raise QgsProcessingException(f"{status.sentence} {status.remedy}".strip())
        results = {"RUN": str(folder), "STEP": status.step}
        if (folder / WEIGHTS).exists():
            results["WEIGHTS"] = str(folder / WEIGHTS)
        return results

    def options(self, parameters, context) -> RunOptions | None:
        """Of a new run; None where one goes on. Raises QgsProcessingException: they do not fit each other."""
        first = self.parameterAsFile(parameters, "SHARDS", context)
        more = self.parameterAsString(parameters, "MORE_SHARDS", context).split(";")
        shards = tuple(path for path in (first, *(entry.strip() for entry in more)) if path)
        if not shards:
            return None
        start = self.parameterAsEnum(parameters, "START", context)
        file = self.parameterAsFile(parameters, "START_FILE", context)
        if start == FROM_FILE and not file:
            raise QgsProcessingException(self.tr("Choose the file of weights to start from."))
        batch = self.parameterAsInt(parameters, "BATCH", context)
        accumulate = self.parameterAsInt(parameters, "ACCUMULATE", context)
        if uneven_parts(batch, accumulate):
            raise QgsProcessingException(uneven_parts(batch, accumulate))
        return RunOptions(
            shards=shards,
            preset=self.parameterAsEnumString(parameters, "PRESET", context),
            start={FROM_BUNDLED: BUNDLED, FROM_RANDOM: "", FROM_FILE: file}[start],
            near=self.parameterAsBool(parameters, "NEAR", context),
            steps=self.parameterAsInt(parameters, "STEPS", context),
            batch=batch,
            accumulate=accumulate,
            learning_rate=self.parameterAsDouble(parameters, "LEARNING_RATE", context),
            seed=self.parameterAsInt(parameters, "SEED", context),
            device=self.parameterAsString(parameters, "DEVICE", context),
        )

    def _follow(self, folder: Path, begun: Begun, feedback: QgsProcessingFeedback) -> RunStatus:
        """Until the run ends; a cancel makes it save and end."""
        tail, told, asked = LogTail(folder), "", 0.0
        while True:
            status = look(folder, begun)
            for step in tail.read():
                feedback.pushInfo(self._line(step))
            if not status.working:
                return status
            if status.state != told:
                told = status.state
                feedback.setProgressText({"starting": self.tr("Starting"), "saving": self.tr("Saving")}.get(told, ""))
            feedback.setProgress(100 * status.fraction)
            if feedback.isCanceled():
                asked = asked or time.monotonic()
                if not stop_was_asked(folder):
                    with suppress(OSError):
                        ask_to_stop(folder, status)
                if time.monotonic() - asked > PATIENCE_S:
                    raise QgsProcessingException(self.tr("The run is still saving; the panel shows when it is done."))
            time.sleep(LOOK_S)

    def _line(self, step: LoggedStep) -> str:
        parts = [self.tr("Step {}").format(step.step)]
        if step.loss is not None:
            parts.append(self.tr("loss {:.3f}").format(step.loss))
        if step.samples_per_second is not None:
            parts.append(self.tr("{:.3g} samples a second").format(step.samples_per_second))
        return ", ".join(parts)
