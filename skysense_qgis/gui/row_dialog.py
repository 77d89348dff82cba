"""One row of the scene table in full: sensor, which band of the file is which, what its numbers mean, the date."""

from __future__ import annotations

from dataclasses import replace

from qgis.core import Qgis, QgsProject
from qgis.gui import QgsMessageBar
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from ..layers.rows import SceneRow, acquisition_of, with_date
from ..layers.sources import LayerError
from ..protocol.requests import RasterDescription
from ..protocol.scene_source import BandIndex, Scaling
from ..protocol.sensors import SENSORS
from .forms import align_labels

RECOGNISED, OTHER = "recognised", "other"


class RowDialog(QDialog):
    """What is left as it was recognised follows the file; what is changed is the user's word."""

    def __init__(self, row: SceneRow, description: RasterDescription, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._description = description
        self._row = replace(row, sensor=row.sensor or description.sensor or "hr")
        layer = QgsProject.instance().mapLayer(row.layer_id)
        self.setWindowTitle(self.tr("{}: bands and values").format(layer.name()))
        self.setMinimumWidth(420)
        self.bar = QgsMessageBar()
        reasons = QLabel("\n".join(description.reasons))
        reasons.setWordWrap(True)
        self.sensor = QComboBox()
        for key, sensor in SENSORS.items():
            self.sensor.addItem(sensor.label, key)
        self.sensor.setCurrentIndex(self.sensor.findData(self._row.sensor))
        self.sensor.activated.connect(self._chose_sensor)
        self.date = QLineEdit(row.date)
        self.date.setPlaceholderText(description.date or self.tr("Year-month-day"))
        self.bands: dict[str, QComboBox] = {}
        self._band_form = QFormLayout()
        self.values = QComboBox()
        self.values.activated.connect(self._chose_values)
        self.scale, self.offset = _number(9, 1e-9, 1e6), _number(4, -1e6, 1e6)
        self.decibel = QCheckBox(self.tr("then to decibel"))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self._accept)
        buttons.rejected.connect(self.reject)

        self._form = form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.tr("Sensor"), self.sensor)
        form.addRow(self.tr("Date"), self.date)
        form.addRow(self.tr("Values"), self.values)
        form.addRow(self.tr("Stored number ×"), self.scale)
        form.addRow(self.tr("plus"), self.offset)
        form.addRow("", self.decibel)
        layout = QVBoxLayout(self)
        layout.addWidget(self.bar)
        layout.addWidget(reasons)
        layout.addLayout(form)
        layout.addWidget(QLabel(f"<b>{self.tr('Bands of the file')}</b>"))
        layout.addLayout(self._band_form)
        layout.addWidget(buttons)
        self._fill()

    def row(self) -> SceneRow:
        """The row as it stands in the dialog.

        Raises:
            LayerError: the date is no day, no band is named, or one band of the file is named twice.
        """
        sensor = self.sensor.currentData()
        recognised = self._recognised()
        chosen = tuple(BandIndex(name, box.currentData()) for name, box in self.bands.items() if box.currentData())
        if not chosen:
            raise LayerError("No band is named. Say which band of the file holds at least one band of the sensor.")
        bands = () if chosen == recognised.bands else chosen
        mode = self.values.currentData()
        scaling = None if mode == RECOGNISED else self._scaling()
        row = replace(
            self._row, sensor="" if sensor == self._description.sensor else sensor, bands=bands, scaling=scaling
        )
        return with_date(row, self.date.text())

    # -- inside ------------------------------------------------------------------------------------------------------
    def _recognised(self):
        plain = SceneRow(self._row.layer_id, self.sensor.currentData(), self._row.date)
        return acquisition_of(plain, self._description, QgsProject.instance())

    def _fill(self) -> None:
        """Bands and values for the sensor that is chosen."""
        recognised = self._recognised()
        shown = {band.band: band.index for band in self._row.bands or recognised.bands}
        while self._band_form.rowCount():
            self._band_form.removeRow(0)
        self.bands = {}
        for band in SENSORS[self.sensor.currentData()].bands:
            box = QComboBox()
            box.addItem(self.tr("not there"), 0)
            for index in range(1, self._description.count + 1):
                box.addItem(_band_label(index, self._description.band_labels), index)
            box.setCurrentIndex(max(box.findData(shown.get(band.name, 0)), 0))
            self.bands[band.name] = box
            label = band.label if band.label == band.name else f"{band.name}  {band.label}"
            self._band_form.addRow(label, box)
        align_labels(self._form, self._band_form)
        self.values.clear()
        self.values.addItem(self.tr("As recognised: {}").format(_formula(recognised.scaling)), RECOGNISED)
        for label, scaling in self._presets():
            self.values.addItem(label, scaling)
        self.values.addItem(self.tr("Other"), OTHER)
        scaling = self._row.scaling
        if scaling is None:
            self._chose_values(0)
            return
        known = [i for i, (_, preset) in enumerate(self._presets(), start=1) if preset == scaling]
        self._show(scaling)
        self._chose_values(known[0] if known else self.values.count() - 1)

    def _presets(self) -> list[tuple[str, Scaling]]:
        if SENSORS[self.sensor.currentData()].kind == "radar":
            return [
                (self.tr("Decibel"), Scaling()),
                (self.tr("Decibel × 100"), Scaling(0.01)),
                (self.tr("Linear power"), Scaling(decibel=True)),
            ]
        return [
            (self.tr("Reflectance, 0 to 1"), Scaling()),
            (self.tr("Reflectance × 10 000"), Scaling(1e-4)),
            (self.tr("Reflectance × 10 000 + 1000 (Sentinel-2 since 2022)"), Scaling(1e-4, -0.1)),
            (self.tr("Landsat collection 2, level 2"), Scaling(2.75e-5, -0.2)),
            (self.tr("8 bits, 0 to 255"), Scaling(1 / 255)),
        ]

    def _chose_sensor(self, _: int) -> None:
        self._row = replace(self._row, sensor=self.sensor.currentData(), bands=(), scaling=None)
        self._fill()

    def _chose_values(self, index: int) -> None:
        self.values.setCurrentIndex(index)
        mode = self.values.currentData()
        if mode == RECOGNISED:
            self._show(self._recognised().scaling)
        elif mode != OTHER:
            self._show(mode)
        for widget in (self.scale, self.offset, self.decibel):
            widget.setEnabled(mode == OTHER)

    def _show(self, scaling: Scaling) -> None:
        self.scale.setValue(scaling.scale)
        self.offset.setValue(scaling.offset)
        self.decibel.setChecked(scaling.decibel)

    def _scaling(self) -> Scaling:
        mode = self.values.currentData()
        return Scaling(self.scale.value(), self.offset.value(), self.decibel.isChecked()) if mode == OTHER else mode

    def _accept(self) -> None:
        try:
            self.row()
        except LayerError as error:
            self.bar.pushMessage(str(error), Qgis.MessageLevel.Warning)
            return
        self.accept()


def _number(decimals: int, least: float, most: float) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setDecimals(decimals)
    box.setRange(least, most)
    box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    return box


def _band_label(index: int, labels: tuple[str, ...]) -> str:
    label = labels[index - 1] if index <= len(labels) else ""
    return f"{index}: {label}" if label else str(index)


def _formula(scaling: Scaling) -> str:
    text = f"× {scaling.scale:.6g}" if scaling.scale != 1 else "as stored"
    if scaling.offset:
        text += f" {'+' if scaling.offset > 0 else '−'} {abs(scaling.offset):.6g}"
    return f"{text}, to decibel" if scaling.decibel else text
