"""The report to the developers."""

from pathlib import Path

import pytest

from skysense.jobs import diagnose
from skysense.jobs.report import SilentReport
from skysense.protocol.requests import Diagnose


@pytest.mark.parametrize(
    ("line", "home", "said"),
    [
        ("own models: 2 in /home/ada/models", "/home/ada", "own models: 2 in ~/models"),
        ("own models: 2 in /home/ada", "/home/ada", "own models: 2 in ~"),
        ("own models: 2 in /home/adam/models", "/home/ada", "own models: 2 in /home/adam/models"),
        ("disk: 3 GB/s in /srv/models", "/", "disk: 3 GB/s in /srv/models"),
    ],
)
def test_the_users_name_is_taken_out_and_nothing_else(line, home, said):
    assert diagnose.without_home(line, Path(home)) == said


def test_versions_devices_and_models(tmp_path):
    (tmp_path / "own.safetensors").touch()
    lines = diagnose.run(Diagnose(str(tmp_path)), SilentReport()).lines
    starts = ("skysense: ", "python: ", "system: ", "torch: ", "gdal: ", "device cpu: ", "disk: ", "encoder skysense-nano: sha256:")
    assert all(any(line.startswith(start) for line in lines) for start in starts)
    assert any(line.startswith("own models: 1 in ") for line in lines)
