"""Weight files: safetensors alone, read strictly, with a card in their metadata.

A file either holds exactly the tensors of the model, with the right shapes and finite values, or is refused before
anything is allocated. There is no fallback to pickle.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from skysense.errors import ModelError

HEADER_LIMIT = 16 * 1024 * 1024  # bytes; the key list of the largest preset takes 0.3 MB
BYTES = {"F16": 2, "BF16": 2, "F32": 4}  # types that a weight may have
REMEDY = "Download the file again, or choose one made for this model."


@dataclass(frozen=True)
class StoredTensor:
    """One entry of a file's header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int  # of its bytes, behind the header
    end: int


def weights_digest(path: Path) -> str:
    """`sha256:<hex>` of the file."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def read_header(path: Path) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file, checked against its size; no tensor is read.

    Raises:
        ModelError: the file is missing, no safetensors file, or its header does not fit its contents.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(HEADER_LIMIT, size - 8):
                raise ModelError(f"{path.name} is no safetensors file: its header would have {length} bytes.", REMEDY)
            header = json.loads(file.read(length))
    except OSError as error:
        raise ModelError(f"The weights {path} cannot be read: {error.strerror}.", "Choose a file that is there.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} is no safetensors file: its header cannot be read.", REMEDY) from error
    if not isinstance(header, dict):
        raise ModelError(f"{path.name} is no safetensors file: its header is no table.", REMEDY)
    metadata = header.pop("__metadata__", {})
    try:
        tensors = {
            name: StoredTensor(entry["dtype"], tuple(entry["shape"]), *entry["data_offsets"])
            for name, entry in header.items()
        }
        _check_layout(path, tensors, size - 8 - length)
    except (TypeError, KeyError) as error:
        raise ModelError(f"{path.name} has a damaged table of tensors.", REMEDY) from error
    return tensors, {str(key): str(value) for key, value in metadata.items()}


def read_card(path: Path) -> dict[str, object]:
    """What the file says of itself; empty where it says nothing."""
    _, metadata = read_header(path)
    try:
        card = json.loads(metadata.get("card", "{}"))
    except ValueError as error:
        raise ModelError(f"The card in {path.name} cannot be read.", REMEDY) from error
    return card if isinstance(card, dict) else {}


def load_weights(model: nn.Module, path: Path) -> str:
    """Fill the model from the file and return its digest.

    Raises:
        ModelError: a name, shape or type differs from the model's, or a value is not finite; the model may then hold
            part of the file and must not be used.
    """
    stored, _ = read_header(path)
    wanted = weight_state(model)
    missing, unknown = sorted(set(wanted) - set(stored)), sorted(set(stored) - set(wanted))
    if missing or unknown:
        raise ModelError(
            f"{path.name} does not fit the model: {_count(missing, 'missing')}, {_count(unknown, 'unknown')}.", REMEDY
        )
    for name, tensor in wanted.items():
        if stored[name].shape != tuple(tensor.shape):
            raise ModelError(
                f"{path.name}: {name} has shape {stored[name].shape}, the model needs {tuple(tensor.shape)}.", REMEDY
            )
    try:
        with safe_open(path, framework="pt") as file, torch.no_grad():
            for name, tensor in wanted.items():
                values = file.get_tensor(name)
                if not torch.isfinite(values).all():
                    raise ModelError(f"{path.name}: {name} holds values that are not finite.", REMEDY)
                tensor.copy_(values)
    except SafetensorError as error:
        raise ModelError(f"{path.name} is damaged: {error}.", REMEDY) from error
    return weights_digest(path)


def save_weights(model: nn.Module, path: Path, card: Mapping[str, object], dtype: torch.dtype = torch.float32) -> str:
    """Write the model's weights with their card, and return the digest."""
    tensors = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in weight_state(model).items()}
    save_file(tensors, path, metadata={"card": json.dumps(card, sort_keys=True)})
    return weights_digest(path)


def weight_state(model: nn.Module) -> dict[str, Tensor]:
    """The state that a file holds: all of it but the step counters of batch norms."""
    return {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}


def _check_layout(path: Path, tensors: Mapping[str, StoredTensor], data_bytes: int) -> None:
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].begin):
        if tensor.dtype not in BYTES:
            raise ModelError(f"{path.name}: {name} has type {tensor.dtype}, expected {', '.join(BYTES)}.", REMEDY)
        if any(type(side) is not int or side < 0 for side in tensor.shape):
            raise ModelError(f"{path.name}: {name} has the impossible shape {tensor.shape}.", REMEDY)
        if tensor.begin != end or tensor.end - tensor.begin != math.prod(tensor.shape) * BYTES[tensor.dtype]:
            raise ModelError(f"{path.name}: the place of {name} in the file does not fit its shape.", REMEDY)
        end = tensor.end
    if end != data_bytes:
        raise ModelError(f"{path.name} holds {data_bytes} bytes of weights, its header names {end}.", REMEDY)


def _count(names: list[str], what: str) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} tensors {what}" + (f" ({shown})" if names else "")
