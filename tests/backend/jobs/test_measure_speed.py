from __future__ import annotations

from pathlib import Path

import pytest

from skysense.errors import RequestError
from skysense.jobs import measure_speed
from skysense.jobs.report import SilentReport
from skysense.protocol.requests import MeasureSpeed

RANDOM = Path(__file__).parents[2] / "data/models/random_hr.safetensors"


def test_speed_of_an_encoder_that_was_added() -> None:
    found = measure_speed.run(MeasureSpeed(str(RANDOM), "cpu"), SilentReport())
    assert found.megapixels_per_second > 0.1 and found.device == "cpu" and found.mode.startswith(("fp32", "bf16"))


def test_no_such_encoder() -> None:
    with pytest.raises(RequestError, match="no encoder"):
        measure_speed.run(MeasureSpeed("nothing"), SilentReport())
