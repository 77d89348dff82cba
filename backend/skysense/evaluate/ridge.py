"""The head of every probe, in closed form, and the scores of what it predicts.

Legend: n cells, D features, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PENALTY = 0.01  # times the number of training cells
FEWEST_CELLS = 20  # a class with fewer test cells is not scored

Floats = NDArray[np.float64]
Labels = NDArray[np.integer]


@dataclass(frozen=True)
class RidgeHead:
    """One-vs-all ridge regression on standardised features."""

    mean: Floats  # (D,)
    deviation: Floats  # (D,)
    weight: Floats  # (D, K)
    bias: Floats  # (K,)

    def scores(self, features: NDArray[np.floating]) -> Floats:
        """(n, D) -> (n, K)."""
        return (features - self.mean) / self.deviation @ self.weight + self.bias


def fit_ridge(features: NDArray[np.floating], labels: Labels, classes: int) -> RidgeHead:
    """One-hot targets, cells weighted by 1 / class frequency at mean weight 1, the bias free of penalty."""
    x = features.astype(np.float64)
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-6
    x = (x - mean) / deviation
    target = np.eye(classes)[labels]
    weight = 1.0 / np.maximum(target.sum(axis=0), 1)[labels]
    weight *= len(labels) / weight.sum()
    x_mean, y_mean = np.average(x, axis=0, weights=weight), np.average(target, axis=0, weights=weight)
    centred = x - x_mean
    gram = (centred * weight[:, None]).T @ centred
    gram[np.diag_indices_from(gram)] += PENALTY * len(labels)
    solution = np.linalg.solve(gram, (centred * weight[:, None]).T @ (target - y_mean))
    return RidgeHead(mean, deviation, solution, y_mean - x_mean @ solution)


def score(scores: Floats, labels: Labels) -> dict[str, float | None]:
    """`balanced_accuracy` and `miou` over the classes with enough test cells; `ap` of class 1 where there are two."""
    predicted = scores.argmax(axis=1)
    recalls, unions = [], []
    for value in range(scores.shape[1]):
        truth, found = labels == value, predicted == value
        if truth.sum() >= FEWEST_CELLS:
            hits = float((truth & found).sum())
            recalls.append(hits / float(truth.sum()))
            unions.append(hits / float((truth | found).sum()))
    return {
        "balanced_accuracy": float(np.mean(recalls)) if recalls else None,
        "miou": float(np.mean(unions)) if unions else None,
        "ap": average_precision(scores[:, 1], labels == 1) if scores.shape[1] == 2 else None,
    }


def macro_f1(scores: Floats, labels: Labels, fewest: int = FEWEST_CELLS) -> float | None:
    """Mean F1 over the classes with enough test cells; None where none has."""
    predicted = scores.argmax(axis=1)
    found = []
    for value in range(scores.shape[1]):
        truth, said = labels == value, predicted == value
        if truth.sum() >= fewest:
            found.append(2 * float((truth & said).sum()) / float(truth.sum() + said.sum()))
    return float(np.mean(found)) if found else None


def average_precision(scores: Floats, truth: NDArray[np.bool_]) -> float | None:
    """Sum over thresholds of precision times the step in recall; None where nothing is true."""
    if not truth.any():
        return None
    order = np.argsort(-scores, kind="stable")
    scores, truth = scores[order], truth[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # equal scores share one threshold
    hits = np.cumsum(truth)[last]
    precision, recall = hits / (last + 1), hits / hits[-1]
    return float(np.sum(precision * np.diff(recall, prepend=0.0)))
