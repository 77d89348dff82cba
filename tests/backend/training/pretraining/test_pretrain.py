"""The loop in this process: what learns, what follows, what never gets a gradient."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from skysense.errors import ModelError
from skysense.models.added import read_added
from skysense.models.catalog import bundled_weights, load_encoder
from skysense.training.distributed import Ranks
from skysense.training.pretraining.kept import Checkpoints


def copied(run) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in run.state().items()}


def test_one_step_moves_each_part_as_it_should(learn) -> None:
    run = learn(steps=1, warmup_share=0.0, start=str(bundled_weights("skysense-nano")))
    before = copied(run)
    (moment,) = run.steps()
    after = run.state()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moment.step == 1 and math.isfinite(moment.loss) and moment.flops > 1e8
    assert not any(".stem." in name for name in moved), "stems stay as they were given"
    assert {"student.encoder.fusion.projection.weight", "student.heads.fused.directions"} <= moved
    bank = "student.encoder.geo_context.bank"
    assert bank in moved and torch.equal(after[bank], after["teacher.encoder.geo_context.bank"])
    for name in ("encoder.fusion.projection.weight", "heads.fused.directions"):  # theta' <- m theta' + (1 - m) theta
        expected = moment.momentum * before[f"teacher.{name}"] + (1 - moment.momentum) * after[f"student.{name}"]
        assert torch.allclose(after[f"teacher.{name}"], expected, atol=1e-7)


def test_the_loss_falls(learn) -> None:
    moments = list(
        learn(steps=30, learning_rate=2e-3, teacher_momentum=0.99, start=str(bundled_weights("skysense-nano"))).steps()
    )
    hr = [moment.parts["hr"] for moment in moments if "hr" in moment.parts]
    assert sum(hr[-4:]) < 0.9 * sum(hr[:4])


def test_parts_of_a_batch_give_the_gradient_of_the_whole(learn) -> None:
    """With InfoNCE each part has its own negatives, with Sinkhorn its own balance: only centring is a sum over samples."""
    whole, parts = learn(steps=1, contrast="centring", beta=0.0), learn(steps=1, contrast="centring", beta=0.0, accumulate=2)
    for run in (whole, parts):
        list(run.steps())
    name = "adam.heads.fused.mlp.0.weight.exp_avg"
    assert torch.nn.functional.cosine_similarity(whole.state()[name].flatten(), parts.state()[name].flatten(), dim=0) > 0.98


@pytest.mark.parametrize("stopped", [1, 5])
def test_a_run_that_goes_on_is_the_run_that_never_stopped(learn, tmp_path: Path, stopped: int) -> None:
    """In the middle of an epoch of five steps and at its edge, bit for bit."""
    whole = learn()
    losses = [moment.loss for moment in whole.steps()]
    first = learn()
    for moment in first.steps():
        if moment.step == stopped:
            break
    kept = Checkpoints(tmp_path, Ranks())
    kept.save(first.step, first.state())
    kept.wait()
    second = learn()
    second.step = kept.load(second.state())
    assert [moment.loss for moment in second.steps()] == losses[stopped:]
    wanted = whole.state()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in second.state().items())


def test_activations_computed_again_give_the_same_step(learn) -> None:
    plain, again = learn(steps=1), learn(steps=1, save_memory=True)
    for run in (plain, again):
        list(run.steps())
    wanted = plain.state()
    assert all(torch.allclose(tensor, wanted[name], atol=1e-5) for name, tensor in again.state().items())


def test_a_step_in_bf16_runs(learn) -> None:
    (moment,) = learn(steps=1, precision="bf16").steps()
    assert math.isfinite(moment.loss)


def test_a_loss_that_is_no_number_stops_before_it_is_saved(learn) -> None:
    run = learn(learning_rate=1e30)
    with pytest.raises(ModelError, match="no number any more"):
        list(run.steps())


def test_collapse_is_seen(learn) -> None:
    run = learn(steps=12)
    moments, laterals = run.steps(), run.student.encoder.hr_neck.laterals
    with pytest.raises(ModelError, match="of hr became alike everywhere"):
        for moment in moments:
            if "hr" in moment.spread:  # from now on it says the same of every place
                torch.nn.init.zeros_(laterals[0].weight), torch.nn.init.zeros_(laterals[1].weight)
                torch.nn.init.ones_(laterals[0].bias)
                run._optimizer.param_groups[0]["params"], run._optimizer.param_groups[1]["params"] = [], []


def test_the_weights_are_an_encoder_for_every_job(learn, tmp_path: Path) -> None:
    from skysense.jobs.pretrain import _write_weights
    from skysense.training.pretraining.run_folder import RunFolder

    run = learn(steps=1)
    list(run.steps())
    place = RunFolder(tmp_path / "my run")
    place.create(run.settings, (), "sha256:0")
    _write_weights(place, run, "sha256:0", Ranks())
    encoder = load_encoder(str(place.weights))
    assert read_added(place.weights).label == "SkySense nano, my run"
    wanted = run.teacher.encoder.state_dict()
    assert torch.equal(encoder.state_dict()["fusion.projection.weight"], wanted["fusion.projection.weight"])
    assert load_encoder("skysense-nano", weights=place.weights).info.digest == encoder.info.digest
