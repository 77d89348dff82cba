"""Runs inside the real QGIS (`--code`): tells the test where widgets are and what the project holds. It presses nothing.

Questions come as files in the folder SKYSENSE_TEST_FOLDER: `ask` holds a Python expression over the names below, the
answer goes to `answer` as JSON.
"""

import json
import os
from pathlib import Path

from qgis.core import QgsProject
from qgis.PyQt.QtCore import QPoint, QTimer
from qgis.utils import iface, plugins

folder = Path(os.environ["SKYSENSE_TEST_FOLDER"])


def dock():
    return plugins["skysense_qgis"].interface.dock


def widget(path):
    """"segment.start_button" -> that widget of the dock."""
    found = dock()
    for name in path.split("."):
        found = getattr(found, name)
    return found


def where(path):
    """Centre of a widget on the screen; it is scrolled into view."""
    found = widget(path)
    dock().widget().ensureWidgetVisible(found)
    at = found.mapToGlobal(found.rect().center())
    return [at.x(), at.y()]


def tab(name):
    """Centre of a tab on the screen."""
    bar = dock().tabs.tabBar()
    index = next(i for i in range(bar.count()) if bar.tabText(i) == name)
    dock().widget().ensureWidgetVisible(bar)
    at = bar.mapToGlobal(bar.tabRect(index).center())
    return [at.x(), at.y()]


def canvas(x, y):
    """A point of the map, in shares of its size, on the screen."""
    viewport = iface.mapCanvas().viewport()
    at = viewport.mapToGlobal(QPoint(int(viewport.width() * x), int(viewport.height() * y)))
    return [at.x(), at.y()]


def layers():
    """Name -> number of features, None for rasters."""
    return {
        layer.name(): layer.featureCount() if hasattr(layer, "featureCount") else None
        for layer in QgsProject.instance().mapLayers().values()
    }


def messages():
    return [item.text() for item in iface.messageBar().items()]


def answer():
    question = folder / "ask"
    if not question.exists():
        return
    text = question.read_text(encoding="utf-8")
    question.unlink()
    try:
        reply = {"value": eval(text)}
    except Exception as error:
        reply = {"error": repr(error)}
    part = folder / "answer.part"
    part.write_text(json.dumps(reply), encoding="utf-8")
    part.rename(folder / "answer")


timer = QTimer(iface.mainWindow())
timer.timeout.connect(answer)
timer.start(50)
