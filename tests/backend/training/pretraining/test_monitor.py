from __future__ import annotations

import math

import pytest
import torch

from skysense.errors import ModelError
from skysense.models.skysense.geo_context import GeoContext
from skysense.training.pretraining.monitor import Watch, prototype_entropy, spread


def test_spread_is_one_for_any_direction_and_none_for_one() -> None:
    everywhere = torch.ones(2, 3, 4, 4, dtype=torch.bool)
    anything = torch.randn(2, 3, 64, 4, 4, generator=torch.Generator().manual_seed(0))
    assert spread(anything, everywhere) == pytest.approx(1, abs=0.02)
    assert spread(torch.ones(2, 3, 64, 4, 4), everywhere) == pytest.approx(0, abs=1e-6)
    hidden = everywhere.clone()
    hidden[0] = False
    anything[0] = math.nan
    assert spread(anything, hidden) == pytest.approx(1, abs=0.03)


def test_entropy_tells_how_many_prototypes_are_used() -> None:
    context = GeoContext(side=4, prototypes=4, width=4)
    context.bank += torch.eye(4)
    lonlat = torch.tensor([[9.0, 52.0], [math.nan, math.nan]])
    all_used = torch.eye(4).reshape(1, 4, 2, 2).expand(2, -1, -1, -1)
    assert prototype_entropy(context, all_used, lonlat) == pytest.approx(1)
    one_used = torch.eye(4)[0].reshape(1, 4, 1, 1).expand(2, -1, 2, 2)
    assert prototype_entropy(context, one_used, lonlat) == 0
    assert prototype_entropy(context, one_used, lonlat[1:]) is None
    assert prototype_entropy(context, one_used, None) is None


def test_a_loss_that_is_no_number_ends_the_run() -> None:
    with pytest.raises(ModelError, match="no number any more at step 7") as error:
        Watch().check(7, math.nan, {})
    assert "lower learning rate" in error.value.remedy


def test_random_weights_may_begin_alike() -> None:
    watch = Watch()
    for step in range(1, 9):
        watch.check(step, 1.0, {"hr": 0.001})


def test_features_that_stay_alike_end_the_run() -> None:
    watch = Watch()
    watch.check(0, 1.0, {"hr": 0.4, "s2": 0.9})
    for step in (1, 2):
        watch.check(step, 1.0, {"hr": 0.001, "s2": 0.9})
    watch.check(3, 1.0, {"hr": 0.5, "s2": 0.9})  # it recovered
    for step in (4, 5):
        watch.check(step, 1.0, {"hr": 0.001, "s2": 0.9})
    with pytest.raises(ModelError, match=r"features of hr became alike everywhere \(spread 0.001 at step 6"):
        watch.check(6, 1.0, {"hr": 0.001, "s2": 0.9})
