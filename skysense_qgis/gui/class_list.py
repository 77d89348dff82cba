"""The classes that are clicked: name, colour, number key. The project file remembers them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from qgis.core import QgsProject
from qgis.gui import QgsColorButton
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QHBoxLayout, QLineEdit, QListWidget, QListWidgetItem, QToolButton, QVBoxLayout, QWidget

COLOURS = ("#f28f1c", "#2f7ed8", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22")
_SCOPE, _KEY = "skysense", "classes"


@dataclass(frozen=True)
class SegmentClass:
    name: str
    colour: str  # "#rrggbb"


class ClassList(QWidget):
    """At least one class; one of them is the current one."""

    changed = pyqtSignal()  # the current class is another one, or looks different

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.classes: list[SegmentClass] = []
        self.list = QListWidget()
        self.list.setMaximumHeight(96)
        self.list.itemChanged.connect(self._renamed)
        self.list.currentRowChanged.connect(self._chosen)
        self.name = QLineEdit()
        self.name.setPlaceholderText(self.tr("New class"))
        self.name.returnPressed.connect(self._add)
        self.colour = QgsColorButton()
        self.colour.setFixedWidth(64)
        self.colour.colorChanged.connect(self._recoloured)
        self.remove_button = QToolButton()
        self.remove_button.setText("−")
        self.remove_button.setToolTip(self.tr("Take the class out of the list; kept polygons stay"))
        self.remove_button.clicked.connect(self._remove)
        row = QHBoxLayout()
        row.addWidget(self.name, 1)
        row.addWidget(self.colour)
        row.addWidget(self.remove_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.list)
        layout.addLayout(row)
        project = QgsProject.instance()
        project.readProject.connect(self.reload)
        project.cleared.connect(self.reload)
        self.reload()

    # -- what others use ---------------------------------------------------------------------------------------------
    @property
    def current(self) -> SegmentClass:
        return self.classes[max(self.list.currentRow(), 0)]

    def choose(self, index: int) -> None:
        """By number key; nothing where there is no such class."""
        if index < len(self.classes):
            self.list.setCurrentRow(index)

    def reload(self, *_: object) -> None:
        """From the project: another one was opened."""
        text, _ = QgsProject.instance().readEntry(_SCOPE, _KEY, "[]")
        try:
            found = [SegmentClass(str(entry["name"]), QColor(entry["colour"]).name()) for entry in json.loads(text)]
        except (ValueError, TypeError, KeyError):  # edited by hand
            found = []
        self.classes = found or [SegmentClass(self.tr("Object"), COLOURS[0])]
        self._show(0)

    def remove_connections(self) -> None:
        QgsProject.instance().readProject.disconnect(self.reload)
        QgsProject.instance().cleared.disconnect(self.reload)

    # -- inside ------------------------------------------------------------------------------------------------------
    def _set(self, classes: list[SegmentClass], current: int) -> None:
        self.classes = classes
        QgsProject.instance().writeEntry(_SCOPE, _KEY, json.dumps([asdict(entry) for entry in classes]))
        self._show(current)

    def _show(self, current: int) -> None:
        self.list.blockSignals(True)
        self.list.clear()
        for number, entry in enumerate(self.classes, start=1):
            item = QListWidgetItem(entry.name)
            item.setData(Qt.ItemDataRole.DecorationRole, QColor(entry.colour))
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            key = self.tr("Press {} in the map to choose it; double-click to rename").format(number)
            item.setToolTip(key if number < 10 else self.tr("Double-click to rename"))
            self.list.addItem(item)
        self.list.setCurrentRow(current)
        self.list.blockSignals(False)
        self.remove_button.setEnabled(len(self.classes) > 1)
        self._chosen(current)

    def _add(self) -> None:
        name = self.name.text().strip()
        if name:
            self.name.clear()
            colour = COLOURS[len(self.classes) % len(COLOURS)]
            self._set([*self.classes, SegmentClass(name, colour)], len(self.classes))

    def _remove(self) -> None:
        row = self.list.currentRow()
        self._set([entry for number, entry in enumerate(self.classes) if number != row], max(row - 1, 0))

    def _renamed(self, item: QListWidgetItem) -> None:
        name = item.text().strip()
        self._replace(self.list.row(item), name=name or self.classes[self.list.row(item)].name)

    def _recoloured(self, colour: QColor) -> None:
        self._replace(self.list.currentRow(), colour=colour.name())

    def _replace(self, row: int, **values: str) -> None:
        classes = list(self.classes)
        classes[row] = replace(classes[row], **values)
        self._set(classes, self.list.currentRow())

    def _chosen(self, row: int) -> None:
        if row >= 0:
            self.colour.blockSignals(True)
            self.colour.setColor(QColor(self.classes[row].colour))
            self.colour.blockSignals(False)
            self.changed.emit()
