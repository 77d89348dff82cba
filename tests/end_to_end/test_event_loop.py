"""QGIS's event loop stays free during every job, asked by a panel or by Processing, beside a control run of an idle QGIS."""

from __future__ import annotations

from pathlib import Path

import pytest
from every_job import DATA, draw_labels, requests
from gaps import idle, measure

CLICKS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("loop")


@pytest.fixture(scope="module")
def engine(qgis_app, folder):
    from skysense_qgis.client import client as module
    from skysense_qgis.client import logs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "log_folder", lambda: folder / "logs")
        engine = module.Engine()
        yield engine
        engine.close()


def test_during_every_job(engine, folder):
    from skysense_qgis.protocol.messages import Failure

    print(f"\n{'idle':<16}{idle()}")
    slow, failed = [], []
    for name, request in requests(folder, draw_labels(folder)).items():
        answers: list = []

        def begin(over, request=request, answers=answers) -> None:
            handle = engine.submit(request)
            handle.done.connect(answers.append)
            handle.failed.connect(answers.append)
            handle.finished.connect(over)

        gaps = measure(begin)
        print(f"{name:<16}{gaps}")
        if not answers or isinstance(answers[0], Failure):
            failed.append((name, answers))
        if not gaps.free:
            slow.append(f"{name}: {gaps}")
    control = idle()
    print(f"{'idle':<16}{control}")
    assert not failed
    assert not slow, f"{slow}; idle: {control}"


def test_during_a_session_of_clicks(engine, folder, wait):
    """Each click asks for a mask and its outline; the list of models is asked for in between."""
    from skysense_qgis.protocol import requests as r

    asked = requests(folder, "")["open view"]
    ready: list = []
    engine.submit(asked).done.connect(ready.append)
    view = wait(lambda: ready)[0].view
    extent = asked.source.extent
    prompts = tuple(
        r.Prompt(
            extent.west + (0.3 + 0.4 * i / CLICKS) * (extent.east - extent.west),
            extent.south + 0.5 * (extent.north - extent.south), i % 4 != 3,
        )
        for i in range(CLICKS)
    )  # fmt: skip
    steps: list = []
    for count in range(1, CLICKS + 1):
        steps += [r.PromptView(view, prompts[:count]), r.OutlineMask(view, prompts[:count]), r.ListModels("")]
    steps.append(r.CloseView(view))
    answers: list = []
    expected = [r.RESULTS[type(step)] for step in steps]

    def begin(over) -> None:
        if not steps:
            over()
            return
        handle = engine.submit(steps.pop(0))
        handle.done.connect(answers.append)
        handle.failed.connect(answers.append)
        handle.finished.connect(lambda: begin(over))

    gaps, control = measure(begin), idle()
    print(f"\n{'clicks':<16}{gaps}\n{'idle':<16}{control}")
    assert [type(answer) for answer in answers] == expected
    assert gaps.free, f"{gaps}; idle: {control}"


def test_while_processing_runs_an_algorithm_in_the_background(engine, folder, qgis_processing, qgis_new_project):
    from qgis.core import QgsApplication, QgsProcessingAlgRunnerTask, QgsProcessingContext, QgsProcessingFeedback, QgsProject

    from skysense_qgis.algorithms.provider import SkySenseProvider

    provider = SkySenseProvider(engine)
    QgsApplication.processingRegistry().addProvider(provider)
    context, feedback = QgsProcessingContext(), QgsProcessingFeedback(False)
    context.setProject(QgsProject.instance())
    runs = {
        "embed": {"LAYERS": [str(DATA / "kampala/images/kampala_a.tif")], "LAYERS_DATES": "2020-01-01",
                  "OUTPUT": str(folder / "p_features.tif")},
        "detect_change": {"BEFORE": [str(DATA / "naip_wetlands/NAIP_20090818.tif")],
                          "AFTER": [str(DATA / "naip_wetlands/NAIP_20200831.tif")], "SCORE": str(folder / "p_score.tif")},
    }  # fmt: skip
    slow, ends, tasks = [], [], []
    try:
        for name, parameters in runs.items():

            def begin(over, name=name, parameters=parameters) -> None:
                algorithm = QgsApplication.processingRegistry().algorithmById(f"skysense:{name}")
                tasks.append(QgsProcessingAlgRunnerTask(algorithm, parameters, context, feedback))
                tasks[-1].executed.connect(lambda fine, results: ends.append(fine))
                tasks[-1].executed.connect(over)
                QgsApplication.taskManager().addTask(tasks[-1])

            gaps = measure(begin)
            print(f"\n{name:<16}{gaps}")
            if not gaps.free:
                slow.append(f"{name}: {gaps}")
        control = idle()
        print(f"{'idle':<16}{control}")
        assert ends == [True, True], feedback.textLog()
        assert not slow, f"{slow}; idle: {control}"
    finally:
        QgsApplication.processingRegistry().removeProvider(provider)
