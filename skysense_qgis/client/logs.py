"""Where the workers' logs lie: in the cache folder, each QGIS window with files of its own."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..settings import Settings

KEPT = 10  # files of other sessions, the newest: a report about yesterday's crash needs them


def log_folder() -> Path:
    """Not made here."""
    return Settings.load().cache / "logs"


def log_of(role: str) -> Path:
    """The log of this QGIS process's worker for a role."""
    return log_folder() / f"{role}-{os.getpid()}.log"


def remove_old_logs(*roles: str) -> None:
    """All but the newest of other sessions."""
    found: list[tuple[float, Path]] = []
    for role in roles:
        for path in log_folder().glob(f"{role}-*.log"):
            with suppress(OSError):  # another window removes it just now
                if not path.name.startswith(log_of(role).stem):
                    found.append((path.stat().st_mtime, path))
    for _, path in sorted(found)[:-KEPT]:
        with suppress(OSError):  # in use, as Windows knows it
            path.unlink(missing_ok=True)
