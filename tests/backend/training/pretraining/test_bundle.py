"""A real run of two steps from the bundled weights, made into weights of the same kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from skysense.errors import RequestError
from skysense.jobs import pretrain
from skysense.jobs.report import SilentReport
from skysense.models.catalog import bundled_weights, load_encoder
from skysense.models.weights import read_card, weights_digest
from skysense.training.pretraining.bundle import bundle
from skysense.training.pretraining.settings import PretrainSettings
from skysense.training.shards import ShardSet

from .conftest import SMALL


def run(folder: Path, samples: Path, settings: PretrainSettings) -> Path:
    assert pretrain.run(folder, "cpu", SilentReport(), pretrain.NewRun((samples,), settings)) == "finished"
    return folder


def test_the_teacher_in_half_precision_with_the_whole_recipe(shards: Path, tmp_path: Path) -> None:
    start = bundled_weights("skysense-nano")
    done = run(tmp_path / "run", shards, replace(SMALL, steps=2, start=pretrain.BUNDLED, keep=1.0))
    digest = bundle(done, tmp_path / "nano.safetensors")
    assert load_encoder("skysense-nano", tmp_path / "nano.safetensors").info.digest == digest
    taught, made = load_file(done / "weights.safetensors"), load_file(tmp_path / "nano.safetensors")
    assert made.keys() == taught.keys() and all(torch.equal(made[name], taught[name].half()) for name in made)
    card, before = read_card(tmp_path / "nano.safetensors"), read_card(start)
    assert card["recipe"] == before["recipe"] and card["teachers"] == before["teachers"]
    *earlier, told = card["pretraining"]
    assert earlier == before.get("pretraining", []) and told["start"] == weights_digest(start) and told["samples"] == ShardSet([shards]).digest
    assert told["settings"]["steps"] == 2 and "start" not in told["settings"]
    assert told["cut_with"] == [{"samples": 14, "sources": ["made"], "hold_out": []}]


def test_a_run_without_recipe_or_end_is_refused(shards: Path, tmp_path: Path) -> None:
    by_chance = run(tmp_path / "chance", shards, replace(SMALL, steps=1))
    with pytest.raises(RequestError, match="started from random weights"):
        bundle(by_chance, tmp_path / "out")
    (by_chance / "status.json").write_text('{"state": "stopped"}')
    with pytest.raises(RequestError, match="has not finished"):
        bundle(by_chance, tmp_path / "out")
    assert not (tmp_path / "out").exists()
