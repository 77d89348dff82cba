"""Where kept polygons go: a new temporary layer, a new GeoPackage, or a layer of the project and its fields."""

from __future__ import annotations

import json
from pathlib import Path

from qgis.core import Qgis, QgsCoordinateReferenceSystem, QgsProject, QgsVectorLayer
from qgis.gui import QgsFieldComboBox, QgsMapLayerComboBox
from qgis.PyQt.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ..layers.kept import FIELDS, guessed_fields, new_layer

OWN = "skysense/kept"  # of a layer that was made here: its style follows the classes
PROPERTY = "skysense/fields"  # of a layer: the field map that the user chose; the project file keeps it


class TargetBox(QWidget):
    """A layer box, and a button for what the box does not offer."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = QgsMapLayerComboBox()
        self.box.setFilters(Qgis.LayerFilter.PolygonLayer)
        self.box.setAllowEmptyLayer(True, self.tr("New temporary layer"))
        self.box.setLayer(None)
        self.box.layerChanged.connect(self._changed)
        menu = QMenu(self)
        self.new_file = menu.addAction(self.tr("New GeoPackage …"))
        self.new_file.triggered.connect(self._choose_file)
        self.fields = menu.addAction(self.tr("Fields of the layer …"))
        self.fields.triggered.connect(self._choose_fields)
        self.button = QToolButton()
        self.button.setText("…")
        self.button.setMenu(menu)
        self.button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.button.setToolTip(self.tr("A new file, or which field takes what"))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box, 1)
        row.addWidget(self.button)
        self._path: Path | None = None
        self._changed(None)

    def layer(self, crs: QgsCoordinateReferenceSystem) -> QgsVectorLayer:
        """The layer to add to; made and put into the project if it is a new one.

        Raises:
            LayerError: the file cannot be written.
        """
        chosen = self.box.currentLayer()
        if chosen is not None:
            return chosen
        name = self._path.stem if self._path is not None else self.tr("Kept polygons")
        made = new_layer(crs, name, self._path)
        made.setCustomProperty(OWN, True)
        QgsProject.instance().addMapLayer(made)
        self.box.setLayer(made)
        return made

    def choose_file(self, path: Path) -> None:
        """Keep in a new GeoPackage, made with the first polygon, when the CRS is known."""
        self._path = path.with_suffix(".gpkg")
        self.box.setAllowEmptyLayer(True, self._path.name)
        self.box.setLayer(None)

    def _changed(self, layer: QgsVectorLayer | None) -> None:
        self.fields.setEnabled(layer is not None)
        if layer is not None and self._path is not None:  # the file is made, or another layer was preferred
            self._path = None
            self.box.setAllowEmptyLayer(True, self.tr("New temporary layer"))

    def _choose_file(self) -> None:
        beside = QFileDialog.Option.DontConfirmOverwrite  # a file that is there gets one more layer
        title = self.tr("Keep polygons in")
        path, _ = QFileDialog.getSaveFileName(self, title, "", "GeoPackage (*.gpkg)", options=beside)
        if path:
            self.choose_file(Path(path))

    def _choose_fields(self) -> None:
        layer = self.box.currentLayer()
        dialog = FieldMapDialog(layer, self)
        dialog.accepted.connect(lambda: layer.setCustomProperty(PROPERTY, json.dumps(dialog.field_map())))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()


class FieldMapDialog(QDialog):
    """Which field of an existing layer takes which fact of a kept polygon."""

    def __init__(self, layer: QgsVectorLayer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Fields of {}").format(layer.name()))
        note = QLabel(self.tr("What goes into which field of the layer. Fields left empty take nothing."))
        note.setWordWrap(True)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        titles = {
            "class": self.tr("Class"),
            "area_m2": self.tr("Area in m²"),
            "source": self.tr("Source layer"),
            "date": self.tr("Date of the layer"),
            "prompts": self.tr("Number of clicks"),
            "method": self.tr("Method"),
        }
        current = field_map_of(layer)
        self.boxes: dict[str, QgsFieldComboBox] = {}
        for name, _ in FIELDS:
            box = QgsFieldComboBox()
            box.setAllowEmptyFieldName(True)
            box.setLayer(layer)
            box.setField(current.get(name, ""))
            self.boxes[name] = box
            form.addRow(titles[name], box)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(note)
        layout.addLayout(form)
        layout.addWidget(buttons)

    def field_map(self) -> dict[str, str]:
        """Name among FIELDS -> field of the layer."""
        return {name: box.currentField() for name, box in self.boxes.items() if box.currentField()}


def is_own(layer: QgsVectorLayer) -> bool:
    """Whether the layer was made for kept polygons; the style of others is the user's."""
    return bool(layer.customProperty(OWN, False))


def field_map_of(layer: QgsVectorLayer) -> dict[str, str]:
    """What the user chose for this layer, without fields that are gone; else the fields of the same names."""
    stored = layer.customProperty(PROPERTY)
    if not stored:
        return guessed_fields(layer)
    return {name: field for name, field in json.loads(stored).items() if layer.fields().indexOf(field) >= 0}
