"""Which encoders there are and how to get one: `ENCODERS`, `load_encoder`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from skysense.errors import ModelError, RequestError

from .interface import Encoder
from .skysense import model as skysense_model
from .weights import load_weights

FOLDER_VARIABLE = "SKYSENSE_MODELS"  # names a folder of weights that comes before the bundled ones
HERE = Path(__file__).resolve()
# Beside the folder `backend`, in the repository as in the plugin's zip; in a wheel beside the code.
BUNDLED = (HERE.parents[3] / "resources/models", HERE.parents[1] / "bundled/models")


@dataclass(frozen=True)
class EncoderEntry:
    """How an encoder is built and what its card says before it is loaded."""

    build: Callable[[], skysense_model.SkySense]
    label: str
    sensors: tuple[str, ...]
    parameters: int  # prototypes included
    licence: str
    description: str
    weights: str  # file name in the folder of bundled models


ENCODERS: dict[str, EncoderEntry] = {
    "skysense-nano": EncoderEntry(
        build=skysense_model.nano,
        label="SkySense nano",
        sensors=("hr", "s2", "s1"),
        parameters=3_555_240,
        licence="GPL-2.0-or-later; first layers of EfficientNet-Lite0 and Dynamic World (Apache-2.0)",
        description=(
            "The SkySense layout in a small size, for any computer: high-resolution RGB, Sentinel-2 and Sentinel-1 "
            "series. Weights from a short distillation of open models; no official SkySense weights."
        ),
        weights="skysense-nano.safetensors",
    ),
}


def bundled_weights(key: str) -> Path | None:
    """The encoder's weights file, None where it is missing."""
    name = entry(key).weights
    return next((folder / name for folder in _folders() if (folder / name).is_file()), None)


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
) -> Encoder:
    """The encoder with its weights, in evaluation mode.

    Args:
        key: of `ENCODERS`.
        weights: a file to load in place of the bundled one.
        device: where it will run.
        untrained: no file at all but random weights from `seed`, for comparisons.
        seed: of the random weights.

    Raises:
        RequestError: no encoder of this name.
        ModelError: the weights are missing, damaged or of another model.
    """
    chosen = entry(key)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = chosen.build()
    if untrained:
        digest = f"untrained:{seed}"
    else:
        path = weights or bundled_weights(key)
        if path is None:
            raise ModelError(
                f"The weights of {chosen.label} are not there: expected {_folders()[0] / chosen.weights}.",
                f"Install the plugin again, or set {FOLDER_VARIABLE} to the folder that holds the file.",
            )
        digest = load_weights(model, path)
    return skysense_model.with_digest(model, digest).to(device).eval()


def entry(key: str) -> EncoderEntry:
    """The entry of that name; raises RequestError with the names that exist."""
    if key not in ENCODERS:
        raise RequestError(f"There is no encoder {key!r}.", f"Choose one of: {', '.join(ENCODERS)}.")
    return ENCODERS[key]
