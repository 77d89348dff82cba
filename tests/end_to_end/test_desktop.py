"""The three jobs in a real QGIS window, by real clicks."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from osgeo import gdal

sys.path.insert(0, str(Path(__file__).parent))
from desktop import Desktop, missing_programs

DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.fixture(scope="module")
def desktop(tmp_path_factory):
    missing = missing_programs()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"missing: {', '.join(missing)}; make setup installs them")
    if missing:
        pytest.skip(f"missing: {', '.join(missing)}; make setup installs them")
    folder = tmp_path_factory.mktemp("desktop")
    files = []
    for name in ("NAIP_20090818.tif", "NAIP_20200831.tif"):
        # As WGS 84: for NAD 83 QGIS would ask which of many transformations to take. They lie within a metre.
        gdal.Translate(str(folder / name), str(DATA / "naip_wetlands" / name), outputSRS="EPSG:32614")
        files.append(folder / name)
    with Desktop(folder, files) as desktop:
        yield desktop


def add_to_scene(desktop: Desktop, name: str) -> None:
    """Through the button's menu, by its first letter keys."""
    rows = desktop.ask("len(dock().scene.rows)")
    desktop.click('where("scene.add_button")')
    desktop.wait("dock().scene.menu.isVisible()", 10)
    desktop.key("Down")
    desktop.key("Return")
    desktop.wait(f"len(dock().scene.rows) == {rows + 1}", 20)


def test_click_to_segment(desktop):
    desktop.click('where("segment.start_button")')
    desktop.wait("dock().segment.session is not None and dock().segment.session.ready", 90)
    desktop.click("canvas(0.5, 0.5)")
    desktop.wait("dock().segment._item.has_mask", 20)
    desktop.click("canvas(0.4, 0.4)", button=3)
    desktop.wait("len(dock().segment.session.prompts) == 2", 20)
    desktop.key("ctrl+z")
    desktop.wait("len(dock().segment.session.prompts) == 1", 20)
    desktop.key("Return")
    desktop.wait("layers().get('Kept polygons') == 1", 20)
    desktop.click('where("segment.start_button")')
    desktop.wait("dock().segment.session is None", 10)


def test_detect_change(desktop):
    add_to_scene(desktop, "NAIP_20090818")
    add_to_scene(desktop, "NAIP_20200831")
    desktop.wait("len(dock().scene.dated()) == 2", 60)
    desktop.click("tab('Change')")
    desktop.click('where("change.run_button")')
    desktop.wait("'Change score' in layers() and 'Changed areas' in layers()", 120)
    assert desktop.ask("layers()['Changed areas']") > 0


def test_train_and_apply(desktop):
    """The changed areas and the kept polygon serve as labels of nothing in particular: what counts is the way."""
    desktop.ask("label_quarters()")
    desktop.click("tab('Train')")
    desktop.ask("choose_labels('quarters', 'kind')")
    desktop.click('where("train.run_button")')
    desktop.wait("dock().jobs.busy", 20)
    desktop.wait("not dock().jobs.busy and dock().apply.model.count() > 0", 180)
    desktop.click("tab('Apply')")
    desktop.click('where("apply.run_button")')
    desktop.wait("'Classes' in layers()", 120)


def test_reloading_leaves_nothing_behind(desktop):
    """Also while the engine is still starting. The workers that served the tests before are ended by the first cycle."""
    desktop.ask("reload()")
    desktop.wait("dock().state.text() == 'Engine ready'", 60)
    first = desktop.ask("counts()")
    assert (first["docks"], first["providers"], first["workers"]) == (1, 1, 1)
    for _ in range(20):
        assert desktop.ask("reload()")
    desktop.wait("dock().state.text() == 'Engine ready'", 60)
    desktop.wait(f"counts() == {first}", 10)
