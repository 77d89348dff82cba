"""Weight files: safetensors alone, read strictly, with a card in their metadata.

A file either holds exactly the tensors of the model, with the right shapes and finite values, or is refused before
anything is allocated. There is no fallback to pickle.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from skysense.errors import ModelError

HEADER_LIMIT = 16 * 1024 * 1024  # bytes; the key list of the largest preset takes 0.3 MB
BYTES = {"F16": 2, "BF16": 2, "F32": 4}  # types that a weight may have
INTEGER_BYTES = {"I64": 8, "I32": 4, "U8": 1, "BOOL": 1}  # and counters and tables in files of others
NAMES = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32"}
REMEDY = "Download the file again, or choose one made for this model."


@dataclass(frozen=True)
class StoredTensor:
    """One entry of a file's header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int  # of its bytes, behind the header
    end: int


def weights_digest(path: Path) -> str:
    """`sha256:<hex>` of the file, or of its tensors where the card names it: gigabytes are not read for a name."""
    named = _named_digest(path)
    if named is not None:
        return named
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _named_digest(path: Path) -> str | None:
    try:
        named = read_card(path).get("content")
    except ModelError:
        return None
    return named if isinstance(named, str) and re.fullmatch("sha256:[0-9a-f]{64}", named) else None


def read_header(path: Path, *, integers: bool = False) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file, checked against its size; no tensor is read.

    Args:
        path: the file.
        integers: whole numbers are allowed too, as files of others hold them.

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
        _check_layout(path, tensors, size - 8 - length, BYTES | INTEGER_BYTES if integers else BYTES)
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


def load_weights(
    model: nn.Module,
    path: Path,
    *,
    ignored: Collection[str] = (),
    progress: Callable[[float], None] | None = None,
) -> str:
    """Fill the model from the file and return its digest.

    A model that was laid out without memory (on the device "meta") gets its tensors one after the other, so that
    there is never a second copy of it. Tensors are mapped from the file and cast to float32.

    Args:
        model: on the CPU or laid out without memory.
        path: a safetensors file.
        ignored: prefixes of tensors that are there for something else.
        progress: called with the share that is done; what it raises ends the loading.

    Raises:
        ModelError: a name, shape or type differs from the model's, or a value is not finite; the model may then hold
            part of the file and must not be used.
    """
    wanted = weight_state(model)
    check_fit(path, wanted, ignored)
    done, total = 0, sum(tensor.numel() for tensor in wanted.values())
    try:
        with safe_open(path, framework="pt") as file, torch.no_grad():
            for name, tensor in wanted.items():
                values = file.get_tensor(name)
                if not torch.isfinite(values).all():
                    raise ModelError(f"{path.name}: {name} holds values that are not finite.", REMEDY)
                _put(model, name, tensor, values)
                done += tensor.numel()
                if progress is not None:
                    progress(done / total)
    except SafetensorError as error:
        raise ModelError(f"{path.name} is damaged: {error}.", REMEDY) from error
    _fill_the_rest(model)
    return weights_digest(path)


def check_fit(path: Path, wanted: Mapping[str, Tensor], ignored: Collection[str] = ()) -> None:
    """Raises ModelError where the file's names or shapes are not exactly these; no tensor is read."""
    stored, _ = read_header(path)
    there = {name for name in stored if not name.startswith(tuple(ignored))}
    missing, unknown = sorted(set(wanted) - there), sorted(there - set(wanted))
    if missing or unknown:
        raise ModelError(
            f"{path.name} does not fit the model: {named(missing, 'missing')}, {named(unknown, 'unknown')}.", REMEDY
        )
    for name, tensor in wanted.items():
        if stored[name].shape != tuple(tensor.shape):
            raise ModelError(
                f"{path.name}: {name} has shape {stored[name].shape}, the model needs {tuple(tensor.shape)}.", REMEDY
            )


def _put(model: nn.Module, name: str, tensor: Tensor, values: Tensor) -> None:
    """Values in place of the tensor; a copy in memory, because the file may be replaced while the model lives."""
    if not tensor.is_meta:
        tensor.copy_(values)
        return
    owner, _, own_name = name.rpartition(".")
    module = model.get_submodule(owner)
    values = values.to(torch.float32, copy=True)
    if own_name in module._parameters:
        module._parameters[own_name] = nn.Parameter(values, requires_grad=tensor.requires_grad)
    else:
        module._buffers[own_name] = values


def _fill_the_rest(model: nn.Module) -> None:
    """What no file holds: tables that modules compute themselves, and the counters of batch norms."""
    for module in model.modules():
        rebuild = getattr(module, "rebuild_buffers", None)
        if callable(rebuild):
            rebuild()
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_meta:
                module._buffers[name] = torch.zeros(buffer.shape, dtype=buffer.dtype)


def save_weights(model: nn.Module, path: Path, card: Mapping[str, object], dtype: torch.dtype = torch.float32) -> str:
    """Write the model's weights with their card, and return the digest."""
    write_tensors(path, {name: tensor.detach() for name, tensor in weight_state(model).items()}, card, dtype)
    return weights_digest(path)


def write_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    card: Mapping[str, object],
    dtype: torch.dtype,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Write a safetensors file one tensor after the other: the library's own writer holds a copy of them all.

    Args:
        path: the file.
        tensors: by name, finite.
        card: kept in the metadata.
        dtype: float32, float16 or bfloat16, of all of them.
        progress: called with the share that is written; what it raises ends the writing.
    """
    header: dict[str, object] = {"__metadata__": {"card": json.dumps(card, sort_keys=True)}}
    begin = 0
    for name in sorted(tensors):
        end = begin + tensors[name].numel() * dtype.itemsize
        header[name] = {"dtype": NAMES[dtype], "shape": list(tensors[name].shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors start at a multiple of eight bytes
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(tensors):
            file.write(tensor_bytes(tensors[name], dtype))
            if progress is not None:
                progress(file.tell() / (8 + len(text) + begin))


def tensor_bytes(tensor: Tensor, dtype: torch.dtype) -> memoryview:
    """The tensor's values as they stand in a file."""
    values = tensor.to("cpu", dtype).contiguous().flatten()
    return values.view(torch.uint8).numpy().data


def weight_state(model: nn.Module) -> dict[str, Tensor]:
    """The state that a file holds: all of it but the step counters of batch norms."""
    return {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}


def _check_layout(path: Path, tensors: Mapping[str, StoredTensor], data_bytes: int, sizes: Mapping[str, int]) -> None:
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].begin):
        if tensor.dtype not in sizes:
            raise ModelError(f"{path.name}: {name} has type {tensor.dtype}, expected {', '.join(sizes)}.", REMEDY)
        if any(type(side) is not int or side < 0 for side in tensor.shape):
            raise ModelError(f"{path.name}: {name} has the impossible shape {tensor.shape}.", REMEDY)
        if tensor.begin != end or tensor.end - tensor.begin != math.prod(tensor.shape) * sizes[tensor.dtype]:
            raise ModelError(f"{path.name}: the place of {name} in the file does not fit its shape.", REMEDY)
        end = tensor.end
    if end != data_bytes:
        raise ModelError(f"{path.name} holds {data_bytes} bytes of weights, its header names {end}.", REMEDY)


def named(names: list[str], what: str) -> str:
    """How many, and the first of them: "2 tensors missing (a, b)"."""
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} tensors {what}" + (f" ({shown})" if names else "")
