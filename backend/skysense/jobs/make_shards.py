"""A scene, folders of images, or both -> shards for pretraining."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import Protocol

import numpy as np

from skysense.errors import RasterError, RequestError
from skysense.jobs.provenance import inputs_of
from skysense.jobs.report import Part, Report, by_rule_of_three, telling
from skysense.jobs.scene_windows import WINDOW_PX, SceneWindows
from skysense.models.interface import SENSOR_ORDER
from skysense.protocol.records import to_plain
from skysense.protocol.requests import MakeShards, ShardsMade
from skysense.protocol.sensors import SENSORS
from skysense.scene.grid import Window
from skysense.scene.open import open_raster
from skysense.scene.read import SceneReader
from skysense.training.labels import read_labels
from skysense.training.plain_folders import Place, find_places, held_out
from skysense.training.plain_windows import PlaceWindows, find_classes
from skysense.training.shard_writer import ShardWriter, finished
from skysense.training.shards import MANIFEST, Sample, file_digest

SMALLEST_WINDOW_PX = 8
CHUNK_BYTES = 2**22  # between two looks at whether the job was stopped
# Half of a sample's values lie between these, whatever was seen: snow and clouds, calm water and towns.
PLAUSIBLE = {"hr": (-0.5, 2.0), "s2": (-0.5, 2.0), "s1": (-50.0, 20.0)}


class Windows(Protocol):
    """A numbered sequence of places that may be a sample each."""

    def __len__(self) -> int: ...

    def read(self, index: int, least_data: float) -> tuple[Sample, Window] | None: ...


def run(request: MakeShards, report: Report) -> ShardsMade:
    """Cut, read and write, window by window. A run that was stopped goes on after its last whole shard; one that finished
    is told again.

    Raises:
        RequestError: nothing to cut, settings that make no sense. RasterError and its kinds: a file that cannot be used.
        LabelError: labels that cannot be used. OutputError: the folder cannot be written, or holds something else.
        Cancelled: whole shards stay.
    """
    started = time.monotonic()
    _check(request)
    report.progress(0.0, "Looking for files")
    places = find_places([Path(folder) for folder in request.folders], request.hold_out)
    if request.folders and not places:
        raise RequestError(
            f"No images were found below {', '.join(request.folders)}.",
            "Pictures are looked for under images/, series as S2*_YYYYMMDD.tif and S1*_YYYYMMDD.tif.",
        )
    settings = _settings(request, places, Part(report, 0.0, 0.05))
    folder = Path(request.output_folder)
    manifest = finished(folder, settings)
    if manifest is None:
        with ExitStack() as stack:
            windows, sources, names = _windows(request, places, stack, Part(report, 0.05, 0.1))
            writer = stack.enter_context(ShardWriter(folder, settings, request.shard_bytes))
            total = sum(map(len, windows))
            _write(writer, windows, request.least_data, Part(report, 0.1, 1.0))
            manifest = writer.finish(sources, names or None, total)
    kinds = {key for kind in manifest["sizes"] for key in kind}
    return ShardsMade(
        folder=request.output_folder,
        samples=manifest["samples"],
        left_out=manifest["left_out"],
        shards=len(manifest["shards"]),
        bytes=sum(shard["bytes"] for shard in manifest["shards"]),
        sensors=tuple(sensor for sensor in SENSOR_ORDER if sensor in kinds),
        digest=file_digest(folder / MANIFEST),
        seconds=time.monotonic() - started,
    )


def _check(request: MakeShards) -> None:
    if request.scene is None and not request.folders:
        raise RequestError("There is nothing to cut.", "Give rasters of a place, or folders of images.")
    if request.window_px != 0 and request.window_px < SMALLEST_WINDOW_PX:
        raise RequestError(
            f"A window of {request.window_px} px is too small.", f"Choose at least {SMALLEST_WINDOW_PX}, or 0 for what suits."
        )
    if not 0 < request.least_data <= 1:
        raise RequestError(f"A share of data of {request.least_data:g} makes no sense.", "Choose more than 0, at most 1.")
    if request.shard_bytes < 1:
        raise RequestError(f"Shards of {request.shard_bytes} bytes hold nothing.", "Choose at least one megabyte.")
    if request.labels_path is not None and (request.scene is None or not request.class_field):
        raise RequestError("Polygons of classes lie on a scene, and one of their fields names the class.", "Give both.")
    for folder in request.folders:
        if not Path(folder).is_dir():
            raise RequestError(f"There is no folder {folder}.", "Choose a folder on this computer.")
    for part in request.hold_out:  # a slip of the pen would let a model learn from what it is judged by
        if not any(held_out(path, [part]) for folder in request.folders for path in Path(folder).rglob("*")):
            raise RequestError(
                f"Nothing below the folders has “{part}” in its path: it would keep nothing apart.",
                "Write the part as it stands in the files' paths, capital letters and spaces too.",
            )


def _windows(
    request: MakeShards, places: Sequence[Place], stack: ExitStack, report: Report
) -> tuple[list[Windows], list[str], list[str]]:
    """All that is cut, the names of the sources, and those of the classes. What the stack holds stays open."""
    windows: list[Windows] = []
    sources, classes = [], []
    if request.scene is not None:
        scene = stack.enter_context(SceneReader(request.scene))
        labels = None
        if request.labels_path is not None:
            labels = read_labels(request.labels_path, request.labels_layer, request.class_field, scene.grid)
            classes = [entry.name for entry in labels.classes]
        path = PurePath(scene.reference.source.path)
        sources.append(f"{path.parent.name}/{path.stem}")
        windows.append(SceneWindows(scene, sources[0], request.window_px, labels))
    found = find_classes(places, classes, telling(report, "Reading masks"))
    sides = {sensor: request.window_px or side for sensor, side in WINDOW_PX.items()}
    for place in places:
        report.progress(1.0, "Looking at images")
        windows.append(PlaceWindows(place, sides, found))
        sources.append(place.name)
    return windows, list(dict.fromkeys(sources)), list(found.names)


def _write(writer: ShardWriter, windows: Sequence[Windows], least_data: float, report: Report) -> None:
    """Everything from where the writer stands."""
    begun, first, written = time.monotonic(), writer.next_number, 0
    total = sum(map(len, windows))
    number = 0
    for source in windows:
        for index in range(len(source)):
            if number >= first:
                left = by_rule_of_three(begun, (number - first) / max(1, total - first))
                report.progress(number / total, "Cutting samples", f"{number} of {total} windows", seconds_left=left)
                found = source.read(index, least_data)
                if found is not None:
                    sample, area = found
                    check_values(sample)
                    writer.write(number, sample, (area.row, area.column, area.height, area.width))
                    written += 1
            number += 1
    if written == 0 and not writer.shards:
        raise RequestError(
            f"None of the {total} windows has data on {least_data:.0%} of its pixels.",
            "Choose a smaller window, another extent, or a smaller share.",
        )


def check_values(sample: Sample) -> None:
    """A model that learns from values in other units learns nothing of use, and nobody sees it.

    Raises:
        RasterError: half of a sensor's values or more are none of its.
    """
    for sensor in sample.sensors:
        values = np.moveaxis(sample.arrays[sensor], -3, -1)[sample.arrays[f"{sensor}_valid"].astype(bool)]  # (N, C)
        middle = float(np.median(values[:, sample.bands[sensor]]))
        low, high = PLAUSIBLE[sensor]
        if not low <= middle <= high:
            unit = "dB" if sensor == "s1" else "of full reflectance"
            raise RasterError(
                f"The values of {SENSORS[sensor].label} at {sample.place} lie around {middle:.4g} {unit}, "
                f"{low:g} to {high:g} was expected.",
                "Correct the scaling of its layers; Sentinel-1 has to be calibrated to sigma0 or gamma0.",
            )


def _settings(request: MakeShards, places: Sequence[Place], report: Report) -> dict[str, object]:
    """All that decides the samples, without the names of folders on this computer: the same on another one."""
    files = [Path(path) for path in inputs_of(*([] if request.scene is None else [request.scene]))]
    files += [path for place in places for path in place.files]
    if request.labels_path is not None:
        files.append(Path(request.labels_path))
    plain = to_plain(request)
    scene = plain["scene"]
    if isinstance(scene, dict):
        for acquisition in scene["acquisitions"]:
            acquisition["path"] = PurePath(acquisition["path"]).name
            acquisition["name"] = ""
    return {
        "window_px": request.window_px,
        "least_data": request.least_data,
        "shard_bytes": request.shard_bytes,
        "scene": scene,
        "labels": None if request.labels_path is None else PurePath(request.labels_path).name,
        "labels_layer": request.labels_layer,
        "class_field": request.class_field,
        "folders": [PurePath(folder).name for folder in request.folders],
        "hold_out": list(request.hold_out),
        "files": _digest(list(dict.fromkeys(files)), report),
    }


def _digest(files: Sequence[Path], report: Report) -> str:
    """One SHA-256 over names and contents."""
    digest = hashlib.sha256()
    for done, path in enumerate(files):
        digest.update(path.name.encode())
        try:
            with path.open("rb") as file:
                while block := file.read(CHUNK_BYTES):
                    digest.update(block)
                    report.progress(done / len(files), "Reading files", path.name)
        except OSError as error:
            with open_raster(str(path)):  # says it better
                raise RequestError(f"{path} cannot be read: {error.strerror}.", "Check the rights of the file.") from error
    return f"sha256:{digest.hexdigest()}"
