"""Small shards with all kinds of samples, and a run on them that takes a fifth of a second a step."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from skysense.training.distributed import Ranks
from skysense.training.pretrain import Pretraining
from skysense.training.pretraining.run_folder import RunFolder
from skysense.training.pretraining.settings import PretrainSettings
from skysense.training.shard_writer import ShardWriter
from skysense.training.shards import Sample, ShardSet
from skysense.training.views import ViewSettings

SMALL = PretrainSettings(
    steps=6,
    batch=4,
    outputs=16,
    cells=4,
    objects=3,
    prototype_momentum=0.9,
    save_every=2,
    log_every=1,
    workers=0,
    views=ViewSettings(
        local_views=1,
        global_px={"hr": 32, "s2": 8, "s1": 8},
        local_px={"hr": 16, "s2": 4, "s1": 4},
        s2_dates=3,
        s1_dates=2,
    ),
)


def sample(number: int) -> Sample:
    """A picture, a series, or both at one place by turns; every other place is known."""
    generator = np.random.default_rng(number)
    arrays: dict[str, np.ndarray] = {}
    days, bands = {}, {}
    if number % 3 != 2:
        arrays["hr"] = np.repeat(generator.random((4, 16, 16)), 4, axis=1).repeat(4, axis=2).astype(np.float16)
        arrays["hr_valid"] = np.ones((64, 64), bool)
        days["hr"], bands["hr"] = np.array([100]), np.array([True, True, True, False])
    if number % 3 != 1:
        dates = 3 + number % 2
        arrays["s2"] = (generator.random((dates, 10, 12, 12)) * 0.4).astype(np.float16)
        arrays["s2_valid"] = generator.random((dates, 12, 12)) > 0.03
        days["s2"], bands["s2"] = np.arange(dates) * 30 + 10, np.ones(10, bool)
        arrays["s1"] = (generator.random((2, 2, 12, 12)) * 10 - 20).astype(np.float16)
        arrays["s1_valid"] = np.ones((2, 12, 12), bool)
        days["s1"], bands["s1"] = np.array([5, 50]), np.ones(2, bool)
    place = (9.5, 52.0) if number % 2 else None
    return Sample(str(number), f"place {number}", arrays, place, days, bands, 0.5, None)


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 samples: five with all sensors, five pictures, four series."""
    folder = tmp_path_factory.mktemp("shards")
    with ShardWriter(folder, {"hold_out": []}, 300_000) as writer:
        for number in range(14):
            writer.write(number, sample(number), (0, 0, 64, 64))
        writer.finish(["made"], None, 14)
    return folder


@pytest.fixture
def learn(shards: Path) -> Callable[..., Pretraining]:
    """A run of the small settings, changed as the test says, in this process."""

    def build(**changed: object) -> Pretraining:
        return Pretraining(ShardSet([shards]), replace(SMALL, **changed), torch.device("cpu"), Ranks())  # type: ignore[arg-type]

    return build


@pytest.fixture
def run_folder(shards: Path, tmp_path: Path) -> Callable[..., Path]:
    """The folder of a run that was asked for and has not begun."""

    def make(name: str = "run", **changed: object) -> Path:
        settings = replace(SMALL, **changed)  # type: ignore[arg-type]
        RunFolder(tmp_path / name).create(settings, (shards,), ShardSet([shards]).digest)
        return tmp_path / name

    return make


def start(*arguments: object, ranks: int = 1) -> subprocess.Popen[str]:
    """`skysense pretrain …` as a process of its own."""
    command = [sys.executable, "-m", "skysense"]
    if ranks > 1:
        torchrun = Path(sys.executable).with_name("torchrun")
        command = [str(torchrun), "--standalone", f"--nproc-per-node={ranks}", "-m", "skysense"]
    return subprocess.Popen([*command, "pretrain", *map(str, arguments)], stderr=subprocess.PIPE, text=True)


@pytest.fixture
def pretrain() -> Callable[..., subprocess.Popen[str]]:
    return start
