"""A model of the user's: added, looked at, used, removed."""

from __future__ import annotations

from pathlib import Path

import pytest
from qgis.PyQt.QtWidgets import QAbstractButton

RANDOM = Path(__file__).resolve().parents[2] / "data/models/random_hr.safetensors"


@pytest.fixture
def dialog(dock, wait, models):
    wait(lambda: dock.cards)
    dock.options.models_button.click()
    yield dock.models
    if dock.models is not None:
        dock.models.close()


def labels(dialog) -> list[str]:
    return [dialog.list.item(row).text() for row in range(dialog.list.count())]


def test_an_added_encoder_is_shown_with_its_licence_and_can_be_chosen(dock, dialog, wait, models):
    dialog.add_button.click()
    dialog.files.filesSelected.emit([str(RANDOM)])
    wait(lambda: "Random encoder (encoder)" in labels(dialog))
    assert (models / "random_hr.safetensors").is_file()
    text = dialog.card.toPlainText()
    assert "Random encoder" in text and "random weights" in text and "R, G, B" in text
    assert dialog.add_button.isEnabled() and not dialog.refusal.isVisible()
    assert dock.options.model.findText("Random encoder") >= 0

    dialog.add_button.click()
    dialog.files.filesSelected.emit([str(RANDOM)])  # the same again gets a number
    wait(lambda: labels(dialog).count("Random encoder (encoder)") == 2 and dialog.add_button.isEnabled())
    assert sorted(path.name for path in models.iterdir()) == ["random_hr.safetensors", "random_hr_2.safetensors"]
    (models / "random_hr_2.safetensors").unlink()
    dialog.list.setCurrentRow(labels(dialog).index("Random encoder (encoder)"))

    dialog.remove_button.click()
    next(b for b in dialog.question.findChildren(QAbstractButton) if b.text() == "Remove").click()
    wait(lambda: "Random encoder (encoder)" not in labels(dialog))
    assert not list(models.iterdir()) and dock.options.model.findText("Random encoder") < 0


def test_a_file_that_is_no_model_says_why_and_leaves_nothing(dialog, wait, models, tmp_path):
    bad = tmp_path / ("a long name of a file that is no model at all " * 3 + ".pth")
    bad.write_bytes(b"no archive")
    dialog.add_button.click()
    dialog.files.filesSelected.emit([str(bad)])
    wait(lambda: dialog.refusal.isVisible())
    assert "neither a PyTorch archive nor a safetensors file" in dialog.refusal.text()
    assert not list(models.iterdir()) and dialog.add_button.isEnabled()


def test_the_speed_on_this_machine_is_measured_on_demand(dialog, wait):
    assert "Speed here" not in dialog.card.toPlainText()
    assert dialog.list.currentRow() == 0 and not dialog.remove_button.isEnabled()  # it came with the plugin
    dialog.speed_button.click()
    assert not dialog.speed_button.isEnabled()
    wait(lambda: "Speed here" in dialog.card.toPlainText())
    assert "megapixels a second on CPU" in dialog.card.toPlainText()
    wait(lambda: dialog.speed_button.isEnabled() and not dialog.jobs.isVisible())
