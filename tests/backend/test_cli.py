"""The command line: help, exit codes, and what is refused before anything runs."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from skysense import cli
from skysense.cli import tools

NAIP = Path(__file__).parents[1] / "data/naip_wetlands"
BEFORE, AFTER = str(NAIP / "NAIP_20090818.tif"), str(NAIP / "NAIP_20200831.tif")
COMMANDS = ("embed", "segment", "example", "change", "train", "shards", "pretrain", "apply", "describe", "models", "views", "doctor", "evaluate", "serve")


def call(*arguments: object) -> int:
    """The exit code, also where the parser itself ends the program."""
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A set of two pictures of noise in two groups, with masks of two classes."""
    home, noise = tmp_path / "set", np.random.default_rng(0)
    for name in ("images", "masks"):
        (home / name).mkdir(parents=True)
    for stem in ("one", "two"):
        mask = np.zeros((64, 64), np.uint8)
        mask[:32] = 1
        cv2.imwrite(str(home / f"images/{stem}.png"), noise.integers(0, 255, (64, 64, 3), np.uint8))
        cv2.imwrite(str(home / f"masks/{stem}.png"), mask)
    return home


def test_every_command_has_help(capsys):
    assert call("--help") == 0
    listed = capsys.readouterr().out
    for command in COMMANDS:
        assert command in listed and call(command, "--help") == 0
        assert "usage: skysense" in capsys.readouterr().out


def test_results_are_json_and_the_exit_code_is_0(capsys):
    assert call("describe", BEFORE) == 0
    assert json.loads(capsys.readouterr().out)["sensor"] == "hr"


def test_folders_of_pictures_become_shards(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("shards", tmp_path / "out", "--folders", pictures, "--hold-out", "two.png", "--window", 32) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["samples"], made["sensors"]) == (4, ["hr"]) and (tmp_path / "out/manifest.json").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ("shards", "/tmp/none"),
        ("embed", "/nowhere.tif", "--output", "o.tif"),
        ("embed", BEFORE, "--output", "/nowhere/o.tif"),
        ("embed", BEFORE, "--sensors", "x", "--output", "o.tif"),
        ("change", "--before", BEFORE, "--after", AFTER, "--score", "s.tif", "--threshold", "nan"),
        ("change", "--before", AFTER, "--after", BEFORE, "--score", "s.tif"),
        ("train", BEFORE, "--labels", "/nowhere.gpkg", "--class-field", "k", "--model", "m.safetensors"),
        ("apply", BEFORE, "--model", "/nowhere.safetensors", "--output", "o.tif"),
        ("segment", BEFORE, "--points", "/nowhere.gpkg", "--output", "o.gpkg"),
        ("example", BEFORE, "--examples", "/nowhere.gpkg", "--mask", "m.tif"),
        ("example", BEFORE, "--examples", BEFORE, "--mask", "m.tif", "--threshold", "1.5"),
        ("describe", "/nowhere.tif"),
        ("models", "--json", "rows.json"),
        ("evaluate", "clicks", "/nowhere"),
        ("nothing",),
    ],
)
def test_bad_input_is_2_with_a_sentence_and_a_remedy(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*arguments) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said and len(said.splitlines()) >= 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", tools.EVALUATIONS)
@pytest.mark.parametrize(
    "options",
    [
        ("--seed", "-1"),
        ("--targets", "0"),
        ("--model", "nope"),
        ("--weights", "/nope"),
        ("--group-by", "("),
        ("--json", "/nowhere/rows.json"),
    ],
)
def test_an_evaluation_refuses_options_that_make_no_sense_whatever_its_kind(kind, options, pictures, monkeypatch, capsys):
    module = importlib.import_module(f"skysense.evaluate.{kind.replace('-', '_')}")
    monkeypatch.setattr(module, "run", lambda folders, **options: pytest.fail("it ran"))
    assert call("evaluate", kind, pictures, *options) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["clicks", "dense-probe"])
def test_masks_of_another_size_are_refused(kind, pictures, capsys):
    cv2.imwrite(str(pictures / "masks/two.png"), np.ones((80, 64), np.uint8))
    assert call("evaluate", kind, pictures) == 2
    assert "has 64 x 64 pixels, its labels 64 x 80" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[1, 2]", "{", '{"a": "b"}'])
def test_a_list_of_classes_that_is_none_is_refused(pictures, text, capsys):
    (pictures / "classes.json").write_text(text)
    assert call("evaluate", "dense-probe", pictures) == 2
    assert "names no classes" in capsys.readouterr().err


def test_the_table_of_parameters(tmp_path, capsys):
    assert call("models", "--table", "--json", tmp_path / "rows.json") == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert {"preset": "nano", "part": "total", "parameters": 4_445_656} in rows
    assert "prototypes" in capsys.readouterr().out
