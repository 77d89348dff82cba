from __future__ import annotations

import math

import pytest
import torch

from skysense.models.skysense.season import DAYS_OF_YEAR, harmonics


def year(dates: int = 12) -> torch.Tensor:
    return (torch.arange(dates) * 365 // dates + 1)[None]  # (1, T)


def series(days: torch.Tensor, k: int, peak: float) -> torch.Tensor:
    """Swings k times a year around 5, highest at the day `peak`: (1, T, 1, 2, 2)."""
    wave = 5 + 3 * torch.cos(2 * math.pi * k * (days[0] - peak) / DAYS_OF_YEAR)
    return wave[None, :, None, None, None].expand(1, -1, 1, 2, 2)


@pytest.mark.parametrize("k", [1, 2])
def test_a_swing_is_found_with_its_strength_and_time(k: int) -> None:
    days = year()
    found = harmonics(series(days, k, 90.0), torch.ones(1, 12, 2, 2, dtype=torch.bool), days, 2)[0, :, 0, 0]
    cosine, sine = found[2 * (k - 1) : 2 * k]
    assert torch.hypot(cosine, sine) == pytest.approx(3 / math.sqrt(2), rel=0.02)
    assert float(torch.atan2(sine, cosine)) % (2 * math.pi) == pytest.approx(2 * math.pi * k * 90 / DAYS_OF_YEAR, abs=0.05)
    assert found[2 * (2 - k) : 2 * (2 - k) + 2].abs().max() < 0.1, "the other harmonic is not there"


def test_clouds_and_dates_that_nobody_knows_say_nothing() -> None:
    days = year()
    clear = series(days, 1, 200.0)
    seen = torch.ones(1, 12, 2, 2, dtype=torch.bool)
    seen[0, 3] = False
    expected = harmonics(clear[:, torch.arange(12) != 3], seen[:, :11] | True, days[:, torch.arange(12) != 3], 1)
    cloudy = clear.clone()
    cloudy[0, 3] = math.nan
    assert torch.allclose(harmonics(cloudy, seen, days, 1), expected, atol=1e-5)
    unknown = days.clone()
    unknown[0, 3] = 0
    assert torch.allclose(harmonics(clear, seen | True, unknown, 1), expected, atol=1e-5)


@pytest.mark.parametrize("days", [None, torch.zeros(1, 4, dtype=torch.long), torch.tensor([[50]])])
def test_without_a_course_there_is_none(days: torch.Tensor | None) -> None:
    dates = 1 if days is not None and days.any() else 4
    found = harmonics(torch.rand(1, dates, 3, 2, 2), torch.ones(1, dates, 2, 2, dtype=torch.bool), days, 2)
    assert found.shape == (1, 12, 2, 2) and not found.any()


def test_a_steady_ground_has_no_season() -> None:
    steady = torch.rand(1, 1, 3, 2, 2).expand(1, 12, 3, 2, 2)
    assert harmonics(steady, torch.ones(1, 12, 2, 2, dtype=torch.bool), year(), 2).abs().max() < 1e-6
