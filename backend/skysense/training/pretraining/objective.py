"""The loss of one step: L = alpha L_MGCL + beta L_align (+ keep L_keep) over all pairs of views.

SkySense (arXiv 2312.10115), section 3. Every view of the student is compared with every global view of the teacher but
its own, on a grid over the ground that both show. L_keep is ours: with little imagery, an encoder that starts from good
weights would forget them; the student stays near the features that the weights it started from give.

Legend: V views, B samples, T dates, D width, h w cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import record_function

from skysense.models.skysense.model import Features, SkySense
from skysense.objectives.alignment import alignment, pool
from skysense.objectives.contrastive import balanced, centred, distillation, info_nce, move_centre
from skysense.objectives.multi_granularity import Contrast, multi_granularity, overlapping
from skysense.training.distributed import Ranks
from skysense.training.pretraining.batches import StepBatch, Views
from skysense.training.pretraining.learner import Learner
from skysense.training.pretraining.settings import PretrainSettings


@dataclass(frozen=True)
class Compared:
    """What one encoder says of some views."""

    maps: dict[str, Tensor]  # of each sensor and "fused" = F_RS: (V B, T, D, h, w)
    seen: dict[str, Tensor]  # (V B, T, h, w) bool
    features: Features

    def view(self, index: int, count: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Maps and what is seen of one view, (B, ...)."""
        return (
            {name: x.chunk(count)[index] for name, x in self.maps.items()},
            {name: x.chunk(count)[index] for name, x in self.seen.items()},
        )


@dataclass(frozen=True)
class Losses:
    """Of one step, or of a part of its batch."""

    total: Tensor
    parts: dict[str, Tensor]  # of each sensor, "fused", "align" and "keep"; without their weights
    student: Compared  # of the global views, for prototypes and for what is watched


class Objective:
    """Student, teacher and a batch -> losses; holds the running centres of the teacher's outputs."""

    def __init__(self, settings: PretrainSettings, ranks: Ranks, centres: Mapping[str, Tensor]) -> None:
        self._settings, self._ranks = settings, ranks
        self._centres = centres  # (K) by kind of feature, moved in place
        self._outputs: dict[str, list[Tensor]] = {name: [] for name in centres}

    def __call__(self, student: Learner, teacher: Learner, start: SkySense | None, batch: StepBatch) -> Losses:
        """Args: the two learners, the encoder to stay near where there is one, and the views of some samples."""
        settings, large = self._settings, batch.large
        with torch.no_grad(), record_function("teacher"):
            taught = self._compare(teacher, large)
        with record_function("student"):
            ours = self._compare(student, large)
            local = None if batch.small is None else self._compare(student, batch.small)
        pairs = [(large, ours, i, g) for i in range(large.count) for g in range(large.count) if i != g]
        if batch.small is not None and local is not None:
            pairs += [(batch.small, local, i, g) for i in range(batch.small.count) for g in range(large.count)]
        contrasts = {name: self._contrast(student, teacher, name) for name in ours.maps}
        with record_function("losses"):
            terms = [self._pair(views, found, i, large, taught, g, contrasts) for views, found, i, g in pairs]
        parts = {name: torch.stack([term[name] for term in terms]).mean() for name in ours.maps}
        total = settings.alpha * torch.stack(list(parts.values())).sum()
        if len(ours.features.sensors) > 1:
            parts["align"] = self._align(ours, large.count)
            total = total + settings.beta * parts["align"]
        if start is not None:
            with torch.no_grad(), self._cast(large.boxes.device):
                kept = start.features(large.scenes)
            parts["keep"] = keep(ours.features, kept)
            total = total + settings.keep * parts["keep"]
        return Losses(total, parts, ours)

    @torch.no_grad()
    def move_centres(self) -> None:
        """Once a step: the centres follow what the teacher said in it."""
        for name, outputs in self._outputs.items():
            if outputs:
                move_centre(self._centres[name], torch.cat(outputs), gather=self._ranks.gather)
                outputs.clear()

    # -- parts -------------------------------------------------------------------------------------------------------
    def _compare(self, learner: Learner, views: Views) -> Compared:
        with self._cast(views.boxes.device):
            features = learner.encoder.features(views.scenes)
        context = learner.encoder.in_context(features.fused.float(), views.scenes.lonlat)  # F_RS
        maps = {name: x.float() for name, x in features.sensors.items()} | {"fused": context[:, None]}
        anywhere = torch.stack([seen.any(dim=1) for seen in features.seen.values()]).any(dim=0)
        return Compared(maps, {**features.seen, "fused": anywhere[:, None]}, features)

    def _cast(self, device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=self._settings.precision == "bf16")

    def _pair(
        self,
        views: Views,
        found: Compared,
        index: int,
        large: Views,
        taught: Compared,
        other: int,
        contrasts: Mapping[str, Contrast],
    ) -> dict[str, Tensor]:
        """The terms of L_MGCL for one view of the student and one of the teacher."""
        ours, theirs = Place.of(views, index), Place.of(large, other)
        overlap = torch.cat(
            [torch.maximum(ours.box[:, :2], theirs.box[:, :2]), torch.minimum(ours.box[:, 2:], theirs.box[:, 2:])], dim=1
        )
        (s, s_seen), (t, t_seen) = found.view(index, views.count), taught.view(other, large.count)
        student = {name: ours.on(overlap, x, self._settings.cells) for name, x in s.items()}
        teacher = {name: theirs.on(overlap, x, self._settings.cells) for name, x in t.items()}
        seen = {
            name: ours.sees(overlap, s_seen[name], self._settings.cells)
            & theirs.sees(overlap, t_seen[name], self._settings.cells)
            for name in s_seen
        }
        return multi_granularity(student, teacher, contrasts, self._settings.objects, seen)

    def _contrast(self, student: Learner, teacher: Learner, name: str) -> Contrast:
        """L_CL through the heads of one kind of feature."""
        gather = self._ranks.gather

        def compare(ours: Tensor, theirs: Tensor) -> Tensor:
            with torch.no_grad():
                outputs = teacher.heads[name](theirs)  # (N, K)
            if self._settings.contrast == "info-nce":  # among the pairs of this rank alone
                return info_nce(student.heads[name](ours), outputs)
            if self._settings.contrast == "centring":
                self._outputs[name].append(outputs)
                targets = centred(outputs, self._centres[name])
            else:
                targets = balanced(outputs, gather=gather)
            return distillation(student.heads[name](ours), targets, gather=gather)

        return compare

    def _align(self, ours: Compared, count: int) -> Tensor:
        """L_align of each view alone: two views of one place are no strangers to each other."""
        aligned = []
        for index in range(count):
            maps, seen = ours.view(index, count)
            pooled = {name: pool(maps[name], seen[name]) for name in ours.features.sensors}
            aligned.append(alignment(pooled, gather=self._ranks.gather, rank=self._ranks.rank))
        return torch.stack(aligned).mean()


@dataclass(frozen=True)
class Place:
    """Where one view of every sample lies."""

    box: Tensor  # (B, 4)
    flipped: Tensor  # (B, 2)

    @classmethod
    def of(cls, views: Views, index: int) -> Place:
        return cls(views.boxes.chunk(views.count)[index], views.flipped.chunk(views.count)[index])

    def on(self, overlap: Tensor, x: Tensor, cells: int) -> Tensor:
        """(B, T, D, h, w) -> (B, T, D, cells, cells) over the shared ground."""
        samples, dates = x.shape[:2]
        box, flipped, shared = (v.repeat_interleave(dates, dim=0) for v in (self.box, self.flipped, overlap))
        on_ground = overlapping(x.flatten(0, 1), box, flipped, shared, (cells, cells))
        return on_ground.reshape(samples, dates, *on_ground.shape[1:])

    def sees(self, overlap: Tensor, seen: Tensor, cells: int) -> Tensor:
        """(B, T, h, w) -> (B, T, cells, cells): where all that is mixed into a cell was seen."""
        share = overlapping(seen.float(), self.box, self.flipped, overlap, (cells, cells))
        return share > 0.999


def keep(ours: Features, start: Features) -> Tensor:
    """L_keep: 1 - cosine between the student's maps and those of the weights it started from, mean over maps.

    Cells of which the start says nothing (nobody saw them, a single date has no season) are left out.
    """
    pairs = [(ours.levels[name], start.levels[name]) for name in ours.levels] + [(ours.fused, start.fused)]
    losses = []
    for a, b in pairs:
        said = b.ne(0).any(dim=1)  # (B, h, w)
        if said.any():
            losses.append((1 - F.cosine_similarity(a.float(), b.float(), dim=1))[said].mean())
    return torch.stack(losses).mean()
