from __future__ import annotations

import json

import pytest

from skysense.evaluate.table import print_table, write_json

ROWS = [{"set": "a", "iou": 0.5123456, "ms": None}, {"set": "longer", "iou": 12.0, "ms": 3}]


def test_columns_are_aligned_and_missing_values_shown(capsys):
    print_table(ROWS)
    assert capsys.readouterr().out.splitlines() == ["set        iou  ms", "a       0.5123   -", "longer      12   3"]


def test_json_is_a_list_with_null(tmp_path):
    write_json(ROWS, tmp_path / "rows.json")
    assert json.loads((tmp_path / "rows.json").read_text()) == ROWS


def test_not_a_number_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json([{"iou": float("nan")}], tmp_path / "rows.json")
