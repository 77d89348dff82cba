"""Which encoders there are and how to get one: `ENCODERS`, `load_encoder`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from skysense.errors import ModelError, RequestError

from .added import AddedEncoder, load_added, read_added
from .interface import Encoder
from .skysense import presets
from .skysense.model import SkySense, with_digest
from .weights import load_weights

FOLDER_VARIABLE = "SKYSENSE_MODELS"  # names a folder of weights that comes before the bundled ones
HERE = Path(__file__).resolve()
# Beside the folder `backend`, in the repository as in the plugin's zip; in a wheel beside the code.
BUNDLED = (HERE.parents[3] / "resources/models", HERE.parents[1] / "bundled/models")


@dataclass(frozen=True)
class EncoderEntry:
    """How an encoder is built and what its card says before it is loaded."""

    build: Callable[[], SkySense]
    label: str
    sensors: tuple[str, ...]
    parameters: int  # prototypes included
    licence: str
    description: str
    weights: str  # file name in the folder of bundled models; the whole path of an encoder that was added
    notes: tuple[str, ...] = ()  # what the file of an added encoder says of itself


ENCODERS: dict[str, EncoderEntry] = {
    "skysense-nano": EncoderEntry(
        build=presets.nano,
        label="SkySense nano",
        sensors=("hr", "s2", "s1"),
        parameters=4_445_656,
        licence="GPL-2.0-or-later; first layers of EfficientNet-Lite0 and Dynamic World (Apache-2.0)",
        description=(
            "The SkySense layout in a small size, for any computer: high-resolution RGB, Sentinel-2 and Sentinel-1 "
            "series. Weights from open models and SkySense pretraining on little imagery; no official ones."
        ),
        weights="skysense-nano.safetensors",
    ),
}


def bundled_weights(key: str) -> Path | None:
    """The encoder's weights file, None where it is missing."""
    name = entry(key).weights
    return next((folder / name for folder in _folders() if (folder / name).is_file()), None)


def is_file(key: str) -> bool:
    """Whether the key names the file of an encoder that the user added."""
    return key.endswith(".safetensors")


def _folders() -> list[Path]:
    named = os.environ.get(FOLDER_VARIABLE)
    return [*([Path(named).expanduser()] if named else []), *BUNDLED]


def load_encoder(
    key: str = "skysense-nano",
    weights: Path | None = None,
    device: torch.device | str = "cpu",
    *,
    untrained: bool = False,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Encoder:
    """The encoder with its weights, in evaluation mode.

    Args:
        key: of `ENCODERS`, or the path of a file that `write_added` wrote.
        weights: a file to load in place of the bundled one.
        device: where it will run.
        untrained: no file at all but random weights from `seed`, for comparisons.
        seed: of the random weights.
        progress: called with the share of the weights that is loaded; what it raises ends the loading.

    Raises:
        RequestError: no encoder of this name.
        ModelError: the weights are missing, damaged or of another model.
    """
    chosen = entry(key)
    if untrained:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = chosen.build()
        return with_digest(model, f"untrained:{seed}").to(device).eval()
    if is_file(key) and weights is None:
        model, digest = load_added(Path(key), progress)
        return with_digest(model, digest).to(device).eval()
    path = weights or bundled_weights(key)
    if path is None:
        raise ModelError(
            f"The weights of {chosen.label} are not there: expected {_folders()[0] / chosen.weights}.",
            f"Install the plugin again, or set {FOLDER_VARIABLE} to the folder that holds the file.",
        )
    with torch.device("meta"):
        model = chosen.build()
    return with_digest(model, load_weights(model, path, progress=progress)).to(device).eval()


def entry(key: str) -> EncoderEntry:
    """The entry of that name, or what the file says.

    Raises:
        RequestError: no such name; the names that exist are in the remedy.
        ModelError: the file is missing or no encoder.
    """
    if is_file(key):
        return _entry_of(read_added(Path(key)))
    if key not in ENCODERS:
        raise RequestError(f"There is no encoder {key!r}.", f"Choose one of: {', '.join(ENCODERS)}.")
    return ENCODERS[key]


def _entry_of(added: AddedEncoder) -> EncoderEntry:
    return EncoderEntry(
        build=lambda: SkySense(added.config),
        label=added.label,
        sensors=added.config.sensors,
        parameters=added.parameters,
        licence=added.licence,
        description=added.description,
        weights=str(added.path),
        notes=added.notes,
    )
