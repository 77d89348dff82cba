"""Renews docs/images/*.png in a real QGIS window: `make screenshots`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

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
    return 0


def segment(desktop: Desktop) -> None:
    desktop.ask(TIDY)
    desktop.ask("iface.mapCanvas().zoomToFullExtent()")
    desktop.click('where("segment.start_button")')
    desktop.wait("dock().segment.session is not None and dock().segment.session.ready", 90)
    for x, y, button in ((0.56, 0.5, 1), (0.44, 0.5, 1)):
        desktop.click(f"canvas({x}, {y})", button)
        desktop.wait("dock().segment._item.has_mask")
        time.sleep(1)
    desktop.picture(IMAGES / "segment.png")


if __name__ == "__main__":
    raise SystemExit(main())
