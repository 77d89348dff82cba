"""A new pretraining run: data, size, start, length, place."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ..client.pretraining import BUNDLED, RunOptions, uneven_parts
from ..paths import models_folder
from ..settings import Settings
from .pretraining_data import PretrainingData

# Parameters of the backend's presets, in millions: docs/models.md, `skysense models --table`.
SIZES = (("nano", 4.45), ("tiny", 54.0), ("base", 419.3), ("huge", 2078.4))
WITH_WEIGHTS = "nano"  # whose weights come with the plugin
RANDOM, FILE = "", "file"


@dataclass(frozen=True)
class WantedRun:
    """What the form says."""

    folder: Path
    options: RunOptions  # without shards where they are yet to be made
    of_layers: bool
    keep: bool  # whether it goes on when QGIS closes


class PretrainingForm(QWidget):
    wanted = pyqtSignal(object)  # WantedRun

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.data = PretrainingData()
        self.preset = QComboBox()
        for key, millions in SIZES:
            self.preset.addItem(self.tr("{}: {:,g} million parameters").format(key, millions), key)
        self.preset.currentIndexChanged.connect(self._check)
        self.start_from = QComboBox()
        for key, label in (
            (BUNDLED, self.tr("The weights that come with the plugin")),
            (RANDOM, self.tr("Random weights")),
            (FILE, self.tr("A file of weights")),
        ):
            self.start_from.addItem(label, key)
        self.start_from.currentIndexChanged.connect(self._check)
        self.file = QgsFileWidget()
        self.file.setFilter(self.tr("Weights") + " (*.safetensors)")
        self.file.fileChanged.connect(self._check)
        self.near = QCheckBox(self.tr("Stay near these weights"))
        self.near.setToolTip(self.tr("With little imagery: what the encoder knows is kept, and features change less"))
        self.steps = _counter(1, 10_000_000, 1000)
        self.batch = _counter(1, 65_536, 8)
        self.batch.setToolTip(self.tr("Places in one step. More make steadier steps and take more memory."))
        self.batch.valueChanged.connect(self._check)
        self.accumulate = _counter(1, 65_536, 1)
        self.accumulate.setToolTip(
            self.tr(
                "A batch goes through in so many equal parts, one after the other. With more parts a large batch fits into "
                "little memory; a step takes no less time, and places are compared within a part only. 1: all at once."
            )
        )
        self.accumulate.valueChanged.connect(self._check)
        self.learning_rate = RateBox(1e-7, 1.0, 5e-4)
        self.learning_rate.setToolTip(
            self.tr(
                "How far a step changes the encoder. Smaller learns more slowly, but keeps more of what it knows; too large, "
                "and the loss rises, or the run ends because it is no number any more."
            )
        )
        self.seed = _counter(0, 2**31 - 1, 0)
        self.device = QComboBox()
        for key, label in (("auto", self.tr("Automatic")), ("cpu", self.tr("Processor")), ("cuda", self.tr("Graphics card"))):
            self.device.addItem(label, key)
        self.folder = QgsFileWidget()
        self.folder.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self.folder.fileChanged.connect(self._check)
        self.keep = keep_box()
        for box in (self.preset, self.start_from, self.device):
            _narrow(box)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.addRow(self.tr("Data"), self.data)
        form.addRow(self.tr("Size"), self.preset)
        start = QVBoxLayout()
        start.addWidget(self.start_from)
        start.addWidget(self.file)
        start.addWidget(self.near)
        form.addRow(self.tr("Start from"), start)
        form.addRow(self.tr("Steps"), self.steps)
        form.addRow(self.tr("Batch"), self.batch)
        form.addRow(self.tr("Gradient accumulation"), self.accumulate)
        form.addRow(self.tr("Learning rate"), self.learning_rate)
        form.addRow(self.tr("Device"), self.device)
        form.addRow(self.tr("Seed"), self.seed)
        form.addRow(self.tr("Run folder"), self.folder)
        form.addRow(self.tr("When QGIS closes"), self.keep)
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.start_button = QPushButton(self.tr("Start pretraining"))
        self.start_button.clicked.connect(lambda: self.wanted.emit(self.wanted_run()))
        self.data.changed.connect(self._check)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.note)
        layout.addWidget(self.start_button)
        layout.addStretch(1)
        self.renew()

    def renew(self) -> None:
        """As for the next run: a folder that is free."""
        self.device.setCurrentIndex(max(self.device.findData(Settings.load().device), 0))
        self.folder.setFilePath(str(free_run_folder()))
        self._check()

    def wanted_run(self) -> WantedRun:
        start = self.start_from.currentData()
        options = RunOptions(
            shards=() if self.data.use_layers else self.data.folders,
            preset=self.preset.currentData(),
            start=self.file.filePath() if start == FILE else start,
            near=self.near.isChecked(),
            steps=self.steps.value(),
            batch=self.batch.value(),
            accumulate=self.accumulate.value(),
            learning_rate=self.learning_rate.value(),
            seed=self.seed.value(),
            device=self.device.currentData(),
        )
        return WantedRun(Path(self.folder.filePath()), options, self.data.use_layers, self.keep.currentData())

    def _check(self, *_: object) -> None:
        """Say what is missing, before the button is pressed."""
        bundled = self.preset.currentData() == WITH_WEIGHTS
        item = self.start_from.model().item(self.start_from.findData(BUNDLED))
        item.setEnabled(bundled)
        item.setToolTip("" if bundled else self.tr("Only {} comes with weights").format(WITH_WEIGHTS))
        if not bundled and self.start_from.currentData() == BUNDLED:
            self.start_from.setCurrentIndex(self.start_from.findData(RANDOM))
        self.near.setVisible(self.start_from.currentData() != RANDOM)
        self.file.setVisible(self.start_from.currentData() == FILE)
        missing = ""
        if not self.data.complete:
            missing = self.tr("Choose what to learn from.")
        elif self.start_from.currentData() == FILE and not Path(self.file.filePath()).is_file():
            missing = self.tr("Choose the file of weights to start from.")
        elif not self.folder.filePath():
            missing = self.tr("Choose a folder for the run.")
        else:
            missing = uneven_parts(self.batch.value(), self.accumulate.value())
        self.note.setText(missing)
        self.note.setVisible(bool(missing))
        self.start_button.setEnabled(not missing)


class RateBox(QDoubleSpinBox):
    """A small number in full, without zeros at its end; its arrows change it by a hundredth to a tenth."""

    def __init__(self, least: float, most: float, value: float) -> None:
        super().__init__()
        self.setDecimals(7)
        self.setRange(least, most)
        self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self.setValue(value)

    def textFromValue(self, value: float) -> str:
        return super().textFromValue(value).rstrip("0").rstrip(self.locale().decimalPoint())


def free_run_folder() -> Path:
    """The first that is not there, beside the models' folder."""
    home = models_folder().parent / "pretraining"
    return next(path for number in itertools.count(1) if not (path := home / f"run-{number}").exists())


def keep_box() -> QComboBox:
    """What becomes of a run when QGIS closes."""
    box = QComboBox()
    box.addItem(box.tr("Keep training"), True)
    box.addItem(box.tr("Save and stop"), False)
    box.setToolTip(box.tr("A run is a process of its own; it is found again at the next start of QGIS"))
    return box


def _counter(least: int, most: int, value: int) -> QSpinBox:
    box = QSpinBox()
    box.setRange(least, most)
    box.setGroupSeparatorShown(True)
    box.setValue(value)
    return box


def _narrow(box: QComboBox) -> None:
    """Its longest entry does not widen the window."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
