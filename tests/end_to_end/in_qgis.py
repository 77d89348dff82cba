"""Runs inside the real QGIS (`--code`): tells the test where widgets are and what the project holds. It presses no
button; the labels that a user would have brought along are made here.

Questions come as files in the folder SKYSENSE_TEST_FOLDER: `ask` holds a Python expression over the names below, the
answer goes to `answer` as JSON.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsFeature,
    QgsGeometry,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QObject, QPoint, QTimer
from qgis.PyQt.QtGui import QAction
from qgis.PyQt.QtWidgets import QDockWidget
from qgis.utils import iface, plugins, reloadPlugin

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


def label_quarters():
    """A polygon layer over the first raster: four quarters of two kinds, as a user would have drawn them before."""
    raster = next(layer for layer in QgsProject.instance().mapLayers().values() if isinstance(layer, QgsRasterLayer))
    box = raster.extent()
    x, y = box.center().x(), box.center().y()
    corners = [(box.xMinimum(), box.yMinimum()), (box.xMinimum(), y), (x, box.yMinimum()), (x, y)]
    layer = QgsVectorLayer(f"Polygon?crs={raster.crs().authid()}&field=kind:string", "quarters", "memory")
    features = []
    for number, (west, south) in enumerate(corners):
        part = QgsRectangle(west, south, west + box.width() / 2.2, south + box.height() / 2.2)
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromRect(part))
        feature["kind"] = ("left", "left", "right", "right")[number]
        features.append(feature)
    layer.dataProvider().addFeatures(features)
    QgsProject.instance().addMapLayer(layer)
    return True


def choose_labels(name, field, steps=40):
    """Set the two combo boxes of the training form, and few steps."""
    layer = QgsProject.instance().mapLayersByName(name)[0]
    train = dock().train
    train.labels.setLayer(layer)
    train.field.setField(field)
    train.steps.setValue(steps)
    return [train.labels.currentLayer().name(), train.field.currentField()]


def show_models_in(home):
    """The window of models as it is where the user's own lie in that folder; their keys are their files."""
    paths = {card.key: f"{home}/{Path(card.path).name}" for card in dock().cards if card.key == card.path}
    shown = [replace(card, key=paths[card.key], path=paths[card.key]) if card.key in paths else card for card in dock().cards]
    dock().models.set_models(tuple(shown))
    return sorted(paths.values())


def reload():
    """What the plugin reloader does."""
    return reloadPlugin("skysense_qgis")


def counts():
    """What a plugin can leave behind, by kind."""
    window, map_canvas = iface.mainWindow(), iface.mapCanvas()
    objects = [child for child in window.findChildren(QObject) if "skysense" in type(child).__module__]
    workers = [path for path in Path("/proc").glob("[0-9]*/cmdline") if is_worker(path)]
    return {
        "actions": sum(action.text().startswith("SkySense") for action in window.findChildren(QAction)),
        "docks": sum(dock.objectName() == "SkySenseDock" for dock in window.findChildren(QDockWidget)),
        "canvas items": len(map_canvas.scene().items()),
        "children of the viewport": len(map_canvas.viewport().findChildren(QObject)),
        "objects of ours": len(objects),
        "children of the application": len(QgsApplication.instance().children()),
        "providers": sum(provider.id() == "skysense" for provider in QgsApplication.processingRegistry().providers()),
        "workers": len(workers),
        "connections": sum(QgsProject.instance().receivers(signal) for signal in project_signals()),
    }


def project_signals():
    project = QgsProject.instance()
    return [project.layersAdded, project.layersRemoved, project.layersWillBeRemoved, project.readProject, project.cleared]


def is_worker(path):
    """Whether a process is a worker of this QGIS."""
    try:
        parent = int((path.parent / "stat").read_text().rsplit(")", 1)[1].split()[1])
        return parent == os.getpid() and b"serve" in path.read_bytes()
    except (OSError, ValueError):
        return False


def messages():
    return [item.text() for item in iface.messageBar().items()]


def answer():
    question = folder / "ask"
    if not question.exists():
        return
    text = question.read_text(encoding="utf-8")
    question.unlink()
    try:
        reply = {"value": eval(text, {**globals(), "QDockWidget": QDockWidget})}
    except Exception as error:
        reply = {"error": repr(error)}
    part = folder / "answer.part"
    part.write_text(json.dumps(reply), encoding="utf-8")
    part.rename(folder / "answer")


timer = QTimer(iface.mainWindow())
timer.timeout.connect(answer)
timer.start(50)
