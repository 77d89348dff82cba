from __future__ import annotations

from pathlib import Path

import pytest
import torch

from skysense.models.catalog import bundled_weights
from skysense.training.distributed import Ranks
from skysense.training.pretraining.batches import Steps
from skysense.training.pretraining.objective import Objective, Place, keep
from skysense.training.shards import ShardSet


@pytest.fixture
def batches(learn, shards: Path) -> dict[tuple[str, ...], object]:
    """One batch of each kind of sample."""
    steps = Steps(ShardSet([shards]), learn().settings, Ranks())
    return {batch.large.scenes.sensors: batch for number in range(5) for batch in steps[number]}


def losses(run, batch, **changed):
    objective = Objective(run.settings.__class__(**{**vars(run.settings), **changed}), Ranks(), run._centres)
    return objective(run.student, run.teacher, run._start, batch)


def test_the_parts_add_up_with_their_weights(learn, batches) -> None:
    run = learn()
    found = losses(run, batches["hr", "s2", "s1"], alpha=0.7, beta=0.3)
    assert set(found.parts) == {"hr", "s2", "s1", "fused", "align"}
    sensors = sum(found.parts[name] for name in ("hr", "s2", "s1", "fused"))
    assert torch.isclose(found.total, 0.7 * sensors + 0.3 * found.parts["align"])
    assert set(losses(run, batches[("hr",)]).parts) == {"hr", "fused"}


@pytest.mark.parametrize("contrast", ["sinkhorn", "centring", "info-nce"])
def test_gradients_reach_the_student_alone(learn, batches, contrast: str) -> None:
    run = learn()
    losses(run, batches["s2", "s1"], contrast=contrast).total.backward()
    got = {name for name, p in run.student.named_parameters() if p.grad is not None and p.grad.any()}
    assert any(name.startswith("encoder.s2_encoder.blocks") for name in got)
    assert any(name.startswith("heads.fused") for name in got)
    assert not any("hr" in name for name in got)
    assert all(p.grad is None for p in run.teacher.parameters())
    assert not run.student.encoder.geo_context.bank.requires_grad


def test_centres_follow_the_teacher_once_a_step(learn, batches) -> None:
    run = learn(contrast="centring")
    run._objective(run.student, run.teacher, None, batches["s2", "s1"])
    assert not any(centre.any() for centre in run._centres.values())
    run._objective.move_centres()
    assert {name for name, centre in run._centres.items() if centre.any()} == {"s2", "s1", "fused"}


def test_keeping_is_free_where_nothing_changed(learn, batches) -> None:
    run = learn(start=str(bundled_weights("skysense-nano")), keep=2.0)
    batch = batches["hr", "s2", "s1"]
    found = losses(run, batch)
    assert found.parts["keep"].detach() == pytest.approx(0, abs=1e-5)
    with torch.no_grad():
        for parameter in run.student.encoder.hr_encoder.stages.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    changed = run.student.encoder.features(batch.large.scenes)
    assert keep(changed, run._start.features(batch.large.scenes)) > 0.01


def test_two_views_meet_on_the_same_ground() -> None:
    """Cells that are not seen in one view are not seen on the shared ground, after its flip is undone."""
    place = Place(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[True, False]]))
    seen = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    seen[..., :2, :] = False  # of the flipped view: the bottom quarter of the ground
    overlap = torch.tensor([[0.5, 0.0, 1.0, 0.5]])
    found = place.sees(overlap, seen, 4)[0, 0]
    assert torch.equal(found.all(dim=1), torch.tensor([True, True, False, False]))
