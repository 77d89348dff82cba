"""What all long jobs ask for: where to work, with which model, on which device."""

from __future__ import annotations

from dataclasses import replace

from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QToolButton, QWidget

from ..client.client import Engine
from ..protocol.messages import Capabilities, Device
from ..protocol.requests import ModelCard
from ..settings import Settings
from .extent_box import ExtentBox

AUTOMATIC = "auto"


class JobOptions(QWidget):
    """Model and device are remembered by the settings, the area is not."""

    models_wanted = pyqtSignal()

    def __init__(self, engine: Engine, canvas: QgsMapCanvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self.area = ExtentBox(canvas)
        self.model = _narrow_box()
        self.model.setToolTip(self.tr("The encoder that features are made with"))
        self.model.activated.connect(self._chose_model)
        self.models_button = QToolButton()
        self.models_button.setText("…")
        self.models_button.setToolTip(self.tr("All models, yours too: look at their cards, add and remove them"))
        self.models_button.clicked.connect(self.models_wanted)
        self.device_box = _narrow_box()
        self.device_box.activated.connect(self._chose_device)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.model, 1)
        row.addWidget(self.models_button)
        self.form = form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.tr("Area"), self.area)
        self._encoder_row = (QLabel(self.tr("Model")), self.model, self.models_button)
        form.addRow(self._encoder_row[0], row)
        form.addRow(self.tr("Device"), self.device_box)
        self.set_models(())
        self._fill_devices(engine.capabilities)
        engine.capabilities_changed.connect(self._fill_devices)

    # -- what others use ---------------------------------------------------------------------------------------------
    @property
    def encoder(self) -> str:
        return self.model.currentData()

    @property
    def device(self) -> str:
        return self.device_box.currentData()

    def show_encoder(self, on: bool) -> None:
        for widget in self._encoder_row:
            widget.setVisible(on)

    def set_models(self, cards: tuple[ModelCard, ...]) -> None:
        """The encoders among them that have weights; the one of the settings where none are known yet."""
        known = [(card.label, card.key) for card in cards if card.kind == "encoder" and card.path is not None]
        wanted = Settings.load().encoder
        self.model.clear()
        for label, key in known or [(wanted, wanted)]:
            self.model.addItem(label, key)
        self.model.setCurrentIndex(max(self.model.findData(wanted), 0))

    def remove(self) -> None:
        """Undo what reaches beyond this widget."""
        self._engine.capabilities_changed.disconnect(self._fill_devices)
        self.area.remove()

    # -- inside ------------------------------------------------------------------------------------------------------
    def _fill_devices(self, capabilities: Capabilities | None) -> None:
        wanted = Settings.load().device
        self.device_box.clear()
        self.device_box.addItem(self.tr("Automatic"), AUTOMATIC)
        for device in capabilities.devices if capabilities is not None else ():
            self.device_box.addItem(_device_label(device), device.key)
            item = self.device_box.model().item(self.device_box.count() - 1)
            item.setEnabled(device.usable)
            item.setToolTip(device.reason)
        if capabilities is not None:
            used = next((d.label for d in capabilities.devices if d.key == capabilities.default_device), "")
            self.device_box.setItemText(0, self.tr("Automatic: {}").format(used))
        elif wanted != AUTOMATIC:
            self.device_box.addItem(wanted, wanted)
        self.device_box.setCurrentIndex(max(self.device_box.findData(wanted), 0))

    def _chose_model(self, index: int) -> None:
        replace(Settings.load(), encoder=self.model.itemData(index)).save()

    def _chose_device(self, index: int) -> None:
        replace(Settings.load(), device=self.device_box.itemData(index)).save()


def _device_label(device: Device) -> str:
    return f"{device.label}, {device.memory_bytes / 1e9:.0f} GB"


def _narrow_box() -> QComboBox:
    """A box whose longest entry does not widen the panel."""
    box = QComboBox()
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    return box
