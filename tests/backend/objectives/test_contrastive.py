from __future__ import annotations

import math

import torch

from skysense.objectives.contrastive import balanced, centred, distillation, info_nce, move_centre


def logits(rows: int = 6, columns: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_distillation_is_the_plain_cross_entropy() -> None:
    student, teacher = logits(), torch.softmax(logits(seed=1), dim=1)
    expected = 0.0
    for s, t in zip(student, teacher):
        scaled = (s / 0.1).tolist()
        log_sum = math.log(sum(math.exp(value) for value in scaled))
        expected -= sum(float(p) * (value - log_sum) for p, value in zip(t, scaled)) / len(student)
    assert torch.isclose(distillation(student, teacher), torch.tensor(expected, dtype=torch.float64))


def test_distillation_is_least_where_the_student_says_what_the_teacher_says() -> None:
    teacher = torch.softmax(logits(), dim=1)
    same = 0.1 * teacher.log()
    entropy = -(teacher * teacher.log()).sum(dim=1).mean()
    assert torch.isclose(distillation(same, teacher), entropy)
    assert distillation(same + 0.05 * logits(seed=2), teacher) > entropy


def test_the_teacher_gets_no_gradient() -> None:
    teacher = logits().requires_grad_()
    student = logits(seed=1).requires_grad_()
    distillation(student, centred(teacher, torch.zeros(5, dtype=torch.float64))).backward()
    assert teacher.grad is None and student.grad is not None


def test_gradients_are_right() -> None:
    teacher = torch.softmax(logits(), dim=1)
    assert torch.autograd.gradcheck(lambda s: distillation(s, teacher), (logits(seed=3).requires_grad_(),))
    assert torch.autograd.gradcheck(info_nce, (logits(seed=4).requires_grad_(), logits(seed=5).requires_grad_()))


def test_the_running_mean_keeps_one_output_from_winning() -> None:
    teacher, centre = logits() + torch.tensor([5.0, 0, 0, 0, 0]), torch.zeros(5, dtype=torch.float64)
    before = teacher.mean(dim=0)
    move_centre(centre, teacher, momentum=0.75)
    assert torch.allclose(centre, 0.25 * before)
    for _ in range(200):
        move_centre(centre, teacher)
    assert centred(teacher, centre).mean(dim=0)[0] < 0.5 < centred(teacher, torch.zeros_like(centre)).mean(dim=0)[0]


def test_balanced_probabilities_use_every_output_alike() -> None:
    found = balanced(logits(100, 5) + torch.tensor([5.0, 0, 0, 0, 0]), temperature=0.5, iterations=200)
    assert torch.allclose(found.sum(dim=1), torch.ones(100, dtype=torch.float64))
    assert (found.mean(dim=0) * 5 - 1).abs().max() < 1e-5


def test_info_nce_is_the_share_of_the_own_key() -> None:
    q, k = logits(4, 3), logits(4, 3, seed=1)
    unit = [[v / v.norm() for v in x] for x in (q, k)]
    expected = 0.0
    for n in range(4):
        weights = [math.exp(float(unit[0][n] @ key) / 0.1) for key in unit[1]]
        expected -= math.log(weights[n] / sum(weights)) / 4
    assert torch.isclose(info_nce(q, k), torch.tensor(expected, dtype=torch.float64))
    eye = torch.eye(4, dtype=torch.float64)
    assert torch.isclose(info_nce(eye, eye), torch.tensor(math.log(1 + 3 * math.exp(-10)), dtype=torch.float64))


def test_order_of_the_pairs_changes_nothing() -> None:
    order = torch.tensor([3, 1, 0, 2, 5, 4])
    q, k, t = logits(), logits(seed=1), torch.softmax(logits(seed=2), dim=1)
    assert torch.isclose(info_nce(q[order], k[order]), info_nce(q, k))
    assert torch.isclose(distillation(q[order], t[order]), distillation(q, t))


def test_ranks_of_different_sizes_give_the_mean_over_all_pairs(in_ranks) -> None:
    q, t = logits(), torch.softmax(logits(seed=2), dim=1)
    parts = [(q[:2], t[:2]), (q[2:], t[2:])]
    found = in_ranks(parts, lambda part, gather: distillation(*part, gather=gather))
    assert torch.isclose(torch.stack(found).mean(), distillation(q, t))
    keys = logits(seed=1)
    parts = [(0, q[:3], keys[:3]), (1, q[3:], keys[3:])]
    found = in_ranks(parts, lambda part, gather: info_nce(part[1], part[2], gather=gather, rank=part[0]))
    assert torch.isclose(torch.stack(found).mean(), info_nce(q, keys))
