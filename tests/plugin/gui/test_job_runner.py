"""Long jobs: one at a time, their cost told, and asked about where it is high."""

from __future__ import annotations

import pytest
from qgis.core import QgsProject
from qgis.PyQt.QtWidgets import QMessageBox

from skysense_qgis.gui import job_runner


@pytest.fixture
def features(dock, add_layer, wait, described):
    dock.scene.add(add_layer("kampala/images/kampala_a.tif"))
    wait(lambda: described(1))
    return dock.features


def maps() -> int:
    return len(QgsProject.instance().mapLayersByName("Feature map"))


def test_a_short_job_starts_without_a_question(dock, features, wait):
    features.run_button.click()
    wait(lambda: maps() == 1, 60)
    assert dock.runner.question is None


def test_a_long_job_is_asked_about_and_may_be_left(dock, features, wait, monkeypatch):
    monkeypatch.setattr(job_runner, "LONG_S", 0.0)
    features.run_button.click()
    question = wait(lambda: dock.runner.question, 60)
    assert "This takes about" in question.text() and "512 × 512 pixels" in question.informativeText()
    question.button(QMessageBox.StandardButton.Cancel).click()
    wait(lambda: not dock.runner.busy)
    assert features.run_button.isEnabled() and maps() == 0

    features.run_button.click()
    wait(lambda: dock.runner.question).button(QMessageBox.StandardButton.Ok).click()
    wait(lambda: maps() == 1, 60)


def test_a_full_disk_is_warned_of(dock, features, wait, monkeypatch):
    monkeypatch.setattr(job_runner, "FULL", 0.0)
    features.run_button.click()
    question = wait(lambda: dock.runner.question, 60)
    assert "The disk may become full" in question.text() and question.icon() == QMessageBox.Icon.Warning
    question.button(QMessageBox.StandardButton.Cancel).click()


def test_a_second_job_has_to_wait(dock, features, wait):
    features.run_button.click()
    assert not features.run_button.isEnabled() and not dock.train.run_button.isEnabled()
    features.run()
    assert "Another job is at work" in dock.bar.currentItem().text()
    wait(lambda: maps() == 1, 60)
    wait(lambda: not dock.runner.busy)
    assert maps() == 1


def test_a_model_that_is_gone_is_said_and_the_panel_is_free_again(dock, features, wait, monkeypatch):
    dock.options.model.addItem("gone", "no-such-encoder")
    dock.options.model.setCurrentIndex(dock.options.model.count() - 1)
    features.run_button.click()
    wait(lambda: dock.bar.currentItem() is not None and not dock.runner.busy, 60)
    assert "no-such-encoder" in dock.bar.currentItem().text() and features.run_button.isEnabled()
