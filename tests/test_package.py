"""The zip follows the plugin repository's rules, passes its scanners, and QGIS loads it."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
REQUIRED_KEYS = {
    "name", "description", "version", "qgisMinimumVersion", "author", "email", "about", "tracker", "repository",
    "homepage", "license", "icon", "hasProcessingProvider",
}  # fmt: skip


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The zip of this commit, and the folder that it unpacks to."""
    home = tmp_path_factory.mktemp("package")
    target = home / "plugin.zip"
    subprocess.run([sys.executable, "tools/package.py", "--output", target], cwd=REPOSITORY, check=True)
    with zipfile.ZipFile(target) as archive:
        archive.extractall(home)
    return target, home / "skysense_qgis"


def test_names_size_and_modes(package):
    target, _ = package
    assert target.stat().st_size <= 25_000_000
    with zipfile.ZipFile(target) as archive:
        names = [entry.filename for entry in archive.infolist()]
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
    assert all(name.startswith("skysense_qgis/") for name in names)
    assert not [name for name in names if ".." in name or "\\" in name or "__pycache__" in name or "/tests/" in name]
    for required in ("__init__.py", "metadata.txt", "LICENSE", "backend/skysense/protocol/__init__.py"):
        assert f"skysense_qgis/{required}" in names


def test_the_same_commit_gives_the_same_bytes(package, tmp_path):
    target, _ = package
    again = tmp_path / "again.zip"
    subprocess.run([sys.executable, "tools/package.py", "--output", again], cwd=REPOSITORY, check=True)
    assert again.read_bytes() == target.read_bytes()


def test_metadata_is_complete_and_its_icon_is_there(package):
    _, folder = package
    raw = (folder / "metadata.txt").read_bytes()
    assert not raw.startswith(b"\xef\xbb\xbf")
    metadata = configparser.ConfigParser()
    metadata.read_string(raw.decode("utf-8"))
    general = metadata["general"]
    assert not [key for key in REQUIRED_KEYS if not general.get(key)]
    assert (folder / general["icon"]).is_file()


def test_the_scanners_of_the_repository_find_nothing(package):
    _, folder = package
    scan = subprocess.run([sys.executable, "tools/scan.py", folder], cwd=REPOSITORY, capture_output=True, text=True)
    assert scan.returncode == 0, scan.stdout


@pytest.mark.parametrize(
    "code", ["assert True", "import pickle", "key = 'a3f5c1d2e4b60718293a4b5c6d7e8f90a1b2c3d4'", "undefined_name"]
)
def test_the_scan_finds_what_is_not_allowed(tmp_path, code):
    (tmp_path / "module.py").write_text(f"{code}\n")
    scan = subprocess.run([sys.executable, "tools/scan.py", tmp_path], cwd=REPOSITORY, capture_output=True, text=True)
    assert scan.returncode == 1, scan.stdout


@pytest.mark.skipif(
    not shutil.which("qgis_process") and os.environ.get("CI") != "true", reason="QGIS is not installed (make setup installs it)"
)
def test_qgis_loads_it_and_lists_the_algorithms(package, tmp_path):
    _, folder = package
    plugins = tmp_path / "profiles/default/python/plugins"
    shutil.copytree(folder, plugins / "skysense_qgis")
    environment = {
        **os.environ, "QT_QPA_PLATFORM": "offscreen", "QGIS_CUSTOM_CONFIG_PATH": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path),
    }  # fmt: skip

    def qgis(*arguments: str) -> str:
        done = subprocess.run(["qgis_process", *arguments], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    qgis("plugins", "enable", "skysense_qgis")
    listed = qgis("list")
    for name in ("embed", "segment_points", "segment_by_example", "detect_change", "train_segmentation", "apply_model"):
        assert f"skysense:{name}" in listed
