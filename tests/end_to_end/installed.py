"""The plugin in a QGIS profile of its own, as `make install` puts it there, and readers of what it wrote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, ogr

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "tests/data"
BACKEND_PYTHON = REPOSITORY / ".venv/bin/python"
PLUGIN = "skysense_qgis"

gdal.UseExceptions()


def need_qgis_process() -> None:
    """Skip the module that asks where there is none; in CI it has to be there."""
    if shutil.which("qgis_process") is None and os.environ.get("CI") != "true":
        pytest.skip("missing: qgis_process; make setup installs it", allow_module_level=True)


class Profile:
    """A QGIS profile of the test's own, with the plugin in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("QGIS_", "XDG_"))},
            "QT_QPA_PLATFORM": "offscreen",
            "OMP_NUM_THREADS": "1",
            "QGIS_CUSTOM_CONFIG_PATH": str(folder / "config"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_DATA_HOME": str(folder / "share"),
            "XDG_RUNTIME_DIR": str(folder),
        }
        plugins = folder / "config/profiles/default/python/plugins"
        install = [sys.executable, str(REPOSITORY / "tools/install.py"), "--plugins-folder", str(plugins)]
        subprocess.run(install, check=True, capture_output=True, timeout=60)
        self.call("plugins", "enable", PLUGIN)

    def call(self, *arguments: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["qgis_process", *arguments], input=text, env={**self.environment, **environment}, capture_output=True,
            text=True, timeout=240,
        )  # fmt: skip

    def run(self, name: str, **inputs: object) -> dict:
        """The answer of one algorithm: results and log."""
        done = self.call("--json", "run", f"skysense:{name}", "-", text=json.dumps({"inputs": inputs}))
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    def fail(self, name: str, **inputs: object) -> str:
        """What is said when it does not work."""
        done = self.call("--json", "run", f"skysense:{name}", "-", text=json.dumps({"inputs": inputs}))
        assert done.returncode != 0, done.stdout[-2000:]
        return done.stderr + done.stdout


def raster(path: str) -> tuple[np.ndarray, gdal.Dataset]:
    file = gdal.Open(path)
    assert file.GetMetadataItem("LAYOUT", "IMAGE_STRUCTURE") == "COG"
    assert Path(path + ".json").exists()
    return file.ReadAsArray(), file


def vector(path: str | Path) -> list[ogr.Feature]:
    """All features, alive after their file is closed."""
    file = ogr.Open(str(path))
    return [feature.Clone() for feature in file.GetLayer(0)]
