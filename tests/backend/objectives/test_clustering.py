from __future__ import annotations

import torch

from skysense.objectives.clustering import cluster, means, sinkhorn


def similarity(rows: int = 40, columns: int = 6) -> torch.Tensor:
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1


def test_equals_the_plain_formula(plain) -> None:
    m = similarity()
    assert torch.allclose(sinkhorn(m, 0.05, 3), plain(m, 0.05, 3), atol=1e-12)


def test_marginals_are_uniform() -> None:
    plan = sinkhorn(similarity(), 0.05, 500)
    assert (plan.sum(dim=1) * 40 - 1).abs().max() < 1e-5
    assert (plan.sum(dim=0) * 6 - 1).abs().max() < 1e-5


def test_a_small_epsilon_does_not_overflow() -> None:
    assert torch.isfinite(sinkhorn(similarity().float(), 1e-3)).all()


def test_the_number_of_ranks_changes_nothing(in_ranks) -> None:
    m = similarity()
    whole = sinkhorn(m)
    for sizes in ([20, 20], [1, 39], [0, 40], [10, 10, 20]):
        parts = in_ranks(list(m.split(sizes)), lambda part, gather: sinkhorn(part, gather=gather))
        assert torch.allclose(torch.cat(parts), whole, atol=1e-12)


def test_order_of_the_features_changes_nothing() -> None:
    m, order = similarity(), torch.randperm(40, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(sinkhorn(m[order]), sinkhorn(m)[order], atol=1e-12)


def test_means_are_not_shrunk() -> None:
    features = torch.ones(40, 3, dtype=torch.float64)
    assert torch.allclose(means(sinkhorn(similarity()), features), torch.ones(6, 3, dtype=torch.float64))


def test_clusters_part_two_groups() -> None:
    g = torch.Generator().manual_seed(0)
    features = torch.cat([torch.tensor([[1.0, 0.0]]).repeat(20, 1), torch.tensor([[0.0, 1.0]]).repeat(20, 1)])
    features += 0.05 * torch.randn(40, 2, generator=g)
    assigned = cluster(features, 2).argmax(dim=1)
    assert len(set(assigned[:20].tolist())) == 1 and len(set(assigned[20:].tolist())) == 1 and assigned[0] != assigned[39]
