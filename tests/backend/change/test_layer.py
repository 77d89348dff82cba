"""Scores on disk: room for all of them is there before the first is written."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from skysense.change.layer import ScoreLayer
from skysense.scene.grid import Window


def test_what_is_written_is_read_and_the_rest_is_unknown(tmp_path):
    layer = ScoreLayer(tmp_path / "a.score", 300, 50)
    layer.write(Window(280, 10, 20, 5), np.ones((20, 5), np.float32))
    read = layer.read(Window(0, 0, 300, 50))
    assert np.nansum(read) == 100 and np.isnan(read).sum() == 300 * 50 - 100
    told = []
    assert layer.histogram(told.append).total == 100 and told == [0.0, 256 / 300]


def test_the_file_has_no_holes(tmp_path):
    """Memory over a hole kills the process where the disk is full."""
    ScoreLayer(tmp_path / "a.score", 1000, 1000)
    assert (tmp_path / "a.score").stat().st_blocks * 512 >= 2 * 1000 * 1000


def test_wide_layers_come_in_low_strips(tmp_path):
    strips = list(ScoreLayer(tmp_path / "a.score", 40, 2**17).strips())
    assert strips[0] == slice(0, 4) and strips[-1] == slice(36, 40)


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_full_disk_is_an_output_error(tmp_path):
    """The kernel's limit on file size stands in for the disk's end."""
    code = f"""
import resource, signal
from pathlib import Path
from skysense.change.layer import ScoreLayer
from skysense.errors import OutputError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    ScoreLayer(Path({str(tmp_path / "a.score")!r}), 1000, 1000)
except OutputError as error:
    print("refused:", error.remedy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "refused: Check free space" in done.stdout, done.stderr
