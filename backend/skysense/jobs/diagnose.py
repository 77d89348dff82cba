"""What a report to the developers holds."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
from pathlib import Path

import rasterio
import torch

from skysense import __version__
from skysense.jobs.capabilities import capabilities
from skysense.jobs.precision import probe
from skysense.jobs.report import Report
from skysense.models import catalog
from skysense.models.weights import weights_digest
from skysense.protocol.requests import Diagnose, Diagnosis
from skysense.scene.open import DRIVERS

PACKAGES = ("torch", "torchvision", "timm", "rasterio", "numpy", "scipy", "scikit-image", "opencv-python-headless", "pyogrio")


def run(request: Diagnose, report: Report) -> Diagnosis:
    """Versions, devices, memory, disk, models; the user's name is taken out of paths."""
    lines = [f"skysense: {__version__}", f"python: {platform.python_version()}", f"system: {platform.platform()}"]
    for name in PACKAGES:
        try:
            lines.append(f"{name}: {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"{name}: missing")
    lines.append(f"gdal: {rasterio.__gdal_version__}, formats {', '.join(DRIVERS)}")
    for device in capabilities().devices:
        state = "usable" if device.usable else f"not usable: {device.reason}"
        gigabytes = f"{device.free_bytes / 1e9:.1f} of {device.memory_bytes / 1e9:.1f} GB free"
        lines.append(f"device {device.key}: {device.label}, {gigabytes}, {state}")
        if device.usable:
            lines.append(f"products on {device.key}: {probe(torch.device(device.key))}")
    lines.append(f"disk: {shutil.disk_usage(Path.home()).free / 1e9:.1f} GB free")
    for key in catalog.ENCODERS:
        path = catalog.bundled_weights(key)
        lines.append(f"encoder {key}: {weights_digest(path) if path else 'weights missing'}")
    if request.folder and Path(request.folder).is_dir():
        count = len(list(Path(request.folder).glob("*.safetensors")))
        lines.append(f"own models: {count} in {request.folder}")
    return Diagnosis(lines=tuple(without_home(line, Path.home()) for line in lines))


def without_home(line: str, home: Path) -> str:
    """The line with the user's folder as "~". A service's home may be "/": then there is no name to take out."""
    if home == Path(home.anchor):
        return line
    return re.sub(re.escape(str(home)) + r"(?![^\s/\\:;,])", "~", line)
