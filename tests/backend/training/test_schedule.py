"""The learning rate's course."""

from __future__ import annotations

from skysense.training.schedule import warm_cosine


def test_it_rises_then_falls_to_zero() -> None:
    shares = [warm_cosine(step, 100, 5) for step in range(100)]
    assert shares[:5] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert all(later <= earlier for earlier, later in zip(shares[4:], shares[5:]))
    assert shares[-1] < 1e-3
    assert warm_cosine(0, 1, 1) == 1.0
