"""Model files that somebody else wrote."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from skysense.errors import ModelError
from skysense.models.catalog import bundled_weights, load_encoder
from skysense.protocol.half_done import mark
from skysense.protocol.requests import ClassInfo, ModelCard
from skysense.training.checkpoint import load_segmenter, read_model_card, save_segmenter
from skysense.training.segmenter import Segmenter, choose_levels

pytestmark = pytest.mark.skipif(bundled_weights("skysense-nano") is None, reason="the bundled weights are not there")


@pytest.fixture(scope="module")
def encoder():
    return load_encoder()


def save(encoder, path, *classes: ClassInfo):
    card = ModelCard(str(path), "segmentation", "x", ("hr",), 0, "", "", None, None, "skysense-nano", classes)
    save_segmenter(Segmenter(encoder, choose_levels(encoder.info, ("hr",), 1), card), path)
    return path


GOOD = ClassInfo(1, "a", "#00ff00"), ClassInfo(254, "b", "#ff0000")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (ClassInfo(2, "b", "red"), "colours"),
        (ClassInfo(2, "b", "#12345"), "colours"),
        (ClassInfo(300, "b", "#ff0000"), "values"),
        (ClassInfo(255, "b", "#ff0000"), "values"),
        (ClassInfo(0, "b", "#ff0000"), "values"),
        (ClassInfo(1, "b", "#ff0000"), "values"),
    ],
)
def test_classes_that_no_raster_can_show_are_refused(encoder, tmp_path, other, words):
    path = save(encoder, tmp_path / "m.safetensors", GOOD[0], other)
    for read in (read_model_card, load_segmenter):
        with pytest.raises(ModelError, match=f"{words}.*train it again"):
            read(path)


@pytest.mark.parametrize("levels", [[["hr_4"]], [{}], [None], "hr_4", []])
def test_levels_that_are_no_names_are_refused(encoder, tmp_path, levels):
    path = save(encoder, tmp_path / "m.safetensors", *GOOD)
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        card = json.loads(file.metadata()["card"])
    card["segmenter"]["levels"] = levels
    save_file(tensors, path, metadata={"card": json.dumps(card)})
    with pytest.raises(ModelError, match="features that its encoder does not have"):
        load_segmenter(path)


def test_a_whole_file_is_loaded_and_folders_of_killed_writers_go(encoder, tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    left = tmp_path / f".m.{mark(dead.pid)}.abandoned.partial"
    left.mkdir()
    path = save(encoder, tmp_path / "m.safetensors", *GOOD)
    assert not left.exists() and isinstance(load_segmenter(path), torch.nn.Module)
