"""Click-to-segment: layer, classes, where polygons go."""

from __future__ import annotations

from qgis.core import Qgis, QgsProject, QgsRasterLayer
from qgis.gui import QgsMapCanvas, QgsMapLayerComboBox
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ..client.client import Engine
from ..layers.dates import date_of_layer
from ..layers.kept import KeptPolygon, keep
from ..layers.sources import LayerError, is_file_layer
from ..layers.styles import style_kept
from ..protocol.requests import OutlineReady
from .class_list import ClassList
from .click_session import ClickSession
from .mask_item import MaskItem
from .more_like_this import MoreLikeThis
from .prompt_tool import PromptTool
from .target_box import TargetBox, field_map_of, is_own


class SegmentPanel(QWidget):
    """Runs one ClickSession at a time."""

    message = pyqtSignal(str, object)  # text, Qgis.MessageLevel
    failed = pyqtSignal(object)  # Failure
    requested = pyqtSignal(object, object)  # the request of a long job, and what to do with its result

    def __init__(self, engine: Engine, canvas: QgsMapCanvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._engine, self._canvas = engine, canvas
        self._session: ClickSession | None = None
        self._item: MaskItem | None = None
        self._previous_tool = None
        self._kept_class = ""  # as it was chosen when Enter was pressed
        self.classes = ClassList()
        self.classes.changed.connect(self._class_changed)
        self.tool = PromptTool(canvas)
        self.tool.clicked.connect(self._point)
        self.tool.boxed.connect(self._box)
        self.tool.undo.connect(self.undo)
        self.tool.redo.connect(self.redo)
        self.tool.keep.connect(self.keep)
        self.tool.drop.connect(self.drop)
        self.tool.class_chosen.connect(self.classes.choose)
        self.tool.deactivated.connect(self.stop)
        self._build()
        QgsProject.instance().layersWillBeRemoved.connect(self._layers_removed)

    # -- the form ----------------------------------------------------------------------------------------------------
    def _build(self) -> None:
        self.layer_box = QgsMapLayerComboBox()
        self.layer_box.setFilters(Qgis.LayerFilter.RasterLayer)
        self.layer_box.layerChanged.connect(self._layer_changed)
        self.start_button = QPushButton(self.tr("Start clicking"))
        self.start_button.setCheckable(True)
        self.start_button.clicked.connect(self._toggle)
        self._invitation = self.tr("Press “Start clicking”, then click on an object in the map.")
        self.hint = QLabel(self._invitation)
        self.hint.setWordWrap(True)

        self.target = TargetBox()
        self.simplify = QDoubleSpinBox()
        self.simplify.setRange(0.0, 20.0)
        self.simplify.setSingleStep(0.5)
        self.simplify.setValue(1.0)
        self.simplify.setSuffix(self.tr(" px"))
        self.fill = QCheckBox(self.tr("Fill holes up to"))
        self.fill_px = QSpinBox()
        self.fill_px.setRange(1, 100_000)
        self.fill_px.setValue(100)
        self.fill_px.setSuffix(self.tr(" px"))
        self.fill_px.setEnabled(False)
        self.fill.toggled.connect(self.fill_px.setEnabled)

        self.keep_button = QPushButton(self.tr("Keep (Enter)"))
        self.keep_button.clicked.connect(self.keep)
        self.undo_button = QPushButton(self.tr("Undo"))
        self.undo_button.clicked.connect(self.undo)
        self.redo_button = QPushButton(self.tr("Redo"))
        self.redo_button.clicked.connect(self.redo)
        self.drop_button = QPushButton(self.tr("Drop (Esc)"))
        self.drop_button.clicked.connect(self.drop)
        buttons = QGridLayout()
        for place, button in enumerate((self.keep_button, self.undo_button, self.drop_button, self.redo_button)):
            buttons.addWidget(button, place // 2, place % 2)

        self.more_button = QPushButton(self.tr("Find more like this"))
        self.more_button.setToolTip(
            self.tr("Everything in the layer that looks like the kept polygons of the chosen class")
        )
        self.more_button.clicked.connect(self.find_more)

        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.addRow(self.tr("Layer"), self.layer_box)
        form.addRow("", self.start_button)
        form.addRow(self.tr("Classes"), self.classes)
        form.addRow(self.tr("Keep in"), self.target)
        form.addRow(self.tr("Simplify"), self.simplify)
        form.addRow(self.fill, self.fill_px)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.hint)
        layout.addLayout(buttons)
        layout.addWidget(self.more_button)
        layout.addStretch(1)
        self._enable()
        self._layer_changed(self.layer_box.currentLayer())

    def _class_changed(self) -> None:
        """The mask takes the colour of its class."""
        if self._session is not None:
            self._session.repeat()

    def _layer_changed(self, layer: QgsRasterLayer | None) -> None:
        if self._session is not None:
            self.stop()
        self.start_button.setEnabled(layer is not None)
        self.more_button.setEnabled(layer is not None)
        if layer is None:
            self.hint.setText(self.tr("Add a raster layer to the project to click in it."))
        elif not is_file_layer(layer):
            self.hint.setText(self.tr("{} is drawn by QGIS at the scale of the map view.").format(layer.name()))
        else:
            self.hint.setText(self._invitation)

    # -- the session -------------------------------------------------------------------------------------------------
    @property
    def session(self) -> ClickSession | None:
        return self._session

    def _toggle(self, on: bool) -> None:
        if on:
            self.start()
        else:
            self.stop()

    def start(self) -> None:
        """Take the map over and encode the view."""
        layer = self.layer_box.currentLayer()
        if layer is None or self._session is not None:
            return
        self._previous_tool = self._canvas.mapTool()
        self._item = MaskItem(self._canvas)
        self._session = ClickSession(self._engine, self._canvas, layer, self)
        self._session.status.connect(self.hint.setText)
        self._session.failed.connect(self.failed)
        self._session.view_opened.connect(lambda extent: self._item and self._item.open(extent, layer.crs()))
        self._session.mask_changed.connect(self._show)
        self._session.outlined.connect(self._outlined)
        self._canvas.setMapTool(self.tool)
        self.start_button.setChecked(True)
        self.start_button.setText(self.tr("Stop clicking"))
        self._enable()

    def stop(self) -> None:
        """Give the map back."""
        if self._session is None:
            return
        session, self._session = self._session, None
        session.close()
        if self._item is not None:
            self._canvas.scene().removeItem(self._item)
            self._item = None
        if self._canvas.mapTool() is self.tool:
            if self._previous_tool is not None:
                self._canvas.setMapTool(self._previous_tool)
            else:
                self._canvas.unsetMapTool(self.tool)
        self._previous_tool = None
        self.start_button.setChecked(False)
        self.start_button.setText(self.tr("Start clicking"))
        self.hint.setText(self._invitation)
        self._enable()

    def remove(self) -> None:
        """Undo everything that reaches beyond this widget."""
        self.stop()
        self.classes.remove_connections()
        QgsProject.instance().layersWillBeRemoved.disconnect(self._layers_removed)
        self.tool.deactivated.disconnect(self.stop)
        self.tool.remove()
        self.tool.deleteLater()

    def undo(self) -> None:
        if self._session is not None:
            self._session.undo()

    def redo(self) -> None:
        if self._session is not None:
            self._session.redo()

    def drop(self) -> None:
        if self._session is not None:
            self._session.drop()

    def keep(self) -> None:
        if self._session is not None:
            self._kept_class = self.classes.current.name
            self._session.keep(self.simplify.value(), self.fill_px.value() if self.fill.isChecked() else 0)

    def _point(self, point, positive: bool) -> None:
        if self._session is not None:
            self._session.add_point(point, positive)

    def _box(self, box) -> None:
        if self._session is not None:
            self._session.add_box(box)

    def _show(self, mask, prompts: tuple) -> None:
        if self._item is None:
            return
        if mask is None:
            self._item.clear()
        else:
            self._item.show_mask(mask.mask, prompts, QColor(self.classes.current.colour))
        self._enable()

    def _outlined(self, outline: OutlineReady, prompts: int) -> None:
        layer = self._session.layer if self._session is not None else None
        if layer is None:
            return
        if outline.wkt.endswith("EMPTY"):
            self.message.emit(self.tr("Nothing is selected. Click on an object first."), Qgis.MessageLevel.Info)
            return
        polygon = KeptPolygon(
            wkt=outline.wkt,
            crs=layer.crs(),
            class_name=self._kept_class,
            area_m2=outline.area_m2,
            source=layer.name(),
            date=date_of_layer(layer),
            prompts=prompts,
        )
        try:
            target = self.target.layer(layer.crs())
            keep(target, polygon, field_map=field_map_of(target))
            if is_own(target):
                style_kept(target, [(entry.name, entry.colour) for entry in self.classes.classes])
        except LayerError as error:
            self.message.emit(str(error), Qgis.MessageLevel.Warning)

    # -- more of the same --------------------------------------------------------------------------------------------
    def find_more(self) -> None:
        """Ask for everything in the layer that looks like the kept polygons of the chosen class."""
        image, kept = self.layer_box.currentLayer(), self.target.box.currentLayer()
        if image is None:
            return
        class_field = field_map_of(kept).get("class", "") if kept is not None else ""
        try:
            more = MoreLikeThis(self._engine, image, kept, self.classes.current.name, class_field, self)
        except LayerError as error:
            self.message.emit(str(error), Qgis.MessageLevel.Warning)
            return
        more.requested.connect(self.requested)
        more.message.connect(self.message)
        more.failed.connect(self.failed)
        for ended in (more.message, more.failed):
            ended.connect(lambda *_: self.allow_more(True))
        self.allow_more(False)
        more.start()

    def allow_more(self, on: bool) -> None:
        """Whether a long job may begin."""
        self.more_button.setEnabled(on and self.layer_box.currentLayer() is not None)

    def _layers_removed(self, ids: list[str]) -> None:
        if self._session is not None and self._session.layer_id in ids:
            self.stop()
            self.message.emit(self.tr("The layer was removed, clicking has ended."), Qgis.MessageLevel.Info)

    def _enable(self) -> None:
        some = self._session is not None and bool(self._session.prompts)
        for button in (self.keep_button, self.undo_button, self.drop_button):
            button.setEnabled(some)
        self.redo_button.setEnabled(self._session is not None)
