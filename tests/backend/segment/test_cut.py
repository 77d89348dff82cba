from __future__ import annotations

import itertools

import numpy as np

from skysense.segment import cut, graph, superpixels


def cost(regions: graph.RegionGraph, z: np.ndarray, chosen: np.ndarray) -> float:
    weight = np.sqrt(regions.nodes.area) / regions.step
    apart = chosen[regions.first] != chosen[regions.second]
    unary = np.where(chosen, np.maximum(-z, 0), np.maximum(z, 0)) * weight
    return unary.sum() + cut.SMOOTHNESS * regions.cut[apart].sum() / regions.step


def test_no_other_choice_is_cheaper():
    rng = np.random.default_rng(3)
    regions = graph.build(superpixels.build(rng.integers(0, 255, (16, 24, 3), dtype=np.uint8), 6), 6)
    count = len(regions.nodes.area)
    for _ in range(5):
        z = rng.normal(0, 2, count)
        found = cost(regions, z, cut.minimum_cut(regions, z, [], []))
        choices = (np.array(c) for c in itertools.product((False, True), repeat=count))
        assert np.isclose(found, min(cost(regions, z, chosen) for chosen in choices), atol=1e-4)


def test_clicked_nodes_obey_whatever_the_scores_say(roofs):
    regions = graph.build(superpixels.build(roofs[0], 9), 9)
    chosen = cut.minimum_cut(regions, np.full(len(regions.nodes.area), -7.0), [5], [6])
    assert chosen[5] and not chosen[6] and chosen.sum() == 1
