"""What the user may set, from and to QGIS's settings."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from qgis.core import QgsSettings

from .paths import cache_folder, models_folder

_PREFIX = "skysense/"
_RUNS = _PREFIX + "pretraining_runs"


@dataclass(frozen=True)
class Settings:
    """Empty paths mean the default."""

    interpreter: str = ""  # the engine's Python; empty: found by itself
    device: str = "auto"
    encoder: str = "skysense-nano"
    output_folder: str = ""  # empty: temporary outputs
    models_folder: str = ""
    cache_folder: str = ""  # where the engine's environment lies, 5 GB, and pictures of layers that QGIS draws
    cache_limit: str = "5"  # in GB, for those pictures

    @classmethod
    def load(cls) -> Settings:
        stored = QgsSettings()
        return cls(**{field.name: str(stored.value(_PREFIX + field.name, field.default)) for field in fields(cls)})

    def save(self) -> None:
        stored = QgsSettings()
        for name, value in asdict(self).items():
            stored.setValue(_PREFIX + name, value)

    @property
    def models(self) -> str:
        """Folder of the user's own models."""
        return self.models_folder or str(models_folder())

    @property
    def cache(self) -> Path:
        """Folder of the engine's environment and of drawn pictures; not made here."""
        return Path(self.cache_folder) if self.cache_folder else cache_folder()

    @property
    def cache_limit_bytes(self) -> int:
        """For drawn pictures; the engine itself does not count."""
        try:
            return round(1e9 * float(self.cache_limit))
        except ValueError:  # edited by hand
            return 5 * 10**9


@dataclass(frozen=True)
class KnownRun:
    """A pretraining run to be found again at the next start."""

    folder: str
    keep: bool  # whether it goes on when QGIS closes
    window: int  # process number of the QGIS that decides about it


def known_runs() -> list[KnownRun]:
    """The newest first; entries that were edited by hand into something else are left out."""
    try:
        stored = json.loads(str(QgsSettings().value(_RUNS, "[]")))
        return [KnownRun(str(entry["folder"]), bool(entry["keep"]), int(entry["window"])) for entry in stored]
    except (ValueError, TypeError, KeyError):
        return []


def save_known_runs(runs: Iterable[KnownRun]) -> None:
    QgsSettings().setValue(_RUNS, json.dumps([asdict(run) for run in runs]))
