"""A real worker process, and rasters large enough to keep it at work."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio

from skysense.protocol.framing import FrameReader, encode_frame
from skysense.protocol.messages import Call, Cancel, Heartbeat
from skysense.protocol.records import from_plain, to_plain
from skysense.protocol.requests import EmbedScene
from skysense.protocol.scene_source import AcquisitionSource, BandIndex, Scaling, SceneSource

REPOSITORY = Path(__file__).resolve().parents[3]
BACKEND = REPOSITORY / "backend"
DATA = REPOSITORY / "tests/data"


class Worker:
    """Started as the plugin starts it; messages come with the time they came at."""

    def __init__(self, log: Path, role: str = "jobs", program: Path = BACKEND, **environment: str) -> None:
        self.log = log
        self.started = time.monotonic()
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-I", str(program), "serve", "--role", role],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env={**os.environ, **environment},
            )  # fmt: skip
        self.messages: queue.Queue[tuple[float, object]] = queue.Queue()
        self._jobs = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        reader = FrameReader()
        while data := os.read(self.process.stdout.fileno(), 65536):
            for frame in reader.feed(data):
                self.messages.put((time.monotonic(), from_plain(frame)))

    def write(self, data: bytes) -> None:
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def call(self, request: object) -> int:
        self._jobs += 1
        self.write(encode_frame(to_plain(Call(self._jobs, request))))
        return self._jobs

    def cancel(self, job: int) -> float:
        """When it was asked for."""
        self.write(encode_frame(to_plain(Cancel(job))))
        return time.monotonic()

    def wait(self, fits, seconds: float = 60.0) -> tuple[float, object]:
        """The first message that fits, with the time it came at; those before it are dropped."""
        end = time.monotonic() + seconds
        while True:
            try:
                at, message = self.messages.get(timeout=max(end - time.monotonic(), 0.001))
            except queue.Empty:
                raise AssertionError(f"not within {seconds} s; log:\n{self.log.read_text()[-3000:]}") from None
            if fits(message):
                return at, message

    def wait_for(self, kind: type, seconds: float = 60.0, **fields: object):
        """The first message of this kind with these fields."""
        return self.wait(
            lambda message: isinstance(message, kind) and all(getattr(message, k) == v for k, v in fields.items()), seconds
        )

    def rest(self, seconds: float) -> list[object]:
        """What comes within this time, heartbeats apart."""
        time.sleep(seconds)
        found = []
        while not self.messages.empty():
            found.append(self.messages.get()[1])
        return [message for message in found if not isinstance(message, Heartbeat)]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()


@pytest.fixture
def start(tmp_path):
    """Starts workers of the test's own."""
    workers = []

    def start(role: str = "jobs", program: Path = BACKEND, **environment: str) -> Worker:
        workers.append(Worker(tmp_path / f"worker{len(workers)}.log", role, program, **environment))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


@pytest.fixture(scope="module")
def worker(request, tmp_path_factory):
    """One worker for the tests of a module that leave it as it was; the module may name another PROGRAM."""
    program = getattr(request.module, "PROGRAM", BACKEND)
    worker = Worker(tmp_path_factory.mktemp("worker") / "worker.log", program=program)
    yield worker
    worker.close()


@pytest.fixture(scope="session")
def large_scene(tmp_path_factory) -> SceneSource:
    """The drone image of tests/data side by side with itself: 2048 x 2048 pixels, half a minute of work."""
    with rasterio.open(DATA / "kampala/images/kampala_a.tif") as file:
        pixels = np.tile(file.read(), (1, 4, 4))[:, :2048, :2048]
        profile = {**file.profile, "height": 2048, "width": 2048, "tiled": True, "blockxsize": 256, "blockysize": 256}
    path = tmp_path_factory.mktemp("large") / "large.tif"
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels)
    bands = tuple(BandIndex(band, index) for index, band in enumerate("RGB", 1))
    return SceneSource((AcquisitionSource(str(path), "hr", bands, Scaling(1 / 255), "2020-01-01"),))


@pytest.fixture
def long_job(large_scene, tmp_path) -> EmbedScene:
    """A request that nobody waits for to the end; its outputs go to a folder of its own."""
    folder = tmp_path / "out"
    folder.mkdir()
    return EmbedScene(large_scene, str(folder / "features.tif"), str(folder / "picture.tif"), tile_px=256)


@pytest.fixture
def short_job(tmp_path) -> EmbedScene:
    """A request that is done in a second."""
    bands = tuple(BandIndex(band, index) for index, band in enumerate(("B2", "B3", "B4"), 1))
    source = AcquisitionSource(str(DATA / "treesat_ts/S2_20190622.tif"), "s2", bands, Scaling(1e-4), "2019-06-22")
    return EmbedScene(SceneSource((source,)), str(tmp_path / "short.tif"), None, components=3)
