"""Renews docs/images/*.png in a real QGIS window: `make screenshots`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from osgeo import gdal, ogr, osr

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests/end_to_end"))
from desktop import Desktop, missing_programs  # noqa: E402

DATA = REPOSITORY / "tests/data"
IMAGE = DATA / "kampala/images/kampala_a.tif"
SERIES = DATA / "treesat_ts"  # one place, seen by three sensors
IMAGES = REPOSITORY / "docs/images"
ENGINE = REPOSITORY / ".venv/bin/python"
# A map and the panel: no browser, no messages, layer names in full.
TIDY = (
    "[[w.close() for w in iface.mainWindow().findChildren(QDockWidget) if w.objectName() in ('Browser', 'Browser2')],"
    " iface.mainWindow().findChild(QDockWidget, 'Layers').setMinimumWidth(220), iface.messageBar().clearWidgets()]"
)


def main() -> int:
    if missing_programs():
        print(f"Missing: {', '.join(missing_programs())}. make setup installs them.")
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Desktop(Path(folder), [IMAGE]) as desktop:
        segment(desktop)
    with tempfile.TemporaryDirectory() as folder, Desktop(Path(folder), dated_layers(Path(folder))) as desktop:
        change(desktop)
    with tempfile.TemporaryDirectory() as folder, Desktop(Path(folder), labelled_image(Path(folder))) as desktop:
        train(desktop)
    with tempfile.TemporaryDirectory() as folder, Desktop(Path(folder), [SERIES / "HR_20190701.tif"]) as desktop:
        pretrain(desktop, shards_of_a_series(Path(folder)))
    return 0


def dated_layers(folder: Path) -> list[Path]:
    """The two dates as WGS 84: for NAD 83 QGIS would ask which of many transformations to take."""
    files = []
    for name in ("NAIP_20090818.tif", "NAIP_20200831.tif"):
        gdal.Translate(str(folder / name), str(DATA / "naip_wetlands" / name), outputSRS="EPSG:32614")
        files.append(folder / name)
    return files


def labelled_image(folder: Path) -> list[Path]:
    """The drone image, and its buildings and the ground between them as polygons with a class."""
    mask = gdal.Open(str(DATA / "kampala/masks/kampala_a.tif"))
    path = folder / "labels.gpkg"
    file = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = file.CreateLayer("labels", osr.SpatialReference(gdal.Open(str(IMAGE)).GetProjection()), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("value", ogr.OFTInteger))
    layer.CreateField(ogr.FieldDefn("class", ogr.OFTString))
    band = gdal.GetDriverByName("MEM").CreateCopy("", mask)
    band.SetGeoTransform(gdal.Open(str(IMAGE)).GetGeoTransform())
    gdal.Polygonize(band.GetRasterBand(1), None, layer, 0)
    for feature in layer:
        feature["class"] = "building" if feature["value"] else "ground"
        layer.SetFeature(feature)
    del layer, file
    return [IMAGE, path]


def shards_of_a_series(folder: Path) -> Path:
    """Small windows, so that the place gives more than one sample."""
    shards = folder / "forest shards"
    command = [ENGINE, "-I", REPOSITORY / "backend", "shards", shards, *sorted(SERIES.glob("*.tif")), "--window", "64"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return shards


def add_to_scene(desktop: Desktop, rows: int) -> None:
    """The next layer of the button's menu, until the table has so many rows that the engine has read."""
    desktop.click('where("scene.add_button")')
    desktop.wait("dock().scene.menu.isVisible()", 10)
    desktop.key("Down")
    desktop.key("Return")
    desktop.wait(f"len(dock().scene.descriptions) == {rows}", 60)


def change(desktop: Desktop) -> None:
    desktop.ask(TIDY)
    for rows in (1, 2):
        add_to_scene(desktop, rows)
    desktop.click("tab('Change')")
    desktop.click('where("change.run_button")')
    desktop.wait("'Change score' in layers()", 120)
    desktop.ask("iface.messageBar().clearWidgets()")
    time.sleep(3)
    desktop.picture(IMAGES / "change.png")


def train(desktop: Desktop) -> None:
    desktop.ask(TIDY)
    desktop.ask("QgsProject.instance().mapLayersByName('labels')[0].setOpacity(0.35)")
    desktop.ask("iface.mapCanvas().zoomToFullExtent()")
    add_to_scene(desktop, 1)
    desktop.click("tab('Train')")
    desktop.ask("choose_labels('labels', 'class', 300)")
    desktop.click('where("train.run_button")')
    desktop.wait("dock().training is not None and 'mean IoU' in dock().training.curves.latest()", 120)
    desktop.wait("dock().training.bar.value() > 550", 120)
    desktop.picture(IMAGES / "train.png")
    desktop.wait("not dock().runner.busy", 180)
    desktop.ask("dock().training.close() and iface.messageBar().clearWidgets()")
    desktop.click('where("options.models_button")')
    desktop.wait("dock().models is not None", 10)
    desktop.ask("show_models_in('~/.local/share/skysense-qgis/models')")  # no folder of this machine
    desktop.ask("dock().models.list.setCurrentRow(1)")
    time.sleep(3)
    desktop.picture(IMAGES / "models.png")
    desktop.ask("dock().models.list.setCurrentRow(0)")
    desktop.ask("dock().models.speed_button.click()")
    desktop.wait("'Speed here' in dock().models.card.toPlainText()", 60)
    time.sleep(1)
    desktop.picture(IMAGES / "card.png")


def pretrain(desktop: Desktop, shards: Path) -> None:
    desktop.ask(TIDY)
    desktop.ask("iface.mapCanvas().zoomToFullExtent()")
    desktop.click("tab('Train')")
    desktop.click('where("train.pretraining_button")')
    desktop.wait("dock().pretraining.dialog is not None", 10)
    desktop.ask("dock().pretraining.dialog.form.data.folders_button.click()")
    desktop.ask(f"dock().pretraining.dialog.form.data.add({str(shards)!r})")
    desktop.ask("[dock().pretraining.dialog.form.steps.setValue(120), dock().pretraining.dialog.form.batch.setValue(2)]")
    folder = desktop.ask("dock().pretraining.dialog.form.folder.filePath()")
    desktop.ask("dock().pretraining.dialog.form.folder.setFilePath('~/pretraining/forest')")  # no folder of this machine
    time.sleep(1)
    desktop.picture(IMAGES / "pretraining_form.png")
    desktop.ask(f"dock().pretraining.dialog.form.folder.setFilePath({folder!r})")
    desktop.ask("dock().pretraining.dialog.form.start_button.click()")
    desktop.wait("dock().pretraining.dialog.view.run.status.step > 90", 900)
    time.sleep(1)
    desktop.picture(IMAGES / "pretraining.png")
    desktop.ask("dock().pretraining.dialog.view.stop_button.click()")  # or it would outlive this QGIS
    desktop.wait("dock().pretraining.dialog.view.run.status.state == 'stopped'", 60)


def segment(desktop: Desktop) -> None:
    desktop.ask(TIDY)
    desktop.ask("iface.mapCanvas().zoomToFullExtent()")
    desktop.click('where("segment.classes.name")')
    desktop.type("Roof")
    desktop.key("Return")
    desktop.click('where("segment.start_button")')
    desktop.wait("dock().segment.session is not None and dock().segment.session.ready", 90)
    for x, y, button in ((0.27, 0.42, 1), (0.38, 0.42, 1), (0.118, 0.44, 3), (0.145, 0.645, 3)):
        desktop.click(f"canvas({x}, {y})", button)
        desktop.wait("dock().segment._item.has_mask")
        time.sleep(1)
    desktop.ask("iface.messageBar().clearWidgets()")
    desktop.picture(IMAGES / "segment.png")
    example(desktop)


def example(desktop: Desktop) -> None:
    """Everything that is like the roofs that were kept."""
    desktop.click('where("segment.keep_button")')
    desktop.wait("dock().segment.more_button.isEnabled()", 30)
    desktop.click('where("segment.more_button")')
    desktop.wait("'Found areas' in layers()", 180)
    desktop.ask("iface.messageBar().clearWidgets()")
    time.sleep(3)
    desktop.picture(IMAGES / "example.png")


if __name__ == "__main__":
    raise SystemExit(main())
