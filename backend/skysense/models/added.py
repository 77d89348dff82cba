"""Encoders that a user adds: a released checkpoint in our layout, with a card that describes it completely."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from skysense.errors import ModelError

from .skysense import described
from .skysense.model import SkySense, SkySenseConfig
from .skysense.normalise import IMAGENET_MEAN, IMAGENET_STD
from .skysense.plus_plus import PlusPlusConfig, SkySensePlusPlus
from .skysense.released import LICENCE, Released
from .weights import REMEDY, load_weights, read_card, tensor_bytes, write_tensors

FORMAT = "skysense encoder 1"
EXAMPLE_PARTS = ("completion.", "head.")  # of a whole SkySense++: what an encoder does not need
SCALING = {
    "s2": "Sentinel-2 L2A integers (reflectance x 10000), mean and deviation of the SkySense++ release",
    "s1": "decibel, mean and deviation of the SkySense++ release",
}
BANDS = {"hr": "R, G, B", "s2": "B2, B3, B4, B5, B6, B7, B8, B8A, B11, B12", "s1": "VV, VH"}


@dataclass(frozen=True)
class AddedEncoder:
    """What the card says."""

    path: Path
    config: SkySenseConfig
    plus_plus: PlusPlusConfig | None
    label: str
    licence: str
    description: str
    parameters: int
    notes: tuple[str, ...]


def write_added(
    released: Released,
    sources: Sequence[Path],
    path: Path,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Write the model in our layout, with bands, scaling, source and licence in its card.

    Raises:
        ModelError: a value is not finite.
    """
    config = released.config
    write_encoder(
        config,
        released.tensors,
        path,
        label=config.label,
        licence=LICENCE,
        description=_description(config, released.plus_plus is not None),
        sources=[{"file": source.name, "sha256": _file_digest(source)} for source in sources],
        notes=released.notes,
        plus_plus=released.plus_plus,
        dtype=dtype,
        progress=progress,
    )


def write_encoder(
    config: SkySenseConfig,
    tensors: Mapping[str, Tensor],
    path: Path,
    *,
    label: str,
    licence: str,
    description: str,
    sources: Sequence[Mapping[str, str]],
    notes: Sequence[str],
    plus_plus: PlusPlusConfig | None = None,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Write an encoder with a card that describes it completely; `sources` name file and sha256 of what it is made from.

    Raises:
        ModelError: a value is not finite.
    """
    card = {
        "format": FORMAT,
        "label": label,
        "licence": licence,
        "description": description,
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "bands": {sensor: BANDS[sensor] for sensor in config.sensors},
        "scaling": {sensor: _scaling(config, sensor) for sensor in config.sensors},
        "sources": list(sources),
        "notes": list(notes),
        "config": described.to_plain(config),
        "plus_plus": None if plus_plus is None else described.to_plain(plus_plus),
        "content": _content_digest(tensors, dtype, progress),
    }

    def second_half(share: float) -> None:
        if progress is not None:
            progress(0.5 + share / 2)

    write_tensors(path, tensors, card, dtype, second_half)


def is_added(path: Path) -> bool:
    """Whether the file says that it is an encoder in our layout; raises ModelError where it cannot be read."""
    return read_card(path).get("format") == FORMAT


def read_added(path: Path) -> AddedEncoder:
    """The card; no tensor is read.

    Raises:
        ModelError: damaged, or no encoder in our layout.
    """
    card = read_card(path)
    if card.get("format") != FORMAT:
        raise ModelError(f"{path.name} is no encoder: its card does not say {FORMAT!r}.", "Add the released file again.")
    try:
        plus_plus = card["plus_plus"]
        return AddedEncoder(
            path=path,
            config=described.from_plain(SkySenseConfig, card["config"]),
            plus_plus=None if plus_plus is None else described.from_plain(PlusPlusConfig, plus_plus),
            label=str(card["label"]),
            licence=str(card["licence"]),
            description=str(card["description"]),
            parameters=int(str(card["parameters"])),
            notes=tuple(_sentences(card)),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"The card of {path.name} cannot be used: {error}.", REMEDY) from error


def load_added(path: Path, progress: Callable[[float], None] | None = None) -> tuple[SkySense, str]:
    """The encoder and the digest of its weights. One tensor at a time: there is never a second copy of the model.

    Raises:
        ModelError: the file does not hold what its card says.
    """
    added = read_added(path)
    with torch.device("meta"):
        model = SkySense(added.config)
    return model, load_weights(model, path, ignored=EXAMPLE_PARTS if added.plus_plus else (), progress=progress)


def load_plus_plus(path: Path, progress: Callable[[float], None] | None = None) -> SkySensePlusPlus:
    """The whole SkySense++ of the file, in evaluation mode; raises ModelError where the file holds none."""
    added = read_added(path)
    if added.plus_plus is None:
        raise ModelError(f"{path.name} holds no whole SkySense++, only {added.label}.", "Add the file of the whole release.")
    with torch.device("meta"):
        model = SkySensePlusPlus(added.plus_plus)
    load_weights(model, path, progress=progress)
    return model.eval()


def _scaling(config: SkySenseConfig, sensor: str) -> str:
    if sensor != "hr":
        return SCALING[sensor]
    if (config.hr_mean, config.hr_std) == (IMAGENET_MEAN, IMAGENET_STD):
        return "R, G, B of 0..1, ImageNet mean and deviation"
    mean, deviation = (", ".join(f"{value:.3f}" for value in values) for values in (config.hr_mean, config.hr_std))
    return f"R, G, B of 0..1, mean {mean}, deviation {deviation}"


def _description(config: SkySenseConfig, by_example: bool) -> str:
    what = "Encoder with released weights, converted to this plugin's layout"
    return f"{what}; it also segments by example." if by_example else f"{what}."


def _sentences(card: dict[str, object]) -> list[str]:
    bands, scaling, sources = card["bands"], card["scaling"], card["sources"]
    if not (isinstance(bands, dict) and isinstance(scaling, dict) and isinstance(sources, list)):
        raise ValueError("bands, scaling or sources have another form")
    said = [f"Bands: {bands[sensor]}; {scaling[sensor]}." for sensor in bands]
    said += [f"Made from {source['file']}, {str(source['sha256'])[:19]}." for source in sources]
    notes = card.get("notes")
    return said + [f"{note}." for note in notes] if isinstance(notes, list) else said


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _content_digest(tensors: Mapping[str, Tensor], dtype: torch.dtype, progress: Callable[[float], None] | None) -> str:
    """Of all tensors in the order of their names; every value is looked at on the way."""
    digest, done = hashlib.sha256(), 0
    total = sum(tensor.numel() for tensor in tensors.values())
    for name in sorted(tensors):
        tensor = tensors[name]
        if not torch.isfinite(tensor.to(dtype)).all():
            raise ModelError(f"{name} holds values that are not finite in {str(dtype).split('.')[-1]}.", REMEDY)
        digest.update(tensor_bytes(tensor, dtype))
        done += tensor.numel()
        if progress is not None:
            progress(0.5 * done / total)
    return f"sha256:{digest.hexdigest()}"
