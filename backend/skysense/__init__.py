"""SkySense: the multi-modal remote-sensing model, its training and its jobs."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path


def _version() -> str:
    """The version in metadata.txt, its one source, two folders up in the repository and in the plugin's zip alike."""
    metadata = Path(__file__).resolve().parents[2] / "metadata.txt"
    if metadata.is_file():
        for line in metadata.read_text(encoding="utf-8").splitlines():
            if line.startswith("version="):
                return line.removeprefix("version=").strip()
    return importlib.metadata.version("skysense")


__version__ = _version()
