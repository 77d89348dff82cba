"""What is drawn of a run, and what is not."""

from __future__ import annotations

import pytest

from skysense_qgis.gui import curves as module
from skysense_qgis.gui.curves import Curves
from skysense_qgis.protocol.messages import Series


@pytest.fixture
def curves(qgis_app) -> Curves:
    return Curves(from_zero=False)


def test_a_long_run_is_thinned_and_keeps_its_course(curves, monkeypatch):
    monkeypatch.setattr(module, "MOST_POINTS", 100)
    for step in range(1, 1001):
        curves.add((Series("loss", step, 1000.0 - step),))
    points = curves.points()["loss"]
    assert len(points) <= 100 and points[-1] == (1000, 0.0) and curves.latest() == {"loss": 0.0}
    assert [step for step, _ in points] == sorted({step for step, _ in points})
    assert all(value == pytest.approx(1000 - step, abs=20) for step, value in points)


def test_a_resumed_run_replaces_what_lay_beyond_its_saved_state(curves):
    curves.add(tuple(Series("loss", step, 1.0) for step in range(1, 11)))
    curves.add((Series("loss", 6, 2.0),))
    assert [step for step, _ in curves.points()["loss"]] == [1, 2, 3, 4, 5, 6] and curves.latest() == {"loss": 2.0}


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0], [0.0, 0.0], [-1.0, -3.0], [1e30, 2e30]])
def test_any_numbers_are_drawn(curves, values):
    curves.add(tuple(Series("loss", step, value) for step, value in enumerate(values, 1)))
    curves.resize(80, 60)  # less room than the labels need
    assert not curves.grab().toImage().isNull()
