"""`pip install ./backend`: what a wheel built from the tree holds, and that it works without the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from skysense.models import catalog

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
FIND = "from skysense.models.catalog import bundled_weights; print(bundled_weights('skysense-nano'))"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    """The wheel's contents, built from a copy of the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("backend", "resources"):
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
        shutil.copytree(REPOSITORY / name, folder / "tree" / name, ignore=ignore)
    shutil.copy(REPOSITORY / "metadata.txt", folder / "tree")
    subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=folder / "tree/backend", check=True, capture_output=True)
    shutil.rmtree(folder / "tree")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def test_a_wheel_holds_the_weights_and_their_licences_and_finds_them(unpacked: Path) -> None:
    assert {path.name for path in (unpacked / "skysense/bundled/licences").iterdir()} >= {"Apache-2.0.txt"}
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    found = subprocess.run([sys.executable, "-c", FIND], env=environment, cwd=unpacked, capture_output=True, text=True)
    assert Path(found.stdout.strip()) == unpacked / "skysense/bundled/models/skysense-nano.safetensors", found.stderr


def test_a_folder_of_weights_can_be_named(monkeypatch, tmp_path) -> None:
    shutil.copy(REPOSITORY / "resources/models/skysense-nano.safetensors", tmp_path)
    monkeypatch.setenv(catalog.FOLDER_VARIABLE, str(tmp_path))
    assert catalog.bundled_weights("skysense-nano") == tmp_path / "skysense-nano.safetensors"
    monkeypatch.setenv(catalog.FOLDER_VARIABLE, str(tmp_path / "none"))
    assert catalog.bundled_weights("skysense-nano") == REPOSITORY / "resources/models/skysense-nano.safetensors"
