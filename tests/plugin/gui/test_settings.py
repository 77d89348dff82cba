"""What the user sets: on the options page, and in the panel."""

from __future__ import annotations

import pytest
from qgis.core import QgsSettings

from skysense_qgis.gui.settings_page import SettingsFactory
from skysense_qgis.protocol.messages import Capabilities, Device
from skysense_qgis.settings import Settings


@pytest.fixture(autouse=True)
def as_before(qgis_app):
    before = Settings.load()
    yield
    before.save()


def test_the_page_takes_and_keeps_everything(tmp_path):
    moved = []
    page = SettingsFactory(lambda: moved.append(True)).createWidget()
    page.interpreter.setFilePath("/opt/python")
    page.device.setCurrentIndex(page.device.findData("cpu"))
    page.outputs.setFilePath(str(tmp_path / "out"))
    page.models.setFilePath(str(tmp_path / "models"))
    page.cache.setFilePath(str(tmp_path / "cache"))
    page.limit.setValue(2.5)
    page.apply()
    page.apply()
    assert moved == [True]  # once: the second time nothing was changed
    settings = Settings.load()
    assert settings == Settings(
        interpreter="/opt/python", device="cpu", output_folder=str(tmp_path / "out"),
        models_folder=str(tmp_path / "models"), cache_folder=str(tmp_path / "cache"), cache_limit="2.5",
    )  # fmt: skip
    assert settings.cache == tmp_path / "cache" and settings.cache_limit_bytes == 2_500_000_000
    again = SettingsFactory(moved.clear).createWidget()
    assert again.limit.value() == 2.5 and again.outputs.filePath() == str(tmp_path / "out")


def test_a_limit_that_was_edited_by_hand():
    QgsSettings().setValue("skysense/cache_limit", "much")
    assert Settings.load().cache_limit_bytes == 5 * 10**9


def test_devices_are_offered_with_the_reason_where_they_cannot_be_used(dock):
    gpu = Device("cuda:0", "GTX 480", 10**9, 10**9, False, "too old")
    cpu = Device("cpu", "CPU, 2 cores", 8 * 10**9, 4 * 10**9, True, "")
    dock._engine.capabilities_changed.emit(Capabilities((cpu, gpu), "cpu", ("skysense-nano",)))
    box = dock.options.device_box
    assert [box.itemText(i) for i in range(box.count())] == ["Automatic: CPU, 2 cores", "CPU, 2 cores, 8 GB", "GTX 480, 1 GB"]
    item = box.model().item(2)
    assert not item.isEnabled() and item.toolTip() == "too old"
    box.setCurrentIndex(1)
    box.activated.emit(1)
    assert Settings.load().device == "cpu" and dock.options.device == "cpu"


def test_results_in_no_folder_are_called_temporary(dock, add_layer, wait, described):
    dock.scene.add(add_layer("kampala/images/kampala_a.tif"))
    wait(lambda: described(1))
    dock.features.run_button.click()
    wait(lambda: dock.bar.currentItem() is not None, 60)
    assert "The files are temporary" in dock.bar.currentItem().text()
