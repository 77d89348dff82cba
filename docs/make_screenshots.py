"""Renews docs/images/*.png in a real QGIS window: `make screenshots`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from osgeo import gdal

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests/end_to_end"))
from desktop import Desktop, missing_programs  # noqa: E402

DATA = REPOSITORY / "tests/data"
IMAGES = REPOSITORY / "docs/images"
TIDY = (
    "[w.close() for w in iface.mainWindow().findChildren(QDockWidget) if w.objectName() in ('Browser', 'Browser2')]"
    " and iface.messageBar().clearWidgets()"
)


def main() -> int:
    if missing_programs():
        print(f"Missing: {', '.join(missing_programs())}. make setup installs them.")
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Desktop(Path(folder), [DATA / "kampala/images/kampala_a.tif"]) as desktop:
        segment(desktop)
    with tempfile.TemporaryDirectory() as folder, Desktop(Path(folder), dated_layers(Path(folder))) as desktop:
        change(desktop)
        train(desktop)
    return 0


def dated_layers(folder: Path) -> list[Path]:
    """The two dates as WGS 84: for NAD 83 QGIS would ask which of many transformations to take."""
    files = []
    for name in ("NAIP_20090818.tif", "NAIP_20200831.tif"):
        gdal.Translate(str(folder / name), str(DATA / "naip_wetlands" / name), outputSRS="EPSG:32614")
        files.append(folder / name)
    return files


def change(desktop: Desktop) -> None:
    desktop.ask(TIDY)
    for rows in (1, 2):
        desktop.click('where("scene.add_button")')
        desktop.wait("dock().scene.menu.isVisible()", 10)
        desktop.key("Down")
        desktop.key("Return")
        desktop.wait(f"len(dock().scene.dated()) == {rows}", 60)
    desktop.click("tab('Change')")
    desktop.click('where("change.run_button")')
    desktop.wait("'Change score' in layers()", 120)
    desktop.ask("iface.messageBar().clearWidgets()")
    time.sleep(3)
    desktop.picture(IMAGES / "change.png")


def train(desktop: Desktop) -> None:
    desktop.ask("label_quarters()")
    desktop.click("tab('Train')")
    desktop.ask("choose_labels('quarters', 'kind', 400)")
    desktop.click('where("train.run_button")')
    desktop.wait("len(dock().curves.latest()) > 1", 120)
    time.sleep(4)
    desktop.picture(IMAGES / "train.png")


def segment(desktop: Desktop) -> None:
    desktop.ask(TIDY)
    desktop.ask("iface.mapCanvas().zoomToFullExtent()")
    desktop.click('where("segment.start_button")')
    desktop.wait("dock().segment.session is not None and dock().segment.session.ready", 90)
    for x, y, button in ((0.60, 0.42, 1), (0.47, 0.36, 3)):
        desktop.click(f"canvas({x}, {y})", button)
        desktop.wait("dock().segment._item.has_mask")
        time.sleep(1)
    desktop.picture(IMAGES / "segment.png")


if __name__ == "__main__":
    raise SystemExit(main())
