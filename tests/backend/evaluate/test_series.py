"""The contract of the probe of series on fields whose crops are known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from skysense import cli
from skysense.errors import BandError, DateError, LabelError
from skysense.evaluate.ridge import macro_f1
from skysense.evaluate.series import run
from skysense.evaluate.series_features import RawSeries, fill_gaps
from skysense.evaluate.series_samples import block_folds, plot_folds
from skysense.evaluate.site_pixels import Pixels, calibrated
from skysense.evaluate.sites import find_site_sets
from skysense.jobs.batches import TileData

RANDOM_HR = Path(__file__).parents[2] / "data/models/random_hr.safetensors"
TREESAT = Path(__file__).parents[2] / "data/treesat_ts"
S2_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
DAYS = ("20210301", "20210501", "20210701")
SIDE = 32


def write(path: Path, bands: np.ndarray, names: tuple[str, ...] = (), nodata: float | None = None) -> None:
    count, height, width = bands.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=bands.dtype, nodata=nodata,
        crs="EPSG:32631", transform=Affine(10, 0, 664760, 0, -10, 5612400),
    ) as file:  # fmt: skip
        file.write(bands)
        file.descriptions = names or (None,) * count


def write_site(home: Path, seed: int = 0) -> np.ndarray:
    """Fields of 4 x 4 pixels: crop 1 is green in May and July, crop 2 in July alone, so that only May tells them apart."""
    noise = np.random.default_rng(seed)
    crops = np.kron(noise.integers(1, 3, (SIDE // 4, SIDE // 4)), np.ones((4, 4))).astype(np.uint8)
    for day in DAYS:
        green = {"0501": crops == 1, "0701": crops > 0}.get(day[4:], np.zeros_like(crops, bool))
        infrared = np.where(green, 4000, 1500)
        bands = np.stack([infrared if name in ("B07", "B08", "B8A") else np.full_like(infrared, 900) for name in S2_BANDS])
        write(home / f"S2_{day}.tif", (bands + noise.normal(0, 60, bands.shape)).astype(np.uint16), S2_BANDS, 0)
    radar = noise.normal(2500, 100, (2, SIDE, SIDE)).astype(np.uint16)
    write(home / "S1ASC_20210501.tif", radar, ("VV", "VH"))
    labels = crops.copy()
    labels[:2] = 255
    write(home / "crops.tif", labels[None], nodata=255)
    return labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("series") / "fields"
    write_site(home / "north")
    shutil.copytree(home / "north", home / "unlabelled", ignore=shutil.ignore_patterns("crops.tif"))
    return home


def test_rows_follow_the_contract(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    assert cli.main(["evaluate", "series", str(folder), "--seed", "3", "--baselines", "--json", str(out)]) == 0
    rows = json.loads(out.read_text())
    assert [(row["features"], row["untrained_seed"]) for row in rows] == [
        ("skysense-nano", None), ("random", 0), ("random_stem", 0), ("random", 1), ("random_stem", 1), ("raw", None),
    ]  # fmt: skip
    for row in rows:
        assert row["set"] == "fields" and row["seed"] == 3 and row["seconds"] >= 0 and row["model"] == "skysense-nano"
        assert row["unit"] == "pixel" and row["samples"] == SIDE * (SIDE - 2) and row["classes"] == 2
        assert 0 <= row["macro_f1"] <= 1 and row["macro_f1_sd"] >= 0
    assert rows[0]["weights_sha256"].startswith("sha256:") and rows[-1]["weights_sha256"] is None
    assert rows[-1]["macro_f1"] > 0.99 and rows[-1]["dim"] == 3 * (10 + 3) + 3
    assert rows[0]["macro_f1"] > 0.9


def test_same_seed_same_figures_and_a_site_may_be_the_folder(folder: Path, sentinel_model: Path) -> None:
    (first,), (second,) = (run([home], model=str(sentinel_model)) for home in (folder, folder / "north"))
    assert first["macro_f1"] == second["macro_f1"] and (first["set"], second["set"]) == ("fields", "north")


def test_labels_on_another_grid_come_by_the_nearest_pixel(folder: Path, sentinel_model: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "north", tmp_path / "north")
    with rasterio.open(tmp_path / "north/crops.tif") as file:
        coarse = file.read(1)[::2, ::2]
    with rasterio.open(
        tmp_path / "north/crops.tif", "w", driver="GTiff", count=1, height=SIDE // 2, width=SIDE // 2, dtype="uint8",
        crs="EPSG:32631", transform=Affine(20, 0, 664760, 0, -20, 5612400), nodata=255,
    ) as file:  # fmt: skip
        file.write(coarse, 1)
    assert run([tmp_path], model=str(sentinel_model))[0]["macro_f1"] == run([folder], model=str(sentinel_model))[0]["macro_f1"]


def test_groups_of_sites_are_held_out_where_an_expression_says_so(folder: Path, sentinel_model: Path, tmp_path: Path) -> None:
    for name, seed in (("east_1", 1), ("west_1", 2)):
        write_site(tmp_path / "set" / name, seed)
    (row,) = run([tmp_path / "set"], model=str(sentinel_model), group_by="^([a-z]+)_")
    assert row["samples"] == 2 * SIDE * (SIDE - 2) and row["macro_f1_sd"] is not None
    with pytest.raises(LabelError, match="1 group of sites"):
        run([tmp_path / "set"], group_by="_(1)")


def test_plots_are_told_apart_by_their_commonest_genus(sentinel_model: Path, tmp_path: Path) -> None:
    for name, genus in (("a", "Betula"), ("b", "Quercus"), ("c", "Betula"), ("d", "Quercus"), ("e", "Pinus")):
        shutil.copytree(TREESAT, tmp_path / name)
        said = {"site": name, "genus_fraction": {genus: 0.8, "Picea": 0.2}}
        (tmp_path / name / "labels.json").write_text(json.dumps(said))
    (row,) = run([tmp_path], model=str(sentinel_model))
    assert row["unit"] == "plot" and row["samples"] == 4 and row["classes"] == 2
    shutil.rmtree(tmp_path / "c")
    with pytest.raises(LabelError, match="Betula 1, Pinus 1, Quercus 2; two of each of two genera"):
        run([tmp_path], model=str(sentinel_model))


def test_what_cannot_be_scored_is_refused(folder: Path, tmp_path: Path) -> None:
    def spoilt(name: str) -> Path:
        return Path(shutil.copytree(folder / "north", tmp_path / name))

    with pytest.raises(LabelError, match="none of them labelled"):
        run([folder / "unlabelled"])
    with pytest.raises(BandError, match="takes hr, the site north has s2, s1"):
        run([folder], model=str(RANDOM_HR))
    home = spoilt("one_class")
    write(home / "crops.tif", np.ones((1, SIDE, SIDE), np.uint8))
    with pytest.raises(LabelError, match=r"classes \[1\], a probe needs two"):
        run([home])
    write(home / "crops.tif", np.ones((1, SIDE, SIDE), np.float32))
    with pytest.raises(LabelError, match="labels are whole numbers"):
        run([home])
    home = spoilt("two_maps")
    shutil.copy(home / "crops.tif", home / "soil.tif")
    with pytest.raises(LabelError, match=r"crops.tif, soil.tif"):
        run([home])
    home = spoilt("no_day")
    (home / "S2_20210701.tif").rename(home / "S2_20210732.tif")
    with pytest.raises(DateError, match="'20210732' is no date"):
        run([home])
    home = spoilt("shares")
    (home / "crops.tif").unlink()
    (home / "labels.json").write_text('{"genus_fraction": 3}')
    with pytest.raises(LabelError, match="tells no shares"):
        run([home])


# -- the parts -------------------------------------------------------------------------------------------------------
def test_blocks_are_whole_and_those_of_one_fold_do_not_touch() -> None:
    rows, columns = (index.ravel() for index in np.indices((48, 50)))
    folds = block_folds(Pixels(rows, columns, rows, 48, 50)).reshape(48, 50)
    blocks = folds[6::12, 6::13]
    assert [sorted(row) for row in blocks.tolist()] == [[0, 1, 2, 3]] * 4
    assert (folds[:12, :12] == blocks[0, 0]).all()
    for y in range(3):
        for x in range(4):
            below = blocks[y + 1, max(0, x - 1) : x + 2]
            assert blocks[y, x] not in below


def test_plots_of_each_class_go_round_the_folds() -> None:
    assert plot_folds(np.array([0, 1, 0, 1, 0])).tolist() == [0, 0, 1, 1, 0]


def test_gaps_in_time_are_filled_between_their_neighbours() -> None:
    values = np.array([9.0, 1.0, 9.0, 4.0, 9.0], np.float32)[:, None, None]
    seen = np.array([False, True, False, True, False])[:, None]
    times = np.array([0.0, 10.0, 20.0, 40.0, 50.0])
    assert fill_gaps(values, seen, times)[:, 0, 0].tolist() == [1.0, 1.0, 2.0, 4.0, 4.0]
    assert not fill_gaps(values, np.zeros_like(seen), times).any()


def test_sites_with_other_dates_meet_in_months(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_site(tmp_path / name)
    (tmp_path / "b/S2_20210501.tif").rename(tmp_path / "b/S2_20200515.tif")
    (found,) = find_site_sets([tmp_path])
    assert [len(slots) for slots in RawSeries(found.sites, ("s2", "s1")).slots.values()] == [12, 1]


def test_integers_of_radar_become_decibel() -> None:
    """DN 2500 is 20 log10(2500) - 83 = -15.0 dB."""
    valid, bands = np.ones((1, 2, 2), bool), np.ones(2, bool)
    for stored, expected in ((10 * np.log10(2500), -15.04), (-15.04, -15.04)):
        arrays = {"s1": np.full((1, 2, 2, 2), stored, np.float32), "s1_valid": valid, "s1_bands": bands}
        found = calibrated(TileData(arrays, valid[0])).arrays["s1"]
        assert found == pytest.approx(expected, abs=0.01)


def test_macro_f1_is_the_mean_over_classes_with_pixels_enough() -> None:
    labels = np.repeat([0, 1, 2], [30, 30, 5])
    scores = np.eye(3)[np.repeat([0, 1, 1], [30, 30, 5])]
    assert macro_f1(scores, labels) == pytest.approx((1 + 60 / 65) / 2)
    assert macro_f1(scores, labels, fewest=1) == pytest.approx((1 + 60 / 65 + 0) / 3)
    assert macro_f1(scores[60:], labels[60:]) is None


def test_the_real_series_is_read_as_it_lies(shared_data: Path, sentinel_model: Path) -> None:
    (row,) = run([shared_data / "worldcereal_belgium"], model=str(sentinel_model))
    assert (row["set"], row["samples"], row["classes"]) == ("worldcereal_belgium", 2400, 5)
