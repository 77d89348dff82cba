"""Pretraining runs and the end of a real QGIS: one trains on and is found again, one saves and stops, as the user chose."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from desktop import Desktop, missing_programs

STAND_IN = Path(__file__).resolve().parents[1] / "plugin/stand_ins/pretrain.py"  # obeys the contract, learns nothing

pytestmark = pytest.mark.skipif(bool(missing_programs()), reason="no desktop: make setup installs it")


def module(name: str) -> str:
    return f"__import__('skysense_qgis.{name}', fromlist=['_'])"


def status(folder: Path) -> dict:
    return json.loads((folder / "status.json").read_text())


def test_the_users_choice_is_obeyed(tmp_path):
    going, stopping = tmp_path / "going on", tmp_path / "stopping"
    with Desktop(tmp_path, []) as desktop:
        desktop.ask(f"{module('settings')}.Settings(interpreter={str(STAND_IN)!r}).save()")
        options = f"{module('client.pretraining')}.RunOptions(('/shards',), steps=3000)"
        for folder, keep in ((going, True), (stopping, False)):
            desktop.ask(f"dock().pretraining.runs.start(Path({str(folder)!r}), {options}, {keep}).name")
        desktop.wait("all(run.status.step for run in dock().pretraining.runs.runs)", 20)
        desktop.close_qgis()
        end = time.monotonic() + 5
        while status(stopping)["state"] != "stopped" and time.monotonic() < end:
            time.sleep(0.05)
        assert status(stopping)["state"] == "stopped"
        reached = status(going)["step"]
        desktop.start_qgis()
        assert status(going)["state"] == "training" and status(going)["step"] > reached
        desktop.wait("any('Pretraining of going on goes on: step' in text for text in messages())", 20)
        found = desktop.ask("{run.name: run.status.state for run in dock().pretraining.runs.runs}")
        assert found == {"going on": "training", "stopping": "stopped"}
        desktop.ask("[run.stop() for run in dock().pretraining.runs.runs]")
        desktop.wait("not dock().pretraining.runs.at_work", 5)
