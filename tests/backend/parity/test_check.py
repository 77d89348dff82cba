"""Our modules against the released ones' numbers, and a checker that does see what is wrong.

`tests/data/skysense` holds a part of the fixtures; all that are in the shared folder beside the checkout run as well.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from skysense.cli import main
from skysense.errors import RequestError
from skysense.parity.check import check, check_folders
from skysense.parity.fixtures import Fixture, read_fixtures

ROOT = Path(__file__).parents[3]
OWN = ROOT / "tests/data/skysense"
SHARED = ROOT.parent / "shared/fixtures/skysense"


def fixtures(folder: Path) -> list[Fixture]:
    return read_fixtures(folder) if folder.is_dir() else []


@pytest.mark.parametrize("fixture", fixtures(OWN), ids=lambda fixture: fixture.name)
def test_same_numbers_as_the_released_module(fixture: Fixture) -> None:
    found = check(fixture)
    assert found.status == "pass", (found.error, [output for output in found.outputs if not output.ok])
    assert {output.name for output in found.outputs} == set(fixture.outputs)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared fixtures are not beside the checkout")
def test_all_shared_fixtures_pass() -> None:
    assert [found.name for found in check_folders([SHARED]) if found.status != "pass"] == []


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder with one fixture of its own."""
    folder = tmp_path / "some_name"
    folder.mkdir()
    entry = next(entry for entry in json.loads((OWN / "fixtures.json").read_text()) if entry["name"] == "uphead_x4")
    for name in (entry["arrays"], entry["state"]):
        shutil.copyfile(OWN / name, folder / name)
    (folder / "fixtures.json").write_text(json.dumps([entry]))
    return folder


def edit(folder: Path, **changes: object) -> None:
    path = folder / "fixtures.json"
    path.write_text(json.dumps([json.loads(path.read_text())[0] | changes]))


def status(folder: Path, tmp_path: Path) -> tuple[int, dict]:
    out = tmp_path / "report.json"
    code = main(["check-parity", str(folder), "--json", str(out)])
    return code, json.loads(out.read_text())


def test_report_of_what_passes(copied: Path, tmp_path: Path) -> None:
    code, report = status(copied.parent, tmp_path)  # a folder that holds several
    assert code == 0 and (report["passed"], report["failed"], report["errors"]) == (1, 0, 0)
    row = report["fixtures"][0]
    assert row["name"] == "uphead_x4" and row["family"] == "skysense" and row["status"] == "pass" and row["error"] is None
    assert {output["name"] for output in row["outputs"]} == {"out_conv", "out_y"}
    assert all(output["ok"] and output["max_abs"] <= output["atol"] for output in row["outputs"])


@pytest.mark.parametrize("wrong", ["value", "nan", "shape"])
def test_a_wrong_number_fails(copied: Path, tmp_path: Path, wrong: str) -> None:
    path = copied / "uphead_x4.npz"
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    if wrong == "value":
        arrays["out_y"].flat[7] += 1e-3
    elif wrong == "nan":
        arrays["out_y"].flat[7] = np.nan
    else:
        arrays["out_y"] = arrays["out_y"][..., :-1]
    np.savez(path, **arrays)
    code, report = status(copied, tmp_path)
    assert code == 1 and report["failed"] == 1
    assert [output["ok"] for output in report["fixtures"][0]["outputs"]].count(False) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"runner": "no_such"}, "no runner"),
        ({"family": "other"}, "no runner"),
        ({"kwargs": {"in_dim": 8, "out_dim": 6, "up_scale": 4, "unheard_of": 1}}, "unheard_of"),
        ({"outputs": ["out_y", "out_nothing"]}, "out_nothing"),
        ({"arrays": "missing.npz"}, "missing.npz"),
        ({"state": "missing.safetensors"}, "missing.safetensors"),
    ],
)
def test_what_cannot_be_run_is_no_pass(copied: Path, tmp_path: Path, changes: dict, reason: str) -> None:
    edit(copied, **changes)
    code, report = status(copied, tmp_path)
    assert code == 1 and report["errors"] == 1
    assert reason in report["fixtures"][0]["error"]


def test_a_folder_without_fixtures_is_bad_input(tmp_path: Path) -> None:
    assert main(["check-parity", str(tmp_path)]) == 2
    (tmp_path / "fixtures.json").write_text('[{"name": "half"}]')
    with pytest.raises(RequestError, match="cannot be read"):
        check_folders([tmp_path])
