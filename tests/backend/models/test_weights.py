from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from skysense.errors import ModelError
from skysense.models.weights import load_weights, read_card, read_header, save_weights, weights_digest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_weights(nn.Linear(4, 3), tmp_path / "linear.safetensors", {"data": "none"})
    return tmp_path / "linear.safetensors"


def write(path: Path, header: object, data: bytes = b"") -> Path:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_what_was_saved_comes_back(file: Path) -> None:
    model = nn.Linear(4, 3)
    digest = load_weights(model, file)
    torch.manual_seed(0)
    assert torch.equal(model.weight, nn.Linear(4, 3).weight)
    assert digest == weights_digest(file)
    assert digest.startswith("sha256:") and len(digest) == 71
    assert read_card(file) == {"data": "none"}


def test_half_precision_files_fill_float_models(tmp_path: Path) -> None:
    source = nn.Linear(4, 3)
    save_weights(source, tmp_path / "half.safetensors", {}, torch.float16)
    model = nn.Linear(4, 3)
    load_weights(model, tmp_path / "half.safetensors")
    assert model.weight.dtype == torch.float32
    assert torch.allclose(model.weight, source.weight, atol=1e-3)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(4, 2), r"weight has shape \(3, 4\)|bias has shape \(3,\)"),
        (nn.Linear(4, 3, bias=False), r"0 tensors missing, 1 tensors unknown \(bias\)"),
        (nn.Sequential(nn.Linear(4, 3)), r"2 tensors missing \(0.bias, 0.weight\)"),
    ],
)
def test_another_model_is_refused(file: Path, model: nn.Module, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_weights(model, file)


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "nan.safetensors"
    save_file({"weight": torch.full((3, 4), float("nan")), "bias": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="not finite"):
        load_weights(nn.Linear(4, 3), path)


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (b"not json", b"", "header cannot be read"),
        (b"[" * 100_000, b"", "header cannot be read"),
        ([1], b"", "no table"),
        ({"weight": {"dtype": "F32"}}, b"", "damaged table"),
        ({"weight": entry([2**40], 0, 2**42)}, b"", "holds 0 bytes"),
        ({"weight": entry([-1], 0, 4)}, b"0000", "impossible shape"),
        ({"weight": entry([1], 4, 8)}, b"00000000", "place of weight"),
        ({"weight": entry([1], 0, 8, "F64")}, b"00000000", "type F64"),
        ({"weight": entry([1], 0, 4)}, b"00000000", "holds 8 bytes"),
    ],
)
def test_hostile_headers_are_refused(tmp_path: Path, header: object, data: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_header(write(tmp_path / "hostile.safetensors", header, data))


def test_header_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(ModelError, match="4611686018427387904 bytes"):
        read_header(path)


@pytest.mark.parametrize("kept", [0, 5, 40, -1])
def test_truncated_file_is_refused(file: Path, kept: int) -> None:
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ModelError):
        load_weights(nn.Linear(4, 3), file)


def test_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"weight": torch.zeros(3, 4)}, path)
    with pytest.raises(ModelError, match="no safetensors file"):
        load_weights(nn.Linear(4, 3), path)


def test_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Choose a file that is there"):
        load_weights(nn.Linear(4, 3), tmp_path / "none.safetensors")
