"""Setting an engine up: the real steps, with one small package in the place of five gigabytes."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from gaps import idle, measure
from qgis.core import QgsSettings

from skysense_qgis.client import environment, installer
from skysense_qgis.client.environment import find_engine, managed_folder, managed_python
from skysense_qgis.client.installer import EngineInstaller
from skysense_qgis.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[3]
PACKAGE = "attrs"  # needs no other


def lock_of(package: str) -> str:
    """Its lines of the real lock file, with the digests."""
    text = (REPOSITORY / "backend/requirements.lock").read_text()
    return re.search(rf"^{package}==.*?(?=^\S)", text, re.MULTILINE | re.DOTALL).group()


@pytest.fixture
def backend(tmp_path, monkeypatch):
    """A backend that needs one package and says so when it is tried."""
    folder = tmp_path / "backend"
    folder.mkdir()
    (folder / "requirements.lock").write_text(lock_of(PACKAGE))
    (folder / "__main__.py").write_text(f"import {PACKAGE}\nprint('doctor:', {PACKAGE}.__file__)\n")
    for module in (environment, installer):
        monkeypatch.setattr(module, "BACKEND", folder)
    return folder


@pytest.fixture
def cache(qgis_app, tmp_path, backend):
    """The user's folder for the engine, empty."""
    QgsSettings().remove("skysense")
    folder = tmp_path / "the cache"
    Settings(cache_folder=str(folder)).save()
    yield folder
    QgsSettings().remove("skysense")


@pytest.fixture
def with_uv(cache):
    """The installer is there already, from `make setup`."""
    uv = REPOSITORY / ".uv"
    if not (uv / "bin/uv").exists():
        pytest.skip("uv is not there; make setup installs it")
    cache.mkdir()
    (cache / "uv").symlink_to(uv)
    return cache


class Run:
    """One run of the installer and what it said."""

    def __init__(self) -> None:
        self.installer = EngineInstaller()
        self.ends: list = []
        self.titles: list[str] = []
        self.fractions: list[float] = []
        self.lines: list[str] = []
        self.installer.finished.connect(self.ends.append)
        self.installer.line.connect(self.lines.append)
        self.installer.progressed.connect(self._progress)
        self.installer.start()

    def _progress(self, title: str, fraction: float) -> None:
        self.titles.append(title)
        self.fractions.append(fraction)


def left(cache: Path) -> set[str]:
    """What a run leaves, its log apart, and what the next one would download again."""
    return {path.name for path in cache.iterdir()} - {"uv", "logs", "setup.lock", "uv-cache"}


def test_from_nothing_to_an_engine_while_qgis_goes_on(cache, wait, qgis_app):
    run: Run | None = None

    def begin(over) -> None:
        nonlocal run
        run = Run()
        assert not run.ends
        run.installer.finished.connect(over)

    gaps, control = measure(begin), idle()
    assert run.ends == [None], run.ends[0]
    assert find_engine().python == managed_python()
    wait(lambda: {path.name for path in cache.iterdir()} == {managed_folder().name, "uv", "logs"}, 20)  # no downloads
    done = subprocess.run([managed_python(), "-I", "-c", f"import {PACKAGE}"], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert run.fractions == sorted(run.fractions) and run.fractions[-1] == 1.0
    assert run.installer.log.read_text().splitlines() == run.lines
    assert any("doctor:" in line for line in run.lines)
    print(f"installing: {gaps}; idle: {control}")
    assert gaps.free, f"{gaps}; idle: {control}"


def test_a_second_time_it_replaces_the_first(with_uv, wait):
    for _ in range(2):
        run = Run()
        wait(lambda run=run: run.ends, 60)
        assert run.ends == [None]
    assert managed_python().exists()
    wait(lambda: left(with_uv) == {managed_folder().name}, 20)


def test_downloads_lie_in_the_cache_folder_linked_and_a_run_that_fails_keeps_them(with_uv, backend, wait, monkeypatch, tmp_path):
    """Five gigabytes have no place in the home folder of somebody who chose another disk."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home cache"))
    (backend / "__main__.py").write_text(
        f"import {PACKAGE}, os, sys\nprint('links:', os.stat({PACKAGE}.__file__).st_nlink)\nsys.exit(1)\n"
    )
    run = Run()
    wait(lambda: run.ends, 60)
    assert "links: 2" in run.lines and (with_uv / "uv-cache").is_dir()
    assert not (tmp_path / "home cache").exists()


def test_environments_that_no_process_uses_go(with_uv, wait, tmp_path):
    from skysense_qgis.client.engines import NOTES
    from skysense_qgis.protocol.half_done import mark

    dead = subprocess.Popen(["true"])
    dead.wait()
    another = "0" * 8 if not mark(1).startswith("0" * 8) else "1" * 8

    def engine(name: str, *notes: str, days: float = 0.0) -> Path:
        folder = with_uv / f"engine-{name}"
        (folder / NOTES).mkdir(parents=True)
        for note in notes:
            path = folder / NOTES / f"qgis.{note}.note"
            path.touch()
            os.utime(path, (time.time() - 86400 * days,) * 2)
        return folder

    unused = engine("a"), engine("b", mark(dead.pid)), engine("c", f"{another}-{dead.pid}", days=8), engine("d.part")
    used = engine("e", mark(dead.pid), mark(os.getppid())), engine("f", f"{another}-{dead.pid}", days=6), engine("g")
    trash = engine("h.123.trash")
    theirs = with_uv / "engines of mine"
    theirs.mkdir()
    Settings(cache_folder=str(with_uv), interpreter=str(used[2] / "bin/python")).save()
    run = Run()
    wait(lambda: run.ends, 60)
    assert run.ends == [None]
    wait(lambda: not any(folder.exists() for folder in (*unused, trash)), 20)
    assert all(folder.exists() for folder in used) and theirs.exists() and managed_python().exists()
    assert [note.name for note in (managed_folder() / NOTES).iterdir()] == [f"qgis.{mark(os.getpid())}.note"]


def test_one_that_is_taken_just_then_is_put_back(with_uv, wait, monkeypatch):
    """A worker of another window starts between the look and the removal."""
    folder = with_uv / "engine-a"
    folder.mkdir()
    looks = []

    def in_use(home: Path) -> bool:
        looks.append(home)
        return len(looks) > 1

    monkeypatch.setattr(installer, "in_use", in_use)
    run = Run()
    wait(lambda: run.ends, 60)
    assert run.ends == [None] and folder.exists() and len(looks) == 2 and not looks[1].exists()


def test_a_package_with_another_digest_is_refused_and_nothing_stays(with_uv, backend, wait):
    lock = backend / "requirements.lock"
    lock.write_text(re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", lock.read_text()))
    run = Run()
    wait(lambda: run.ends, 60)
    failure = run.ends[0]
    assert failure.code == "setup" and str(run.installer.log) in failure.remedy and "mismatch" in failure.log.lower()
    wait(lambda: left(with_uv) == set(), 20)
    assert not managed_folder().exists()


def test_an_engine_that_does_not_run_is_not_taken(with_uv, backend, wait):
    (backend / "__main__.py").write_text("import sys\nsys.exit('illegal instruction')\n")
    run = Run()
    wait(lambda: run.ends, 60)
    assert "illegal instruction" in run.ends[0].log
    wait(lambda: left(with_uv) == set(), 20)
    assert not managed_folder().exists()


def test_a_cancel_leaves_nothing_and_it_can_be_started_again(with_uv, backend, wait):
    main = backend / "__main__.py"
    text = main.read_text()
    main.write_text("import time\nprint('trying', flush=True)\ntime.sleep(60)\n")
    run = Run()
    wait(lambda: "trying" in run.lines, 60)
    asked = time.monotonic()
    run.installer.cancel()
    wait(lambda: run.ends, 5)
    assert time.monotonic() - asked < 2.0
    assert run.ends[0].code == "cancelled" and len(run.ends) == 1
    wait(lambda: left(with_uv) == set(), 20)
    main.write_text(text)
    again = Run()
    wait(lambda: again.ends, 60)
    assert again.ends == [None]


def test_two_windows_do_not_disturb_each_other(with_uv, wait):
    first = Run()
    wait(lambda: first.lines, 20)
    second = Run()
    wait(lambda: second.ends, 5)
    assert "another QGIS window" in second.ends[0].sentence and not first.ends
    wait(lambda: first.ends, 60)
    assert first.ends == [None]


def test_a_full_disk_is_told_beforehand(with_uv, wait, monkeypatch):
    monkeypatch.setattr(installer, "NEEDED_BYTES", 10**18)
    run = Run()
    wait(lambda: run.ends, 5)
    assert "GB are free" in run.ends[0].sentence and str(with_uv) in run.ends[0].sentence


def test_a_python_that_is_too_old_is_passed_over(with_uv, wait, monkeypatch, tmp_path):
    for name, version in (("python-old", "3.9"), ("python-broken", "")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(installer, "CANDIDATES", ("python-old", "python-broken", "python-none"))
    run = Run()
    wait(lambda: run.ends, 10)
    assert "No Python 3.11" in run.ends[0].sentence and "python3-venv" in run.ends[0].remedy


def test_a_folder_that_cannot_be_written_is_named(cache, wait):
    cache.write_text("a file in its place")
    run = Run()
    wait(lambda: run.ends, 5)
    assert str(cache) in run.ends[0].sentence and "settings" in run.ends[0].remedy
