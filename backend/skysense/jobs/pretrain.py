"""A pretraining run in its folder: begin or go on, log, save, stop when asked. A process of its own, no job of the worker.

No rasterio: a training server needs the shards alone.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isfinite, nan
from pathlib import Path
from types import FrameType

import torch
from torch.utils.tensorboard import SummaryWriter

from skysense.errors import DeviceError, InternalError, ModelError, RequestError, SkySenseError, ran_out_of_memory
from skysense.jobs.encoders import choose_device
from skysense.jobs.precision import LEAST_GAIN, probe
from skysense.jobs.report import Report
from skysense.models.added import write_encoder
from skysense.models.catalog import ENCODERS, bundled_weights
from skysense.models.skysense.presets import PRESETS
from skysense.training.distributed import Ranks, join, local_device
from skysense.training.pretrain import Moment, Pretraining
from skysense.training.pretraining.kept import Checkpoints
from skysense.training.pretraining.run_folder import RunFolder
from skysense.training.pretraining.settings import CONTRASTS, PretrainSettings
from skysense.training.shards import ShardSet

log = logging.getLogger(__name__)

BUNDLED = "bundled"  # as `start`: the weights that come with the plugin
TELL_S = 0.5  # between two states of the run's file


@dataclass(frozen=True)
class NewRun:
    """What a run begins with."""

    shards: tuple[Path, ...]
    settings: PretrainSettings


def run(folder: Path, device: str, report: Report, new: NewRun | None = None) -> str:
    """Begin a run in a new folder, or go on with the one that is there: "finished" or "stopped".

    Raises:
        RequestError: settings that make no sense, no run there, or one at work. ModelError: the loss is no number,
        features collapsed, or data, weights and states cannot be read. DeviceError, OutputError.
    """
    place, ranks = RunFolder(folder), join()
    try:
        chosen = local_device(choose_device(device).type)
        if new is not None and ranks.first:
            _begin(place, new, chosen)
        ranks.meet(chosen)
        if not place.begun:
            raise RequestError(f"There is no run in {folder.name}.", "Start one with --shards and a new folder.")
        if not ranks.first:
            return _train(place, chosen, ranks, report)
        with place.locked():
            place.tell("starting", device=str(chosen))
            try:
                return _train(place, chosen, ranks, report)
            except Exception as error:
                known = error if isinstance(error, SkySenseError) else _explain(error, chosen)
                place.tell("failed", sentence=known.sentence, remedy=known.remedy)
                raise known from error
    finally:
        ranks.leave()


def _begin(place: RunFolder, new: NewRun, device: torch.device) -> None:
    """Write the settings, completed: weights to start from, arithmetic, compilation."""
    _check(new.settings)
    settings = replace(
        new.settings,
        start=_weights(new.settings),
        precision="bf16" if probe(device).gain >= LEAST_GAIN else "fp32",
        compiled=device.type == "cuda",
    )
    place.create(settings, new.shards, ShardSet(new.shards).digest)


def _train(place: RunFolder, device: torch.device, ranks: Ranks, report: Report) -> str:
    settings, shards, digest = place.read()
    samples = ShardSet(shards)
    if samples.digest != digest:
        raise ModelError("The shards are not those that the run began with.", "Put them back, or start a new run.")
    place.forget_stop()
    kept = Checkpoints(place.checkpoints, ranks)
    training = Pretraining(samples, settings, device, ranks)
    training.step = kept.load(training.state())
    if ranks.first:
        place.cut_log(training.step)
    peak = getattr(probe(device), settings.precision)
    story = Story(place, settings, device, peak, report) if ranks.first else None
    state, saved = "finished", training.step
    with _signals() as asked:
        for moment in training.steps():
            if story is not None:
                story.tell(moment)
            stop = ranks.any(bool(asked) or (ranks.first and place.stop_asked()), device)
            if stop or moment.step == settings.steps or moment.step % settings.save_every == 0:
                kept.save(moment.step, training.state())
                saved = moment.step
            kept.settle()
            if stop and moment.step < settings.steps:
                state = "stopped"
                break
    if story is not None:
        story.tell_state("saving", saved)
    kept.wait()
    _write_weights(place, training, digest, ranks)
    ranks.meet(device)  # nobody leaves while another still needs it
    if story is not None:
        story.tell_state(state, training.step)
        story.close()
    return state


class Story:
    """What the run says of itself while it works: the log, TensorBoard, its state, the bar."""

    def __init__(
        self, place: RunFolder, settings: PretrainSettings, device: torch.device, peak: float, report: Report
    ) -> None:
        self._place, self._settings, self._device = place, settings, device
        self._peak, self._report = peak, report  # FLOP/s that matrix products reach on the device
        self._board = SummaryWriter(str(place.tensorboard))
        self._recent: list[Moment] = []  # since the last logged step
        self._told = 0.0
        self._pace: float | None = None  # seconds a step

    def tell(self, moment: Moment) -> None:
        self._recent.append(moment)
        self._pace = moment.seconds if self._pace is None else 0.9 * self._pace + 0.1 * moment.seconds
        if moment.loss is not None:
            self._log(moment)
            self._recent.clear()
        if time.monotonic() - self._told > TELL_S:
            self.tell_state("training", moment.step)
        left = self._pace * (self._settings.steps - moment.step)
        detail = f"{moment.step} of {self._settings.steps}" + (f", loss {moment.loss:.3f}" if moment.loss is not None else "")
        self._report.progress(moment.step / self._settings.steps, "Pretraining", detail, (), left)

    def tell_state(self, state: str, step: int) -> None:
        left = None if self._pace is None else self._pace * (self._settings.steps - step)
        self._place.tell(state, step=step, steps=self._settings.steps, seconds_left=left, device=str(self._device))
        self._told = time.monotonic()

    def close(self) -> None:
        self._board.close()

    def _log(self, moment: Moment) -> None:
        seconds = sum(one.seconds for one in self._recent)
        steps = len(self._recent)
        flops = sum(one.flops for one in self._recent) / seconds / self._peak if self._peak else nan
        line: dict[str, object] = {
            "step": moment.step,
            "loss": moment.loss,
            "parts": moment.parts,
            "rate": moment.rate,
            "momentum": moment.momentum,
            "samples_per_second": self._settings.batch * steps / seconds,
            "data_wait": sum(one.waited for one in self._recent) / seconds,
            "flops_share": flops if isfinite(flops) else None,
            "feature_std": moment.spread,
            "prototype_entropy": moment.prototype_entropy,
            "seconds": seconds,
        }
        self._place.add_line(line)
        for name, value in _flat(line):
            self._board.add_scalar(name, value, moment.step)


def _flat(line: dict[str, object]) -> Iterator[tuple[str, float]]:
    for name, value in line.items():
        if isinstance(value, dict):
            yield from ((f"{name}/{key}", float(entry)) for key, entry in value.items())
        elif isinstance(value, int | float) and name != "step":
            yield name, float(value)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Signals to end that came: the run saves before it obeys."""
    asked: list[int] = []

    def keep(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    before = {number: signal.signal(number, keep) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check(settings: PretrainSettings) -> None:
    if settings.preset not in PRESETS:
        raise RequestError(f"There is no size {settings.preset!r}.", f"Choose one of {', '.join(PRESETS)}.")
    if settings.contrast not in CONTRASTS:
        raise RequestError(f"There is no contrast {settings.contrast!r}.", f"Choose one of {', '.join(CONTRASTS)}.")
    if min(settings.steps, settings.batch, settings.accumulate, settings.save_every, settings.log_every) < 1:
        raise RequestError("Steps, batch, parts and intervals count from 1.", "Choose whole numbers from 1.")
    if settings.learning_rate <= 0 or settings.workers < 0:
        raise RequestError(
            f"A learning rate of {settings.learning_rate:g} with {settings.workers} loading processes makes no sense.",
            "Choose a positive rate and at least 0 processes.",
        )
    if not 0 <= settings.teacher_momentum <= 1:
        raise RequestError(f"A momentum of {settings.teacher_momentum:g} makes no sense.", "Choose one from 0 to 1.")
    if settings.keep and settings.start is None:
        raise RequestError("A run that starts from random weights has nothing to keep.", "Leave --keep out, or name --start.")


def _weights(settings: PretrainSettings) -> str | None:
    if settings.start != BUNDLED:
        if settings.start is not None and not Path(settings.start).is_file():
            raise RequestError(f"There is no file {settings.start}.", "Name weights of the same size, or leave --start out.")
        return settings.start
    key = f"skysense-{settings.preset}"
    path = bundled_weights(key) if key in ENCODERS else None
    if path is None:
        raise RequestError(f"No weights of {settings.preset} come with the plugin.", "Name a file, or start from random weights.")
    return str(path)


def _write_weights(place: RunFolder, training: Pretraining, shards_digest: str, ranks: Ranks) -> None:
    """The teacher's encoder, for every job of the plugin; written whole or not at all."""
    tensors = training.encoder_tensors()
    if not ranks.first:
        return
    settings, encoder = training.settings, training.teacher.encoder
    draft = place.weights.with_suffix(".part")
    write_encoder(
        encoder.config,
        tensors,
        draft,
        label=f"{encoder.config.label}, {place.path.name}",
        licence="that of the images it was trained on, and of the weights it started from",
        description=f"Pretrained here, {training.step} steps of {settings.batch} samples.",
        sources=[{"file": ", ".join(path.name for path in place.read()[1]), "sha256": shards_digest}],
        notes=[f"Started from {Path(settings.start).name}" if settings.start else "Started from random weights"],
    )
    draft.replace(place.weights)


def _explain(error: Exception, device: torch.device) -> SkySenseError:
    """What to say of an error that nobody expected."""
    if ran_out_of_memory(error):
        return DeviceError(
            f"A step does not fit into the free memory of the {device.type} device.",
            "Start again with a smaller batch or size, with --accumulate, or with --save-memory.",
        )
    log.exception("pretraining")
    return InternalError(f"The run ended by a fault of its own: {error}.", "Go on with it; report it if it happens again.")
