"""Whose a half-done folder is, and when it may go."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skysense.protocol import half_done
from skysense.protocol.half_done import (
    LEFT_BEHIND_S,
    affixes,
    alive,
    mark,
    of_dead_process,
    parents_of,
    remove_left_behind,
    remove_of,
)
from skysense.protocol.requests import ApplyModel, DescribeRaster, EmbedScene, ListModels
from skysense.protocol.scene_source import SceneSource


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def make(parent: Path, name: str, untouched_s: float = 0.0) -> Path:
    folder = parent / name
    folder.mkdir()
    (folder / "draft.tif").write_bytes(b"II*")
    then = time.time() - untouched_s
    for part in (folder / "draft.tif", folder):
        os.utime(part, (then, then))
    return folder


def test_a_process_is_alive_until_it_is_gone(dead):
    assert alive(os.getpid()) and alive(os.getppid()) and not alive(dead) and not alive(10**30)


def test_what_dead_processes_left_goes_and_all_else_stays(tmp_path, dead):
    machine = mark(1).removesuffix("-1")
    another = "0" * 8 if machine != "0" * 8 else "1" * 8
    gone = [
        make(tmp_path, f".out.{mark(dead)}.k3_j2h1.partial"),
        make(tmp_path, f".a.tif.{mark(os.getpid())}.b.{mark(dead)}.x.partial"),  # a stem like a mark
        make(tmp_path, f".out.{another}-{os.getpid()}.x.partial", LEFT_BEHIND_S + 10),
    ]
    stay = [
        make(tmp_path, f".out.{mark(os.getpid())}.x.partial", 10 * LEFT_BEHIND_S),
        make(tmp_path, f".out.{another}-{dead}.x.partial", LEFT_BEHIND_S - 10),
        make(tmp_path, ".mine.partial", 10 * LEFT_BEHIND_S),
        make(tmp_path, f"out.{mark(dead)}.x.partial"),
        make(tmp_path, f".out.{mark(dead)}.x.kept"),
    ]
    remove_left_behind(tmp_path)
    assert not [folder for folder in gone if folder.exists()] and all(folder.exists() for folder in stay)


def test_of_one_process_alone(tmp_path, dead):
    mine, other = (make(tmp_path, f".out.{mark(pid)}.x.partial") for pid in (os.getpid(), dead))
    remove_of(dead, [tmp_path, tmp_path / "never was"])
    assert mine.exists() and not other.exists()


def test_the_name_tells_the_process(dead):
    prefix, suffix = affixes("größe 文 [1]" * 10)
    assert len((prefix + "12345678" + suffix).encode()) < 255
    assert not of_dead_process(Path(prefix + "abc" + suffix)) and of_dead_process(Path(f"skysense.{mark(dead)}.abc"))


def test_another_start_of_the_machine_is_another_machine(monkeypatch):
    before = mark(7)
    half_done._machine.cache_clear()
    monkeypatch.setattr(half_done.platform, "node", lambda: "another")
    assert mark(7) != before
    half_done._machine.cache_clear()


def test_where_the_files_of_a_request_lie():
    scene = SceneSource(())
    assert parents_of(EmbedScene(scene, "/a/f.tif", None)) == {Path("/a")}
    assert parents_of(ApplyModel(scene, "/m/m.safetensors", "/a/c.tif", "/b/d.tif")) == {Path("/m"), Path("/a"), Path("/b")}
    assert parents_of(ListModels("/m")) == parents_of(DescribeRaster("/m/a.tif")) == set()
