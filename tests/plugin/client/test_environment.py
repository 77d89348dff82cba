"""Which Python is taken, and what of QGIS's environment the engine sees."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from qgis.core import QgsSettings

from skysense_qgis.client import environment
from skysense_qgis.client.environment import clean_environment, find_engine, managed_folder, managed_python
from skysense_qgis.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def own_settings(qgis_app, tmp_path, monkeypatch):
    """No settings at first, and a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    QgsSettings().remove("skysense")
    yield
    QgsSettings().remove("skysense")


def make(python: Path) -> Path:
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return python


def test_the_order_is_configured_managed_repository(tmp_path):
    own = REPOSITORY / ".venv/bin/python"
    assert find_engine().python == own
    managed = make(managed_python())
    assert find_engine().python == managed and str(managed).startswith(str(tmp_path / "cache"))
    configured = make(tmp_path / "my python/bin/python")
    Settings(interpreter=str(configured)).save()
    assert find_engine().python == configured and find_engine().reason == ""


def test_a_configured_python_that_is_gone_is_named(tmp_path):
    Settings(interpreter=str(tmp_path / "gone")).save()
    found = find_engine()
    assert found.python is None and str(tmp_path / "gone") in found.reason and "settings" in found.reason


def test_without_any_the_reason_says_what_to_press(monkeypatch):
    monkeypatch.setattr(environment, "repository_python", lambda: None)
    found = find_engine()
    assert found.python is None and "Set up engine" in found.reason


def test_another_lock_file_is_another_environment(tmp_path, monkeypatch):
    before = managed_folder()
    assert managed_folder() == before
    (tmp_path / "requirements.lock").write_text("numpy==1\n")
    monkeypatch.setattr(environment, "BACKEND", tmp_path)
    assert managed_folder() != before and managed_folder().parent == before.parent


def test_the_cache_folder_can_be_set(tmp_path):
    Settings(cache_folder=str(tmp_path / "elsewhere")).save()
    assert managed_folder().parent == tmp_path / "elsewhere"


def test_settings_come_back():
    settings = Settings("/a/python", "cpu", "skysense-nano", "/out put", "/models", "/cache")
    settings.save()
    assert Settings.load() == settings


@pytest.mark.parametrize(
    "name",
    ["PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "QGIS_PREFIX_PATH", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_LIB", "PROJ_DATA",
     "OGR_SKIP", "CPL_LOG", "QT_PLUGIN_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"],
)  # fmt: skip
def test_what_belongs_to_qgis_is_left_out(name, monkeypatch):
    monkeypatch.setenv(name, "/foreign")
    assert not clean_environment().contains(name)


def test_what_belongs_to_the_user_stays(monkeypatch):
    for name in ("HOME", "LANG", "HTTPS_PROXY", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "/kept")
        assert clean_environment().value(name) == "/kept"
    assert clean_environment().contains("PATH")


def test_a_foreign_environment_does_not_reach_the_worker(engine, wait, monkeypatch, tmp_path):
    """Each of these would break it: the wrong standard library, no coordinate systems, no TIFF."""
    from skysense_qgis.protocol.requests import DescribeRaster

    for name in ("PYTHONHOME", "PYTHONPATH", "PROJ_DATA", "PROJ_LIB", "GDAL_DRIVER_PATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("GDAL_SKIP", "GTiff")
    answers: list = []
    handle = engine.submit(DescribeRaster(str(REPOSITORY / "tests/data/naip_wetlands/NAIP_20090818.tif")))
    handle.done.connect(answers.append)
    handle.failed.connect(answers.append)
    assert wait(lambda: answers)[0].crs
