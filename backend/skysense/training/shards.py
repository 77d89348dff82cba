"""Samples for pretraining in shards: tar files in WebDataset's layout, read here by tarfile and numpy alone.

A folder holds `manifest.json` and `shard-000000.tar`, `shard-000001.tar`, … In a shard, the members `<key>.<field>.npy` and
`<key>.json` of one sample follow one another. `shard_writer.py` writes them; a training server reads them with neither
rasterio nor webdataset.

Legend: H W pixels of the high-resolution image, T dates, h w pixels of a Sentinel image. All of a sample is one ground.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skysense.errors import ShardError
from skysense.models.interface import SENSOR_ORDER

FORMAT = "skysense shards 1"
MANIFEST = "manifest.json"
REMEDY = "Make the shards again with `skysense shards`, or copy the whole folder again."

Array = NDArray[np.generic]
Entry = tuple[int, int]  # a member's first byte and its length


@dataclass(frozen=True)
class Sample:
    """One place with all that was seen there, in canonical units (`protocol.sensors`)."""

    key: str
    place: str  # name of the source: whole scenes are kept apart by it
    arrays: dict[str, Array]  # hr (4, H, W), s2 (T, 10, h, w), s1 (T, 2, h, w), float16; <sensor>_valid without bands, bool
    lonlat: tuple[float, float] | None  # degrees east and north
    days: dict[str, NDArray[np.int64]]  # of the year, 0 = unknown: hr (1,), s2 (T,), s1 (T,)
    bands: dict[str, NDArray[np.bool_]]  # which of the sensor's bands are there
    gsd_m: float | None  # of the finest sensor
    labels: NDArray[np.uint8] | None  # class indices on the finest sensor's grid, 255 = unlabelled

    @property
    def sensors(self) -> tuple[str, ...]:
        """The finest first."""
        return tuple(sensor for sensor in SENSOR_ORDER if sensor in self.arrays)


@dataclass(frozen=True)
class Shard:
    """One file and where in it the samples lie, in few bytes a sample."""

    path: Path
    keys: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]  # of each sample's members: "hr.npy", "json", …; one object for all that are alike
    entries: tuple[NDArray[np.int64], ...]  # (members, 2) first byte and length

    def members(self, number: int) -> dict[str, Entry]:
        """Where in the file the members of a sample lie."""
        return {name: (int(start), int(size)) for name, (start, size) in zip(self.names[number], self.entries[number])}


class ShardSet:
    """All samples of some folders, in order. Any sample can be read at any time, by several threads and processes."""

    def __init__(self, folders: Sequence[Path], verify: bool = False) -> None:
        """Read manifests and the shards' tables of contents.

        Args:
            folders: written by `skysense shards`.
            verify: also read every byte and compare its SHA-256.

        Raises:
            ShardError: a folder without a manifest, shards that are missing, damaged or of another format.
        """
        if not folders:
            raise ShardError("No folder with shards was given.", "Name at least one that `skysense shards` has made.")
        self._shards: list[Shard] = []
        self._starts: list[int] = []  # index of each shard's first sample
        self.labels: tuple[str, ...] | None = None  # names of the classes, where all folders have the same
        self._count = 0
        digest = hashlib.sha256()
        for position, folder in enumerate(folders):
            manifest = read_manifest(folder)
            digest.update((folder / MANIFEST).read_bytes())
            classes = tuple(manifest["labels"]) if manifest["labels"] is not None else None
            self.labels = classes if position == 0 or classes == self.labels else None
            for facts in manifest["shards"]:
                shard = _open_shard(folder / str(facts["name"]), facts, verify)
                self._shards.append(shard)
                self._starts.append(self._count)
                self._count += len(shard.keys)
        if self._count == 0:
            raise ShardError(f"{folders[0]} holds no samples.", "Make shards of a scene with data.")
        self.digest = f"sha256:{digest.hexdigest()}"
        self._facts: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        """Read one sample.

        Raises:
            IndexError: there is none of that number. ShardError: it cannot be read.
        """
        shard, number = self._place(index)
        members = shard.members(number)
        start = min(offset for offset, _ in members.values())
        stop = max(offset + size for offset, size in members.values())
        block = _read(shard.path, start, stop - start)  # the members follow one another: one read
        parts = {name: block[offset - start : offset - start + size] for name, (offset, size) in members.items()}
        try:
            return _sample(shard.keys[number], parts)
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(shard.path, f"sample {shard.keys[number]}: {error}") from error

    def kind(self, index: int) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
        """Sensors of a sample, and rows and columns of each, without reading pixels: samples of one kind fit together."""
        shard, number = self._place(index)
        members = shard.members(number)
        sensors = tuple(sensor for sensor in SENSOR_ORDER if f"{sensor}.npy" in members)
        return sensors, tuple(array_shape(shard.path, members[f"{sensor}.npy"])[-2:] for sensor in sensors)

    def place(self, index: int) -> str:
        """Name of the source that the sample was cut from."""
        return str(self.facts(index)["place"])

    def facts(self, index: int) -> dict[str, Any]:
        """What was written beside the sample's arrays: place, lonlat, days, bands, gsd_m, window."""
        if index not in self._facts:
            shard, number = self._place(index)
            self._facts[index] = json.loads(_read(shard.path, *shard.members(number)["json"]))
        return self._facts[index]

    def _place(self, index: int) -> tuple[Shard, int]:
        if not 0 <= index < self._count:
            raise IndexError(f"sample {index} of {self._count}")
        shard = bisect_right(self._starts, index) - 1
        return self._shards[shard], index - self._starts[shard]


# -- folders and files -----------------------------------------------------------------------------------------------
def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder with shards.

    Raises:
        ShardError: there is none, or it is of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        unfinished = folder.is_dir() and any(folder.glob("shard-*"))
        raise ShardError(
            f"{folder} has no {MANIFEST}" + (": the run that made its shards did not finish." if unfinished else "."),
            "Run the same `skysense shards` again: it goes on where it stopped."
            if unfinished
            else "Name a folder that `skysense shards` has made.",
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise ShardError(f"{path} says {found!r} where {FORMAT!r} was expected.", REMEDY)
    if not isinstance(manifest.get("shards"), list) or "labels" not in manifest:
        raise _damaged(path, "it lists no shards")
    return dict(manifest)


def file_digest(path: Path) -> str:
    """"sha256:<hex>" of a file, read piece by piece."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def read_contents(path: Path) -> Shard:
    """A shard's table of contents, from its headers alone.

    Raises:
        ShardError: no tar file, or one that ends early or is compressed.
    """
    members: dict[str, dict[str, Entry]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, _, name = member.name.partition(".")
                members.setdefault(key, {})[name] = (member.offset_data, member.size)
    except (OSError, tarfile.TarError) as error:
        raise _damaged(path, str(error)) from error
    for key, parts in members.items():
        if "json" not in parts or not any(f"{sensor}.npy" in parts for sensor in SENSOR_ORDER):
            raise _damaged(path, f"sample {key} holds {', '.join(parts)}: a .json and one sensor at least were expected")
    layouts: dict[tuple[str, ...], tuple[str, ...]] = {}
    return Shard(
        path,
        keys=tuple(members),
        names=tuple(layouts.setdefault(tuple(parts), tuple(parts)) for parts in members.values()),
        entries=tuple(np.array(list(parts.values()), np.int64) for parts in members.values()),
    )


def _open_shard(path: Path, facts: dict[str, Any], verify: bool) -> Shard:
    if not path.is_file():
        raise ShardError(f"{path} is missing.", REMEDY)
    if path.stat().st_size != facts["bytes"]:
        raise _damaged(path, f"it has {path.stat().st_size:,} bytes, the manifest says {facts['bytes']:,}")
    if verify and file_digest(path) != facts["sha256"]:
        raise _damaged(path, "its SHA-256 is not that of the manifest")
    shard = read_contents(path)
    if len(shard.keys) != facts["samples"]:
        raise _damaged(path, f"it holds {len(shard.keys)} samples, the manifest says {facts['samples']}")
    return shard


def _read(path: Path, start: int, count: int) -> bytes:
    """Opened for each read: no file position is shared by threads or inherited by processes."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            block = file.read(count)
    except OSError as error:
        raise ShardError(f"{path} cannot be read: {error}.", "Check that the disk is there.") from error
    if len(block) < count:
        raise _damaged(path, "it ends early")
    return block


def _damaged(path: Path, reason: str) -> ShardError:
    return ShardError(f"{path} is damaged: {reason}.", REMEDY)


# -- one sample ------------------------------------------------------------------------------------------------------
def _sample(key: str, parts: dict[str, bytes]) -> Sample:
    facts = json.loads(parts["json"])
    arrays = {name.removesuffix(".npy"): _array(parts[name]) for name in parts if name.endswith(".npy")}
    labels = arrays.pop("labels", None)
    sensors = [sensor for sensor in SENSOR_ORDER if sensor in arrays]
    for sensor in sensors:
        if f"{sensor}_valid" not in arrays:
            raise ValueError(f"{sensor} comes without {sensor}_valid")
    days = {sensor: facts["hr_day" if sensor == "hr" else f"{sensor}_days"] for sensor in sensors}
    return Sample(
        key=key,
        place=facts["place"],
        arrays=arrays,
        lonlat=None if facts["lonlat"] is None else (float(facts["lonlat"][0]), float(facts["lonlat"][1])),
        days={sensor: np.atleast_1d(np.array(value, np.int64)) for sensor, value in days.items()},
        bands={sensor: np.array(facts[f"{sensor}_bands"], bool) for sensor in sensors},
        gsd_m=facts["gsd_m"],
        labels=None if labels is None else labels.astype(np.uint8, copy=False),
    )


def _array(data: bytes) -> Array:
    array: Array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return array


def array_shape(path: Path, entry: Entry) -> tuple[int, ...]:
    """Of an array, from the head of its member."""
    head = io.BytesIO(_read(path, entry[0], min(entry[1], 256)))
    try:
        version = np.lib.format.read_magic(head)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, _ = read(head)
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    return tuple(int(side) for side in shape)
