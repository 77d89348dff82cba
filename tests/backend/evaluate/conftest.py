"""The reference robot and its imagery, which lie beside the repository where this project is developed; a small model."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from skysense.models.added import write_added
from skysense.models.skysense.model import SkySense
from skysense.models.skysense.presets import NANO
from skysense.models.skysense.released import Released

SHARED = Path(__file__).resolve().parents[4] / "shared"


@pytest.fixture(scope="session")
def reference_robot() -> ModuleType:
    path = SHARED / "robot_user.py"
    if not path.is_file():
        pytest.skip(f"the reference robot is not at {path}")
    spec = importlib.util.spec_from_file_location("robot_user", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def shared_data() -> Path:
    path = SHARED / "data"
    if not path.is_dir():
        pytest.skip(f"the labelled imagery is not at {path}")
    return path


@pytest.fixture(scope="session")
def sentinel_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An added encoder that takes Sentinel-2 alone, with random weights."""
    small = replace(NANO.s2, width=32, depth=1, heads=2, stem="patch")
    config = replace(NANO, key="sentinel-only", label="Sentinel only", sensors=("s2",), s2=small, prototypes=0)
    path = tmp_path_factory.mktemp("models") / "sentinel.safetensors"
    write_added(Released(config, None, SkySense(config).state_dict()), [], path)
    return path
