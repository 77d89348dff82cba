"""The contract of the change figures, on pairs whose answer is known and on real floods."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from skysense.change.objects import Objects
from skysense.change.pair import PixelPair
from skysense.change.statistics import Histogram
from skysense.errors import LabelError
from skysense.evaluate.change import Scored, average_by_blocks, average_precision, best_threshold, figures, run
from skysense.models.catalog import bundled_weights

COLUMNS = ["set", "sensor", "group", "method", "threshold_rule", "threshold", "f1", "precision", "recall", "pr_auc", "pixels"]


@pytest.fixture(scope="module")
def floods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two events of two places, each seen by both Sentinels; water is dark in radar and in the optical bands."""
    home = tmp_path_factory.mktemp("change") / "floods"
    random = np.random.default_rng(0)
    for event in ("east", "west"):
        for folder in ("before", "after", "masks"):
            (home / event / folder).mkdir(parents=True)
        for place in ("001", "002"):
            ground = np.kron(random.integers(80, 200, (8, 8, 3)), np.ones((16, 16, 1)))
            mask = np.zeros((128, 128), np.uint8)
            y, x = random.integers(10, 60, 2)
            mask[y : y + 40, x : x + 50] = 1
            for date in ("before", "after"):
                wet = (mask > 0) & (date == "after")
                optical = np.where(wet[..., None], 30, ground) + random.normal(0, 4, ground.shape)
                radar = np.where(wet, 60, 160) + random.normal(0, 12, mask.shape)
                cv2.imwrite(str(home / event / date / f"S2_{place}.png"), optical.clip(8, 250).astype(np.uint8))
                cv2.imwrite(str(home / event / date / f"S1_{place}.png"), radar.clip(8, 250).astype(np.uint8))
            mask[:20, :20] = 255
            cv2.imwrite(str(home / event / "masks" / f"{place}.png"), mask)
    return home


def test_rows_follow_the_contract(floods: Path) -> None:
    rows = run([floods])
    assert all(list(row)[: len(COLUMNS)] == COLUMNS for row in rows)
    assert {(row["sensor"], row["method"]) for row in rows} == {
        ("S2", "change-vector"),
        ("S1", "log-ratio"),
        ("S1", "log-ratio-fall"),
        ("S2+S1", "change-vector + log-ratio"),
    }
    assert {row["group"] for row in rows} == {"east", "west"}
    assert {row["threshold_rule"] for row in rows} == {"auto", "train", "best"}
    assert {row["pixels"] for row in rows} == {2 * (128 * 128 - 400)}


def test_floods_are_found(floods: Path) -> None:
    for row in run([floods]):
        assert row["f1"] > 0.85 and row["pr_auc"] > 0.95, row


def test_the_best_threshold_is_the_upper_bound(floods: Path) -> None:
    rows = run([floods], baselines=True)
    best = {(r["group"], r["sensor"], r["method"]): r["f1"] for r in rows if r["threshold_rule"] == "best"}
    for row in rows:
        if row["method"] != "everything":
            assert row["f1"] <= best[row["group"], row["sensor"], row["method"]] + 1e-9


def test_calling_everything_changed_is_the_floor(floods: Path) -> None:
    rows = [row for row in run([floods], baselines=True) if row["method"] == "everything"]
    assert len(rows) == 4
    for row in rows:
        share = row["precision"]
        assert row["recall"] == 1 and row["f1"] == pytest.approx(2 * share / (1 + share))
        assert row["pr_auc"] == pytest.approx(share)


@pytest.mark.skipif(bundled_weights("skysense-nano") is None, reason="the bundled weights are not there")
def test_pictures_without_a_prefix_are_high_resolution(floods: Path, tmp_path: Path) -> None:
    for folder in ("before", "after", "masks"):
        (tmp_path / "set" / folder).mkdir(parents=True)
        source = floods / "east" / folder / ("001.png" if folder == "masks" else "S2_001.png")
        (tmp_path / "set" / folder / "a.png").write_bytes(source.read_bytes())
    rows = run([tmp_path / "set"])
    assert {(row["sensor"], row["method"]) for row in rows} == {("HR", "deep-features")}
    assert all(str(row["weights_sha256"]).startswith("sha256:") for row in rows)
    assert {row["threshold_rule"] for row in rows} == {"auto", "best"}  # one group: nothing to train on


def test_folders_without_pairs_are_refused(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), np.zeros((8, 8), np.uint8))
    with pytest.raises(LabelError, match="no pairs of dates"):
        run([tmp_path])


def test_figures_by_hand() -> None:
    """Ten pixels: average precision is the mean over changed pixels of the precision at their rank, ties together."""
    scores = np.array([9, 8, 8, 7, 5, 5, 4, 2, 1, 1], np.float16)
    changed = np.array([1, 1, 0, 1, 0, 0, 1, 0, 0, 0], bool)
    every, right = Histogram(), Histogram()
    every.add(scores)
    right.add(scores[changed])
    entry = Scored("m", "S2", "s", "g", 0.0, every, right, 0.0, None)
    assert average_precision(entry) == pytest.approx((1 / 1 + 2 / 3 + 3 / 4 + 4 / 7) / 4)
    assert figures(entry, 6.0) == {"f1": pytest.approx(2 * 3 / 8), "precision": 3 / 4, "recall": 3 / 4}
    assert figures(entry, 9.0) == {"f1": 0.0, "precision": None, "recall": 0.0}
    assert best_threshold([entry]) == 5.0


def test_real_floods_reach_what_was_measured_when_the_methods_were_chosen(shared_data: Path) -> None:
    """F1 of the change vector: .81 and .63; average precision of the fall of backscatter: .65 and .89."""
    rows = run([shared_data / "ombria_floods"])
    auto = {(row["group"], row["method"]): row for row in rows if row["threshold_rule"] == "auto"}
    assert auto["albania", "change-vector"]["f1"] == pytest.approx(0.81, abs=0.01)
    assert auto["france", "change-vector"]["f1"] == pytest.approx(0.63, abs=0.01)
    assert auto["albania", "log-ratio-fall"]["pr_auc"] == pytest.approx(0.65, abs=0.01)
    assert auto["france", "log-ratio-fall"]["pr_auc"] == pytest.approx(0.885, abs=0.01)


def test_objects_end_at_the_borders_of_blocks_as_those_of_the_job_do() -> None:
    noise = np.random.default_rng(0)
    before, after = noise.random((2, 3, 300, 280), np.float32)
    everywhere = np.ones((300, 280), bool)
    pair = PixelPair(before, after, everywhere, everywhere)
    objects = Objects()
    objects.observe(pair)
    score = noise.random((300, 280), np.float32)
    corner = np.s_[256:, 256:]
    inner = PixelPair(before[:, 256:, 256:], after[:, 256:, 256:], everywhere[corner], everywhere[corner])
    assert np.array_equal(average_by_blocks(objects, score, pair)[corner], objects.average(score[corner], inner))
