from __future__ import annotations

import numpy as np
import pytest

from skysense.evaluate.ridge import average_precision, fit_ridge, score


def test_closed_form_equals_weighted_least_squares_with_penalty() -> None:
    generator = np.random.default_rng(0)
    x, labels = generator.normal(size=(60, 4)) * 5 + 2, (generator.random(60) < 0.2).astype(int)
    head = fit_ridge(x, labels, 2)
    z = np.column_stack([(x - x.mean(0)) / (x.std(0) + 1e-6), np.ones(60)])
    weight = 1 / np.bincount(labels)[labels]
    weight *= 60 / weight.sum()
    penalty = np.diag([0.01 * 60] * 4 + [0])
    solution = np.linalg.solve(z.T @ (z * weight[:, None]) + penalty, z.T @ (np.eye(2)[labels] * weight[:, None]))
    assert np.allclose(head.scores(x), z @ solution)


def test_rare_classes_weigh_as_much_as_common_ones() -> None:
    generator = np.random.default_rng(0)
    x = np.concatenate([generator.normal(0, 1, (1000, 1)), generator.normal(2, 1, (30, 1))])
    labels = np.repeat([0, 1], [1000, 30])
    predicted = fit_ridge(x, labels, 2).scores(x).argmax(1)
    assert abs((predicted[:1000] == 0).mean() - (predicted[1000:] == 1).mean()) < 0.1


def test_scores_skip_classes_with_few_test_cells() -> None:
    labels = np.repeat([0, 1, 2], [30, 25, 5])
    scores = np.eye(3)[np.repeat([0, 1, 1], [30, 25, 5])]
    assert score(scores, labels) == {"balanced_accuracy": 1.0, "miou": pytest.approx((1 + 25 / 30) / 2), "ap": None}
    assert score(scores[55:], labels[55:])["balanced_accuracy"] is None


@pytest.mark.parametrize(
    ("scores", "truth", "expected"),
    [
        ([3, 2, 1], [1, 0, 1], (1 + 2 / 3) / 2),
        ([1, 1, 1, 1], [1, 0, 0, 0], 0.25),  # ties share one threshold
        ([1, 2, 3], [1, 0, 0], 1 / 3),
        ([1, 2], [0, 0], None),
    ],
)
def test_average_precision(scores: list[float], truth: list[int], expected: float | None) -> None:
    found = average_precision(np.array(scores, float), np.array(truth, bool))
    assert found == (None if expected is None else pytest.approx(expected))
