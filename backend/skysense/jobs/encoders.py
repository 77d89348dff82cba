"""Encoders stay loaded between jobs, stop when they are told to; devices are chosen here."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from skysense.errors import Cancelled, DeviceError
from skysense.jobs.capabilities import default_device, usable_devices
from skysense.jobs.precision import use_default_mode
from skysense.jobs.report import Report
from skysense.models.added import load_plus_plus, read_added
from skysense.models.catalog import is_file, load_encoder
from skysense.models.interface import Encoder
from skysense.models.skysense.plus_plus import SkySensePlusPlus

log = logging.getLogger(__name__)

_loaded: dict[tuple[str, str], Encoder] = {}
_loaded_whole: dict[tuple[str, str], SkySensePlusPlus] = {}


def encoder_on(key: str, device: torch.device, report: Report | None = None) -> Encoder:
    """The encoder with its weights, in evaluation mode on the device; a report is told how far they are loaded.

    Raises:
        RequestError: no encoder of this name. ModelError: its weights are missing or damaged. Cancelled.
    """
    name = key, str(device)
    if name not in _loaded:
        drop()  # one at a time: memory belongs to the images
        encoder = load_encoder(key, device=device, progress=None if report is None else loading(report))
        use_default_mode(encoder, device)
        _loaded[name] = encoder
    return _loaded[name]


def model_by_example(key: str, device: torch.device, report: Report) -> Encoder | SkySensePlusPlus:
    """The whole SkySense++ where the key names a file that holds one, else the encoder.

    Raises:
        RequestError, ModelError, Cancelled: as `encoder_on`.
    """
    if not (is_file(key) and read_added(Path(key)).plus_plus is not None):
        return encoder_on(key, device, report)
    name = key, str(device)
    if name not in _loaded_whole:
        drop()
        _loaded_whole[name] = load_plus_plus(Path(key), loading(report)).to(device)
    return _loaded_whole[name]


def loading(report: Report, at: float = 0.0) -> Callable[[float], None]:
    """Tells the report, which stands at `at`, how far the weights are: those of a large model take most of a minute."""
    return lambda share: report.progress(at, "Loading the model", f"{share:.0%}")


def drop() -> None:
    """Forget the weights; they are loaded again when they are asked for."""
    _loaded.clear()
    _loaded_whole.clear()
    gc.collect()  # modules and their hooks hold one another
    torch.cuda.empty_cache()


@contextmanager
def stoppable(model: nn.Module, report: Report) -> Iterator[None]:
    """Inside, the model asks before each of its layers whether the job goes on: a tile may take many seconds.

    Raises:
        Cancelled: out of the model, once the caller wants the job to stop.
    """

    def ask(*_: object) -> None:
        if report.cancelled():
            raise Cancelled()

    hooks = [layer.register_forward_pre_hook(ask) for layer in model.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def choose_device(name: str) -> torch.device:
    """"auto" takes a GPU that works, else the CPU; "cuda" the first that works.

    Raises:
        DeviceError: the device that was asked for is not there or does not work.
    """
    keys = usable_devices()
    if name == "auto":
        return torch.device(default_device(keys))
    first = next((key for key in keys if name == key or (name == "cuda" and key.startswith("cuda:"))), None)
    if first is None:
        if name.startswith("cuda"):
            raise DeviceError("There is no such graphics card that PyTorch can use.", "Choose the CPU or automatic device.")
        raise DeviceError(f"There is no device {name!r}.", f"Choose auto or one of {', '.join(keys)}.")
    return torch.device(first)
