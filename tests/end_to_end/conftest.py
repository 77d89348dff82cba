"""The plugin as QGIS would find it, and an event loop to wait in."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

sys.path[:0] = [str(folder) for folder in Path(__file__).resolve().parents[:3]]  # every_job, gaps, the plugin


@pytest.fixture
def wait(qgis_app):
    """Runs the event loop until the condition holds; gives its value."""
    from qgis.PyQt.QtCore import QCoreApplication, QEventLoop

    def wait(condition, seconds: float = 60.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
            value = condition()
            if value:
                return value
            time.sleep(0.005)
        raise AssertionError(f"not within {seconds} seconds")

    return wait
