"""The contact sheet: who is on it, and that it says where the views lie."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from skysense import cli
from skysense.errors import OutputError
from skysense.training.contact_sheet import FRAMES, choose_samples, draw_sheet
from skysense.training.shard_writer import ShardWriter
from skysense.training.shards import Sample, ShardSet
from skysense.training.view_pictures import NO_DATA, Stretch, picture_of_hr, picture_of_s1, picture_of_s2
from skysense.training.views import ViewSettings


def sample(number: int) -> Sample:
    """Mostly pictures; every fifth is a series, one of all sensors is among them."""
    generator = np.random.default_rng(number)
    arrays, days, bands = {}, {}, {}
    if number % 5 or number == 5:
        arrays |= {"hr": generator.random((4, 60, 80)).astype(np.float16), "hr_valid": np.ones((60, 80), bool)}
        days["hr"], bands["hr"] = np.array([0]), np.array([True, True, True, False])
    if number % 5 == 0:
        arrays |= {"s2": generator.random((3, 10, 12, 16)).astype(np.float16), "s2_valid": np.ones((3, 12, 16), bool)}
        arrays |= {"s1": np.full((6, 2, 12, 16), -12, np.float16), "s1_valid": np.ones((6, 12, 16), bool)}
        days |= {"s2": np.array([0, 60, 366]), "s1": np.arange(6) * 50}
        bands |= {"s2": np.ones(10, bool), "s1": np.ones(2, bool)}
    return Sample("", f"set/{number}", arrays, (4.4, -50.8), days, bands, 0.5, None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shards")
    with ShardWriter(path, {}, 10**6) as writer:
        for number in range(20):
            writer.write(number, sample(number), (0, 0, 60, 80))
        writer.finish(["set"], None, 20)
    return path


def test_rare_sensors_are_on_the_sheet(folder: Path) -> None:
    shards = ShardSet([folder])
    chosen = choose_samples(shards, 4, seed=0)
    assert [shards.kind(index)[0] for index in chosen][:2] == [("hr", "s2", "s1"), ("s2", "s1")] and len(set(chosen)) == 4
    assert chosen == choose_samples(shards, 4, seed=0) and len(choose_samples(shards, 99, seed=0)) == 20


def test_the_command_draws_rows_with_the_frames_of_all_views(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sheet.png"
    assert cli.main(["views", str(folder), str(path), "--samples", "3"]) == 0
    assert "3 of 20 samples" in capsys.readouterr().out
    sheet = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    assert sheet.shape[1] > 1300 and sheet.shape[0] > 3 * 208
    for frame in FRAMES:
        assert (sheet == frame).all(axis=-1).sum() > 500
    first = path.read_bytes()
    assert cli.main(["views", str(folder), str(path), "--samples", "3"]) == 0 and path.read_bytes() == first
    assert cli.main(["views", str(folder), str(path), "--samples", "3", "--epoch", "1"]) == 0 and path.read_bytes() != first
    with pytest.raises(OutputError, match=".png"):
        draw_sheet(ShardSet([folder]), tmp_path / "sheet.jpg", ViewSettings(), 1, 0, 0)


def test_pictures_say_what_is_missing() -> None:
    valid = np.array([[True, False]])
    hr = np.array([0.0, 0.5, 1.0, 0.25], np.float32)[:, None, None].repeat(2, axis=2)
    assert picture_of_hr(hr, np.array([1, 1, 1, 0], bool), valid).tolist() == [[[0, 128, 255], list(NO_DATA)]]
    assert picture_of_hr(hr, np.array([0, 0, 0, 1], bool), valid)[0, 0].tolist() == [64, 64, 64]
    s2 = np.linspace(0, 0.9, 10, dtype=np.float32)[:, None, None].repeat(2, axis=2)
    bands = np.ones(10, bool)
    assert picture_of_s2(s2, bands, valid, Stretch(0, 0.2))[0, 0].tolist() == [255, 128, 0]  # B4, B3, B2
    bands[0] = False
    assert picture_of_s2(s2, bands, valid, Stretch(0, 0.2))[0, 0].tolist() == [255, 128, 191]
    radar = np.array([-10.0, -16.0], np.float32)[:, None, None].repeat(2, axis=2)
    assert picture_of_s1(radar, np.array([True, True]), valid)[0, 0].tolist() == [128, 128, 102]
    assert picture_of_s1(radar, np.array([False, True]), valid)[0, 0].tolist() == [128, 128, 128]
