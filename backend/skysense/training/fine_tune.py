"""Fine-tuning of a segmenter on the labelled crops of one scene."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, nan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skysense.errors import DeviceError, ran_out_of_memory
from skysense.objectives.supervised import IGNORE, area_cross_entropy, class_areas
from skysense.training.checkpoint import own_state
from skysense.training.metrics import Confusion
from skysense.training.samples import (
    Crop,
    FeatureCrops,
    PixelCrops,
    Sample,
    TileReader,
    class_pixels,
    encode_crop,
    fit_scales,
)
from skysense.training.schedule import warm_cosine
from skysense.training.segmenter import Segmenter, to_pixels
from skysense.training.settings import FineTuneSettings

SCALE_CROPS = 16  # whose features give the scales while the encoder learns
JUDGED_CROPS = 24  # held-out crops that a learning encoder is judged by each time


@dataclass(frozen=True)
class Moment:
    """Where a run stands."""

    stage: str
    done: int  # of `total` crops or steps
    total: int
    batch: int
    loss: float | None = None  # after a step
    mean_iou: float | None = None  # after a validation; None also where nothing is held out


class FineTuning:
    """One run, step by step; whoever drives it may stop between any two moments and keep the best so far.

    Attributes:
        best_step: steps done when the kept weights were taken; 0 before the first validation.
        confusion: of the kept weights on the held-out pixels.
        judged: of how many held-out crops the confusion is.
        held_out: how many crops hold held-out pixels.
        diverged: whether the run ended because the loss was no number any more.
        step: steps done.
        batch: crops a step, less than asked for after memory ran out.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        reader: TileReader,
        crops: Sequence[Crop],
        settings: FineTuneSettings,
        device: torch.device,
    ) -> None:
        self.segmenter, self.settings, self.device = segmenter.to(device), settings, device
        self._reader, self._crops = reader, list(crops)
        self._held_out = [crop for crop in crops if (crop.held_out != IGNORE).any()]
        self._kept: dict[int, dict[str, Tensor]] = {}  # features of each crop while the encoder is frozen
        self.held_out, self.judged, self.diverged = len(self._held_out), 0, False
        self._best: dict[str, Tensor] = {}
        self.best_step, self.step, self.batch = 0, 0, settings.batch
        self.confusion: Confusion | None = None
        choose_trainable(segmenter, settings.tune)

    def run(self) -> Iterator[Moment]:
        """Encode, then learn; validate now and then and keep the best. An encoder that learns is judged by some of the
        held-out crops: `judge_kept` takes them all.

        Raises:
            DeviceError: not even one crop fits into memory.
        """
        settings, segmenter = self.settings, self.segmenter
        generator = np.random.default_rng(settings.seed)
        torch.manual_seed(settings.seed)  # dropout

        frozen = settings.tune == "head"
        features: list[dict[str, Tensor]] = []
        encoded = self._crops if frozen else self._crops[:SCALE_CROPS]
        for crop in encoded:
            features.append(self._encode(crop))
            yield Moment("Encoding crops", len(features), len(encoded), self.batch)
        fit_scales(segmenter, features)

        data: FeatureCrops | PixelCrops = PixelCrops(self._reader, self._crops)
        if frozen:
            data = FeatureCrops(features, self._crops, settings.window_cells)
        self._kept = dict(zip(map(id, self._crops), features)) if frozen else {}
        judges = self._held_out if frozen else choose_judges(self._held_out, JUDGED_CROPS, settings.seed)
        chances, weights = balance(class_pixels(self._crops, len(segmenter.classes)))
        optimizer = self._optimizer()
        every = max(1, settings.steps // settings.validations)
        for step in range(settings.steps):
            share = warm_cosine(step, settings.steps, max(1, round(settings.warmup_share * settings.steps)))
            for group in optimizer.param_groups:
                group["lr"] = share * group["full_rate"]
            loss = yield from self._learn(data, optimizer, chances, weights.to(self.device), generator)
            if not isfinite(loss):
                self.diverged = True
                return
            self.step = step + 1
            yield Moment("Training", self.step, settings.steps, self.batch, loss=loss)
            if self.step % every == 0 or self.step == settings.steps:
                confusion = Confusion.of(len(segmenter.classes))
                for crop in judges:
                    self._judge(crop, confusion)
                    yield Moment("Validating", self.step, settings.steps, self.batch)
                self._keep_if_best(confusion, len(judges))
                yield Moment("Training", self.step, settings.steps, self.batch, mean_iou=confusion.mean_iou())

    def restore_best(self) -> None:
        """Put the kept weights back."""
        state = own_state(self.segmenter)
        with torch.no_grad():
            for name, values in self._best.items():
                state[name].copy_(values)

    def judge_kept(self) -> Iterator[Moment]:
        """Judge the kept weights by all held-out crops, where only some have judged them. After `restore_best`."""
        if self.judged == self.held_out:
            return
        confusion = Confusion.of(len(self.segmenter.classes))
        for done, crop in enumerate(self._held_out, start=1):
            self._judge(crop, confusion)
            yield Moment("Judging the kept model", done, self.held_out, self.batch)
        self.confusion, self.judged = confusion, self.held_out

    # -- one step ----------------------------------------------------------------------------------------------------
    def _learn(
        self,
        data: FeatureCrops | PixelCrops,
        optimizer: torch.optim.Optimizer,
        chances: NDArray[np.float64],
        weights: Tensor,
        generator: np.random.Generator,
    ) -> Generator[Moment, None, float]:
        """One step, with half the batch each time that memory runs out; the loss."""
        while True:
            sampled = choose_crops(chances, self.batch, generator)
            try:
                return (yield from self._step(data, sampled, optimizer, weights, generator))
            except (RuntimeError, MemoryError) as error:
                if not ran_out_of_memory(error):
                    raise
            # Outside of `except`: there the error still holds all tensors of the failed step.
            optimizer.zero_grad(set_to_none=True)
            self._free()
            if self.batch == 1:
                raise _no_memory(self.device)
            self.batch //= 2

    def _step(
        self,
        data: FeatureCrops | PixelCrops,
        sampled: Sequence[Sample],
        optimizer: torch.optim.Optimizer,
        weights: Tensor,
        generator: np.random.Generator,
    ) -> Generator[Moment, None, float]:
        """Gradients of the batch, then one step; none and NaN where they are no numbers. Where crops go through the encoder on a CPU they go one by one, which
        costs no time there and leaves the run ready to stop; the gradients are those of the whole batch."""
        self.segmenter.train()
        optimizer.zero_grad(set_to_none=True)
        one_by_one = isinstance(data, PixelCrops) and self.device.type == "cpu"
        parts = [[sample] for sample in sampled] if one_by_one else [list(sampled)]
        total = area = 0.0
        for part in parts:
            loss, weight = self._loss(data, part, weights, generator)
            torch.autograd.backward(loss * weight)
            total, area = total + float(loss.detach()) * weight, area + weight
            if one_by_one:
                yield Moment("Training", self.step, self.settings.steps, self.batch)
        learning = [p for p in self.segmenter.parameters() if p.requires_grad]
        for gradient in (parameter.grad for parameter in learning if parameter.grad is not None):
            gradient.div_(max(area, 1e-6))
        norm = nn.utils.clip_grad_norm_(learning, self.settings.gradient_norm)
        if not isfinite(float(norm)):
            return nan
        optimizer.step()
        return total / max(area, 1e-6)

    def _loss(
        self, data: FeatureCrops | PixelCrops, sampled: Sequence[Sample], weights: Tensor, generator: np.random.Generator
    ) -> tuple[Tensor, float]:
        """Mean loss of some crops, and the weighted area that it is the mean over."""
        if isinstance(data, FeatureCrops):
            features, labels = data.batch(sampled, generator)
            maps = {name: level.to(self.device) for name, level in features.items()}
        else:
            batch, labels = data.batch(sampled, generator)
            maps = self.segmenter.encode(batch.to(self.device))
        logits = self.segmenter.classify(maps)  # (B, K, h, w)
        stride = labels.shape[-1] // logits.shape[-1]
        areas = class_areas(labels.to(self.device), logits.shape[1], stride)
        return area_cross_entropy(logits, areas, weights), float((areas * weights[:, None, None]).sum())

    def _optimizer(self) -> torch.optim.Optimizer:
        rate, share = self.settings.learning_rate, self.settings.encoder_rate_share
        encoder = [p for p in self.segmenter.encoder.parameters() if p.requires_grad]
        groups = [{"params": list(self.segmenter.head.parameters()), "full_rate": rate}]
        if encoder:
            groups.append({"params": encoder, "full_rate": share * rate})
        return torch.optim.AdamW(groups, lr=rate, weight_decay=self.settings.weight_decay)

    # -- validation --------------------------------------------------------------------------------------------------
    def _judge(self, crop: Crop, confusion: Confusion) -> None:
        """Add the crop's held-out pixels, predicted from features with the context that applying gives them."""
        self.segmenter.eval()
        features = self._kept[id(crop)] if self._kept else self._encode(crop)
        maps = {name: level[None].to(self.device) for name, level in features.items()}
        with torch.inference_mode():
            logits = self.segmenter.classify(maps)
            stride = crop.window.height // logits.shape[-2]
            predicted = to_pixels(logits, stride, crop.held_out.shape)[0].argmax(dim=0)
        confusion.add(crop.held_out, predicted.cpu().numpy())

    def _keep_if_best(self, confusion: Confusion, judged: int) -> None:
        """Without held-out pixels the latest counts as best."""
        new, old = confusion.mean_iou(), None if self.confusion is None else self.confusion.mean_iou()
        if new is None or old is None or new > old:
            self._best = {name: tensor.detach().clone() for name, tensor in own_state(self.segmenter).items()}
            self.best_step, self.confusion, self.judged = self.step, confusion, judged

    def _encode(self, crop: Crop) -> dict[str, Tensor]:
        try:
            return encode_crop(self.segmenter, self._reader, crop, self.device)
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
        raise _no_memory(self.device)

    def _free(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def choose_judges(crops: Sequence[Crop], most: int, seed: int) -> list[Crop]:
    """The crops that a learning encoder is judged by each time: classes take turns to draw one that holds them, so that
    rare classes have a say and no corner of the scene speaks for all of it."""
    if len(crops) <= most:
        return list(crops)
    generator = np.random.default_rng(seed)
    present = [set(np.unique(crop.held_out).tolist()) - {IGNORE} for crop in crops]
    queues = []
    for index in sorted(set().union(*present)):
        holding = [number for number, classes in enumerate(present) if index in classes]
        queues.append([holding[i] for i in generator.permutation(len(holding))])
    chosen: set[int] = set()
    while len(chosen) < most:
        for queue in queues:
            while queue and queue[-1] in chosen:
                queue.pop()
            if queue and len(chosen) < most:
                chosen.add(queue.pop())
    return [crops[number] for number in sorted(chosen)]


def choose_trainable(segmenter: Segmenter, tune: str) -> None:
    """Which parameters learn. Prototypes and batch statistics are buffers: they stay in each mode."""
    for parameter in segmenter.encoder.parameters():
        parameter.requires_grad_(tune == "all")
    if tune == "last-blocks":
        for block in segmenter.encoder.last_blocks():
            for parameter in block.parameters():
                parameter.requires_grad_(True)


def balance(pixels: NDArray[np.int64]) -> tuple[NDArray[np.float64], Tensor]:
    """How often crops are drawn and how much classes weigh, so that rare classes are learnt too.

    Args:
        pixels: training pixels (N, K) of each class in each crop.

    Returns:
        Chances (K, N) of the crops for each class, in proportion to the pixels they hold of it; all 0 for a class that
        is not there. And weights (K,): drawing already favours rare classes, so that one over the root of the frequency
        is enough; their mean over the classes that are there is 1.
    """
    total = pixels.sum(axis=0)
    there = total > 0
    chances = (pixels / np.maximum(total, 1)).T
    weights = np.ones(len(total))
    weights[there] = 1 / np.sqrt(total[there] / total.sum())
    weights[there] /= weights[there].mean()
    return chances, torch.from_numpy(weights).float()


def choose_crops(chances: NDArray[np.float64], count: int, generator: np.random.Generator) -> list[Sample]:
    """The crops of one step: a class is drawn first, then a crop for it."""
    there = np.flatnonzero(chances.any(axis=1))
    classes = generator.choice(there, count)
    return [Sample(int(generator.choice(chances.shape[1], p=chances[index])), int(index)) for index in classes]


def _no_memory(device: torch.device) -> DeviceError:
    return DeviceError(
        f"One crop does not fit into the free memory of the {device.type} device.",
        "Close other programs, choose smaller crops, fewer dates, or another device.",
    )
