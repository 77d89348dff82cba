"""L_CL, the contrastive loss between student and teacher that SkySense's losses are made of.

The paper (arXiv 2312.10115) says positives only, its formulas write InfoNCE; both are here. Default: self-distillation as
in DINO (Caron et al., ICCV 2021) with a teacher that is centred by a running mean or by Sinkhorn-Knopp (DINOv2).

Legend: N pairs, K outputs of a projection head, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from skysense.objectives.clustering import Gather, alone, mean_over_ranks, sinkhorn

STUDENT_TEMPERATURE, TEACHER_TEMPERATURE = 0.1, 0.04
CENTRE_MOMENTUM = 0.9
INFO_NCE_TEMPERATURE = 0.1


def distillation(
    student: Tensor, teacher: Tensor, temperature: float = STUDENT_TEMPERATURE, gather: Gather = alone
) -> Tensor:
    """Cross-entropy of the student's outputs under the teacher's probabilities, mean over pairs of all ranks.

    Args:
        student: (N, K) logits.
        teacher: (N, K) probabilities, of `centred` or `balanced`; no gradient passes.
        temperature: of the student.
        gather: brings the ranks together.
    """
    return mean_over_ranks(-(teacher.detach() * F.log_softmax(student / temperature, dim=1)).sum(dim=1), gather)


def centred(logits: Tensor, centre: Tensor, temperature: float = TEACHER_TEMPERATURE) -> Tensor:
    """The teacher's probabilities (N, K), its running mean `centre` (K) taken off and sharpened."""
    return torch.softmax((logits - centre) / temperature, dim=1)


@torch.no_grad()
def move_centre(centre: Tensor, logits: Tensor, momentum: float = CENTRE_MOMENTUM, gather: Gather = alone) -> None:
    """centre <- m centre + (1 - m) mean of the teacher's logits over all ranks, in place."""
    total = gather(logits.sum(dim=0)).sum(dim=0)
    count = gather(logits.new_tensor(float(len(logits)))).sum()
    centre.mul_(momentum).add_(total / count, alpha=1 - momentum)


@torch.no_grad()
def balanced(
    logits: Tensor, temperature: float = TEACHER_TEMPERATURE, iterations: int = 3, gather: Gather = alone
) -> Tensor:
    """The teacher's probabilities (N, K) with every output used as often as any other (Sinkhorn-Knopp)."""
    plan = sinkhorn(logits, temperature, iterations, gather)
    return plan / plan.sum(dim=1, keepdim=True)


def info_nce(
    queries: Tensor,
    keys: Tensor,
    temperature: float = INFO_NCE_TEMPERATURE,
    gather: Gather = alone,
    rank: int = 0,
) -> Tensor:
    """-log of the share that the own key has among all ranks' keys: query n (N, D) belongs to key n (N, D).

    Every rank brings the same N; gradients pass through `gather`.
    """
    every = gather(F.normalize(keys, dim=1)).flatten(0, 1)  # (ranks * N, D)
    logits = F.normalize(queries, dim=1) @ every.T / temperature
    own = torch.arange(len(queries), device=queries.device) + rank * len(queries)
    return F.cross_entropy(logits, own)
