"""Views: where they lie, what they hold, and that chance is of the seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from skysense.objectives.multi_granularity import overlapping
from skysense.training.samples import collate
from skysense.training.shards import Sample
from skysense.training.views import View, ViewSettings, views_of

PLAIN = ViewSettings(altered=False)
SENSORS = {"hr": (None, 4, 200), "s2": (30, 10, 40), "s1": (4, 2, 20)}


def ramps(channels: int, height: int, width: int) -> np.ndarray:
    """Channel 0 is the row, channel 1 the column, as shares of the ground at the pixels' centres; the others 0.5."""
    values = np.full((channels, height, width), 0.5, np.float32)
    values[0] = ((np.arange(height) + 0.5) / height)[:, None]
    values[1] = (np.arange(width) + 0.5) / width
    return values


def place(sensors: Sequence[str], aspect: float = 1.0) -> Sample:
    """A place whose sensors all show ramps; Sentinel-1 shows them as -20..-19 dB."""
    arrays, days, bands = {}, {}, {}
    for sensor in sensors:
        dates, channels, side = SENSORS[sensor]
        values = ramps(channels, side, round(side * aspect)) - (20 if sensor == "s1" else 0)
        arrays[sensor] = values if dates is None else np.repeat(values[None], dates, axis=0)
        valid = np.ones((side, round(side * aspect)), bool)
        arrays[f"{sensor}_valid"] = valid if dates is None else np.repeat(valid[None], dates, axis=0)
        days[sensor] = np.arange(1, (dates or 1) + 1) * 10
        bands[sensor] = np.ones(channels, bool)
    return Sample("0", "ramp", arrays, (4.0, 50.0), days, bands, 0.5, None)


def feature(view: View, sensor: str) -> Tensor:
    """The ramps that a view shows (1, 2, rows, columns), of the first date."""
    values = view.arrays[sensor]
    return torch.from_numpy(values if sensor == "hr" else values[0])[None, :2].double()


def aligned(view: View, overlap: np.ndarray, sensor: str, cells: int) -> np.ndarray:
    """The ramps of a view on a grid over the ground of `overlap`."""
    own, shared = (torch.from_numpy(corners.astype(np.float64))[None] for corners in (view.box, overlap))
    return overlapping(feature(view, sensor), own, torch.from_numpy(view.flipped)[None], shared, (cells, cells))[0].numpy()


@pytest.mark.parametrize("sensors", [("hr", "s2", "s1"), ("hr",), ("s2", "s1"), ("s1",)])
@pytest.mark.parametrize("aspect", [1.0, 1.5, 0.5])
def test_all_views_of_a_ramp_agree_once_crop_and_flip_are_undone(sensors: tuple[str, ...], aspect: float) -> None:
    sample = place(sensors, aspect)
    lead, seen_flips = sensors[0], set()
    tolerance = 0.02 if lead == "hr" else 0.03  # a view's rim is half a pixel short of its ground
    for index in range(6):
        views = views_of(sample, PLAIN, 1, 0, index)
        assert len(views) == 6
        for i, one in enumerate(views):
            seen_flips.add(tuple(one.flipped))
            for other in views[:2]:
                overlap = np.concatenate([np.maximum(one.box[:2], other.box[:2]), np.minimum(one.box[2:], other.box[2:])])
                assert (overlap[2:] > overlap[:2]).all()
                share = np.prod(overlap[2:] - overlap[:2]) / np.prod(one.box[2:] - one.box[:2])
                assert share > 0.2, (i, share)
                a, b = (aligned(view, overlap, lead, 5) for view in (one, other))
                np.testing.assert_allclose(a, b, atol=tolerance)
    assert len(seen_flips) == 4


@pytest.mark.parametrize("sensors", [("hr", "s2", "s1"), ("s2", "s1")])
def test_boxes_of_coarser_sensors_name_the_same_ground(sensors: tuple[str, ...]) -> None:
    """Where the box of the coarser array lies, its ramp shows the place of the view."""
    for index in range(8):
        for view in views_of(place(sensors), PLAIN, 0, 0, index):
            for sensor in sensors[1:]:
                size = np.array(view.arrays[sensor].shape[-2:] * 2)
                corners = view.arrays[f"{sensor}_box"] / size  # shares of the array as flipped
                for axis in (0, 1):
                    low, high = corners[axis], corners[axis + 2]
                    if view.flipped[axis]:
                        low, high = 1 - high, 1 - low
                    np.testing.assert_allclose((low, high), (view.box[axis], view.box[axis + 2]), atol=1e-5)
                    ramp = feature(view, sensor)[0, axis].numpy()
                    first, last = np.take(ramp, [0, -1], axis=axis).mean(axis=1 - axis)
                    assert (first > last) == view.flipped[axis]


def test_leading_pictures_are_resized_and_leading_series_keep_their_pixels() -> None:
    for view in views_of(place(("hr", "s2")), PLAIN, 0, 0, 0)[:2]:
        assert view.arrays["hr"].shape == (4, 128, 128) and view.arrays["s2"].shape == (20, 10, 40, 40)
    views = views_of(place(("s2", "s1")), PLAIN, 0, 0, 0)
    assert [view.arrays["s2"].shape[-2:] for view in views] == [(16, 16)] * 2 + [(8, 8)] * 4
    for view in views:
        np.testing.assert_allclose(view.box * 40, np.round(view.box * 40), atol=1e-5)
        wanted = np.arange(round(view.box[0] * 40), round(view.box[2] * 40))
        found = view.arrays["s2"][0, 0, :, 0] * 40 - 0.5
        np.testing.assert_allclose(found[::-1] if view.flipped[0] else found, wanted, atol=1e-4)
        np.testing.assert_array_equal(view.arrays["s2_box"], (0, 0, len(wanted), len(wanted)))
    scales = [np.prod(view.box[2:] - view.box[:2]) for i in range(50) for view in views_of(place(("hr",)), PLAIN, 0, 0, i)]
    shares = np.array(scales).reshape(50, 6)
    assert 0.39 < shares[:, :2].min() < 0.6 and shares[:, :2].max() > 0.85
    assert 0.09 < shares[:, 2:].min() < 0.2 and 0.3 < shares[:, 2:].max() <= 0.41


def test_small_places_are_smaller_views() -> None:
    """TreeSat's plots of 6 pixels."""
    whole = place(("s2", "s1"))
    arrays = {name: array[..., :6, :6] for name, array in whole.arrays.items()}
    small = Sample("0", "plot", arrays, None, whole.days, whole.bands, 10.0, None)
    views = views_of(small, ViewSettings(), 0, 0, 0)
    assert [view.arrays["s2"].shape[-1] for view in views] == [6, 6, 3, 3, 3, 3]
    assert np.isnan(views[0].arrays["lonlat"]).all()


def test_all_views_show_the_same_dates_in_order() -> None:
    sample = place(("s2", "s1"))
    sample.arrays["s2_valid"][3] = False  # nothing was seen on this date
    for index in range(10):
        views = views_of(sample, ViewSettings(day_jitter=0), 0, 0, index)
        days = [view.arrays["s2_days"] for view in views]
        assert all((day == days[0]).all() for day in days)
        assert len(days[0]) == 20 and all(a < b for a, b in pairwise(days[0])) and 40 not in days[0]
        assert all(view.arrays["s1_days"].tolist() == [10, 20, 30, 40] for view in views)
        assert all(view.arrays["s2_dates_valid"].all() for view in views)
    shifted = {tuple(view.arrays["s1_days"]) for view in views_of(sample, ViewSettings(), 0, 0, 0)}
    assert len(shifted) > 1 and all(np.ptp(np.subtract(days, (10, 20, 30, 40))) == 0 for days in shifted)


def test_unknown_days_stay_unknown_and_the_year_goes_round() -> None:
    sample = place(("s1",))
    sample.days["s1"][:] = (0, 1, 365, 366)
    for index in range(20):
        for view in views_of(sample, ViewSettings(), 0, 0, index):
            days = view.arrays["s1_days"]
            assert days[0] == 0 and ((days[1:] >= 1) & (days[1:] <= 366)).all()


def test_the_same_seed_gives_the_same_bits() -> None:
    sample = place(("hr", "s2", "s1"))

    def bits(seed: int, epoch: int, index: int) -> list[bytes]:
        views = views_of(sample, ViewSettings(), seed, epoch, index)
        return [array.tobytes() for view in views for array in (*view.arrays.values(), view.box, view.flipped)]

    assert bits(0, 1, 2) == bits(0, 1, 2)
    assert len({bits(*key)[2] for key in ((0, 1, 2), (1, 1, 2), (0, 2, 2), (0, 1, 3))}) == 4


def test_values_stay_in_canonical_units_and_views_differ() -> None:
    sample = place(("hr", "s2", "s1"))
    generator = np.random.default_rng(0)
    sample.arrays["hr"] = generator.random((4, 200, 200)).astype(np.float16)
    sample.arrays["hr"][:, :50] = np.nan
    sample.arrays["hr_valid"][:50] = False
    sample.arrays["s2_valid"][:, :10] = False
    bands, polarisations, infrared = set(), set(), set()
    for index in range(12):
        views = views_of(sample, ViewSettings(), 0, 0, index)
        for view in views:
            arrays = view.arrays
            assert all(arrays[sensor].dtype == np.float32 and np.isfinite(arrays[sensor]).all() for sensor in SENSORS)
            assert arrays["hr"].min() >= 0 and arrays["hr"].max() <= 1
            assert arrays["s2"].min() > -0.2 and arrays["s2"].max() < 1.4
            assert arrays["s1"].max() <= 0 and arrays["s1"].min() > -22
            assert (arrays["hr"][:, ~arrays["hr_valid"]] == 0).all() and not arrays["hr"][~arrays["hr_bands"]].any()
            assert not arrays["s2"][:, ~arrays["s2_bands"]].any() and arrays["s2_bands"].sum() >= 4
            assert arrays["s1_bands"].any()
            bands.add(tuple(arrays["s2_bands"]))
            polarisations.add(tuple(arrays["s1_bands"]))
            infrared.add(bool(arrays["hr_bands"][3]))
        assert len({view.arrays["hr"][:3].mean().item() for view in views}) == 6
    assert len(bands) > 10 and len(polarisations) == 3 and len(infrared) == 2
    assert sample.bands["s2"].all()


def test_bands_that_are_missing_stay_missing() -> None:
    sample = place(("hr", "s2", "s1"))
    sample.bands["hr"][3] = sample.bands["s2"][7] = sample.bands["s1"][1] = False
    for index in range(5):
        for view in views_of(sample, ViewSettings(), 0, 0, index):
            assert not view.arrays["hr_bands"][3] and not view.arrays["s2_bands"][7] and not view.arrays["s1_bands"][1]
            assert view.arrays["s1_bands"][0] and view.arrays["hr_bands"][:3].all()


def test_views_of_one_kind_collate_to_a_batch() -> None:
    short = place(("hr", "s2", "s1"))
    short.arrays["s2"], short.arrays["s2_valid"] = short.arrays["s2"][:3], short.arrays["s2_valid"][:3]
    short.days["s2"] = short.days["s2"][:3]
    samples = (place(("hr", "s2", "s1")), short)
    batch = collate([views_of(sample, ViewSettings(), 0, 0, i)[0].arrays for i, sample in enumerate(samples)])
    assert batch.sensors == ("hr", "s2", "s1")
    assert batch.hr is not None and batch.hr.shape == (2, 4, 128, 128)
    assert batch.s2_dates_valid is not None and batch.s2_dates_valid.sum(dim=1).tolist() == [20, 3]
    assert batch.hr_days is not None and batch.hr_days.shape == (2,)
