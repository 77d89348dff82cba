"""A folder of fixtures: `fixtures.json`, arrays and random weights under the names of the released code.

One entry names its family (model), how it is called (`runner` or `module`), constructor arguments, inputs, outputs and
the tolerance: an output passes where max|a - b| <= atol + rtol * max|a|, a being the stored one.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from skysense.errors import RequestError

LISTING = "fixtures.json"


@dataclass(frozen=True)
class Fixture:
    """One entry and the folder that holds its files."""

    folder: Path
    name: str
    family: str
    runner: str
    kwargs: Mapping[str, object]
    outputs: tuple[str, ...]
    state_file: str | None
    array_file: str
    atol: float
    rtol: float

    def arrays(self) -> dict[str, Tensor]:
        """`in_*` and `out_*`; raises ValueError where the file cannot be read."""
        try:
            with np.load(self.folder / self.array_file) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        except (OSError, zipfile.BadZipFile) as error:
            raise ValueError(f"{self.array_file} cannot be read: {error}") from error

    def state(self) -> dict[str, Tensor]:
        """Weights by their released names; empty where the module has none."""
        if self.state_file is None:
            return {}
        try:
            return load_file(self.folder / self.state_file)
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{self.state_file} cannot be read: {error}") from error


def read_fixtures(folder: Path) -> list[Fixture]:
    """The entries of the folder, or of each of its subfolders that holds a listing.

    Raises:
        RequestError: no listing there, or one that cannot be read.
    """
    folders = [folder] if (folder / LISTING).is_file() else sorted(path.parent for path in folder.glob(f"*/{LISTING}"))
    if not folders:
        raise RequestError(
            f"{folder} holds no {LISTING}, nor does any of its subfolders.", "Give the folder of one family, or of several."
        )
    return [fixture for found in folders for fixture in _read(found)]


def _read(folder: Path) -> list[Fixture]:
    try:
        entries = json.loads((folder / LISTING).read_text(encoding="utf-8"))
        return [
            Fixture(
                folder=folder,
                name=entry["name"],
                family=entry["family"],
                runner=entry.get("runner") or entry["module"],
                kwargs=entry["kwargs"],
                outputs=tuple(entry["outputs"]),
                state_file=entry["state"],
                array_file=entry["arrays"],
                atol=float(entry["atol"]),
                rtol=float(entry.get("rtol", 1e-5)),
            )
            for entry in entries
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"{folder / LISTING} cannot be read: {error!r}.", "Use a listing in the fixtures' format.") from error
