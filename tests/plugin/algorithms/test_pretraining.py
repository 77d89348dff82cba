"""Shards and pretraining in the toolbox."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from qgis.core import QgsApplication, QgsProcessingAlgRunnerTask, QgsProcessingException

from skysense_qgis.client.run_folder import look
from skysense_qgis.settings import known_runs

S2, S1 = "treesat_ts/S2_20190622.tif", "treesat_ts/S1ASC_20190501.tif"


@pytest.fixture
def run(provider, feedback, stand_in):
    import processing

    def run(**parameters: object) -> dict:
        said = type(feedback)() if feedback.isCanceled() else feedback
        return processing.run("skysense:pretrain", parameters, feedback=said)

    return run


def words_of(folder: Path) -> list[str]:
    return json.loads((folder / "output.log").read_text().splitlines()[-1])["words"]


def test_a_run_is_followed_and_its_encoder_told(run, feedback, tmp_path):
    folder = tmp_path / "run"
    results = run(
        SHARDS="/shards", MORE_SHARDS=" /more; ", STEPS=12, BATCH=2, ACCUMULATE=2, LEARNING_RATE=1e-5, START=1, PRESET="tiny",
        DEVICE="cpu", RUN=str(folder),
    )  # fmt: skip
    assert results == {"RUN": str(folder), "STEP": 12, "WEIGHTS": str(folder / "weights.safetensors")}
    assert "Step 12, loss 0.417, 40 samples a second" in feedback.infos and len(feedback.infos) >= 12
    assert words_of(folder) == [
        str(folder), "--shards", "/shards", "/more", "--preset", "tiny", "--steps", "12", "--batch", "2", "--accumulate", "2",
        "--learning-rate", "1e-05", "--seed", "0", "--device", "cpu",
    ]  # fmt: skip
    assert [(entry.folder, entry.keep) for entry in known_runs()] == [(str(folder), True)]  # the panel finds it


def test_a_cancel_saves_and_the_same_folder_goes_on(run, context, feedback, tmp_path, wait):
    folder = tmp_path / "run"
    algorithm = QgsApplication.processingRegistry().algorithmById("skysense:pretrain")
    parameters = {"SHARDS": "/shards", "STEPS": 40, "RUN": str(folder)}
    task = QgsProcessingAlgRunnerTask(algorithm, parameters, context, feedback)
    ends: list = []
    task.executed.connect(lambda fine, results: ends.append((fine, results)))
    QgsApplication.taskManager().addTask(task)
    wait(lambda: feedback.progress() > 3, 10)
    asked = time.monotonic()
    task.cancel()
    wait(lambda: ends, 10)
    assert time.monotonic() - asked < 2.0 and look(folder).state == "stopped"
    assert any("goes on from there" in said for said in feedback.warnings)
    results = run(RUN=str(folder))
    assert results["STEP"] == 40 and words_of(folder)[0] == str(folder) and "--shards" not in words_of(folder)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "holds no run"),
        ({"SHARDS": "/shards", "SEED": 1}, "There are no shards there. Make some first."),
        ({"SHARDS": "/shards", "SEED": 2}, "The loss was no number.*lower learning rate"),
        ({"SHARDS": "/shards", "START": 2}, "Choose the file of weights"),
        ({"SHARDS": "/shards", "ACCUMULATE": 3}, "A batch of 8 cannot be split into 3 equal parts.*such as 6"),
    ],
)
def test_what_goes_wrong_is_a_sentence_with_a_remedy(run, tmp_path, parameters, sentence):
    with pytest.raises(QgsProcessingException, match=sentence):
        run(RUN=str(tmp_path / "run"), STEPS=10, **parameters)


def test_parts_that_do_not_fit_are_told_in_the_dialog(provider, context, tmp_path):
    """Nor are they asked of a run that goes on; models and tasks, which skip the dialog's question, hear it at the start."""
    algorithm = QgsApplication.processingRegistry().algorithmById("skysense:pretrain")
    parameters = {"SHARDS": "/shards", "BATCH": 8, "ACCUMULATE": 3, "RUN": str(tmp_path / "run")}
    fine, reason = algorithm.checkParameterValues(parameters, context)
    assert not fine and "Choose a batch that 3 divides" in reason
    assert algorithm.checkParameterValues({**parameters, "ACCUMULATE": 4}, context) == (True, "")
    assert algorithm.checkParameterValues({"ACCUMULATE": 3, "RUN": str(tmp_path / "run")}, context) == (True, "")
    with pytest.raises(QgsProcessingException, match="cannot be split"):
        algorithm.create().options(parameters, context)


def test_layers_folders_and_labels_become_a_request(request_of, data, labels, tmp_path):
    image = data("kampala/images/kampala_a.tif")
    request = request_of("shards", LAYERS=[image], LABELS=labels, CLASS_FIELD="kind", WINDOW=128, OUTPUT=str(tmp_path / "s"))
    assert request.scene.acquisitions[0].path == image and request.output_folder == str(tmp_path / "s")
    assert (request.labels_path, request.class_field, request.window_px, request.least_data) == (labels, "kind", 128, 0.5)
    request = request_of("shards", FOLDER=str(tmp_path), HOLD_OUT=" a, b/c ,", OUTPUT=str(tmp_path / "s"))
    assert request.scene is None and request.folders == (str(tmp_path),) and request.hold_out == ("a", "b/c")
    with pytest.raises(QgsProcessingException, match="nothing to cut"):
        request_of("shards", OUTPUT=str(tmp_path / "s"))
    with pytest.raises(QgsProcessingException, match="field of the polygons"):
        request_of("shards", LAYERS=[image], LABELS=labels, OUTPUT=str(tmp_path / "s"))
