"""An encoder that a user adds: checked, copied, listed, and used by the jobs like any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
import torch
from safetensors.torch import load_file, save_file

from skysense.errors import ModelError, OutputError, RequestError
from skysense.jobs import apply_model, convert_model, embed, list_models, train_segmentation
from skysense.jobs.report import SilentReport
from skysense.jobs.scene_from_files import scene_from_files
from skysense.models.weights import weights_digest
from skysense.protocol.requests import ApplyModel, ConvertModel, EmbedScene, ListModels, TrainSegmentation

DATA = Path(__file__).parents[2] / "data"
RANDOM = DATA / "models/random_hr.safetensors"
AERIAL = DATA / "treesat_ts/HR_20190701.tif"


def convert(*paths: Path, output: Path, **more: object) -> convert_model.ModelConverted:
    return convert_model.run(ConvertModel(tuple(map(str, paths)), str(output), **more), SilentReport())


@pytest.fixture
def added(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    path = tmp_path / "models/mine.safetensors"
    convert(RANDOM, output=path)
    return path


def test_its_card_is_in_the_list(added: Path) -> None:
    cards = list_models.run(ListModels(str(added.parent)), SilentReport()).models
    card = next(card for card in cards if card.key == str(added))
    assert (card.kind, card.label, card.sensors) == ("encoder", "Random encoder", ("hr",))
    assert card.digest == weights_digest(added) and card.encoder == card.key == card.path
    assert "random weights" in card.licence and card.parameters > 9_000
    assert any("R, G, B" in note for note in card.notes)


def test_jobs_use_it(added: Path, tmp_path: Path) -> None:
    scene = scene_from_files([str(AERIAL)])
    result = embed.run(EmbedScene(scene, str(tmp_path / "f.tif"), None, encoder=str(added), device="cpu"), SilentReport())
    assert result.encoder_digest == weights_digest(added)


def test_a_file_of_the_release_at_another_size_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    torch.save({"stages.0.x": torch.zeros(3)}, tmp_path / "hr.pth")
    with pytest.raises(ModelError, match="does not fit the released model"):
        convert(tmp_path / "hr.pth", output=tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["hr.pth"]


def test_a_file_whose_tensors_are_not_what_the_card_says_is_refused(tmp_path: Path) -> None:
    from safetensors import safe_open

    with safe_open(RANDOM, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(RANDOM)
    name = next(iter(tensors))
    for changed, message in (
        ({**tensors, "extra": torch.zeros(1)}, "1 tensors unknown"),
        ({**tensors, name: torch.full_like(tensors[name], torch.inf)}, "not finite"),
    ):
        save_file(changed, tmp_path / "bad.safetensors", metadata=metadata)
        with pytest.raises(ModelError, match=message):
            convert(tmp_path / "bad.safetensors", output=tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("paths", "output", "more", "error"),
    [
        ((), "a.safetensors", {}, RequestError),
        ((RANDOM,), "a.pth", {}, RequestError),
        ((RANDOM,), "a.safetensors", {"precision": "float8"}, RequestError),
        ((RANDOM,), "none/a.safetensors", {}, OutputError),
        ((AERIAL,), "a.safetensors", {}, ModelError),
        ((DATA / "none.pth",), "a.safetensors", {}, ModelError),
    ],
)
def test_impossible_requests_say_why(tmp_path: Path, paths: tuple, output: str, more: dict, error: type) -> None:
    with pytest.raises(error):
        convert(*paths, output=tmp_path / output, **more)
    assert list(tmp_path.iterdir()) == []


def test_a_model_trained_on_it_moves_with_it(added: Path, tmp_path: Path, labelled: TrainSegmentation) -> None:
    request = replace(labelled, encoder=str(added), model_path=str(added.parent / "tuned.safetensors"))
    train_segmentation.run(request, SilentReport())
    elsewhere = tmp_path / "elsewhere"
    added.parent.rename(elsewhere)
    job = ApplyModel(request.scene, str(elsewhere / "tuned.safetensors"), str(tmp_path / "map.tif"), None, device="cpu")
    assert sum(apply_model.run(job, SilentReport()).shares) == pytest.approx(1)


@pytest.fixture
def labelled(tmp_path: Path) -> TrainSegmentation:
    """A training request over the aerial picture: stripes of two kinds."""
    with rasterio.open(AERIAL) as file:
        left, bottom, right, top = file.bounds
        crs = file.crs.to_string()
    step = (right - left) / 8
    boxes = [shapely.box(left + i * step, bottom, left + (i + 0.8) * step, top) for i in range(8)]
    kinds = ["even" if i % 2 == 0 else "odd" for i in range(8)]
    path = tmp_path / "stripes.gpkg"
    pyogrio.raw.write(path, shapely.to_wkb(np.array(boxes, dtype=object)), [np.array(kinds, dtype=object)], ["kind"],
                      driver="GPKG", geometry_type="Polygon", crs=crs)  # fmt: skip
    scene = scene_from_files([str(AERIAL)])
    return TrainSegmentation(scene, str(path), None, "kind", "", "Stripes", steps=2, crop_px=128, device="cpu")
