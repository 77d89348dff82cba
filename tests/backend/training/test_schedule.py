"""The learning rate's course."""

from __future__ import annotations

from skysense.training.schedule import warm_cosine, warm_linear


def test_it_rises_then_falls_to_zero() -> None:
    shares = [warm_cosine(step, 100, 5) for step in range(100)]
    assert shares[:5] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert all(later <= earlier for earlier, later in zip(shares[4:], shares[5:]))
    assert shares[-1] < 1e-3
    assert warm_cosine(0, 1, 1) == 1.0


def test_or_it_falls_straight() -> None:
    shares = [warm_linear(step, 12, 2) for step in range(12)]
    assert shares[:3] == [0.5, 1.0, 1.0]
    assert all(abs(earlier - later - 0.1) < 1e-9 for earlier, later in zip(shares[2:], shares[3:]))
    assert abs(shares[-1] - 0.1) < 1e-9
