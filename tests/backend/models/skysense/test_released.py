"""Every file of the releases makes the model that it was made from; anything else is refused with the reason."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from skysense.errors import ModelError
from skysense.models.added import load_added, load_plus_plus, read_added, write_added
from skysense.models.catalog import entry, load_encoder
from skysense.models.interface import SceneBatch
from skysense.models.skysense.presets import HUGE, HUGE_PLUS_PLUS
from skysense.models.skysense.released import Released, assemble, part_of, read_released

KEYS = Path(__file__).parents[5] / "shared/fixtures/skysense"


@pytest.fixture
def read(files: ModuleType) -> Callable[..., Released]:
    return lambda *paths: read_released(paths, files.V1, files.PLUS_PLUS)


@pytest.fixture
def convert(read: Callable[..., Released], tmp_path: Path) -> Callable[..., Path]:
    def run(*paths: Path) -> Path:
        out = tmp_path / "out.safetensors"
        write_added(read(*paths), paths, out)
        return out

    return run


def scene(*sensors: str) -> SceneBatch:
    g = torch.Generator().manual_seed(5)
    given = {
        "hr": torch.rand(1, 4, 256, 256, generator=g),
        "s2": torch.rand(1, 2, 10, 64, 64, generator=g),
        "s1": -10 - 10 * torch.rand(1, 2, 2, 64, 64, generator=g),
    }
    days = {"s2_days": torch.tensor([[10, 200]])} if "s2" in sensors else {}
    return SceneBatch(**{sensor: given[sensor] for sensor in sensors}, **days)


def same(model: torch.nn.Module, other: torch.nn.Module, batch: SceneBatch, names: tuple[str, ...]) -> None:
    with torch.no_grad():
        found, expected = model(batch), other(batch)
    for name in names:
        assert torch.allclose(found[name].values, expected[name].values, atol=1e-5), name


def test_the_six_files_make_the_model(tmp_path: Path, files: ModuleType, convert: Callable[..., Path]) -> None:
    model = files.v1_model()
    paths = [files.write(tmp_path / name, state) for name, state in files.v1_parts(model).items()]
    path = convert(*paths)
    same(load_encoder(str(path)), model, scene("hr", "s2", "s1"), ("fused", "hr_32", "s2", "s1"))
    added = read_added(path)
    assert added.config.dates == "s2" and added.config.sensors == ("hr", "s2", "s1")
    assert "on-commercial" in added.licence
    assert any("start neutral" in note for note in added.notes)  # norms of the finer levels are not released


def test_the_whole_file_makes_the_model(tmp_path: Path, files: ModuleType, convert: Callable[..., Path]) -> None:
    model = files.v1_model()
    path = convert(files.write(tmp_path / "all.pth", files.v1_whole(model), wrapped=True))
    same(load_encoder(str(path)), model, scene("hr", "s2", "s1"), ("fused", "hr_4", "hr_32"))


@pytest.mark.parametrize("sensor", ["hr", "s2", "s1"])
def test_each_encoder_works_alone(tmp_path: Path, sensor: str, files: ModuleType, convert: Callable[..., Path]) -> None:
    model = files.v1_model()
    state = files.v1_parts(model)[f"skysense_model_backbone_{sensor}.pth"]
    path = convert(files.write(tmp_path / "one.pth", state))
    encoder = load_encoder(str(path))
    assert encoder.info.sensors == entry(str(path)).sensors == (sensor,)
    with torch.no_grad():
        found = encoder(scene(sensor))
    assert set(found) == set(encoder.info.levels)
    if sensor == "hr":
        same(encoder, model, scene("hr"), ("hr_32",))
    for name, feature in found.items():
        assert feature.values.shape[1] == encoder.info.levels[name].channels


def test_skysense_plus_plus_answers_by_example_and_encodes(tmp_path: Path, files: ModuleType, convert: Callable[..., Path]) -> None:
    model = files.plus_plus_model()
    path = convert(files.write(tmp_path / "release.ckpt", files.plus_plus_whole(model), wrapped=True))
    whole = load_plus_plus(path)
    for name, tensor in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(whole.state_dict()[name], tensor), name
    assert not any(buffer.is_meta for buffer in whole.buffers())
    encoder = load_encoder(str(path))
    with torch.no_grad():
        for sensors in (("hr",), ("s2",), ("hr", "s2", "s1")):
            found = encoder(scene(*sensors))
            assert all(torch.isfinite(feature.values).all() for feature in found.values())
            for name, feature in found.items():
                assert feature.values.shape[1] == encoder.info.levels[name].channels
            if "hr" in sensors:
                assert found["hr_4"].values.shape[-2:] == (64, 64)


def test_parts_of_skysense_plus_plus(tmp_path: Path, files: ModuleType, convert: Callable[..., Path]) -> None:
    whole = files.plus_plus_whole(files.plus_plus_model(), stored=False)
    for part in ("hr", "s2", "s1"):
        state = {key.removeprefix(f"backbone_{part}."): x for key, x in whole.items() if key.startswith(f"backbone_{part}.")}
        path = convert(files.write(tmp_path / f"skysensepp_release_{part}.pth", state))
        assert load_encoder(str(path)).info.sensors == (part,)
        with pytest.raises(ModelError, match="no whole SkySense\\+\\+"):
            load_plus_plus(path)


def test_half_precision_file_loads_as_float(tmp_path: Path, files: ModuleType, read: Callable[..., Released], convert: Callable[..., Path]) -> None:
    model = files.v1_model()
    source = files.write(tmp_path / "all.pth", files.v1_whole(model))
    full, half = convert(source), tmp_path / "half.safetensors"
    size = full.stat().st_size
    write_added(read(source), [source], half, torch.bfloat16)
    assert half.stat().st_size < 0.55 * size
    encoder, _ = load_added(half)
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}


def test_safetensors_of_released_names_are_read_too(tmp_path: Path, files: ModuleType, read: Callable[..., Released]) -> None:
    state = files.v1_parts(files.v1_model())["skysense_model_backbone_s1.pth"]
    save_file({key: x.contiguous() for key, x in state.items()}, tmp_path / "s1.safetensors")
    assert read(tmp_path / "s1.safetensors").config.sensors == ("s1",)


def full_size(name: str) -> dict[str, Tensor]:
    """A released file without memory: names, shapes and types alone."""
    keys = json.loads(gzip.decompress((KEYS / f"keys_{name}.json.gz").read_bytes()))
    return {
        key.removeprefix("backbone."): torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        for key, (shape, dtype) in keys.items()
    }


@pytest.mark.skipif(not KEYS.is_dir(), reason="the shared key lists are not beside the checkout")
@pytest.mark.parametrize(
    ("names", "parameters"),
    [
        (["skysense_model_backbone_hr"], 655_079_632),
        (["skysense_model_backbone_s2"], 302_738_432),
        (["skysense_model_backbone_s1"], 302_607_360),
        (["skysense_original_mm"], 1_659_008_144 + 4_928),
        (
            [f"skysense_model_{part}" for part in ("backbone_hr", "backbone_s2", "backbone_s1", "head_s2", "head_s1", "fusion")],
            1_659_008_144 + 4_928,
        ),
        (["skysensepp_release"], 1_809_455_265),
        (["skysensepp_release_as_stored_wqkv"], 1_809_455_265),
        (["skysensepp_release_hr"], 664_406_848),
        (["skysensepp_release_s2"], 302_559_248),
        (["skysensepp_release_s1"], 302_428_176),
        (["finetune_vit_s2_256"], 302_738_432 + (4097 - 257) * 1024),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_every_released_file_fits_at_full_size(names: list[str], parameters: int) -> None:
    parts = {}
    for name in names:
        state = {key.replace("Wqkv.", "in_proj_"): x for key, x in full_size(name).items()}
        parts[part_of(state, Path(f"{name}.pth"))] = state
    found = assemble(parts, HUGE, HUGE_PLUS_PLUS)
    buffers = re.compile(r"running_(mean|var)$")
    assert sum(x.numel() for key, x in found.tensors.items() if not buffers.search(key)) == parameters


# -- what is refused -------------------------------------------------------------------------------------------------
class Canary:
    """Would touch a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_a_malicious_pickle_never_runs(tmp_path: Path, read: Callable[..., Released]) -> None:
    path, canary = tmp_path / "bad.pth", tmp_path / "canary"
    torch.save({"patch_embed.projection.weight": Canary(canary)}, path)
    with pytest.raises(ModelError, match="holds more than tensors"):
        read(path)
    raw = tmp_path / "raw.pth"
    raw.write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(ModelError, match="neither a PyTorch archive nor a safetensors file"):
        read(raw)
    assert not canary.exists()


@pytest.fixture
def s1_state(files: ModuleType) -> dict[str, Tensor]:
    return files.v1_parts(files.v1_model())["skysense_model_backbone_s1.pth"]


@pytest.fixture
def refused(tmp_path: Path, files: ModuleType, convert: Callable[..., Path]) -> Callable[[dict, str], None]:
    def run(state: dict, message: str) -> None:
        with pytest.raises(ModelError, match=message):
            convert(files.write(tmp_path / "x.pth", state))

    return run


def test_wrong_keys_and_shapes_are_named(s1_state: dict[str, Tensor], refused: Callable[[dict, str], None]) -> None:
    state = s1_state
    refused(state | {"layers.0.extra": torch.zeros(1)}, "1 tensors unknown.*blocks.0.extra")
    refused({key: x for key, x in state.items() if key != "layers.1.ln1.bias"}, "1 tensors missing.*blocks.1.norm1.bias")
    refused(state | {"layers.0.ln1.bias": torch.zeros(7)}, r"blocks.0.norm1.bias has the shape \(7,\), .* \(16,\)")
    refused(state | {"layers.0.ln1.bias": torch.zeros(16, dtype=torch.int64)}, "expected floating-point")
    refused(state | {"layers.0.ln1.bias": torch.full((16,), torch.nan)}, "not finite")
    refused(state | {"layers.0.ln1.bias": "text"}, "no tensors: layers.0.ln1.bias")
    huge = torch.zeros(1).expand(10**6, 10**6)  # four bytes that claim four terabytes
    refused(state | {"layers.0.ln1.bias": huge}, r"shape \(1000000, 1000000\)")
    refused({"something": torch.zeros(3)}, "no file of a SkySense release")
    refused({}, "no table of tensors")


def test_parts_that_make_no_model_say_what_is_missing(tmp_path: Path, files: ModuleType, read: Callable[..., Released]) -> None:
    parts = files.v1_parts(files.v1_model())
    fusion = files.write(tmp_path / "fusion.pth", parts["skysense_model_fusion.pth"])
    with pytest.raises(ModelError, match="fusion alone make no model: head_s1, head_s2, hr, s1, s2 missing"):
        read(fusion)
    with pytest.raises(ModelError, match="second file that holds the part fusion"):
        read(fusion, fusion)
    with pytest.raises(ModelError, match="name does not say which"):
        read(files.write(tmp_path / "head.pth", parts["skysense_model_head_s1.pth"]))


def test_packed_and_damaged_archives_are_refused(tmp_path: Path, files: ModuleType, read: Callable[..., Released], s1_state: dict[str, Tensor]) -> None:
    path = files.write(tmp_path / "x.pth", s1_state)
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(ModelError, match="is packed"):
        read(packed)
    whole = path.read_bytes()
    for kept in (10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:kept])
        with pytest.raises(ModelError):
            read(path)
    with pytest.raises(ModelError, match="Choose a file that is there"):
        read(tmp_path / "none.pth")


def test_a_card_with_absurd_sizes_is_refused_before_anything_is_built(
    tmp_path: Path, files: ModuleType, convert: Callable[..., Path], s1_state: dict[str, Tensor]
) -> None:
    path = convert(files.write(tmp_path / "x.pth", s1_state))
    raw = path.read_bytes()
    for old, new in ((b'\\"depth\\": 2', b'\\"depth\\": 2000000000'), (b'\\"window\\": 8', b'\\"window\\": 100000'), (b'\\"heads\\": 2', b'\\"heads\\": \\"a\\"')):
        length = int.from_bytes(raw[:8], "little")
        header = raw[8 : 8 + length].replace(old, new)
        assert header != raw[8 : 8 + length]
        path.write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + length :])
        with pytest.raises(ModelError, match="card of out.safetensors cannot be used"):
            load_encoder(str(path))
