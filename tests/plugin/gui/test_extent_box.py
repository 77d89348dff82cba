"""Where jobs work."""

from __future__ import annotations

import pytest
from qgis.core import QgsFeature, QgsGeometry, QgsProject, QgsRectangle, QgsVectorLayer
from qgis.PyQt.QtCore import QPoint, Qt
from qgis.PyQt.QtTest import QTest

from skysense_qgis.gui.extent_box import DRAWN, LAYER, POLYGONS, VIEW, WHOLE
from skysense_qgis.layers.sources import LayerError


@pytest.fixture
def area(dock):
    return dock.options.area


@pytest.fixture
def image(add_layer, show):
    layer = add_layer("kampala/images/kampala_a.tif")
    show(layer)
    return layer


def box(extent) -> QgsRectangle:
    return QgsRectangle(extent.west, extent.south, extent.east, extent.north)


def test_everything_the_map_or_a_layer(area, image, canvas):
    assert area.choice.currentIndex() == WHOLE and area.extent() is None
    area.choice.setCurrentIndex(VIEW)
    assert box(area.extent()) == canvas.extent() and area.extent().crs == image.crs().authid()
    area.choice.setCurrentIndex(LAYER)
    area.layer.setLayer(image)
    assert box(area.extent()) == image.extent()


def test_what_is_not_chosen_yet_is_asked_for(area, image):
    area.choice.setCurrentIndex(DRAWN)
    with pytest.raises(LayerError, match="No rectangle is drawn"):
        area.extent()
    area.choice.setCurrentIndex(POLYGONS)
    with pytest.raises(LayerError, match="No layer is chosen for the area"):
        area.extent()


def test_a_rectangle_is_drawn_in_the_map_and_can_be_drawn_again(area, image, canvas):
    before, items = canvas.mapTool(), len(canvas.scene().items())
    area.choice.setCurrentIndex(DRAWN)
    for corner in (QPoint(300, 320), QPoint(250, 400)):
        area.draw_button.click()
        viewport = canvas.viewport()
        QTest.mousePress(viewport, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(200, 200))
        QTest.mouseMove(viewport, corner)
        QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, corner)
        transform = canvas.getCoordinateTransform()
        drawn = box(area.extent())
        assert drawn.width() == pytest.approx((corner.x() - 200) * canvas.mapUnitsPerPixel(), rel=0.05)
        assert drawn.yMaximum() == pytest.approx(transform.toMapCoordinates(200, 200).y(), abs=2 * canvas.mapUnitsPerPixel())
        assert canvas.mapTool() is not area.tool and canvas.mapTool() is before
    assert area.draw_button.text() == "Draw again"
    area.remove()
    assert len(canvas.scene().items()) == items


def test_only_selected_polygons_count(area, image):
    layer = QgsVectorLayer(f"Polygon?crs={image.crs().authid()}", "places", "memory")
    for x in (0, 100):
        feature = QgsFeature()
        feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(x, 0, x + 10, 10)))
        layer.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(layer)
    area.choice.setCurrentIndex(POLYGONS)
    area.polygons.setLayer(layer)
    assert box(area.extent()) == QgsRectangle(0, 0, 110, 10)
    layer.selectByIds([max(layer.allFeatureIds())])
    assert box(area.extent()) == QgsRectangle(100, 0, 110, 10) and area.extent().polygon_wkt


def test_the_area_bounds_the_scenes_of_all_panels(dock, image, wait, described):
    dock.scene.add(image)
    wait(lambda: described(1))
    dock.options.area.choice.setCurrentIndex(VIEW)
    for panel in (dock.features, dock.train):
        assert panel.whole_scene().extent == dock.options.area.extent()
