"""The evaluation of the click tool: its rows, and what they must show on real imagery."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from skysense.errors import LabelError
from skysense.evaluate import clicks

FIELDS = [
    "set", "method", "targets", "later_clicks", "iou1", "iou3", "iou5", "noc80", "noc85", "failures", "lost20",
    "open_ms", "p50_ms", "p95_ms", "p50_wall_ms", "seed", "seconds", "model", "weights_sha256",
]  # fmt: skip


@pytest.fixture
def squares(tmp_path):
    """Six bright squares of 24 px on dark ground, with ids."""
    rng = np.random.default_rng(0)
    ids = np.zeros((160, 220), np.uint16)
    for number in range(6):
        y, x = 20 + 70 * (number // 3), 20 + 70 * (number % 3)
        ids[y : y + 24, x : x + 24] = number + 1
    rgb = np.clip(np.where(ids > 0, 180, 60)[..., None] + rng.normal(0, 10, (*ids.shape, 3)), 0, 255).astype(np.uint8)
    for folder, picture in (("images", rgb), ("instances", ids)):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "squares.png"), picture)
    return tmp_path


def test_rows_of_all_methods_on_the_same_targets(squares):
    threads = cv2.getNumThreads()
    rows = clicks.run([squares], seed=3, targets=2, baselines=True)
    assert [row["method"] for row in rows] == ["skysense", "hand_made", "grabcut3", "random_walker"]
    for row in rows:
        assert set(FIELDS) <= set(row)
        assert row["set"] == squares.name and row["targets"] == 2 and row["seed"] == 3
        assert row["view_scale"] == 2  # sides of 24 px
        assert row["model"] is None and row["weights_sha256"] is None and row["seconds"] > 0
    assert rows[0]["iou1"] > 0.8 and rows[0]["failures"] == 0 and rows[0]["open_ms"] > 0
    assert cv2.getNumThreads() == threads


def test_the_same_seed_gives_the_same_figures(squares):
    times = {"open_ms", "p50_ms", "p95_ms", "p50_wall_ms", "seconds"}
    first, second = (clicks.run([squares], seed=1, targets=3)[0] for _ in range(2))
    assert {k: v for k, v in first.items() if k not in times} == {k: v for k, v in second.items() if k not in times}


def test_labels_of_another_size_are_refused(squares):
    cv2.imwrite(str(squares / "instances" / "squares.png"), np.ones((100, 220), np.uint16))
    with pytest.raises(LabelError, match="220 x 160"):
        clicks.run([squares])


def test_a_set_without_usable_objects_is_refused(squares):
    cv2.imwrite(str(squares / "instances" / "squares.png"), np.zeros((160, 220), np.uint16))
    with pytest.raises(LabelError, match="no object"):
        clicks.run([squares])


def test_clicks_hardly_ever_harm_and_are_quick_on_real_imagery(shared_data):
    rows = clicks.run([shared_data / name for name in ("banepa", "kampala", "zanzibar", "dubai")], targets=8)
    later = sum(row["later_clicks"] for row in rows)
    lost = sum(row["lost20"] * row["later_clicks"] for row in rows) / later
    assert lost < 0.01
    # Limits leave room for machines slower than the one where 8 and 30 ms were measured.
    assert max(row["p50_ms"] for row in rows) <= 40 and max(row["open_ms"] for row in rows) <= 250
    assert all(row["iou5"] > row["iou1"] for row in rows)
