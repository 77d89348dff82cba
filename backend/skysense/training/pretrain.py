"""Pretraining: multi-granularity contrastive learning of student and averaged teacher, with geo-context prototypes.

Guo et al., SkySense, CVPR 2024 (arXiv 2312.10115), section 3. The same code runs as one process on a laptop and as many
under torchrun. Every random draw is a function of the settings' seed and the step, so that a run that goes on from a
saved state is, bit for bit on a CPU, the run that never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.profiler import record_function
from torch.utils.flop_counter import FlopCounterMode

from skysense.models.skysense.geo_context import region_of
from skysense.models.skysense.model import SkySense
from skysense.models.skysense.presets import PRESETS
from skysense.models.weights import load_weights, weight_state
from skysense.objectives.prototypes import move_prototypes
from skysense.training.distributed import Ranks, whole
from skysense.training.pretraining.batches import StepBatch, Steps, load_steps
from skysense.training.pretraining.learner import Learner, freeze_inherited_stems, save_activations
from skysense.training.pretraining.monitor import Watch, prototype_entropy, spreads
from skysense.training.pretraining.objective import Losses, Objective
from skysense.training.pretraining.settings import PretrainSettings
from skysense.training.schedule import warm_cosine
from skysense.training.shards import ShardSet
from skysense.training.teacher import follow, momentum_at, teacher_of


@dataclass(frozen=True)
class Moment:
    """What one step tells."""

    step: int  # steps done
    samples: tuple[int, ...]  # that this rank saw
    seconds: float  # of the step, waiting included
    waited: float  # of them, for data
    rate: float  # learning rate
    momentum: float  # of the teacher
    flops: float  # of the encoders, forward and backward; NaN where they cannot be counted
    # Where the step is logged; else None and empty.
    loss: float | None = None
    parts: dict[str, float] | None = None
    spread: dict[str, float] | None = None
    prototype_entropy: float | None = None


class Pretraining:
    """One run: `steps` goes through it, `state` is all that it needs to go on."""

    def __init__(self, samples: ShardSet, settings: PretrainSettings, device: torch.device, ranks: Ranks) -> None:
        self.settings, self.device, self.ranks = settings, device, ranks
        self.step = 0
        self._batches = Steps(samples, settings, ranks)
        torch.manual_seed(settings.seed)
        encoder = PRESETS[settings.preset]()
        self._start: SkySense | None = None
        if settings.start is not None:
            load_weights(encoder, Path(settings.start))
            if settings.keep:
                self._start = teacher_of(encoder).eval().to(device)
            freeze_inherited_stems(encoder)
        _begin_prototypes(encoder, settings)
        self.student = Learner(encoder, settings.outputs).to(device).train()
        self.teacher = teacher_of(self.student).eval()
        self._prepare()
        self._optimizer = _adamw(self.student, settings)
        self._centres = {name: torch.zeros(settings.outputs, device=device) for name in self.student.heads}
        self._objective = Objective(settings, ranks, self._centres)
        self._flops: dict[tuple[str, ...], float] = {}  # of a step with these sensors

    def steps(self) -> Iterator[Moment]:
        """From the step that is reached to the last.

        Raises:
            ModelError: the loss is no number, or features collapsed.
        """
        settings, watch = self.settings, Watch()
        batches = load_steps(self._batches, self.step, settings.steps, settings.workers)
        for number in range(self.step, settings.steps):
            began = time.perf_counter()
            parts = next(batches)
            waited = time.perf_counter() - began
            logged = (number + 1) % settings.log_every == 0 or number + 1 == settings.steps
            found, rate, momentum = self._learn(parts, number)
            self.step = number + 1
            report: dict[str, object] = {}
            if logged:
                report = self._report(found, parts[-1])
                watch.check(self.step, float(str(report["loss"])), report["spread"])  # type: ignore[arg-type]
            yield Moment(
                step=self.step,
                samples=tuple(index for part in parts for index in part.indices),
                seconds=time.perf_counter() - began,
                waited=waited,
                rate=rate,
                momentum=momentum,
                flops=self._flops.get(parts[-1].large.scenes.sensors, nan),
                **report,  # type: ignore[arg-type]
            )

    def state(self) -> dict[str, Tensor]:
        """Everything that changes, by name; the tensors themselves, so that filling them sets the run back."""
        found = {f"student.{name}": tensor for name, tensor in self.student.state_dict().items()}
        found |= {f"teacher.{name}": tensor for name, tensor in self.teacher.state_dict().items()}
        found |= {f"centre.{name}": tensor for name, tensor in self._centres.items()}
        names = {id(parameter): name for name, parameter in self.student.named_parameters()}
        for parameter, moments in self._optimizer.state.items():
            found |= {f"adam.{names[id(parameter)]}.{key}": tensor for key, tensor in moments.items()}
        return found

    def encoder_tensors(self) -> dict[str, Tensor]:
        """The teacher's encoder with the parts of all ranks: what is worth keeping of the run."""
        return {name: whole(tensor).detach().cpu() for name, tensor in weight_state(self.teacher.encoder).items()}

    # -- one step ----------------------------------------------------------------------------------------------------
    def _learn(self, parts: list[StepBatch], number: int) -> tuple[Losses, float, float]:
        """Gradients of all parts of the batch, then one step."""
        settings = self.settings
        torch.manual_seed(settings.seed * 1_000_003 + number)  # stochastic depth
        share = warm_cosine(number, settings.steps, max(1, round(settings.warmup_share * settings.steps)))
        for group in self._optimizer.param_groups:
            group["lr"] = share * settings.learning_rate
        self._optimizer.zero_grad(set_to_none=True)
        fused, regions = [], []
        for part in parts:
            batch = part.to(self.device)
            found = self._gradients(batch)
            cells, of_cells = _in_regions(self.student.encoder, batch, found)
            fused.append(cells)
            regions.append(of_cells)
        with record_function("update"):
            momentum = self._update(fused, regions, number)
        self._count(batch)
        return found, share * settings.learning_rate, momentum

    def _update(self, fused: list[Tensor], regions: list[Tensor], number: int) -> float:
        """One step of the optimizer, then teacher, centres and prototypes follow; the teacher's momentum."""
        settings = self.settings
        learning = [p for p in self.student.parameters() if p.grad is not None]
        nn.utils.clip_grad_norm_(learning, settings.gradient_norm)
        self._optimizer.step()
        momentum = momentum_at(number, settings.steps, settings.teacher_momentum)
        context = self.student.encoder.geo_context
        if context is not None and settings.prototypes:
            move_prototypes(
                context.bank,
                torch.cat(fused),
                torch.cat(regions),
                settings.prototype_momentum,
                gather=self.ranks.gather,
            )
        follow(self.teacher, self.student, momentum)
        self._objective.move_centres()
        return momentum

    def _gradients(self, batch: StepBatch) -> Losses:
        found = self._objective(self.student, self.teacher, self._start, batch)
        with record_function("backward"):
            torch.autograd.backward(found.total / self.settings.accumulate)
        return found

    @torch.no_grad()
    def _count(self, batch: StepBatch) -> None:
        """FLOPs of a step with these sensors, once: the encoders' forward passes, backward counted as twice as much.

        In passes of their own, since a counter changes which kernels run, and with them the last bits of a step.
        """
        sensors = batch.large.scenes.sensors
        if sensors in self._flops or self.ranks.world > 1:  # sharded products are not understood
            return
        encoder, passes = self.student.encoder, []
        for views in (batch.large, batch.small):
            with FlopCounterMode(display=False) as counter:
                if views is not None:
                    encoder.features(views.scenes)
            passes.append(counter.get_total_flops())
        large, small = passes
        self._flops[sensors] = float(3 * (large + small) + large) * self.settings.accumulate  # the teacher sees the large ones

    def _report(self, found: Losses, part: StepBatch) -> dict[str, object]:
        """What is logged: the losses as means over ranks."""
        context = self.student.encoder.geo_context
        loss, *values = (float(self.ranks.gather(x.detach()).mean()) for x in (found.total, *found.parts.values()))
        lonlat = part.large.scenes.lonlat
        entropy = None
        if context is not None and self.settings.prototypes:
            entropy = prototype_entropy(
                context, found.student.features.fused.detach(), None if lonlat is None else lonlat.to(self.device)
            )
        return {
            "loss": loss,
            "parts": dict(zip(found.parts, values)),
            "spread": spreads(found.student),
            "prototype_entropy": entropy,
        }

    # -- before the first step ---------------------------------------------------------------------------------------
    def _prepare(self) -> None:
        """Compile, save memory and shard, as the settings say."""
        for learner in (self.student, self.teacher):
            if self.settings.save_memory and learner is self.student:
                save_activations(learner)
            if self.settings.compiled:
                for block in learner.blocks():
                    block.compile()
            self.ranks.shard(learner.encoder, learner.blocks(), ["features"])
            for head in learner.heads.values():
                self.ranks.shard(head, [])


def _adamw(learner: Learner, settings: PretrainSettings) -> torch.optim.AdamW:
    """No decay on biases, norms and tokens. Its moments are there from the start, for parameters of sensors not yet seen
    too, so that a saved state always holds the same names."""
    learning = [p for p in learner.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
    for parameter in learning:
        moments = optimizer.state[parameter]
        moments["step"] = torch.zeros(())
        moments["exp_avg"] = torch.zeros_like(parameter)
        moments["exp_avg_sq"] = torch.zeros_like(parameter)
    return optimizer


def _begin_prototypes(encoder: SkySense, settings: PretrainSettings) -> None:
    """Prototypes that are all zero would stay alike: they start in directions of chance, the same in every region."""
    context = encoder.geo_context
    if context is None:
        return
    if not settings.prototypes:
        context.bank.zero_()
    elif not context.bank.any():
        generator = torch.Generator().manual_seed(settings.seed)
        context.bank.copy_(torch.randn(context.bank.shape[1:], generator=generator).expand_as(context.bank))


def _in_regions(encoder: SkySense, batch: StepBatch, found: Losses) -> tuple[Tensor, Tensor]:
    """The student's F_mm of every cell that was seen (N, D), and the region of each (N,)."""
    fused = found.student.features.fused.detach().float()  # (V B, D, h, w)
    seen = found.student.seen["fused"][:, 0]  # (V B, h, w)
    lonlat = batch.large.scenes.lonlat
    context = encoder.geo_context
    if lonlat is None or context is None:
        return fused.new_zeros(0, fused.shape[1]), torch.zeros(0, dtype=torch.long, device=fused.device)
    regions = region_of(lonlat, context.side)[:, None, None].expand_as(seen)
    return fused.permute(0, 2, 3, 1)[seen], regions[seen]
