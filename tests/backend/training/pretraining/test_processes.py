"""Real runs: killed, stopped, shared by two processes, refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from skysense.cli import main
from skysense.training.distributed import Ranks
from skysense.training.pretraining.kept import Checkpoints
from skysense.training.pretraining.run_folder import RunFolder

KILLS = int(os.environ.get("SKYSENSE_KILLS", "1"))


def log_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def status_of(folder: Path) -> dict:
    return json.loads((folder / "status.json").read_text())


def steps_done(folder: Path) -> int:
    path = folder / "log.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def reached(folder: Path, steps: int) -> bool:
    return steps_done(folder) >= steps


def is_saving(folder: Path) -> bool:
    return any((folder / "checkpoints").glob("*.part"))


def wait_for(condition, process) -> None:
    while process.poll() is None and not condition():
        time.sleep(0.005)


def state_of(learn, folder: Path, **changed: object) -> dict[str, torch.Tensor]:
    run = learn(**changed)
    assert Checkpoints(folder / "checkpoints", Ranks()).load(run.state()) == run.settings.steps
    return run.state()


def test_killed_at_any_moment_it_ends_as_if_it_never_was(learn, run_folder, pretrain) -> None:
    """SIGKILL after a step by chance, or while a state is written; then on to the end. `make soak` does it twenty times."""
    steps, generator = 6 + 2 * KILLS, np.random.default_rng()
    whole = learn(steps=steps)
    losses = [moment.loss for moment in whole.steps()]
    folder, killed = run_folder(steps=steps), 0
    while killed < KILLS:
        with pretrain(folder) as process:
            if generator.random() < 0.5:
                wait_for(partial(is_saving, folder), process)
            else:
                wait_for(partial(reached, folder, steps_done(folder) + int(generator.integers(1, 4))), process)
                time.sleep(generator.random() * 0.2)
            process.kill()
        killed += 1
        if process.returncode == 0:
            break
    with pretrain(folder) as process:
        process.wait()
    assert process.returncode == 0
    assert [line["loss"] for line in log_of(folder)] == losses
    assert [line["step"] for line in log_of(folder)] == list(range(1, steps + 1))
    wanted = whole.state()
    found = state_of(learn, folder, steps=steps)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in found.items())


def test_told_to_end_it_saves_and_says_so(run_folder, pretrain) -> None:
    folder = run_folder(steps=500, save_every=1000)
    with pretrain(folder) as process:
        wait_for(partial(reached, folder, 1), process)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 130 and "Stopped and saved." in said
    status = status_of(folder)
    assert status["state"] == "stopped" and status["pid"] == process.pid and status["steps"] == 500
    (saved,) = (folder / "checkpoints").iterdir()
    assert saved.name == f"step-{status['step']:08d}"
    assert (folder / "weights.safetensors").is_file()
    assert list((folder / "tensorboard").iterdir())


def test_a_file_stops_it_too(run_folder) -> None:
    """In this process: whoever cannot send signals puts a file there."""
    folder = run_folder(steps=500)
    (folder / "stop").touch()  # left behind: it does not stop the next run
    place = RunFolder(folder)

    from skysense.jobs import pretrain
    from skysense.jobs.report import SilentReport

    class StopsLater(SilentReport):
        def progress(self, *arguments: object, **more: object) -> None:
            (folder / "stop").touch()

    assert pretrain.run(folder, "cpu", StopsLater()) == "stopped"
    assert status_of(folder)["step"] in (1, 2) and place.stop_asked()
    assert status_of(folder)["seconds_left"] > 0


def test_two_processes_give_what_one_gives(learn, run_folder, pretrain) -> None:
    """On the same global batches: loss and prototypes to 1e-5, and one process reads what two have saved."""
    whole = learn(steps=3)
    losses = [moment.loss for moment in whole.steps()]
    folder = run_folder(steps=3)
    with pretrain(folder, ranks=2) as process:
        process.wait()
        assert process.stderr is not None
        assert process.returncode == 0, process.stderr.read()
    assert [line["loss"] for line in log_of(folder)] == pytest.approx(losses, rel=1e-5)
    found, wanted = state_of(learn, folder, steps=3), whole.state()
    bank = "student.encoder.geo_context.bank"
    assert torch.allclose(found[bank], wanted[bank], atol=1e-5)
    assert not torch.equal(wanted[bank], learn().state()[bank])
    assert all(torch.allclose(tensor, wanted[name], atol=1e-4) for name, tensor in found.items() if "adam" not in name)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--shards", "SHARDS", "--preset", "giant"], "no size 'giant'"),
        (["--shards", "SHARDS", "--contrast", "hope"], "no contrast 'hope'"),
        (["--shards", "SHARDS", "--start", "nothing.safetensors"], "There is no file"),
        (["--shards", "SHARDS", "--preset", "tiny", "--start", "bundled"], "No weights of tiny"),
        (["--shards", "SHARDS", "--keep", "1"], "has nothing to keep"),
        (["--shards", "SHARDS", "--learning-rate", "-1"], "makes no sense"),
        (["--shards", "SHARDS", "--momentum", "1.5"], "A momentum of 1.5 makes no sense"),
        (["--shards", "SHARDS", "--batch", "3", "--accumulate", "2"], "cannot be split"),
        (["--shards", "/nowhere"], "manifest.json"),
        ([], "There is no run in run"),
    ],
)
def test_what_makes_no_sense_is_said(shards: Path, tmp_path: Path, capsys, arguments: list[str], said: str) -> None:
    given = [str(shards) if argument == "SHARDS" else argument for argument in arguments]
    assert main(["pretrain", str(tmp_path / "run"), *given]) == 2
    assert said in capsys.readouterr().err


def test_other_shards_are_noticed(run_folder, capsys) -> None:
    folder = run_folder()
    plain = json.loads((folder / "settings.json").read_text())
    plain["shards_digest"] = "sha256:0"
    (folder / "settings.json").write_text(json.dumps(plain))
    assert main(["pretrain", str(folder)]) == 2
    assert "not those that the run began with" in capsys.readouterr().err
    assert status_of(folder)["state"] == "failed" and "not those" in status_of(folder)["sentence"]


def test_a_training_server_needs_no_gdal() -> None:
    """Nor what reads vectors and pictures: a machine with PyTorch, timm, safetensors and TensorBoard trains from shards."""
    script = (
        "import sys\n"
        "for name in ('rasterio', 'pyogrio', 'shapely', 'cv2', 'skimage', 'maxflow'): sys.modules[name] = None\n"
        "import skysense.cli, skysense.jobs.pretrain, skysense.jobs.bar\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
