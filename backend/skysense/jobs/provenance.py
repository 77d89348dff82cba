"""What made an output: into its tags and the file beside it."""

from __future__ import annotations

from skysense.protocol.scene_source import SceneSource


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
