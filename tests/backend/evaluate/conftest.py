"""The reference robot and its imagery, which lie beside the repository where this project is developed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

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
