"""Where things lie, in the repository and in the installed plugin alike."""

from __future__ import annotations

from pathlib import Path

from qgis.PyQt.QtCore import QStandardPaths

# In the plugin folder, backend, resources and metadata.txt lie beside this file; in the repository, one folder up.
_HERE = Path(__file__).parent
ROOT = _HERE if (_HERE / "backend").exists() else _HERE.parent
BACKEND = ROOT / "backend"
RESOURCES = ROOT / "resources"
METADATA = ROOT / "metadata.txt"


def cache_folder() -> Path:
    """For the engine's environment, logs and temporary files; not made here."""
    base = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericCacheLocation)
    return Path(base) / "skysense-qgis"


def models_folder() -> Path:
    """For the user's own models; not made here."""
    base = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(base) / "skysense-qgis" / "models"


def repository_python() -> Path | None:
    """The interpreter that `make setup` made, when the plugin runs from a clone (also through links)."""
    python = BACKEND.resolve().parent / ".venv" / "bin" / "python"
    return python if python.exists() else None


def version() -> str:
    """The version in metadata.txt."""
    for line in METADATA.read_text(encoding="utf-8").splitlines():
        if line.startswith("version="):
            return line.removeprefix("version=").strip()
    return "unknown"
