"""The scene table: layers of one place with sensor, bands and date."""

from __future__ import annotations

from qgis.core import Qgis, QgsProject, QgsRasterLayer
from qgis.gui import QgsMapCanvas
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
from ..layers.crs import assigned_crs
from ..layers.dates import date_of_layer
from ..layers.drawn import BANDS as DRAWN_BANDS
from ..layers.drawn import Drawing, drawings_for
from ..layers.rows import SceneRow, acquisition_of, load_rows, save_rows, scene_of, with_date, with_sensor
from ..layers.sources import LayerError, file_path, needs_drawing
from ..protocol.requests import DescribeRaster, RasterDescription
from ..protocol.scene_source import AcquisitionSource, Extent, SceneSource
from ..protocol.sensors import SENSORS
from ..settings import Settings
from .row_dialog import RowDialog

LAYER, SENSOR, BANDS, DATE = range(4)


class ScenePanel(QWidget):
    """Edits the rows; everything else asks it for the scene."""

    changed = pyqtSignal()
    message = pyqtSignal(str, object)
    failed = pyqtSignal(object)

    def __init__(self, engine: Engine, canvas: QgsMapCanvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._engine, self._canvas = engine, canvas
        self.rows: list[SceneRow] = []
        self.descriptions: dict[str, RasterDescription] = {}
        self._asked: set[str] = set()
        self.drawings: dict[str, Drawing] = {}  # by path: what has to be drawn before a scene given out can be read
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
        self.table.cellDoubleClicked.connect(self._open)
        self.table.itemSelectionChanged.connect(self._enable)
        self.empty = QLabel(self.tr("Add the layers of one place: any sensors, any dates. They are what the jobs below work on."))
        self.empty.setWordWrap(True)
        self.add_button = QPushButton(self.tr("Add layer"))
        self.menu = QMenu(self)
        self.add_button.setMenu(self.menu)
        self.remove_button = QPushButton(self.tr("Remove"))
        self.remove_button.clicked.connect(self._remove)
        self.edit_button = QPushButton(self.tr("Bands …"))
        self.edit_button.setToolTip(self.tr("Which band of the file is which, and what its numbers mean"))
        self.edit_button.clicked.connect(lambda: self._open(self._current()))
        self.dialog: RowDialog | None = None
        row = QHBoxLayout()
        row.addWidget(self.add_button)
        row.addWidget(self.edit_button)
        row.addWidget(self.remove_button)
        row.addStretch(1)
        self.note = QLabel()
        self.note.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addWidget(self.empty)
        layout.addWidget(self.note)
        layout.addLayout(row)

    # -- what others use ---------------------------------------------------------------------------------------------
    def scene(self, extent: Extent | None = None) -> SceneSource:
        """All rows; raises LayerError with what to do."""
        return self.scene_at([row.layer_id for row in self.rows], extent)

    def scene_at(self, layer_ids: list[str], extent: Extent | None = None) -> SceneSource:
        """Some of the rows. Those that are no files are drawn into the paths that the scene names: see `drawings`."""
        project = QgsProject.instance()
        rows = [row for row in self.rows if row.layer_id in layer_ids]
        layers = [project.mapLayer(row.layer_id) for row in rows]
        folder = Settings.load().cache / "drawn"
        drawings = drawings_for(layers, self.descriptions, extent, self._canvas.mapSettings(), folder)
        scene = scene_of(rows, self.descriptions, project, extent, drawings)
        self.drawings |= {str(drawing.path): drawing for drawing in drawings.values()}
        return scene

    def dated(self) -> list[tuple[str, str, str]]:
        """(date, layer id, name) of the rows with a date, the oldest first."""
        project = QgsProject.instance()
        found = [(self._date(row), row.layer_id, project.mapLayer(row.layer_id).name()) for row in self.rows]
        return sorted(entry for entry in found if entry[0])

    def add(self, layer: QgsRasterLayer) -> None:
        if any(row.layer_id == layer.id() for row in self.rows):
            return
        if not needs_drawing(layer):
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

    def _description(self, row: SceneRow) -> RasterDescription | None:
        """What the engine has told of the row's file by now."""
        try:
            return self.descriptions.get(file_path(QgsProject.instance().mapLayer(row.layer_id)))
        except LayerError:
            return None

    def _source(self, row: SceneRow) -> AcquisitionSource | None:
        """What a file is to the engine, as far as that is known by now."""
        description = self._description(row)
        return acquisition_of(row, description, QgsProject.instance()) if description else None

    def _date(self, row: SceneRow) -> str:
        if self._drawn(row):
            return row.date or date_of_layer(QgsProject.instance().mapLayer(row.layer_id)) or ""
        source = self._source(row)
        return (source.date or "") if source else row.date

    def _drawn(self, row: SceneRow) -> bool:
        return needs_drawing(QgsProject.instance().mapLayer(row.layer_id))

    def _show(self) -> None:
        self.table.blockSignals(True)
        self.table.setRowCount(len(self.rows))
        for number, row in enumerate(self.rows):
            layer = QgsProject.instance().mapLayer(row.layer_id)
            for column, text in ((LAYER, layer.name()), (BANDS, self._bands(row)), (DATE, self._date(row))):
                item = QTableWidgetItem(text)
                if column != DATE:
                    item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                self.table.setItem(number, column, item)
            description = self._description(row)
            reasons = description.reasons if description else ()
            self.table.item(number, LAYER).setToolTip("\n".join([layer.source(), *reasons]))
            self.table.item(number, BANDS).setToolTip("\n".join(reasons))
            self.table.item(number, DATE).setToolTip(self.tr("Year-month-day; empty if nobody knows"))
            self._show_sensor(number, row)
            self._describe(row)
        self.table.blockSignals(False)
        self.table.setVisible(bool(self.rows))
        self.empty.setVisible(not self.rows)
        self._note_drawn()
        self._enable()
        self._fill_menu()
        self.changed.emit()

    def _bands(self, row: SceneRow) -> str:
        """All of a few bands, the number of many: the tool tip lists them."""
        if self._drawn(row):
            return " ".join(DRAWN_BANDS)
        if self._description(row) is None:
            return "…"
        source = self._source(row)
        names = [band.band for band in source.bands] if source else []
        return " ".join(names) if len(names) <= 4 else str(len(names))

    def _note_drawn(self) -> None:
        """Layers that are no files: how they get into a job."""
        project = QgsProject.instance()
        drawn = [project.mapLayer(row.layer_id).name() for row in self.rows if self._drawn(row)]
        files = len(drawn) < len(self.rows)
        scale = self.tr("with the pixels of the files beside it") if files else self.tr("at the scale of the map view")
        self.note.setText(self.tr("{} is drawn by QGIS for each job, {}.").format(", ".join(drawn), scale))
        self.note.setVisible(bool(drawn))

    def _show_sensor(self, number: int, row: SceneRow) -> None:
        """In the row's box; a picture in red, green and blue is high-resolution, whatever it shows."""
        source = self._source(row)
        current = "hr" if self._drawn(row) else source.sensor if source else row.sensor
        box = self.table.cellWidget(number, SENSOR) or self._sensor_box(number)
        box.setEnabled(not self._drawn(row))
        box.setCurrentIndex(max(box.findData(current), 0))
        box.setToolTip(SENSORS[current].label if current else self.tr("What took the image?"))

    def _sensor_box(self, number: int) -> QComboBox:
        box = QComboBox()
        box.addItem(self.tr("Choose …"), "")
        for key, sensor in SENSORS.items():
            box.addItem(sensor.short, key)
        box.activated.connect(lambda index: self._replace(number, with_sensor(self.rows[number], box.itemData(index))))
        self.table.setCellWidget(number, SENSOR, box)
        return box

    def _replace(self, number: int, row: SceneRow) -> None:
        rows = list(self.rows)
        rows[number] = row
        self._set_rows(rows)

    def _edited(self, item: QTableWidgetItem) -> None:
        if item.column() != DATE:
            return
        row = self.rows[item.row()]
        try:
            row = with_date(row, item.text())
        except LayerError as error:
            self.message.emit(str(error), Qgis.MessageLevel.Warning)
        self._replace(item.row(), row)

    # -- one row in full ---------------------------------------------------------------------------------------------
    def _current(self) -> int:
        return self.table.currentRow() if self.table.selectedIndexes() else 0

    def _enable(self) -> None:
        self.remove_button.setEnabled(bool(self.rows))
        number = self._current()
        self.edit_button.setEnabled(number < len(self.rows) and self._description(self.rows[number]) is not None)

    def _open(self, number: int, column: int = BANDS) -> None:
        """The dialog of a row; the date is edited in its cell."""
        row = self.rows[number]
        description = self._description(row)
        if column == DATE or description is None:
            return
        self.dialog = RowDialog(row, description, self)
        self.dialog.accepted.connect(lambda: self._take(row))
        self.dialog.finished.connect(self.dialog.deleteLater)
        self.dialog.open()

    def _take(self, row: SceneRow) -> None:
        numbers = [number for number, other in enumerate(self.rows) if other.layer_id == row.layer_id]
        if numbers and self.dialog is not None:  # the layer may be gone by now
            self._replace(numbers[0], self.dialog.row())

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
        layer = QgsProject.instance().mapLayer(row.layer_id)
        try:
            path = file_path(layer)
        except LayerError:
            return
        if path in self.descriptions or path in self._asked or self._engine.reason:
            return
        self._asked.add(path)
        handle = self._engine.submit(DescribeRaster(path, assigned_crs(layer)))
        handle.done.connect(self._described)
        handle.failed.connect(self.failed)
        handle.finished.connect(lambda: self._asked.discard(path))

    def _described(self, description: RasterDescription) -> None:
        if description.path not in self.descriptions:
            self.descriptions[description.path] = description
            self._show()
