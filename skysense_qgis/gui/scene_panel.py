"""The scene table: layers of one place with sensor, bands and date."""

from __future__ import annotations

from dataclasses import replace

from qgis.core import Qgis, QgsProject, QgsRasterLayer
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ..client.client import Engine
from ..layers.rows import SceneRow, acquisition_of, load_rows, save_rows, scene_of, with_date
from ..layers.sources import LayerError, file_path
from ..protocol.requests import DescribeRaster, RasterDescription
from ..protocol.scene_source import Extent, SceneSource
from ..protocol.sensors import SENSORS

LAYER, SENSOR, BANDS, DATE = range(4)


class ScenePanel(QWidget):
    """Edits the rows; everything else asks it for the scene."""

    changed = pyqtSignal()
    message = pyqtSignal(str, object)
    failed = pyqtSignal(object)

    def __init__(self, engine: Engine, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self.rows: list[SceneRow] = []
        self.descriptions: dict[str, RasterDescription] = {}
        self._build()
        project = QgsProject.instance()
        project.readProject.connect(self.reload)
        project.cleared.connect(self.reload)
        project.layersRemoved.connect(self.reload)
        project.layersAdded.connect(self._fill_menu)
        self.reload()

    def _build(self) -> None:
        self.table = QTableWidget(0, 4)
        self.table.setHorizontalHeaderLabels([self.tr("Layer"), self.tr("Sensor"), self.tr("Bands"), self.tr("Date")])
        self.table.verticalHeader().hide()
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table.horizontalHeader().setSectionResizeMode(LAYER, QHeaderView.ResizeMode.Stretch)
        for column in (SENSOR, BANDS, DATE):
            self.table.horizontalHeader().setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setMinimumSectionSize(56)
        self.table.setWordWrap(False)
        self.table.setMaximumHeight(150)
        self.table.itemChanged.connect(self._edited)
        self.empty = QLabel(self.tr("Add the layers of one place: any sensors, any dates. They are what the jobs below work on."))
        self.empty.setWordWrap(True)
        self.add_button = QPushButton(self.tr("Add layer"))
        self.menu = QMenu(self)
        self.add_button.setMenu(self.menu)
        self.remove_button = QPushButton(self.tr("Remove"))
        self.remove_button.clicked.connect(self._remove)
        row = QHBoxLayout()
        row.addWidget(self.add_button)
        row.addWidget(self.remove_button)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addWidget(self.empty)
        layout.addLayout(row)

    # -- what others use ---------------------------------------------------------------------------------------------
    def scene(self, extent: Extent | None = None) -> SceneSource:
        """All rows; raises LayerError with what to do."""
        return scene_of(self.rows, self.descriptions, QgsProject.instance(), extent)

    def scene_at(self, layer_ids: list[str], extent: Extent | None = None) -> SceneSource:
        """Some of the rows."""
        return scene_of([row for row in self.rows if row.layer_id in layer_ids], self.descriptions, QgsProject.instance(), extent)

    def dated(self) -> list[tuple[str, str, str]]:
        """(date, layer id, name) of the rows with a date, the oldest first."""
        found = []
        for row in self.rows:
            source = self._source(row)
            if source is not None and source.date:
                found.append((source.date, row.layer_id, source.name))
        return sorted(found)

    def add(self, layer: QgsRasterLayer) -> None:
        if any(row.layer_id == layer.id() for row in self.rows):
            return
        try:
            file_path(layer)
        except LayerError as error:
            self.message.emit(str(error), Qgis.MessageLevel.Warning)
            return
        self._set_rows([*self.rows, SceneRow(layer.id())])

    def reload(self, *_: object) -> None:
        """From the project: another one was opened, or layers are gone."""
        self.rows = load_rows(QgsProject.instance())
        self._show()

    def remove_connections(self) -> None:
        project = QgsProject.instance()
        project.readProject.disconnect(self.reload)
        project.cleared.disconnect(self.reload)
        project.layersRemoved.disconnect(self.reload)
        project.layersAdded.disconnect(self._fill_menu)

    # -- inside ------------------------------------------------------------------------------------------------------
    def _set_rows(self, rows: list[SceneRow]) -> None:
        self.rows = rows
        save_rows(QgsProject.instance(), rows)
        self._show()

    def _source(self, row: SceneRow):
        layer = QgsProject.instance().mapLayer(row.layer_id)
        try:
            description = self.descriptions.get(file_path(layer))
        except LayerError:
            return None
        return acquisition_of(row, description, QgsProject.instance()) if description else None

    def _show(self) -> None:
        self.table.blockSignals(True)
        self.table.setRowCount(len(self.rows))
        for number, row in enumerate(self.rows):
            layer = QgsProject.instance().mapLayer(row.layer_id)
            source = self._source(row)
            name = QTableWidgetItem(layer.name())
            name.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            bands = QTableWidgetItem(_bands_text([band.band for band in source.bands]) if source else "…")
            bands.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            date = QTableWidgetItem((source.date or "") if source else row.date)
            date.setToolTip(self.tr("Year-month-day; empty if nobody knows"))
            reasons = self._reasons(row)
            name.setToolTip("\n".join([layer.source(), *reasons]))
            bands.setToolTip("\n".join(reasons))
            self.table.setItem(number, LAYER, name)
            self.table.setItem(number, BANDS, bands)
            self.table.setItem(number, DATE, date)
            self.table.setCellWidget(number, SENSOR, self._sensor_box(number, source.sensor if source else row.sensor))
            self._describe(row)
        self.table.blockSignals(False)
        self.table.setVisible(bool(self.rows))
        self.empty.setVisible(not self.rows)
        self.remove_button.setEnabled(bool(self.rows))
        self._fill_menu()
        self.changed.emit()

    def _reasons(self, row: SceneRow) -> tuple[str, ...]:
        try:
            path = file_path(QgsProject.instance().mapLayer(row.layer_id))
        except LayerError:
            return ()
        return self.descriptions[path].reasons if path in self.descriptions else ()

    def _sensor_box(self, number: int, current: str) -> QComboBox:
        box = QComboBox()
        box.addItem(self.tr("Choose …"), "")
        for key, sensor in SENSORS.items():
            box.addItem(sensor.label, key)
        box.setCurrentIndex(max(box.findData(current), 0))
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(6)
        box.activated.connect(lambda index: self._chose_sensor(number, box.itemData(index)))
        return box

    def _chose_sensor(self, number: int, sensor: str) -> None:
        rows = list(self.rows)
        rows[number] = replace(rows[number], sensor=sensor)
        self._set_rows(rows)

    def _edited(self, item: QTableWidgetItem) -> None:
        if item.column() != DATE:
            return
        rows = list(self.rows)
        try:
            rows[item.row()] = with_date(rows[item.row()], item.text())
        except LayerError as error:
            self.message.emit(str(error), Qgis.MessageLevel.Warning)
        self._set_rows(rows)

    def _fill_menu(self, *_: object) -> None:
        """Before it is asked for: a menu without entries does not open."""
        self.menu.clear()
        used = {row.layer_id for row in self.rows}
        layers = [layer for layer in QgsProject.instance().mapLayers().values() if isinstance(layer, QgsRasterLayer)]
        for layer in sorted(layers, key=lambda layer: layer.name().lower()):
            if layer.id() not in used:
                action = self.menu.addAction(layer.name())
                action.triggered.connect(lambda _=False, layer=layer: self.add(layer))
        if self.menu.isEmpty():
            self.menu.addAction(self.tr("The project has no other raster layers")).setEnabled(False)

    def _remove(self) -> None:
        chosen = {index.row() for index in self.table.selectedIndexes()} or {len(self.rows) - 1}
        self._set_rows([row for number, row in enumerate(self.rows) if number not in chosen])

    def _describe(self, row: SceneRow) -> None:
        """Ask the engine once per file; the table is drawn again when it knows."""
        try:
            path = file_path(QgsProject.instance().mapLayer(row.layer_id))
        except LayerError:
            return
        if path in self.descriptions or self._engine.reason:
            return
        handle = self._engine.submit(DescribeRaster(path))
        handle.done.connect(self._described)
        handle.failed.connect(self.failed)

    def _described(self, description: RasterDescription) -> None:
        if description.path not in self.descriptions:
            self.descriptions[description.path] = description
            self._show()


def _bands_text(names: list[str]) -> str:
    """All of a few bands, the number of many: the tool tip lists them."""
    return " ".join(names) if len(names) <= 4 else str(len(names))
