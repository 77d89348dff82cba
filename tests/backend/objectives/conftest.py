"""What several tests of the losses compare with."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch


def run_in_ranks(parts: list, run) -> list:
    """Each rank in a thread of its own, meeting where they gather, as processes would."""
    barrier, slots = threading.Barrier(len(parts)), [None] * len(parts)
    results = [None] * len(parts)

    def rank(index: int) -> None:
        def gather(x: torch.Tensor) -> torch.Tensor:
            slots[index] = x
            barrier.wait()
            together = torch.stack(list(slots))
            barrier.wait()
            return together

        results[index] = run(parts[index], gather)

    threads = [threading.Thread(target=rank, args=(index,)) for index in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def plain_sinkhorn(m: torch.Tensor, epsilon: float, iterations: int) -> torch.Tensor:
    """The same without logarithms."""
    q = torch.exp(m / epsilon)
    for _ in range(iterations):
        q = q / q.sum(dim=0, keepdim=True) / q.shape[1]
        q = q / q.sum(dim=1, keepdim=True) / q.shape[0]
    return q


@pytest.fixture
def in_ranks() -> Callable[..., list]:
    return run_in_ranks


@pytest.fixture
def plain() -> Callable[..., torch.Tensor]:
    return plain_sinkhorn
