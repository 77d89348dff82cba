"""What the user may set, from and to QGIS's settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

from qgis.core import QgsSettings

from .paths import cache_folder, models_folder

_PREFIX = "skysense/"


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
