"""Where outputs go: the folder of the settings, or a temporary one; models have a folder of their own."""

from __future__ import annotations

import itertools
import tempfile
from datetime import datetime
from pathlib import Path

from ..layers.sources import LayerError
from ..settings import Settings


def output_path(name: str, suffix: str) -> str:
    """A new path, named by what and when."""
    folder = Settings.load().output_folder
    base = Path(folder) if folder else Path(tempfile.mkdtemp(prefix="skysense-output-"))
    stamp = datetime.now().strftime("%Y%m%d_%H%M%S")
    return str(base / f"{name}_{stamp}{suffix}")


def are_temporary() -> bool:
    return not Settings.load().output_folder


def free_name(name: str) -> tuple[str, Path]:
    """For a model of the user's: the name, numbered where there is one of that name, and the file for it.

    Raises:
        LayerError: there is no folder for models.
    """
    folder = Path(Settings.load().models)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LayerError(f"The folder for models, {folder}, cannot be made: {error}. Choose another in the settings.") from None
    for number in itertools.count(1):
        numbered = name if number == 1 else f"{name} {number}"
        path = folder / ("".join(c if c.isalnum() or c in "-_" else "_" for c in numbered) + ".safetensors")
        if not path.exists():
            return numbered, path
    raise AssertionError
