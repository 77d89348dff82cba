"""A pretraining from layers to a model, with the engine's own shards and run."""

from __future__ import annotations

import pytest

from skysense_qgis.gui import pretraining_form
from skysense_qgis.settings import save_known_runs


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining_form, "models_folder", lambda: tmp_path / "models")
    save_known_runs([])
    yield tmp_path / "pretraining"
    save_known_runs([])


def test_from_layers_to_a_model(dock, place, models, add_layer, wait, described):
    dock.scene.add(add_layer("kampala/images/kampala_a.tif"))
    wait(lambda: described(1))
    dock.train.pretraining_button.click()
    dialog = dock.pretraining.dialog
    form = dialog.form
    form.steps.setValue(2)
    form.batch.setValue(1)
    form.start_button.click()
    view = dialog.view
    run = wait(lambda: view.run)
    assert (place / "run-1-shards" / "manifest.json").is_file() and run.folder == place / "run-1"
    wait(lambda: not run.status.working)
    assert run.status.state == "finished", (run.status, (run.folder / "output.log").read_text())
    wait(lambda: "loss hr" in view.losses.latest())
    assert "spread hr" in view.health.latest() and "Finished after 2 steps" in view.stage.text()
    view.add_button.click()
    card = wait(lambda: next((card for card in dock.cards if card.path == str(models / "run-1.safetensors")), None))
    assert card.kind == "encoder" and "run-1" in card.label and "2 steps of 1 samples" in card.description
    wait(lambda: dock.options.model.findData(card.key) >= 0)
