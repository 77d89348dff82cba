"""Which devices there are, and what is said when memory ends."""

from __future__ import annotations

import pytest
import torch

from skysense.errors import DeviceError
from skysense.jobs import capabilities, embed, encoders, table
from skysense.jobs.encoders import choose_device, encoder_on
from skysense.jobs.report import SilentReport
from skysense.protocol.messages import Device
from skysense.protocol.requests import EmbedScene
from skysense.protocol.scene_source import SceneSource


@pytest.fixture
def cards(monkeypatch):
    """Two graphics cards of which the first does not work, though the driver counts it."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(capabilities, "_cuda", lambda i: Device(f"cuda:{i}", "GPU", 1, 1, i == 1, "" if i else "too old"))
    capabilities.usable_devices.cache_clear()
    yield
    capabilities.usable_devices.cache_clear()


def test_a_card_that_does_not_work_is_never_chosen(cards):
    assert [str(choose_device(name)) for name in ("auto", "cuda", "cuda:1", "cpu")] == ["cuda:1", "cuda:1", "cuda:1", "cpu"]
    assert capabilities.capabilities().default_device == "cuda:1"
    with pytest.raises(DeviceError, match="no such graphics card"):
        choose_device("cuda:0")


@pytest.mark.parametrize("name", ["meta", "mps", "xla:7", "", "cuda:99"])
def test_other_devices_are_refused(name):
    with pytest.raises(DeviceError) as failure:
        choose_device(name)
    assert failure.value.remedy


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_memory_that_ends_is_told_with_a_remedy(monkeypatch, error):
    def run(request, report):
        raise error

    monkeypatch.setattr(embed, "run", run)
    with pytest.raises(DeviceError, match="not enough memory.*smaller extent"):
        table.load(EmbedScene)(EmbedScene(SceneSource(()), "x.tif", None), SilentReport())


def test_other_faults_stay_what_they_are(monkeypatch):
    def run(request, report):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(embed, "run", run)
    with pytest.raises(RuntimeError, match="shapes"):
        table.load(EmbedScene)(EmbedScene(SceneSource(()), "x.tif", None), SilentReport())


def test_dropped_weights_are_loaded_again(monkeypatch):
    made = []
    monkeypatch.setattr(encoders, "load_encoder", lambda key, device, progress: made.append(key) or torch.nn.Identity())
    monkeypatch.setattr(encoders, "use_default_mode", lambda encoder, device: None)
    encoders.drop()
    first = encoder_on("a", torch.device("cpu"))
    assert encoder_on("a", torch.device("cpu")) is first and len(made) == 1
    encoders.drop()
    assert encoder_on("a", torch.device("cpu")) is not first and len(made) == 2
    encoders.drop()
