"""Rows of the scene table."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsProject

from skysense_qgis.layers.dates import set_date
from skysense_qgis.layers.rows import (
    SceneRow,
    acquisition_of,
    load_rows,
    save_rows,
    scene_of,
    with_date,
    with_sensor,
)
from skysense_qgis.layers.sources import LayerError
from skysense_qgis.protocol.scene_source import BandIndex, Scaling


@pytest.fixture
def project(qgis_new_project) -> QgsProject:
    return QgsProject.instance()


@pytest.fixture
def layer(project, kampala):
    project.addMapLayer(kampala)
    return kampala


def test_the_project_file_remembers_every_field(project, layer, tmp_path):
    row = SceneRow(layer.id(), "s2", "2020-02-29", (BandIndex("B2", 3), BandIndex("B4", 1)), Scaling(1e-4, -0.1))
    save_rows(project, [row])
    assert project.write(str(tmp_path / "project.qgz"))
    project.clear()
    assert load_rows(project) == []
    assert project.read(str(tmp_path / "project.qgz"))
    assert load_rows(project) == [row]


def test_rows_of_layers_that_are_gone_or_that_nobody_can_read_are_left_out(project, layer):
    save_rows(project, [SceneRow("gone"), SceneRow(layer.id())])
    assert load_rows(project) == [SceneRow(layer.id())]
    project.writeEntry("skysense", "scene", '[{"layer_id": "x", "colour": "red"}]')
    assert load_rows(project) == []


@pytest.mark.parametrize(
    ("wrong", "left"),
    [
        ({"sensor": "spot"}, {}),
        ({"sensor": ["s2"], "date": "2020-02-29"}, {"date": "2020-02-29"}),
        ({"date": 5}, {}),
        ({"date": "2019-02-29", "sensor": "s2"}, {"sensor": "s2"}),
        ({"sensor": "s2", "bands": [{"band": "R", "index": 1}]}, {"sensor": "s2"}),
        ({"bands": [{"band": "R", "index": 0}]}, {}),
        ({"bands": [{"band": "R", "index": True}]}, {}),
        ({"bands": [{"band": "R", "index": 1}, "G"]}, {}),
        ({"bands": {"band": "R"}}, {}),
        ({"bands": [{"band": "R", "index": 2, "more": 1}]}, {"bands": (BandIndex("R", 2),)}),
        ({"scaling": {"scale": 0, "offset": 0.0, "decibel": False}}, {}),
        ({"scaling": {"scale": "1", "offset": 0.0, "decibel": False}}, {}),
        ({"scaling": {"scale": 1.0, "offset": float("nan"), "decibel": False}}, {}),
        ({"scaling": {"scale": 1, "offset": 0, "decibel": 1}}, {}),
        ({"scaling": {"scale": 1, "offset": -5, "decibel": True}}, {"scaling": Scaling(1.0, -5.0, True)}),
        ({"colour": "red"}, {}),
    ],
)
def test_what_makes_no_sense_in_a_project_file_is_left_to_the_guess(project, layer, wrong, left):
    entries = [7, None, {"layer_id": [1]}, {"layer_id": {}}, {}, {"layer_id": layer.id(), **wrong}]
    project.writeEntry("skysense", "scene", json.dumps(entries))
    assert load_rows(project) == [SceneRow(layer.id(), **left)]


@pytest.mark.parametrize("text", ["", "7", "null", '{"a": 1}', "[", '"rows"'])
def test_what_is_no_list_of_rows_gives_none(project, text):
    project.writeEntry("skysense", "scene", text)
    assert load_rows(project) == []


def test_a_crs_that_the_user_gave_goes_with_the_file(project, layer, description):
    described = description(layer.source())
    assert acquisition_of(SceneRow(layer.id()), described, project).crs == ""
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32736"))
    assert acquisition_of(SceneRow(layer.id()), described, project).crs == "EPSG:32736"


def test_the_offset_of_sentinel_2_follows_the_date_in_the_table(project, layer, description):
    described = replace(description(layer.source(), day=None), low=1050.0)
    assert acquisition_of(SceneRow(layer.id()), described, project).scaling == Scaling(1e-4)
    assert acquisition_of(SceneRow(layer.id(), date="2023-05-01"), described, project).scaling == Scaling(1e-4, -0.1)


def test_the_date_is_the_users_then_the_layers_then_the_guess_and_never_today(project, layer, description):
    described = description(layer.source())
    assert acquisition_of(SceneRow(layer.id()), described, project).date == "2020-02-29"
    set_date(layer, "2019-05-05")
    assert acquisition_of(SceneRow(layer.id()), described, project).date == "2019-05-05"
    assert acquisition_of(SceneRow(layer.id(), date="2018-01-01"), described, project).date == "2018-01-01"
    layer.temporalProperties().setIsActive(False)
    assert acquisition_of(SceneRow(layer.id()), description(layer.source(), day=None), project).date is None


def test_what_the_user_corrects_replaces_the_guess(project, layer, description):
    described = description(layer.source())
    row = SceneRow(layer.id(), bands=(BandIndex("B4", 3),), scaling=Scaling(1e-4, -0.1))
    source = acquisition_of(row, described, project)
    assert (source.bands, source.scaling, source.sensor) == (row.bands, row.scaling, "s2")
    assert with_sensor(row, "hr") == SceneRow(layer.id(), "hr")
    assert acquisition_of(with_sensor(row, "hr"), described, project).bands[0].band == "R"


@pytest.mark.parametrize("text", ["2020-02-29", " 2020-02-29 "])
def test_a_day_is_taken(text):
    assert with_date(SceneRow("a"), text).date == "2020-02-29"
    assert with_date(SceneRow("a", date="2020-02-29"), "").date == ""


@pytest.mark.parametrize("text", ["2019-02-29", "31.12.2009", "yesterday", "2020-13-01"])
def test_what_is_no_day_is_refused(text):
    with pytest.raises(LayerError, match="year-month-day"):
        with_date(SceneRow("a"), text)


def test_a_scene_needs_rows_descriptions_sensors_and_where_asked_dates(project, layer, description):
    row, path = SceneRow(layer.id()), layer.source()
    scene = scene_of([row], {path: description(path)}, project, None, dates_needed=True)
    assert scene.acquisitions[0].path == path and scene.acquisitions[0].name == "kampala"
    with pytest.raises(LayerError, match="The scene is empty"):
        scene_of([], {}, project, None)
    with pytest.raises(LayerError, match="still being read"):
        scene_of([row], {}, project, None)
    with pytest.raises(LayerError, match="sensor of kampala is not known"):
        scene_of([row], {path: description(path, sensor=None)}, project, None)
    with pytest.raises(LayerError, match="date of kampala is not known"):
        scene_of([row], {path: description(path, day=None)}, project, None, dates_needed=True)
