"""Real layers, a real engine, and waiting with QGIS's own event loop."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from qgis.core import QgsProject, QgsRasterLayer
from qgis.PyQt.QtCore import QCoreApplication, QEventLoop

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "tests" / "data"
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]  # the plugin, as QGIS would find it, and gaps


def wait_for(condition, seconds: float = 60.0):
    """Run the event loop until the condition holds; its value, or a failure that says so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 50)
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"not within {seconds} seconds")


@pytest.fixture
def wait():
    return wait_for


@pytest.fixture
def engine(qgis_app, monkeypatch, tmp_path):
    """The real engine, its logs in a folder of the test's own."""
    from skysense_qgis.client import client as client_module
    from skysense_qgis.client import logs

    monkeypatch.setattr(logs, "log_folder", lambda: tmp_path)
    engine = client_module.Engine()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def warm_engine(qgis_app, tmp_path_factory):
    """One real engine for all tests that do not end it: its workers load their libraries once."""
    from skysense_qgis.client import client as client_module
    from skysense_qgis.client import logs
    from skysense_qgis.client.clearing import wait_for_clearing

    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "log_folder", lambda: folder)
        engine = client_module.Engine()
        wait_for_clearing(10)  # it looks for old logs there
    yield engine
    engine.close()


@pytest.fixture
def stand_in(qgis_app):
    """Pretraining by a program that obeys the contract of the run folder and learns nothing; no run is known before."""
    from skysense_qgis.settings import Settings, known_runs, save_known_runs

    before = Settings.load()
    replace(before, interpreter=str(Path(__file__).parent / "stand_ins/pretrain.py")).save()
    save_known_runs([])
    yield
    for run in known_runs():
        (Path(run.folder) / "stop").touch()
    save_known_runs([])
    before.save()


@pytest.fixture
def add_layer(qgis_new_project):
    """Adds a file of tests/data to the project."""

    def add(name: str, title: str = "") -> QgsRasterLayer:
        layer = QgsRasterLayer(str(DATA / name), title or Path(name).stem)
        assert layer.isValid()
        QgsProject.instance().addMapLayer(layer)
        return layer

    return add
