"""Where outputs go: the folder of the settings, or a temporary one."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path

from ..settings import Settings


def output_path(name: str, suffix: str) -> str:
    """A new path, named by what and when."""
    folder = Settings.load().output_folder
    base = Path(folder) if folder else Path(tempfile.mkdtemp(prefix="skysense-output-"))
    stamp = datetime.now().strftime("%Y%m%d_%H%M%S")
    return str(base / f"{name}_{stamp}{suffix}")


def are_temporary() -> bool:
    return not Settings.load().output_folder
