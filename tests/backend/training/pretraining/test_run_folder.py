from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from skysense.errors import OutputError, RequestError
from skysense.training.pretraining.run_folder import RunFolder
from skysense.training.pretraining.settings import PretrainSettings


def test_settings_come_back_as_they_were(run_folder, learn, shards: Path) -> None:
    place = RunFolder(run_folder(start="weights.safetensors", keep=0.5))
    settings, folders, digest = place.read()
    assert settings == learn().settings.__class__(**{**vars(learn().settings), "start": "weights.safetensors", "keep": 0.5})
    assert folders == (shards,) and digest.startswith("sha256:")


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(OutputError, match="is not empty and holds no run"):
        RunFolder(tmp_path).create(PretrainSettings(), (), "")


def test_settings_of_another_version_are_refused_in_words(run_folder) -> None:
    folder = run_folder()
    plain = json.loads((folder / "settings.json").read_text())
    del plain["settings"]["beta"]
    (folder / "settings.json").write_text(json.dumps(plain))
    with pytest.raises(RequestError, match="they are of another version"):
        RunFolder(folder).read()


def test_one_process_at_a_time(run_folder) -> None:
    folder = run_folder()
    hold = (
        "import sys, pathlib; from skysense.training.pretraining.run_folder import RunFolder\n"
        f"with RunFolder(pathlib.Path({str(folder)!r})).locked(): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(RequestError, match="is at work already"), RunFolder(folder).locked():
            pass
        other.kill()  # the system lets go of the lock
        other.wait()
    with RunFolder(folder).locked():
        pass


def test_the_log_is_cut_where_the_run_goes_on(run_folder) -> None:
    place = RunFolder(run_folder())
    for step in range(1, 6):
        place.add_line({"step": step})
    with (place.path / "log.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # killed while it wrote
    place.cut_log(3)
    assert [json.loads(line)["step"] for line in (place.path / "log.jsonl").read_text().splitlines()] == [1, 2, 3]
