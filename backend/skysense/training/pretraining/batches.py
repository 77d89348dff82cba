"""Which samples each step sees, and the views of them: functions of seed and step alone.

Nothing has to be stored to go on where a run stopped, and any number of ranks shares the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from skysense.errors import RequestError
from skysense.models.interface import SceneBatch
from skysense.training.collate import collate
from skysense.training.distributed import Ranks
from skysense.training.pretraining.settings import PretrainSettings
from skysense.training.shards import ShardSet
from skysense.training.views import View, views_of


@dataclass(frozen=True)
class Views:
    """Several views of every sample, one view of all samples after the other: V B scenes."""

    scenes: SceneBatch
    boxes: Tensor  # (V B, 4) top, left, bottom, right, as shares of the sample's ground
    flipped: Tensor  # (V B, 2) bool, rows and columns, after the crop
    count: int  # V

    def to(self, device: torch.device) -> Views:
        return Views(self.scenes.to(device), self.boxes.to(device), self.flipped.to(device), self.count)


@dataclass(frozen=True)
class StepBatch:
    """What goes through the networks at once."""

    large: Views  # global views: of student and teacher
    small: Views | None  # local views: of the student
    indices: tuple[int, ...]  # of the samples

    def to(self, device: torch.device) -> StepBatch:
        return StepBatch(self.large.to(device), None if self.small is None else self.small.to(device), self.indices)


class Order:
    """The samples of every step: all of them once an epoch, by chance, those of one kind (sensors, sizes) together."""

    def __init__(self, samples: ShardSet, batch: int, seed: int) -> None:
        kinds: dict[object, list[int]] = {}
        for index in range(len(samples)):
            kinds.setdefault(_kind(samples, index), []).append(index)
        self._kinds = [np.array(indices) for indices in kinds.values()]
        self._batch, self._seed = batch, seed
        self.steps_per_epoch = sum(-(-len(indices) // batch) for indices in self._kinds)
        self._epoch = lru_cache(maxsize=2)(self._draw)

    def epoch(self, step: int) -> int:
        return step // self.steps_per_epoch

    def samples(self, step: int) -> NDArray[np.intp]:
        """Indices (batch,) of the step's samples."""
        return self._epoch(self.epoch(step))[step % self.steps_per_epoch]

    def _draw(self, epoch: int) -> list[NDArray[np.intp]]:
        generator = np.random.default_rng((self._seed, epoch))
        batches = []
        for indices in self._kinds:
            drawn = generator.permutation(indices)
            # The last batch of a kind is filled up from its first ones.
            filled = np.resize(drawn, -(-len(drawn) // self._batch) * self._batch)
            batches += list(filled.reshape(-1, self._batch))
        return [batches[i] for i in generator.permutation(len(batches))]


class Steps(Dataset[list[StepBatch]]):
    """What one rank sees at each step: its parts of the batch, one after the other."""

    def __init__(self, samples: ShardSet, settings: PretrainSettings, ranks: Ranks) -> None:
        if settings.batch % (settings.accumulate * ranks.world):
            raise RequestError(
                f"A batch of {settings.batch} samples cannot be split into {settings.accumulate} parts on "
                f"{ranks.world} processes.",
                f"Choose a batch that {settings.accumulate * ranks.world} divides.",
            )
        self.order = Order(samples, settings.batch, settings.seed)
        self._samples, self._settings, self._ranks = samples, settings, ranks

    def __getitem__(self, step: int) -> list[StepBatch]:
        settings = self._settings
        epoch = self.order.epoch(step)
        parts = self.order.samples(step).reshape(settings.accumulate, self._ranks.world, -1)[:, self._ranks.rank]
        return [self._batch(part, epoch) for part in parts]

    def _batch(self, indices: NDArray[np.intp], epoch: int) -> StepBatch:
        views = [views_of(self._samples[i], self._settings.views, self._settings.seed, epoch, i) for i in map(int, indices)]
        first = self._settings.views.global_views
        large = _stack([sample[:first] for sample in views])
        small = _stack([sample[first:] for sample in views]) if len(views[0]) > first else None
        return StepBatch(large, small, tuple(map(int, indices)))


def load_steps(steps: Steps, first: int, last: int, workers: int) -> Iterator[list[StepBatch]]:
    """The steps from `first` on, prepared ahead by other processes, in order."""
    loader: DataLoader[list[StepBatch]] = DataLoader(
        steps,
        sampler=range(first, last),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        collate_fn=_unchanged,
    )
    return iter(loader)


def _kind(samples: ShardSet, index: int) -> object:
    """What the samples of one batch have in common. Views of pictures all get one size."""
    sensors, shapes = samples.kind(index)
    return sensors, shapes[1:] if sensors[0] == "hr" else shapes


def _stack(samples: list[list[View]]) -> Views:
    """[B][V] -> V B."""
    views = [sample[v] for v in range(len(samples[0])) for sample in samples]
    return Views(
        scenes=collate([view.arrays for view in views]),
        boxes=torch.from_numpy(np.stack([view.box for view in views]).astype(np.float32)),
        flipped=torch.from_numpy(np.stack([view.flipped for view in views])),
        count=len(samples[0]),
    )


def _unchanged(batches: list[StepBatch]) -> list[StepBatch]:
    return batches
