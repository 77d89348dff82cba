"""Vector layers for jobs that outlive them."""

from __future__ import annotations

from qgis.core import QgsFeatureRequest
from qgis.PyQt import sip

from skysense_qgis.layers.snapshot import Snapshot

SQUARE = "POLYGON((0 0, 1 0, 1 1, 0 1, 0 0))"
OTHER = "POLYGON((5 5, 6 5, 6 7, 5 7, 5 5))"


def test_it_outlives_the_layer_and_can_be_read_again(polygons, add_shape):
    add_shape(polygons, SQUARE, "a", 1.0)
    polygons.startEditing()
    polygons.changeAttributeValue(1, 0, "edited")
    snapshot = Snapshot(polygons)
    polygons.rollBack()
    add_shape(polygons, OTHER, "later", 3.0)
    sip.delete(polygons)
    for _ in range(2):
        assert [feature["label"] for feature in snapshot.features()] == ["edited"]
    assert snapshot.name == "polygons" and snapshot.crs.authid() == "EPSG:32636"
    assert snapshot.fields.names() == ["label", "size"]
    assert snapshot.extent().toString(0) == "0,0 : 1,1"


def test_the_selected_ones_alone_and_those_of_a_request(polygons, add_shape):
    add_shape(polygons, SQUARE, "a", 1.0)
    chosen = add_shape(polygons, OTHER, "b", 2.0)
    polygons.selectByIds([chosen.id()])
    selected = Snapshot(polygons, selected_only=True)
    polygons.removeSelection()
    assert [feature["label"] for feature in selected.features()] == ["b"]
    asked = Snapshot(polygons, request=QgsFeatureRequest().setFilterExpression("size < 2"))
    assert [feature["label"] for feature in asked.features()] == ["a"]
