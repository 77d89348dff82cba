"""Which Python runs the engine, and what of QGIS's environment it must not see."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from qgis.PyQt.QtCore import QProcessEnvironment

from ..paths import BACKEND, repository_python
from ..settings import Settings

ISOLATED = ["-I", "-X", "utf8"]  # how a Python is started; isolated, it does not read PYTHONUTF8

# QGIS sets these for its own Python, GDAL and PROJ; another Python breaks on them.
_FOREIGN = ("PYTHON", "QGIS", "GDAL", "PROJ", "OGR", "CPL", "QT_", "VIRTUAL_ENV", "CONDA", "LD_LIBRARY_PATH", "DYLD_")


@dataclass(frozen=True)
class FoundPython:
    """An interpreter that can run the engine, or why there is none."""

    python: Path | None
    reason: str


def find_engine() -> FoundPython:
    """The configured interpreter, else the managed environment, else the repository's."""
    configured = Settings.load().interpreter
    if configured:
        if Path(configured).is_file():
            return FoundPython(Path(configured), "")
        return FoundPython(None, f"The Python that is set for the engine is not there: {configured}. Correct it in the settings.")
    for python in (managed_python(), repository_python()):
        if python is not None and python.is_file():
            return FoundPython(python, "")
    return FoundPython(None, "The SkySense engine is not set up yet. Open the SkySense panel and press “Set up engine”.")


def managed_folder() -> Path:
    """The environment of exactly this version's dependencies: another lock file is another folder."""
    lock = BACKEND / "requirements.lock"
    text = lock.read_bytes() if lock.is_file() else b""
    return Settings.load().cache / f"engine-{_fingerprint(text)}"


def managed_python() -> Path:
    folder = managed_folder()
    return folder / "Scripts" / "python.exe" if sys.platform == "win32" else folder / "bin" / "python"


def clean_environment() -> QProcessEnvironment:
    """The user's environment without what belongs to QGIS."""
    environment = QProcessEnvironment.systemEnvironment()
    for name in environment.toStringList():
        name = name.split("=", 1)[0]
        if name.upper().startswith(_FOREIGN):
            environment.remove(name)
    return environment


def _fingerprint(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]
