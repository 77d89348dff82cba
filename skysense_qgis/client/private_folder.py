"""The session's folder for arrays that are handed over: only this user can look in."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from ..protocol.half_done import mark, of_dead_process


def make_private_folder() -> Path:
    """A new one, named by this process."""
    return Path(tempfile.mkdtemp(prefix=f"skysense.{mark(os.getpid())}."))


def remove_private_folders_left_behind() -> None:
    """Those of sessions that could not remove theirs, since QGIS crashed."""
    for folder in Path(tempfile.gettempdir()).glob("skysense.*"):
        if of_dead_process(folder):
            shutil.rmtree(folder, ignore_errors=True)
