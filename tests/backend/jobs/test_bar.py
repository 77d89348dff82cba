"""Ctrl-C at the command line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely

from skysense.errors import Cancelled
from skysense.jobs.bar import BarReport
from skysense.training.checkpoint import read_model_card

IMAGE = Path(__file__).parents[2] / "data/kampala/images/kampala_a.tif"


def test_the_first_interrupt_cancels_and_the_second_is_hard():
    before = signal.getsignal(signal.SIGINT)
    with BarReport() as report:
        report.progress(0.1, "Working")
        signal.raise_signal(signal.SIGINT)
        assert report.cancelled()
        with pytest.raises(Cancelled):
            report.progress(0.2, "Working")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupted_training_keeps_its_best_model(tmp_path):
    with rasterio.open(IMAGE) as file:
        west, south, east, north = file.bounds
        crs = file.crs.to_string()
    xs, ys = np.linspace(west, east, 9), np.linspace(south, north, 9)
    boxes = [shapely.box(xs[i], ys[j], xs[i + 1], ys[j + 1]) for i in range(8) for j in range(8)]
    names = np.array(["ab"[(i + j) % 2] for i in range(8) for j in range(8)], dtype=object)
    pyogrio.raw.write(tmp_path / "l.gpkg", shapely.to_wkb(np.array(boxes, dtype=object)), [names], ["kind"],
                      driver="GPKG", geometry_type="Polygon", crs=crs)  # fmt: skip
    model = tmp_path / "m.safetensors"
    arguments = ["train", IMAGE, "--labels", tmp_path / "l.gpkg", "--class-field", "kind", "--model", model,
                 "--steps", "2000", "--batch", "1", "--device", "cpu"]  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "skysense", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        said = b""
        while b"mean IoU" not in said:
            piece = os.read(process.stderr.fileno(), 4096)
            assert piece, said.decode()
            said += piece
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        rest = process.stderr.read()
    assert process.returncode == 130 and b"best model so far" in rest, rest.decode()
    assert time.monotonic() - started < 10 and read_model_card(model).mean_iou is not None
