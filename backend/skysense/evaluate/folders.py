"""Labelled folders: which sets, groups, pictures and pairs of dates a folder holds.

    SET/images/NAME.*   SET/masks/NAME.*   SET/instances/NAME.*      pictures
    SET/before/NAME.*   SET/after/NAME.*   SET/masks/NAME.*          pairs of dates, prefixes S1_ S2_ HR_ dropped

A folder is a set if it holds `images/` or `before/`. Otherwise its subfolders that do are the groups of one set. In a
folder of its own a picture's group is its stem without the last `_a`, `_b` or `_partN`: parts of one scene never stand
on both sides of a split.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from skysense.errors import LabelError, RasterError

ENDINGS = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
PART = re.compile(r"^(.*?)_(?:[a-z]|part\d+)$")
SENSOR = re.compile(r"^(S1|S2|HR)_(.+)$")
IGNORED = 255  # a mask's value for pixels that nobody labelled


@dataclass(frozen=True)
class LabelledPicture:
    """One image with its labels."""

    stem: str
    group: str
    image: Path
    mask: Path | None  # classes
    instances: Path | None  # object ids

    @property
    def objects(self) -> Path:
        """The labels that objects are taken from: instances where there are some."""
        path = self.instances or self.mask
        if path is None:
            raise LabelError(f"{self.image} has no labels.", "Add masks/ or instances/ with a file of the same name.")
        return path


@dataclass(frozen=True)
class DatePair:
    """Two images of one place and sensor, and what changed between them."""

    stem: str
    sensor: str  # S1, S2, HR, or "" without a prefix
    group: str
    before: Path
    after: Path
    mask: Path


@dataclass(frozen=True)
class LabelledSet:
    """One set of the evaluation; pictures or pairs, in the order of their names."""

    name: str
    pictures: tuple[LabelledPicture, ...]
    pairs: tuple[DatePair, ...]
    classes: dict[int, str]  # value -> name from classes.json; empty without one

    @property
    def ignored(self) -> frozenset[int]:
        """Mask values that are no class."""
        return ignored_values(self.classes)


def find_sets(folders: Iterable[str | Path], group_by: str | None = None) -> list[LabelledSet]:
    """The sets of some folders.

    Args:
        folders: each a set, or a folder of groups.
        group_by: regular expression; its group 1 on a file's stem is the group.

    Raises:
        LabelError: a folder is missing or holds no labelled pictures, or the expression has no group.
    """
    pattern = None if group_by is None else group_pattern(group_by)
    return [_find_set(Path(folder).resolve(), pattern) for folder in folders]


def read_bands(path: Path) -> NDArray[np.generic]:
    """All bands of an image (C, H, W), as stored.

    Raises:
        RasterError: the file cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # plain pictures are welcome here
            with rasterio.open(path) as file:
                return np.asarray(file.read())
    except RasterioIOError as error:
        raise RasterError(f"{path} cannot be read: {error}.", "Replace the file; PNG, JPEG and GeoTIFF are known.") from error


def read_labels(path: Path) -> NDArray[np.integer]:
    """Classes or object ids (H, W)."""
    labels = read_bands(path)[0]
    if not np.issubdtype(labels.dtype, np.integer):
        raise LabelError(f"{path} holds {labels.dtype}, labels are whole numbers.", "Save the labels as uint8 or uint16.")
    return labels


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """The first three bands (H, W, 3) as 8 bits; one band is repeated, other types stretched from 1 to 99 %."""
    bands = read_bands(path)[:3]
    bands = bands if len(bands) == 3 else np.repeat(bands[:1], 3, axis=0)
    if bands.dtype != np.uint8:
        low, high = np.nanpercentile(bands.astype(np.float32), (1, 99))
        scaled = (np.nan_to_num(bands.astype(np.float32), nan=low) - low) * (255 / max(high - low, 1e-6))
        bands = np.clip(scaled, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(bands, 0, -1).astype(np.uint8))


def check_sizes(image: Path, pixels: tuple[int, ...], labels: tuple[int, ...]) -> None:
    """Raises LabelError where an image (height, width) and its labels differ in size."""
    if pixels != labels:
        raise LabelError(
            f"{image} has {pixels[1]} x {pixels[0]} pixels, its labels {labels[1]} x {labels[0]}.",
            "Save the labels on the grid of the image.",
        )


def tile_windows(height: int, width: int, tile_px: int, largest_px: int) -> list[tuple[slice, slice]]:
    """Whole tiles of a picture, row by row; one window of everything when no side is larger than `largest_px`."""
    if max(height, width) <= largest_px:
        return [np.s_[0:height, 0:width]]
    rows = range(0, max(height - tile_px, 0) + 1, tile_px)
    columns = range(0, max(width - tile_px, 0) + 1, tile_px)
    return [np.s_[y : min(y + tile_px, height), x : min(x + tile_px, width)] for y in rows for x in columns]


# -- finding ---------------------------------------------------------------------------------------------------------
def _find_set(folder: Path, pattern: re.Pattern[str] | None) -> LabelledSet:
    if not folder.is_dir():
        raise LabelError(f"{folder} is not a folder.", "Give a folder with images/ and masks/, or before/, after/, masks/.")
    homes: list[tuple[Path, str | None]] = [(folder, None)]
    if not _is_set(folder):
        homes = [(home, home.name) for home in sorted(folder.iterdir()) if _is_set(home)]
    pictures = [picture for home, group in homes for picture in _pictures(home, group, pattern)]
    pairs = [pair for home, group in homes for pair in _pairs(home, group, pattern)]
    if not pictures and not pairs:
        raise LabelError(
            f"{folder} holds no labelled pictures.",
            "It needs images/ with masks/ or instances/, or before/, after/ and masks/; files pair by their stem.",
        )
    return LabelledSet(folder.name, tuple(pictures), tuple(pairs), find_class_names([folder, *(home for home, _ in homes)]))


def _is_set(folder: Path) -> bool:
    return (folder / "images").is_dir() or (folder / "before").is_dir()


def _pictures(home: Path, group: str | None, pattern: re.Pattern[str] | None) -> list[LabelledPicture]:
    masks, instances = _by_stem(home / "masks"), _by_stem(home / "instances")
    found = []
    for stem, image in _by_stem(home / "images").items():
        mask, ids = (labels.get(stem) or labels.get(f"{stem}_mask") for labels in (masks, instances))
        if mask or ids:
            found.append(LabelledPicture(stem, _group(stem, group, pattern), image, mask, ids))
    return found


def _pairs(home: Path, group: str | None, pattern: re.Pattern[str] | None) -> list[DatePair]:
    after, masks = _by_stem(home / "after"), _by_stem(home / "masks")
    found = []
    for name, before in _by_stem(home / "before").items():
        prefix = SENSOR.match(name)
        sensor, stem = (prefix[1], prefix[2]) if prefix else ("", name)
        mask = masks.get(stem) or masks.get(name)
        if name in after and mask:
            found.append(DatePair(stem, sensor, _group(stem, group, pattern), before, after[name], mask))
    return found


def _by_stem(folder: Path) -> dict[str, Path]:
    """stem -> file, in the order of the file names; empty when there is no such folder."""
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS}


def _group(stem: str, subfolder: str | None, pattern: re.Pattern[str] | None) -> str:
    if pattern is not None:
        return group_of(stem, pattern)
    if subfolder is not None:
        return subfolder
    part = PART.match(stem)
    return part[1] if part else stem


def group_of(name: str, pattern: re.Pattern[str]) -> str:
    """Raises LabelError where the pattern does not match."""
    match = pattern.search(name)
    if match is None or match[1] is None:
        raise LabelError(f"--group-by {pattern.pattern!r} does not match {name!r}.", "Give one that matches all files.")
    return match[1]


def ignored_values(classes: dict[int, str]) -> frozenset[int]:
    """255, and what the names call unlabelled."""
    return frozenset({IGNORED} | {value for value, name in classes.items() if name.startswith("unlabel")})


def group_pattern(expression: str) -> re.Pattern[str]:
    """Raises LabelError where the expression is none, or has no group."""
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise LabelError(f"--group-by {expression!r} is no regular expression: {error}.", "Correct it.") from error
    if pattern.groups < 1:
        raise LabelError(f"--group-by {expression!r} has no group.", "Put the part that names the group into ( ).")
    return pattern


def find_class_names(folders: Sequence[Path]) -> dict[int, str]:
    """value -> name, of the first `classes.json` in the folders; empty where there is none."""
    for folder in folders:
        path = folder / "classes.json"
        if path.is_file():
            return _read_classes(path)
    return {}


def _read_classes(path: Path) -> dict[int, str]:
    try:
        return {int(value): str(name) for value, name in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError, OSError) as error:  # no JSON or no numbers; no object; not readable
        raise LabelError(
            f"{path} names no classes: {error}.", """It holds an object of values and names, as {"1": "building"}."""
        ) from error
