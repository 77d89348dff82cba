"""Which sets, groups, pictures and pairs a folder holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from skysense.errors import LabelError, RasterError
from skysense.evaluate.folders import find_sets, read_labels, read_rgb, tile_windows

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def write(path: Path, bands: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands.shape
    driver = "GTiff" if path.suffix == ".tif" else "PNG"
    with rasterio.open(path, "w", driver=driver, count=count, height=height, width=width, dtype=bands.dtype) as file:
        file.write(bands)


def pictures(folder: Path, *stems: str, labels: str = "masks") -> None:
    for stem in stems:
        write(folder / "images" / f"{stem}.png", np.zeros((3, 8, 9), np.uint8))
        write(folder / labels / f"{stem}.tif", np.ones((1, 8, 9), np.uint16))


def test_a_set_of_pictures_pairs_by_stem_and_prefers_instances(tmp_path):
    home = tmp_path / "place"
    pictures(home, "place_a", "place_b")
    pictures(home, "place_b", labels="instances")
    write(home / "images" / "alone.png", np.zeros((3, 8, 9), np.uint8))  # no labels: left out
    (found,) = find_sets([home])
    assert found.name == "place" and [p.stem for p in found.pictures] == ["place_a", "place_b"]
    assert [p.objects.parent.name for p in found.pictures] == ["masks", "instances"]
    assert {p.group for p in found.pictures} == {"place"}


@pytest.mark.parametrize(
    ("stem", "group"),
    [("kampala_a", "kampala"), ("tile4_part11", "tile4"), ("x_ab", "x_ab"), ("a", "a"), ("s_part", "s_part")],
)
def test_the_group_is_the_stem_without_its_part(tmp_path, stem, group):
    pictures(tmp_path / "set", stem)
    assert find_sets([tmp_path / "set"])[0].pictures[0].group == group


def test_subfolders_are_the_groups_of_one_set(tmp_path):
    pictures(tmp_path / "floods" / "north", "n1")
    pictures(tmp_path / "floods" / "south", "s1")
    (tmp_path / "floods" / "notes").mkdir()
    (found,) = find_sets([tmp_path / "floods"])
    assert found.name == "floods" and [(p.stem, p.group) for p in found.pictures] == [("n1", "north"), ("s1", "south")]


def test_group_by_takes_group_1(tmp_path):
    pictures(tmp_path / "set", "tile1_part1", "tile2_part1")
    (found,) = find_sets([tmp_path / "set"], r"tile(\d)")
    assert [p.group for p in found.pictures] == ["1", "2"]


@pytest.mark.parametrize("expression", ["tile", "(", "(nothing)"])
def test_group_by_that_cannot_work_is_refused(tmp_path, expression):
    pictures(tmp_path / "set", "tile1")
    with pytest.raises(LabelError, match="--group-by"):
        find_sets([tmp_path / "set"], expression)


def test_pairs_of_dates_keep_their_sensor(tmp_path):
    home = tmp_path / "floods" / "north"
    for date in ("before", "after"):
        for stem in ("S1_006", "S2_006", "007"):
            write(home / date / f"{stem}.png", np.zeros((1, 8, 9), np.uint8))
    write(home / "before" / "S1_008.png", np.zeros((1, 8, 9), np.uint8))  # no later date: left out
    for stem in ("006", "007", "008"):
        write(home / "masks" / f"{stem}.png", np.zeros((1, 8, 9), np.uint8))
    (found,) = find_sets([tmp_path / "floods"])
    assert [(p.stem, p.sensor, p.group) for p in found.pairs] == [
        ("007", "", "north"), ("006", "S1", "north"), ("006", "S2", "north"),
    ]  # fmt: skip
    assert all(p.after.parent.name == "after" and p.after.name == p.before.name for p in found.pairs)


def test_unlabelled_classes_are_ignored(tmp_path):
    pictures(tmp_path / "set", "a")
    assert find_sets([tmp_path / "set"])[0].ignored == {255}
    (tmp_path / "set" / "classes.json").write_text(json.dumps({"0": "unlabeled", "1": "road"}))
    (found,) = find_sets([tmp_path / "set"])
    assert found.ignored == {0, 255} and found.classes[1] == "road"


def test_folders_without_labels_are_refused(tmp_path):
    with pytest.raises(LabelError, match="is not a folder"):
        find_sets([tmp_path / "nowhere"])
    with pytest.raises(LabelError, match="images/ with masks/"):
        find_sets([tmp_path])


def test_one_band_and_16_bits_become_rgb(tmp_path):
    ramp = np.arange(10000, dtype=np.uint16).reshape(1, 100, 100)
    write(tmp_path / "ramp.tif", ramp)
    rgb = read_rgb(tmp_path / "ramp.tif")
    assert rgb.shape == (100, 100, 3) and rgb.dtype == np.uint8
    assert rgb.min() == 0 and rgb.max() == 255 and np.ptp(rgb, axis=2).max() == 0
    assert abs(int(rgb[50, 0, 0]) - 127) <= 2


def test_broken_files_and_labels_that_are_no_numbers_are_refused(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(RasterError, match="broken.png"):
        read_rgb(tmp_path / "broken.png")
    write(tmp_path / "float.tif", np.zeros((1, 4, 4), np.float32))
    with pytest.raises(LabelError, match="whole numbers"):
        read_labels(tmp_path / "float.tif")


def test_tiles_are_whole_and_small_pictures_stay():
    assert tile_windows(768, 600, 512, 768) == [np.s_[0:768, 0:600]]
    windows = tile_windows(1058, 1126, 512, 768)
    assert len(windows) == 4 and windows[-1] == np.s_[512:1024, 512:1024]
    assert tile_windows(300, 1100, 512, 768) == [np.s_[0:300, 0:512], np.s_[0:300, 512:1024]]
