"""Outputs are looked at before any work is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skysense.errors import OutputError
from skysense.jobs import apply_model, embed
from skysense.jobs.report import SilentReport
from skysense.jobs.scene_from_files import scene_from_files
from skysense.protocol.requests import ApplyModel, EmbedScene

IMAGE = Path(__file__).parents[2] / "data/kampala/images/kampala_a.tif"


@pytest.mark.parametrize("other", ["folder/../out.tif", "out.tif"])
def test_two_outputs_of_one_name(tmp_path, other):
    (tmp_path / "folder").mkdir()
    scene, out, same = scene_from_files([str(IMAGE)]), str(tmp_path / "out.tif"), str(tmp_path / other)
    for run, request in (
        (embed.run, EmbedScene(scene, out, same)),
        (apply_model.run, ApplyModel(scene, str(tmp_path / "none.safetensors"), out, same)),
    ):
        report = SilentReport()
        with pytest.raises(OutputError, match="same name out.tif"):
            run(request, report)
        assert report.stages == ["Loading the model"]


def test_a_folder_that_is_not_there(tmp_path):
    request = EmbedScene(scene_from_files([str(IMAGE)]), str(tmp_path / "out.tif"), str(tmp_path / "none/p.tif"))
    report = SilentReport()
    with pytest.raises(OutputError, match="no folder"):
        embed.run(request, report)
    with pytest.raises(OutputError, match="one of the inputs"):
        embed.run(replace(request, output_path=str(IMAGE), picture_path=None), report)
    assert report.stages == ["Loading the model"]
