"""Pretraining in its window: filled in, started, watched, stopped, resumed, its encoder taken up."""

from __future__ import annotations

from pathlib import Path

import pytest
from gaps import idle, measure
from qgis.core import QgsRasterLayer
from qgis.PyQt.QtCore import QSize

from skysense_qgis.client import pretraining as client
from skysense_qgis.gui import pretraining_form, pretraining_view
from skysense_qgis.gui.pretraining_form import FILE, RANDOM, SIZES
from skysense_qgis.protocol.requests import ShardsMade
from skysense_qgis.settings import known_runs


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where runs go unless the user says otherwise; and no waiting for the next look."""
    monkeypatch.setattr(pretraining_form, "models_folder", lambda: tmp_path / "models")
    monkeypatch.setattr(client, "LOOK_MS", 50)
    monkeypatch.setattr(pretraining_view, "READ_MS", 50)
    return tmp_path / "pretraining"


@pytest.fixture
def dialog(stand_in, place, dock, models):
    dock.train.pretraining_button.click()
    return dock.pretraining.dialog


@pytest.fixture
def filled(dialog, tmp_path):
    """Ready to start, on shards that are there."""
    form = dialog.form
    form.data.folders_button.setChecked(True)
    form.data.add(str(tmp_path / "a folder of shards"))
    form.steps.setValue(40)
    return form


def test_what_is_missing_is_said_before_it_can_start(dialog, dock, add_layer, wait, described, tmp_path, place):
    form = dialog.form
    assert "add the layers of one place" in form.data.layers_note.text() and not form.start_button.isEnabled()
    form.data.folders_button.setChecked(True)
    assert form.data.folders_note.isVisible() and "Choose what to learn from" in form.note.text()
    form.data.add(str(tmp_path))
    form.data.add(str(tmp_path))
    assert form.data.folders == (str(tmp_path),) and form.start_button.isEnabled()
    form.near.setChecked(True)
    assert form.wanted_run().options.arguments()[-6:-2] == ["--start", "bundled", "--keep", "5"]
    form.preset.setCurrentIndex(1)  # of which no weights come along
    assert form.start_from.currentData() == RANDOM and not form.start_from.model().item(0).isEnabled()
    assert not form.near.isVisible() and "--keep" not in form.wanted_run().options.arguments()
    form.start_from.setCurrentIndex(form.start_from.findData(FILE))
    assert form.file.isVisible() and "file of weights" in form.note.text() and not form.start_button.isEnabled()
    form.file.setFilePath(__file__)
    form.folder.setFilePath("")
    assert "folder for the run" in form.note.text()
    form.data.list.selectAll()
    form.data.remove_button.click()
    assert form.data.folders == ()
    form.data.layers_button.setChecked(True)
    dock.scene.add(add_layer("kampala/images/kampala_a.tif"))
    wait(lambda: "1 layers: kampala_a" in form.data.layers_note.text())


def test_the_learning_rate_and_the_parts_of_a_batch(filled):
    def said(option: str) -> str:
        words = filled.wanted_run().options.arguments()
        return words[words.index(option) + 1]

    assert (said("--learning-rate"), said("--accumulate"), filled.learning_rate.cleanText()) == ("0.0005", "1", "0.0005")
    filled.learning_rate.stepUp()
    assert filled.learning_rate.cleanText() == "0.00051"
    filled.learning_rate.lineEdit().setText("0.00001")
    filled.learning_rate.interpretText()
    filled.accumulate.setValue(4)
    assert (said("--learning-rate"), said("--accumulate")) == ("1e-05", "4") and filled.start_button.isEnabled()
    filled.accumulate.setValue(3)
    assert "A batch of 8 cannot be split into 3" in filled.note.text() and not filled.start_button.isEnabled()
    filled.batch.setValue(2)
    assert "such as 3, or" in filled.note.text() and not filled.start_button.isEnabled()
    filled.batch.setValue(9)
    assert not filled.note.isVisible() and filled.start_button.isEnabled()


def test_a_run_is_watched_stopped_resumed_and_its_encoder_taken_up(dock, dialog, filled, wait, place, models):
    filled.steps.setValue(80)
    filled.start_button.click()
    view = dialog.view
    (run,) = dock.pretraining.runs.runs
    assert run.folder == place / "run-1" and dialog.pages.currentIndex() == 1 and dialog.choice.currentIndex() == 1
    wait(lambda: view.losses.latest(), 10)
    assert set(view.losses.latest()) == {"loss hr"} and set(view.parts.latest()) == {"hr", "fused"}
    assert {"spread hr", "spread fused", "prototypes"} == set(view.health.latest())
    wait(lambda: "Step" in view.stage.text())
    assert "of 80" in view.stage.text() and "left" in view.stage.text() and "cpu" in view.stage.text()
    assert "40 samples a second" in view.figures.text() and "25 % waiting for data" in view.figures.text()
    assert "nano" in view.facts.text() and view.bar.value() > 0
    assert dock.train.pretraining_button.text() == "Pretraining … (1 at work)"
    assert not view.grab().toImage().isNull() and not view.parts.grab().toImage().isNull()
    assert not view.resume_button.isVisible() and not view.add_button.isVisible()
    assert not dialog.forget_button.isEnabled()
    view.stop_button.click()
    assert "Stopping" in view.stage.text() and not view.stop_button.isEnabled()
    wait(lambda: "Stopped at step" in view.stage.text(), 5)
    assert dialog.choice.itemText(1) == "run-1 (stopped)" and dock.train.pretraining_button.text() == "Pretrain an encoder …"
    view.resume_button.click()
    assert "starting" in view.stage.text() and view.stop_button.isVisible()
    wait(lambda: "Finished after 80 steps" in view.stage.text(), 10)
    assert not view.resume_button.isVisible()
    view.add_button.click()
    wait(lambda: "run-1" in [Path(card.path).stem for card in dock.cards if card.path])
    assert (models / "run-1.safetensors").is_file() and dock.bar.currentItem().text() == "Added Random encoder."
    wait(lambda: view.add_button.isEnabled())
    dialog.forget_button.click()
    assert dialog.pages.currentIndex() == 0 and known_runs() == [] and run.folder.exists()
    assert filled.folder.filePath() == str(place / "run-2")


def test_an_error_is_a_sentence_with_a_remedy(dialog, filled, wait, place):
    filled.seed.setValue(1)
    filled.start_button.click()
    wait(lambda: "There are no shards there. Make some first." in dialog.view.stage.text(), 5)
    assert not dialog.view.resume_button.isVisible() and dialog.choice.itemText(1) == "run-1 (failed)"
    place.joinpath("no folder").write_text("")
    dialog.choose(None)
    filled.folder.setFilePath(str(place / "no folder" / "run"))
    filled.start_button.click()
    assert "cannot be written" in dialog.refusal.text() and dialog.refusal.isVisible()
    dialog.folder_chosen.emit(str(place))
    assert "holds no run" in dialog.refusal.text()


def test_the_choice_for_the_end_of_qgis_is_kept_and_obeyed(dock, dialog, filled, wait):
    filled.steps.setValue(2000)
    filled.start_button.click()
    (run,) = dock.pretraining.runs.runs
    assert run.keep and known_runs()[0].keep
    box = dialog.view.keep
    box.setCurrentIndex(box.findData(False))
    box.activated.emit(box.currentIndex())
    assert not known_runs()[0].keep
    wait(lambda: run.status.step, 10)
    dialog.close()
    wait(lambda: dock.pretraining.dialog is None)
    assert run.status.working  # a closed window ends nothing
    dock.pretraining.runs.close()
    wait(lambda: run.look() or run.status.state == "stopped", 5)
    assert "run-1: Stopped at step" in dock.bar.currentItem().text()


def test_a_run_that_was_found_is_told(dock, stand_in, tmp_path, wait):
    from skysense_qgis.client.pretraining import RunOptions, begin, remember

    begin(tmp_path / "found", RunOptions(("/shards",), steps=500))
    wait(lambda: (tmp_path / "found/log.jsonl").exists(), 10)
    remember(tmp_path / "found", True)
    dock.pretraining.runs.reload()  # as at the start of QGIS
    dock.pretraining.tell_found()
    assert "Pretraining of found goes on: step" in dock.bar.currentItem().text()
    dock.pretraining.runs.runs[0].stop()


def test_layers_become_shards_in_the_job_queue_first(dock, dialog, add_layer, wait, described, place, monkeypatch):
    """Up to the request; the engine's own shards are tested with the real run."""
    image = add_layer("kampala/images/kampala_a.tif", "a name that is long, and ends only " + "here" * 40)
    assert isinstance(image, QgsRasterLayer)
    dock.scene.add(image)
    wait(lambda: described(1))
    asked = []
    monkeypatch.setattr(dock.runner, "run", lambda request, finish: asked.append((request, finish)))
    dialog.form.steps.setValue(2)
    dialog.form.start_button.click()
    ((request, finish),) = asked
    assert request.output_folder == str(place / "run-1-shards") and len(request.scene.acquisitions) == 1
    finish(ShardsMade(request.output_folder, 4, 0, 1, 1000, ("hr",), "sha256:0", 1.0))
    wait(lambda: dialog.view.run is not None and dialog.view.run.status.state == "finished", 10)
    assert request.output_folder in (place / "run-1" / "output.log").read_text()


def test_qgis_stays_free_while_a_run_is_watched(dock, dialog, filled, wait):
    """Also while a window opens on a run whose log is long."""
    filled.steps.setValue(100)
    filled.start_button.click()
    run = dialog.view.run
    line = '{"step": %d, "loss": 1.0, "parts": {"hr": 1.0, "s2": 1.0, "s1": 1.0, "fused": 1.0}, "feature_std": {"hr": 0.5}}\n'
    wait(lambda: (run.folder / "log.jsonl").exists(), 10)
    with (run.folder / "log.jsonl").open("a") as log:
        log.writelines(line % step for step in range(1000, 21_000))

    def begin(over) -> None:
        run.ended.connect(over)

    gaps, control = measure(begin), idle(0.5)
    assert run.status.state == "finished" and gaps.free, f"{gaps}; idle: {control}"
    wait(lambda: len(dialog.view.parts.points()["s1"]) > 300)


def test_it_fits_a_small_window(dialog, filled, wait):
    filled.data.add("/" + "a_very_long_name_without_any_space" * 8)
    dialog.resize(QSize(380, 320))
    assert dialog.width() <= 480 and dialog.height() <= 360
    filled.start_button.click()
    wait(lambda: dialog.view.losses.latest(), 10)
    assert dialog.width() <= 480 and dialog.height() <= 360
    for _ in range(20):
        wait(lambda: True)
    picture = dialog.grab().toImage()
    assert not picture.isNull() and picture.width() == dialog.width()


def test_the_sizes_are_those_of_the_documentation():
    text = (Path(__file__).resolve().parents[3] / "docs/models.md").read_text(encoding="utf-8")
    rows = {row.split("|")[1].strip().strip("`"): row.split("|")[3].strip() for row in text.splitlines() if row.startswith("| `")}
    for key, millions in SIZES:
        assert float(rows[key].removesuffix(" M").replace(",", "")) == millions
