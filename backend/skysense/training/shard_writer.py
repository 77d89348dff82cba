"""Writing shards: samples in, tar files out, the same bytes on every run, going on after the last whole shard.

A shard is written under the name `<name>.part` and renamed when it is whole; `manifest.json` comes last, so that a folder
with a manifest is complete. `making.json` says what the run was asked for while there is none.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from skysense.errors import OutputError
from skysense.models.interface import SENSOR_ORDER
from skysense.scene.write import sync
from skysense.training.shards import FORMAT, MANIFEST, Sample, Shard, array_shape, file_digest, read_contents, read_manifest

MAKING = "making.json"
KEY_DIGITS = 8
LARGEST = float(np.finfo(np.float16).max)  # a broken pixel stays finite

Size = tuple[tuple[str, tuple[int, ...]], ...]  # of a sample: sensor, and dates (but for hr), rows and columns


@dataclass(frozen=True)
class Written:
    """What is kept in memory of a whole shard."""

    name: str
    sha256: str
    samples: int
    bytes: int
    last: int  # number of its last sample
    sizes: Counter[Size]

    @classmethod
    def of(cls, path: Path) -> Written:
        """Read it."""
        shard = read_contents(path)
        sizes = Counter(_size(shard, number) for number in range(len(shard.keys)))
        return cls(path.name, file_digest(path), len(shard.keys), path.stat().st_size, int(shard.keys[-1]), sizes)


class ShardWriter:
    """Takes samples in the order of their numbers; a context manager. Only `finish` makes the folder complete."""

    def __init__(self, folder: Path, settings: Mapping[str, object], shard_bytes: int) -> None:
        """Begin, or go on where another run with the same settings stopped.

        Args:
            folder: made if it is not there.
            settings: all that decides the samples, as plain JSON values.
            shard_bytes: a shard is closed once it holds so many.

        Raises:
            OutputError: the folder cannot be written, or holds shards of other settings.
        """
        self.folder, self.shard_bytes = folder, shard_bytes
        self._settings = json.loads(json.dumps(settings))
        self.shards: list[Written] = []
        self._tar: tarfile.TarFile | None = None
        self._file: BinaryIO | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / MANIFEST).is_file():
                self._go_on()
        except OSError as error:
            raise _unwritable(folder, error) from error

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """What was begun and is not whole goes away."""
        if self._file is not None:
            self._file.close()
            self._part.unlink(missing_ok=True)
        if not self.shards:  # there is nothing to go on from
            (self.folder / MAKING).unlink(missing_ok=True)

    @property
    def next_number(self) -> int:
        """The first number that may still be written: those before are in whole shards, or were left out."""
        return self.shards[-1].last + 1 if self.shards else 0

    def write(self, number: int, sample: Sample, window: tuple[int, int, int, int]) -> None:
        """Append one sample.

        Args:
            number: larger than all before; becomes its key.
            sample: its own key plays no part.
            window: row, column, height and width in the source's finest sensor.

        Raises:
            OutputError: the disk is full or gone.
        """
        key = f"{number:0{KEY_DIGITS}d}"
        try:
            tar = self._tar or self._open()
            for name, data in _members(sample, window):
                member = tarfile.TarInfo(f"{key}.{name}")  # owner 0, time 0, mode 0644: nothing of this run
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
            if tar.offset >= self.shard_bytes:
                self._close()
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def finish(self, sources: Sequence[str], labels: Sequence[str] | None, windows: int) -> dict[str, Any]:
        """Close the last shard and write the manifest, which is given back.

        Args:
            sources: names of what the samples were cut from.
            labels: names of the classes by index, None where nothing is labelled.
            windows: how many were looked at; those without a sample had too few data.
        """
        try:
            if self._tar is not None:
                self._close()
            samples = sum(shard.samples for shard in self.shards)
            manifest = {
                "format": FORMAT,
                "samples": samples,
                "left_out": windows - samples,
                "sizes": [{"samples": count, **dict(size)} for size, count in sorted(self._sizes().items())],
                "shards": [
                    {"name": shard.name, "sha256": shard.sha256, "samples": shard.samples, "bytes": shard.bytes}
                    for shard in self.shards
                ],
                "sources": list(sources),
                "labels": None if labels is None else list(labels),
                "settings": self._settings,
            }
            _write_json(self.folder / MANIFEST, manifest)
            (self.folder / MAKING).unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return manifest

    def _go_on(self) -> None:
        """Take over the whole shards of a stopped run; what it left half-done goes away."""
        making = self.folder / MAKING
        for part in self.folder.glob("shard-*.part"):
            part.unlink()
        found = sorted(self.folder.glob("shard-*.tar"))
        if found and making.is_file():
            if json.loads(making.read_text(encoding="utf-8")) != self._settings:
                raise OutputError(
                    f"{self.folder} holds shards of a run with other settings or other files that did not finish.",
                    "Choose an empty folder, or delete what is in it.",
                )
            self.shards = [Written.of(path) for path in found]
        elif found:
            raise OutputError(f"{self.folder} holds shards without {MANIFEST}.", "Choose an empty folder.")
        else:
            _write_json(making, self._settings)

    def _sizes(self) -> Counter[Size]:
        return sum((shard.sizes for shard in self.shards), Counter())

    @property
    def _path(self) -> Path:
        return self.folder / f"shard-{len(self.shards):06d}.tar"

    @property
    def _part(self) -> Path:
        return self._path.with_suffix(".tar.part")

    def _open(self) -> tarfile.TarFile:
        self._file = self._part.open("wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        return self._tar

    def _close(self) -> None:
        if self._tar is None or self._file is None:
            return
        self._tar.close()
        self._file.close()
        sync(self._part)
        os.replace(self._part, self._path)
        self._tar = self._file = None
        self.shards.append(Written.of(self._path))


def finished(folder: Path, settings: Mapping[str, object]) -> dict[str, Any] | None:
    """The manifest of a folder that is complete already, None where there is none.

    Raises:
        OutputError: it was made with other settings.
    """
    if not (folder / MANIFEST).is_file():
        return None
    manifest = read_manifest(folder)
    if manifest["settings"] != json.loads(json.dumps(settings)):
        raise OutputError(f"{folder} holds shards of other settings or other files.", "Choose an empty folder.")
    return manifest


# -- one sample ------------------------------------------------------------------------------------------------------
def _members(sample: Sample, window: tuple[int, int, int, int]) -> Iterator[tuple[str, bytes]]:
    """Names and contents, always in the same order."""
    facts: dict[str, object] = {
        "place": sample.place,
        "lonlat": sample.lonlat,
        "gsd_m": sample.gsd_m,
        "window": window,
    }
    for sensor in sample.sensors:
        days = sample.days[sensor].tolist()
        facts[f"{sensor}_bands"] = sample.bands[sensor].tolist()
        facts |= {"hr_day": days[0]} if sensor == "hr" else {f"{sensor}_days": days}
        yield f"{sensor}.npy", _npy(np.clip(sample.arrays[sensor], -LARGEST, LARGEST).astype(np.float16))
        yield f"{sensor}_valid.npy", _npy(sample.arrays[f"{sensor}_valid"].astype(bool))
    if sample.labels is not None:
        yield "labels.npy", _npy(sample.labels)
    yield "json", json.dumps(facts, ensure_ascii=False, allow_nan=False).encode()


def _size(shard: Shard, number: int) -> Size:
    members = shard.members(number)
    shapes = {key: array_shape(shard.path, members[f"{key}.npy"]) for key in SENSOR_ORDER if f"{key}.npy" in members}
    return tuple((key, shape[-2:] if key == "hr" else (shape[0], *shape[-2:])) for key, shape in shapes.items())


def _npy(array: NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


# -- the folder ------------------------------------------------------------------------------------------------------
def _write_json(path: Path, content: Mapping[str, object]) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sync(part)
    os.replace(part, path)


def _unwritable(folder: Path, error: OSError) -> OutputError:
    return OutputError(f"{folder} cannot be written: {error.strerror or error}.", "Check free space and rights of the folder.")
