"""What QGIS lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from qgis.core import QgsApplication, QgsProcessingException, QgsProcessingParameterDefinition
from qgis.PyQt.QtCore import QUrl

from skysense_qgis.algorithms.embed import EmbedAlgorithm
from skysense_qgis.client.client import Engine
from skysense_qgis.settings import Settings

NAMES = {
    "embed", "segment_points", "segment_by_example", "detect_change", "train_segmentation", "apply_model", "shards", "pretrain"
}  # fmt: skip


def test_all_algorithms_are_listed_with_help_and_icons(provider):
    algorithms = {algorithm.name(): algorithm for algorithm in provider.algorithms()}
    assert set(algorithms) == NAMES
    for name, algorithm in algorithms.items():
        assert QgsApplication.processingRegistry().algorithmById(f"skysense:{name}") is not None
        assert len(algorithm.shortHelpString()) > 100 and algorithm.displayName() and algorithm.tags()
        assert not algorithm.icon().pixmap(24, 24).isNull()
        assert algorithm.canExecute() == (True, "")
        assert {type(output).__name__ for output in algorithm.outputDefinitions()}
    assert not provider.icon().pixmap(24, 24).isNull() and provider.versionInfo()[0].isdigit()


def test_the_help_button_opens_a_page_that_is_there_at_the_algorithms_place(provider):
    for algorithm in provider.algorithms():
        url = QUrl(algorithm.helpUrl())
        page = Path(url.toLocalFile()).read_text(encoding="utf-8")
        assert url.fragment() == algorithm.name() and f'id="{algorithm.name()}"' in page
        assert algorithm.displayName() in page


def test_parameters_say_what_they_mean_unless_the_label_says_it_all(provider):
    silent = {
        (algorithm.name(), definition.name())
        for algorithm in provider.algorithms()
        for definition in algorithm.parameterDefinitions()
        if not definition.help()
    }
    assert silent == {("embed", "OUTPUT"), ("apply_model", "OUTPUT")}


def test_without_an_engine_they_stay_listed_and_say_why(provider, monkeypatch, context, feedback):
    monkeypatch.setattr(Settings, "load", classmethod(lambda cls: cls(interpreter="/nowhere/python")))
    for algorithm in provider.algorithms():
        able, reason = algorithm.canExecute()
        assert not able and "/nowhere/python" in reason and "settings" in reason
    assert {algorithm.name() for algorithm in provider.algorithms()} == NAMES
    engine = Engine()  # one that has not started yet
    algorithm = EmbedAlgorithm(engine)
    with pytest.raises(QgsProcessingException, match="not there.*Set up engine"):
        algorithm.describe("/nowhere/image.tif", feedback)
    engine.close()


def test_device_and_encoder_come_from_the_settings(provider, monkeypatch):
    monkeypatch.setattr(Settings, "load", classmethod(lambda cls: cls(device="cuda", encoder="skysense-other")))
    algorithm = provider.algorithm("embed").create()
    assert algorithm.parameterDefinition("DEVICE").defaultValue() == "cuda"
    assert algorithm.parameterDefinition("ENCODER").defaultValue() == "skysense-other"


def test_rare_parameters_are_advanced(provider):
    def advanced(name: str) -> set[str]:
        flag = QgsProcessingParameterDefinition.Flag.FlagAdvanced
        definitions = provider.algorithm(name).parameterDefinitions()
        return {definition.name() for definition in definitions if definition.flags() & flag}

    assert advanced("embed") == {"LAYERS_DATES", "LAYERS_SENSORS", "LAYERS_BANDS", "AREA", "PIXEL_SIZE", "ENCODER", "DEVICE"}
    assert {"BATCH", "LEARNING_RATE", "SEED"} <= advanced("train_segmentation")


def test_outputs_that_the_engine_cannot_write_are_refused_before_it_starts(provider, context, data):
    parameters = {"LAYERS": [data("treesat_ts/S2_20190622.tif")], "OUTPUT": "/tmp/features.img"}
    fine, reason = provider.algorithm("embed").create().checkParameterValues(parameters, context)
    assert not fine and "img" in reason
