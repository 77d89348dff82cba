"""Where jobs work: the whole layers, the visible map, a drawn rectangle, another layer's rectangle, or polygons."""

from __future__ import annotations

from qgis.core import Qgis, QgsGeometry, QgsRectangle
from qgis.gui import QgsMapCanvas, QgsMapLayerComboBox, QgsMapToolExtent, QgsRubberBand
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QComboBox, QPushButton, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from ..layers.extents import extent_from_rectangle, extent_of_layer, extent_of_polygons
from ..layers.sources import LayerError
from ..protocol.scene_source import Extent

WHOLE, VIEW, DRAWN, LAYER, POLYGONS = range(5)
COLOUR = QColor(47, 126, 216)


class ExtentBox(QWidget):
    """A choice, and under it what the choice needs."""

    def __init__(self, canvas: QgsMapCanvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._canvas = canvas
        self._drawn: Extent | None = None
        self._band: QgsRubberBand | None = None
        self._previous_tool = None
        self.tool = QgsMapToolExtent(canvas)
        self.tool.extentChanged.connect(self._draw)
        self._build()

    def _build(self) -> None:
        self.choice = QComboBox()
        self.choice.addItems(
            [
                self.tr("Whole layers"),
                self.tr("Visible map"),
                self.tr("Drawn rectangle"),
                self.tr("Extent of a layer"),
                self.tr("Inside polygons"),
            ]
        )
        self.choice.setToolTip(self.tr("Where the jobs work; the Segment tab works on what you see"))
        self.draw_button = QPushButton()
        self.draw_button.clicked.connect(self._begin)
        self.layer = QgsMapLayerComboBox()
        self.layer.setFilters(Qgis.LayerFilters(Qgis.LayerFilter.RasterLayer | Qgis.LayerFilter.VectorLayer))
        self.polygons = QgsMapLayerComboBox()
        self.polygons.setFilters(Qgis.LayerFilter.PolygonLayer)
        self.polygons.setToolTip(self.tr("Only the selected polygons, where some are selected"))
        self.details = QStackedWidget()
        self.details.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        for widget in (self.draw_button, self.layer, self.polygons):
            self.details.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.choice)
        layout.addWidget(self.details)
        self.choice.currentIndexChanged.connect(self._chose)
        self._chose(WHOLE)

    # -- what others use ---------------------------------------------------------------------------------------------
    def extent(self) -> Extent | None:
        """Where to work; None for everything.

        Raises:
            LayerError: nothing is drawn or chosen yet.
        """
        choice = self.choice.currentIndex()
        if choice == WHOLE:
            return None
        if choice == VIEW:
            return extent_from_rectangle(self._canvas.extent(), self._canvas.mapSettings().destinationCrs())
        if choice == DRAWN:
            if self._drawn is None:
                raise LayerError("No rectangle is drawn. Press “Draw in the map” under Area, and drag one.")
            return self._drawn
        layer = (self.layer if choice == LAYER else self.polygons).currentLayer()
        if layer is None:
            raise LayerError("No layer is chosen for the area. Choose one, or work on the whole layers.")
        return extent_of_layer(layer) if choice == LAYER else extent_of_polygons(layer)

    def remove(self) -> None:
        """Undo what reaches beyond this widget."""
        self._give_back()
        self._hide_band()
        self.tool.deleteLater()

    # -- drawing -----------------------------------------------------------------------------------------------------
    def _chose(self, choice: int) -> None:
        self.details.setVisible(choice >= DRAWN)
        if choice >= DRAWN:
            self.details.setCurrentIndex(choice - DRAWN)
        self.draw_button.setText(self.tr("Draw in the map") if self._drawn is None else self.tr("Draw again"))
        if choice == DRAWN and self._band is not None:
            self._band.show()
        elif self._band is not None:
            self._band.hide()

    def _begin(self) -> None:
        self._hide_band()
        self._drawn = None
        self._previous_tool = self._canvas.mapTool()
        self._canvas.setMapTool(self.tool)
        self.draw_button.setText(self.tr("Drag a rectangle in the map …"))

    def _draw(self, rectangle: QgsRectangle) -> None:
        if rectangle.isEmpty():  # a click without a drag
            return
        self._drawn = extent_from_rectangle(rectangle, self._canvas.mapSettings().destinationCrs())
        self._band = QgsRubberBand(self._canvas, Qgis.GeometryType.Polygon)
        self._band.setToGeometry(QgsGeometry.fromRect(rectangle), self._canvas.mapSettings().destinationCrs())
        self._band.setStrokeColor(COLOUR)
        self._band.setFillColor(QColor(0, 0, 0, 0))
        self._band.setLineStyle(Qt.PenStyle.DashLine)
        self._band.setWidth(2)
        self._give_back()
        self._chose(DRAWN)

    def _give_back(self) -> None:
        if self._canvas.mapTool() is self.tool:
            if self._previous_tool is not None:
                self._canvas.setMapTool(self._previous_tool)
            else:
                self._canvas.unsetMapTool(self.tool)
        self._previous_tool = None
        self.tool.clearRubberBand()

    def _hide_band(self) -> None:
        if self._band is not None:
            self._canvas.scene().removeItem(self._band)
            self._band = None
