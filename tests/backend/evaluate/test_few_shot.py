"""The contract of the few-shot probe on pictures whose answer is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from skysense.errors import LabelError, RequestError
from skysense.evaluate.cells import draw_tiles, find_classes
from skysense.evaluate.dense_probe import run as run_dense_probe
from skysense.evaluate.few_shot import DRAWS, run
from skysense.evaluate.folders import find_sets
from skysense.evaluate.regions import cell_regions

RANDOM_HR = Path(__file__).parents[2] / "data/models/random_hr.safetensors"


def write(home: Path, stem: str, mask: np.ndarray, seed: int, instances: np.ndarray | None = None) -> None:
    noise = np.random.default_rng(seed)
    for name in ("images", "masks", "instances"):
        (home / name).mkdir(parents=True, exist_ok=True)
    grey = 100 + 8 * mask[..., None] + noise.normal(0, 40, (*mask.shape, 1))
    cv2.imwrite(str(home / f"images/{stem}.png"), np.repeat(grey, 3, axis=2).clip(0, 255).astype(np.uint8))
    cv2.imwrite(str(home / f"masks/{stem}.png"), mask)
    if instances is not None:
        cv2.imwrite(str(home / f"instances/{stem}.png"), instances)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes with nine squares each, hardly brighter than the ground and noisy."""
    home = tmp_path_factory.mktemp("shots") / "squares"
    mask = np.zeros((128, 128), np.uint8)
    for top in (8, 48, 88):
        for left in (8, 48, 88):
            mask[top : top + 24, left : left + 24] = 1
    for seed, stem in enumerate(("one", "two")):
        write(home, stem, mask, seed)
    return home


def test_rows_follow_the_contract(folder: Path) -> None:
    rows = run([folder], seed=2, model=str(RANDOM_HR), baselines=True)
    features = [row["features"] for row in rows]
    assert list(dict.fromkeys(features))[:2] == [str(RANDOM_HR), "random"] and features[-1] == "raw"
    own = rows[:9]
    assert [(row["shots"], row["group"]) for row in own] == [(n, g) for n in (1, 5, 20) for g in ("one", "two", "all")]
    assert all(row["set"] == "squares" and row["seed"] == 2 and row["model"] == str(RANDOM_HR) for row in rows)
    assert all(row["weights_sha256"].startswith("sha256:") and row["seconds"] >= 0 for row in own)
    # Nine squares but one ground: 20 shots take what there is.
    assert [row["least_regions"] for row in own[2::3]] == [1, 1, 1]
    for name in ("balanced_accuracy", "miou", "ap"):
        assert own[2][name] == pytest.approx((own[0][name] + own[1][name]) / 2)
        assert all(0 <= row[name] <= 1 and row[f"{name}_sd"] >= 0 for row in rows)


def test_all_regions_give_the_dense_probe_and_no_spread(folder: Path) -> None:
    """With 20 shots of 9 regions every training cell is learnt from, in each draw."""
    everything = run([folder], model=str(RANDOM_HR))[-1]
    dense = run_dense_probe([folder], model=str(RANDOM_HR))[-1]
    for name in ("balanced_accuracy", "miou", "ap"):
        assert everything[name] == pytest.approx(dense[name])
        assert everything[f"{name}_sd"] == pytest.approx(0, abs=1e-9)


def test_same_seed_same_figures_and_draws_differ(folder: Path) -> None:
    first, second = ([(row["ap"], row["ap_sd"]) for row in run([folder], seed=1, model=str(RANDOM_HR))] for _ in range(2))
    assert first == second and first[0][1] > 0 and DRAWS == 10


def test_regions_are_areas_of_one_class_and_one_object(tmp_path: Path) -> None:
    """Two houses wall to wall are two regions; a strip that fills no cell is none."""
    mask = np.zeros((64, 64), np.uint8)
    mask[0:16, 0:32] = 1
    mask[40:43, :] = 1
    ids = np.zeros((64, 64), np.uint16)
    ids[0:16, 0:16], ids[0:16, 16:32] = 7, 300
    for stem in ("a", "b"):
        write(tmp_path / "set", stem, mask, 0, ids if stem == "a" else None)
    sets = find_sets([tmp_path / "set"])
    with_ids, without = draw_tiles(sets, find_classes(sets), 0)
    counts = []
    for tile in (with_ids, without):
        regions = cell_regions(tile, [0, 1])
        assert regions.min() >= 0
        counts.append([len(set(regions[tile.labels == index])) for index in (0, 1)])
    assert counts == [[2, 2], [2, 1]]  # the strip parts the ground


def test_a_class_of_one_group_alone_counts_as_missed(tmp_path: Path) -> None:
    mask = np.zeros((64, 128), np.uint8)
    mask[:, :64] = 1
    write(tmp_path / "set", "one", mask, 0)
    write(tmp_path / "set", "two", np.where(mask == 0, 2, 1).astype(np.uint8), 1)
    row = run([tmp_path / "set"], model=str(RANDOM_HR))[0]
    assert row["group"] == "one" and row["balanced_accuracy"] <= 0.5 and row["ap"] is None


def test_too_few_groups_and_models_that_take_no_pictures_are_refused(folder: Path, sentinel_model: Path) -> None:
    with pytest.raises(LabelError, match="leaving one out needs two"):
        run([folder], group_by="(o)")
    with pytest.raises(RequestError, match="takes s2, the folders hold high-resolution pictures"):
        run([folder], model=str(sentinel_model))
