from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from skysense.errors import RequestError
from skysense.training.distributed import Ranks
from skysense.training.pretraining.batches import Order, Steps, load_steps
from skysense.training.pretraining.settings import PretrainSettings
from skysense.training.shards import ShardSet


@pytest.fixture
def settings(learn) -> PretrainSettings:
    return learn().settings


def test_every_sample_comes_once_an_epoch_with_its_own_kind(shards: Path) -> None:
    samples = ShardSet([shards])
    order = Order(samples, batch=4, seed=0)
    assert order.steps_per_epoch == 2 + 2 + 1
    epochs = [[order.samples(step).tolist() for step in range(first, first + 5)] for first in (0, 5)]
    for epoch in epochs:
        seen = Counter(index for batch in epoch for index in batch)
        assert set(seen) == set(range(14)) and sum(seen.values()) == 20  # the last batches of five are filled up
        assert all(len({samples.kind(index)[0] for index in batch}) == 1 for batch in epoch)
    assert epochs[0] != epochs[1]
    assert epochs[0] == [Order(samples, batch=4, seed=0).samples(step).tolist() for step in range(5)]
    assert epochs[0] != [Order(samples, batch=4, seed=1).samples(step).tolist() for step in range(5)]


@pytest.mark.parametrize("world, accumulate", [(2, 1), (4, 1), (1, 2), (2, 2)])
def test_any_number_of_ranks_shares_the_same_batches(
    shards: Path, settings: PretrainSettings, world: int, accumulate: int
) -> None:
    samples = ShardSet([shards])
    whole = Steps(samples, settings, Ranks())
    parts = [Steps(samples, replace(settings, accumulate=accumulate), Ranks(rank, world)) for rank in range(world)]
    for step in range(7):
        together = sorted(index for part in parts for batch in part[step] for index in batch.indices)
        assert together == sorted(whole[step][0].indices)
    views = {index: scene for batch in whole[3] for index, scene in zip(batch.indices, batch.large.boxes)}
    for batch in parts[-1][3]:
        assert all(torch.equal(views[index], box) for index, box in zip(batch.indices, batch.large.boxes))


def test_a_batch_that_cannot_be_shared_is_refused(shards: Path, settings: PretrainSettings) -> None:
    with pytest.raises(RequestError, match="batch of 4 samples cannot be split into 1 parts on 3 processes"):
        Steps(ShardSet([shards]), settings, Ranks(0, 3))


def test_other_processes_prepare_the_same_batches_in_order(shards: Path, settings: PretrainSettings) -> None:
    steps = Steps(ShardSet([shards]), settings, Ranks())
    found = list(load_steps(steps, 2, 6, workers=2))
    for number, (batch,) in enumerate(found, start=2):
        (wanted,) = steps[number]
        assert batch.indices == wanted.indices
        assert torch.equal(batch.large.scenes.reference, wanted.large.scenes.reference)
        assert batch.small is not None and wanted.small is not None
        assert torch.equal(batch.small.boxes, wanted.small.boxes)
