"""What made an output: into its tags and the file beside it."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import PurePath

import rasterio

from skysense.protocol.records import to_plain
from skysense.protocol.scene_source import SceneSource

PACKAGES = ("torch", "timm", "rasterio", "numpy")  # that decide about numbers


def run_facts(request: object, *outputs: str) -> dict[str, object]:
    """The whole request, with scaling, band numbers, extent and parameters, and the versions that worked on it.

    Args:
        request: any request.
        outputs: its fields that hold output files. Only their names are kept: the folder is where the facts lie. What
            the layers are called in a project is left out: the same input gives the same files, whoever asks.
    """
    plain = to_plain(request)
    for scene in plain.values():
        if isinstance(scene, dict):
            for acquisition in scene.get("acquisitions", ()):
                acquisition["name"] = ""
    named = {field: PurePath(path).name for field in outputs if isinstance(path := plain[field], str)}
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "request": {**plain, **named},
        "versions": {"python": platform.python_version(), "gdal": rasterio.__gdal_version__, **versions},
    }


def scene_facts(scene: SceneSource, prefix: str = "") -> dict[str, object]:
    """Inputs, dates, sensors and bands of a scene."""
    return {
        f"{prefix}inputs": [acquisition.path for acquisition in scene.acquisitions],
        f"{prefix}dates": [acquisition.date for acquisition in scene.acquisitions],
        f"{prefix}sensors": [acquisition.sensor for acquisition in scene.acquisitions],
        f"{prefix}bands": [[band.band for band in acquisition.bands] for acquisition in scene.acquisitions],
    }


def inputs_of(*scenes: SceneSource) -> list[str]:
    """All files of the scenes; no output may overwrite one."""
    return [acquisition.path for scene in scenes for acquisition in scene.acquisitions]
