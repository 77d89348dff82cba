from __future__ import annotations

from pathlib import Path

import pytest
import torch

from skysense.errors import ModelError
from skysense.training.distributed import Ranks
from skysense.training.pretraining.kept import Checkpoints


def state(value: float) -> dict[str, torch.Tensor]:
    return {"a": torch.full((3, 2), value), "b": torch.tensor(int(value)), "c": torch.tensor([value > 1])}


def test_the_newest_whole_state_comes_back(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, Ranks())
    assert kept.load(state(0)) == 0
    for step in (2, 4, 6):
        kept.save(step, state(step))
    kept.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000004", "step-00000006"]
    (tmp_path / "step-00000008.part").mkdir()  # of a process that was killed
    found = state(0)
    assert Checkpoints(tmp_path, Ranks()).load(found) == 6
    assert all(torch.equal(found[name], tensor) for name, tensor in state(6).items())
    kept.save(8, state(8))
    kept.wait()
    assert Checkpoints(tmp_path, Ranks()).load(found) == 8 and not list(tmp_path.glob("*.part"))


def test_what_is_saved_is_the_state_of_that_moment(tmp_path: Path) -> None:
    kept, live = Checkpoints(tmp_path, Ranks()), state(3)
    kept.save(1, live)
    for tensor in live.values():
        tensor.zero_()  # training goes on
    kept.wait()
    kept.load(live)
    assert torch.equal(live["a"], state(3)["a"])


def test_nothing_of_it_is_pickled(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, Ranks())
    kept.save(1, state(1))
    kept.wait()
    assert {path.suffix for path in (tmp_path / "step-00000001").iterdir()} == {".safetensors"}


@pytest.mark.parametrize("spoil", ["shape", "name", "cut"])
def test_a_state_of_something_else_is_refused(tmp_path: Path, spoil: str) -> None:
    kept, wanted = Checkpoints(tmp_path, Ranks()), state(1)
    kept.save(1, wanted)
    kept.wait()
    if spoil == "shape":
        wanted["a"] = torch.zeros(3, 3)
    elif spoil == "name":
        wanted["d"] = torch.zeros(3)
    else:
        (file,) = (tmp_path / "step-00000001").iterdir()
        file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ModelError, match="step-00000001 cannot be read") as error:
        kept.load(wanted)
    assert "goes on from an earlier one" in error.value.remedy
