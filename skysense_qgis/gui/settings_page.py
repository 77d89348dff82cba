"""The page under Settings > Options."""

from __future__ import annotations

from collections.abc import Callable

from qgis.gui import QgsFileWidget, QgsOptionsPageWidget, QgsOptionsWidgetFactory
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from ..paths import RESOURCES, cache_folder, models_folder
from ..settings import Settings


class SettingsFactory(QgsOptionsWidgetFactory):
    def __init__(self, engine_moved: Callable[[], None]) -> None:
        """Offer the page; `engine_moved` is called when the user has chosen another place for the engine."""
        super().__init__("SkySense", QIcon(str(RESOURCES / "icons" / "skysense.svg")))
        self._engine_moved = engine_moved

    def createWidget(self, parent: QWidget | None = None) -> SettingsPage:
        return SettingsPage(self._engine_moved, parent)


class SettingsPage(QgsOptionsPageWidget):
    def __init__(self, engine_moved: Callable[[], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._engine_moved = engine_moved
        settings = Settings.load()
        self.interpreter = self._file(QgsFileWidget.StorageMode.GetFile, settings.interpreter, self.tr("Found by itself"))
        self.device = QComboBox()
        for key, label in (("auto", self.tr("Automatic")), ("cpu", self.tr("Processor")), ("cuda", self.tr("Graphics card"))):
            self.device.addItem(label, key)
        self.device.setCurrentIndex(max(self.device.findData(settings.device), 0))
        self.outputs = self._file(QgsFileWidget.StorageMode.GetDirectory, settings.output_folder, self.tr("Temporary"))
        self.models = self._file(QgsFileWidget.StorageMode.GetDirectory, settings.models_folder, str(models_folder()))
        self.cache = self._file(QgsFileWidget.StorageMode.GetDirectory, settings.cache_folder, str(cache_folder()))
        self.limit = QDoubleSpinBox()
        self.limit.setRange(0.1, 1000.0)
        self.limit.setDecimals(1)
        self.limit.setSuffix(self.tr(" GB"))
        self.limit.setValue(settings.cache_limit_bytes / 1e9)
        self.limit.setToolTip(self.tr("Layers that only QGIS can draw (WMS, XYZ) are kept as pictures; the oldest make room"))
        warning = QLabel(self.tr("Without an output folder results are temporary and may be gone after a restart."))
        warning.setWordWrap(True)
        form = QFormLayout()
        form.addRow(self.tr("Python of the engine"), self.interpreter)
        form.addRow(self.tr("Cache folder, with the engine (5 GB)"), self.cache)
        form.addRow(self.tr("Limit for drawn layers in it"), self.limit)
        form.addRow(self.tr("Device"), self.device)
        form.addRow(self.tr("Output folder"), self.outputs)
        form.addRow("", warning)
        form.addRow(self.tr("Your models"), self.models)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addStretch(1)

    def apply(self) -> None:
        """QGIS calls this on OK."""
        old = Settings.load()
        new = Settings(
            interpreter=self.interpreter.filePath(),
            device=self.device.currentData(),
            encoder=old.encoder,
            output_folder=self.outputs.filePath(),
            models_folder=self.models.filePath(),
            cache_folder=self.cache.filePath(),
            cache_limit=f"{self.limit.value():.1f}",
        )
        new.save()
        if (new.interpreter, new.cache_folder) != (old.interpreter, old.cache_folder):
            self._engine_moved()

    def _file(self, mode: QgsFileWidget.StorageMode, value: str, empty: str) -> QgsFileWidget:
        widget = QgsFileWidget()
        widget.setStorageMode(mode)
        widget.setFilePath(value)
        widget.lineEdit().setPlaceholderText(empty)
        return widget
