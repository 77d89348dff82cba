"""Open a checkpoint of somebody else's: its tensors by name, mapped from the file, and nothing of it is ever run.

Two formats are read: safetensors, and PyTorch's archive with the weights-only reader. A file that holds anything but
tensors is refused; there is no fallback.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from skysense.errors import ModelError

from .weights import read_header

WRAPPERS = ("model", "state_dict")  # keys under which a training run's file keeps its weights
TABLE_LIMIT = 64 * 1024 * 1024  # bytes of an archive's table of tensors; that of the largest release takes 0.4 MB
REMEDY = "Download the file again from its authors, or choose another one."


def open_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors by the names in the file, without prefixes that all of them share.

    Args:
        path: `.safetensors`, or a PyTorch archive (`.pth`, `.pt`, `.ckpt`, `.bin`).

    Raises:
        ModelError: missing, damaged, of another format, or with anything in it that is no tensor.
    """
    try:
        is_archive = zipfile.is_zipfile(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.", "Choose a file that is there.") from error
    if not path.is_file():
        raise ModelError(f"{path} is no file.", "Choose a file that is there.")
    state = _open_archive(path) if is_archive else _open_safetensors(path)
    for prefix in ("module.", "backbone."):
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _open_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        stored, _ = read_header(path, integers=True)
    except ModelError as error:
        if path.suffix == ".safetensors":
            raise
        raise ModelError(
            f"{path.name} is neither a PyTorch archive nor a safetensors file.",
            "Files that PyTorch saved before version 1.6 have to be loaded and saved again by their owner.",
        ) from error
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in stored}
    except SafetensorError as error:
        raise ModelError(f"{path.name} is damaged: {error}.", REMEDY) from error


def _open_archive(path: Path) -> dict[str, Tensor]:
    _check_archive(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # the reader raises what it likes at a damaged file
        reason = str(error).splitlines()[0][:200]
        if type(error).__name__ == "UnpicklingError":  # of a module that shipped code does not import
            raise ModelError(
                f"{path.name} holds more than tensors and was not opened: {reason}",
                "Such a file can run code when it is opened. Ask its authors for a safetensors file.",
            ) from error
        raise ModelError(f"{path.name} cannot be read: {reason}", REMEDY) from error
    for wrapper in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not found:
        raise ModelError(f"{path.name} holds no table of tensors.", REMEDY)
    other = [str(name) for name, value in found.items() if not (isinstance(name, str) and isinstance(value, Tensor))]
    if other:
        raise ModelError(f"{path.name} holds entries that are no tensors: {', '.join(other[:3])}.", REMEDY)
    return dict(found)


def _check_archive(path: Path) -> None:
    """Sizes that the archive names, before anything of it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ModelError(f"{path.name} is a damaged archive: {error}.", REMEDY) from error
    tables = [entry for entry in entries if entry.filename.endswith("data.pkl")]
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    too_large = sum(entry.file_size for entry in entries) > path.stat().st_size
    if packed or too_large:
        raise ModelError(f"{path.name} is packed, which PyTorch's own files never are; it was not opened.", REMEDY)
    if len(tables) != 1 or tables[0].file_size > TABLE_LIMIT:
        raise ModelError(f"{path.name} is no PyTorch file that can be used: its table of tensors is missing or absurd.", REMEDY)
