"""Shards on the disk: what was written is read, and what is damaged is named."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import tarfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from skysense.errors import OutputError, ShardError
from skysense.training.shard_writer import MAKING, ShardWriter, finished
from skysense.training.shards import Sample, ShardSet, read_contents

BACKEND = Path(__file__).parents[3] / "backend"
SETTINGS = {"window_px": 40}


def sample(number: int) -> Sample:
    """Even numbers hold three sensors and labels, odd ones Sentinel-2 alone."""
    generator = np.random.default_rng(number)
    s2 = {"s2": generator.random((3, 10, 8, 8)).astype(np.float16), "s2_valid": generator.random((3, 8, 8)) < 0.8}
    days = np.array([10, 0, 300])
    bands = np.arange(10) != number % 10
    if number % 2:
        return Sample("", "fields", s2, None, {"s2": days}, {"s2": bands}, None, None)
    finer = {"hr": generator.random((4, 40, 40)).astype(np.float16), "hr_valid": np.ones((40, 40), bool)}
    radar = {"s1": np.full((2, 2, 8, 8), -12.5, np.float16), "s1_valid": np.ones((2, 8, 8), bool)}
    return Sample(
        key="",
        place="town",
        arrays={**finer, **s2, **radar},
        lonlat=(4.5, 50.25),
        days={"hr": np.array([123]), "s2": days, "s1": np.array([20, 32])},
        bands={"hr": np.array([True, True, True, False]), "s2": bands, "s1": np.array([True, True])},
        gsd_m=0.2,
        labels=generator.integers(0, 3, (40, 40)).astype(np.uint8),
    )


def write(folder: Path, numbers: range, shard_bytes: int = 60_000, finish: bool = True) -> None:
    with ShardWriter(folder, SETTINGS, shard_bytes) as writer:
        for number in numbers:
            if number >= writer.next_number:
                writer.write(number, sample(number), (0, 40 * number, 40, 40))
        if finish:
            writer.finish(["town", "fields"], ["water", "roof", "road"], len(numbers))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shards")
    write(path, range(9))
    return path


def same(found: Sample, wanted: Sample) -> bool:
    assert (found.place, found.lonlat, found.gsd_m) == (wanted.place, wanted.lonlat, wanted.gsd_m)
    assert found.arrays.keys() == wanted.arrays.keys() and found.sensors == wanted.sensors
    for name, array in wanted.arrays.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)
    for sensor in wanted.sensors:
        np.testing.assert_array_equal(found.days[sensor], wanted.days[sensor])
        np.testing.assert_array_equal(found.bands[sensor], wanted.bands[sensor])
    assert (found.labels is None) == (wanted.labels is None)
    return wanted.labels is None or np.array_equal(found.labels, wanted.labels)


def test_what_was_written_is_read_in_any_order(folder: Path) -> None:
    shards = ShardSet([folder], verify=True)
    assert len(shards) == 9 and len(list(folder.glob("*.tar"))) > 2
    for number in (8, 0, 3, 8, 5):
        assert same(shards[number], sample(number))
        assert shards[number].key == f"{number:08d}"
    assert [shards.place(number) for number in range(4)] == ["town", "fields", "town", "fields"]
    assert shards.kind(0) == (("hr", "s2", "s1"), ((40, 40), (8, 8), (8, 8)))
    assert shards.kind(1) == (("s2",), ((8, 8),))
    assert shards.labels == ("water", "roof", "road")
    with pytest.raises(IndexError):
        shards[9]


def test_several_folders_are_one_set(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "more", range(3))
    shards = ShardSet([folder, tmp_path / "more"])
    assert len(shards) == 12 and same(shards[10], sample(1))
    assert shards.digest != ShardSet([folder]).digest and shards.digest.startswith("sha256:")


def value_of(shards: ShardSet, index: int) -> float:
    return float(shards[index].arrays["s2"].astype(np.float64).sum())


def test_threads_and_processes_read_the_same(folder: Path) -> None:
    shards = ShardSet([folder])
    indices = [index % 9 for index in range(45)]
    wanted = [value_of(shards, index) for index in indices]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda index: value_of(shards, index), indices)) == wanted
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        assert list(pool.map(value_of, [shards] * 45, indices, chunksize=9)) == wanted


def test_samples_follow_webdatasets_layout(folder: Path) -> None:
    """Members of one sample lie together, nothing of the run is in their headers."""
    keys = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, _, field = member.name.partition(".")
                assert field == "json" or field.endswith(".npy")
                assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
                keys.append(key)
    assert [key for key, before in zip(keys, ["", *keys]) if key != before] == sorted(set(keys))


def test_reading_needs_neither_rasterio_nor_webdataset(folder: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('rasterio', 'webdataset'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from skysense.training.shards import ShardSet\n"
        "from skysense.training.views import ViewSettings, views_of\n"
        f"print(len(views_of(ShardSet([Path({str(folder)!r})])[0], ViewSettings(), 0, 0, 0)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=BACKEND, capture_output=True, text=True, timeout=60)
    assert done.stdout == "6\n", done.stderr


# -- writing ---------------------------------------------------------------------------------------------------------
def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_that_stopped_goes_on_and_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for stop in (1, 4, 8):
        path = tmp_path / str(stop)
        write(path, range(stop), finish=False)  # as a killed run leaves it: whole shards alone
        with pytest.raises(ShardError, match="did not finish" if stop > 1 else "has no manifest"):
            ShardSet([path])
        write(path, range(9))
        assert contents(path) == contents(folder)


def test_other_settings_never_mix(folder: Path, tmp_path: Path) -> None:
    write(tmp_path, range(4), finish=False)
    with pytest.raises(OutputError, match="other settings"):
        ShardWriter(tmp_path, {"window_px": 50}, 60_000)
    assert (tmp_path / MAKING).is_file()
    manifest = finished(folder, SETTINGS)
    assert manifest is not None and manifest["samples"] == 9 and manifest["left_out"] == 0
    assert {"samples": 4, "s2": [3, 8, 8]} in manifest["sizes"]
    assert finished(tmp_path, SETTINGS) is None
    with pytest.raises(OutputError, match="other settings"):
        finished(folder, {"window_px": 50})


def test_a_broken_pixel_stays_finite(tmp_path: Path) -> None:
    broken = sample(1)
    broken.arrays["s2"] = broken.arrays["s2"].astype(np.float32)
    broken.arrays["s2"][0, 0, 0, 0] = 1e9
    with ShardWriter(tmp_path, SETTINGS, 60_000) as writer:
        writer.write(0, broken, (0, 0, 8, 8))
        writer.finish(["fields"], None, 1)
    assert np.isfinite(ShardSet([tmp_path])[0].arrays["s2"]).all()


# -- damage ----------------------------------------------------------------------------------------------------------
def test_damage_is_named(folder: Path, tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        (tmp_path / name).mkdir()
        for file, data in contents(folder).items():
            (tmp_path / name / file).write_bytes(data)
        return tmp_path / name

    with pytest.raises(ShardError, match="No folder"):
        ShardSet([])
    with pytest.raises(ShardError, match="has no manifest"):
        ShardSet([tmp_path])
    missing = copy("missing")
    (missing / "shard-000001.tar").unlink()
    with pytest.raises(ShardError, match="is missing"):
        ShardSet([missing])
    short = copy("short")
    first = short / "shard-000000.tar"
    first.write_bytes(first.read_bytes()[:20_000])
    with pytest.raises(ShardError, match="bytes, the manifest says"):
        ShardSet([short])
    changed = copy("changed")
    first = changed / "shard-000000.tar"
    start, _ = read_contents(first).members(0)["hr.npy"]
    data = bytearray(first.read_bytes())
    data[start + 5000] ^= 1
    first.write_bytes(bytes(data))
    ShardSet([changed])
    with pytest.raises(ShardError, match="SHA-256"):
        ShardSet([changed], verify=True)
    data[start] ^= 1  # the array's magic
    first.write_bytes(bytes(data))
    with pytest.raises(ShardError, match="damaged: sample 00000000"):
        ShardSet([changed])[0]
    other = copy("other")
    (other / "manifest.json").write_text(json.dumps({"format": "skysense shards 7"}))
    with pytest.raises(ShardError, match="was expected"):
        ShardSet([other])
