"""What the released numbers (`tests/backend/parity`) leave open: minima, gradients, empty cases."""

from __future__ import annotations

import torch

from skysense.objectives.semantic import annotation_loss, completion_loss, vocabulary_similarity


def test_sure_and_right_costs_nothing_and_a_wrong_label_does() -> None:
    labels = torch.randint(0, 5, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    logits = 100 * torch.nn.functional.one_hot(labels, 5).permute(0, 3, 1, 2).float()
    hidden = torch.ones(2, 2, 2)
    for balance in (False, True):
        for everywhere in (False, True):
            assert annotation_loss(logits, labels, hidden, balance=balance, everywhere=everywhere) < 1e-6
            worse = annotation_loss(logits, (labels + 1) % 5, hidden, balance=balance, everywhere=everywhere)
            assert worse > 50


def test_what_is_not_hidden_counts_only_where_everything_does() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[:, :4] = 1
    logits = torch.zeros(1, 3, 8, 8, requires_grad=True)
    hidden = torch.tensor([[[0, 0], [1, 1]]])
    annotation_loss(logits, labels, hidden, everywhere=False).backward()
    assert logits.grad[:, :, :4].abs().max() == 0 and logits.grad[:, :, 4:].abs().max() > 0


def test_collapsed_vocabulary_is_the_worst() -> None:
    assert vocabulary_similarity(torch.ones(5, 4)) == 2
    assert vocabulary_similarity(torch.eye(4)) == 1


def test_an_absent_sensor_costs_nothing() -> None:
    features = [torch.zeros(2, 3, 4, 4)] * 3
    decoded = [torch.ones(2, 3, 4, 4)] * 3
    zero = torch.zeros(())
    assert completion_loss(features, decoded, torch.zeros(2, 3, dtype=torch.bool), zero) == 0
    assert completion_loss(features, features, torch.ones(2, 3, dtype=torch.bool), zero) == 0
    assert torch.isclose(completion_loss(features, decoded, torch.tensor([[True, False, False]] * 2), zero), torch.tensor(1 / 3))
