"""What this machine can do: devices that really work, and the encoders whose weights are there."""

from __future__ import annotations

import functools
import logging
import os

import torch

from skysense.models import catalog
from skysense.protocol.messages import Capabilities, Device

log = logging.getLogger(__name__)


def capabilities() -> Capabilities:
    """Try each device with one small product: a driver alone proves nothing."""
    devices = _devices()
    usable = tuple(device.key for device in devices if device.usable)
    models = tuple(key for key in catalog.ENCODERS if catalog.bundled_weights(key) is not None)
    return Capabilities(devices=devices, default_device=default_device(usable), models=models)


@functools.cache  # asked by each job; cards do not come and go
def usable_devices() -> tuple[str, ...]:
    """Keys of the devices that work, the CPU first."""
    return tuple(device.key for device in _devices() if device.usable)


def default_device(usable: tuple[str, ...]) -> str:
    """The first GPU that works, else the CPU."""
    return usable[min(1, len(usable) - 1)]


def _devices() -> tuple[Device, ...]:
    return _cpu(), *(_cuda(index) for index in range(torch.cuda.device_count()))


def _cpu() -> Device:
    total, free = memory()
    return Device("cpu", f"CPU, {os.cpu_count()} cores", total, free, True, "")


def _cuda(index: int) -> Device:
    key, label, total, free = f"cuda:{index}", f"GPU {index}", 0, 0
    try:
        label = torch.cuda.get_device_name(index)
        free, total = torch.cuda.mem_get_info(index)
        ones = torch.ones(64, 64, device=key)
        if float((ones @ ones).sum()) != 64.0**3:
            raise RuntimeError("a product of ones came out wrong")
    except RuntimeError as error:
        log.warning("%s cannot be used: %s", label, error)
        return Device(key, label, total, free, False, str(error).splitlines()[0])
    return Device(key, label, total, free, True, "")


def memory() -> tuple[int, int]:
    """Bytes of the machine's memory: in all, and free for us. (0, 0) where the system does not say."""
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        return page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0, 0
