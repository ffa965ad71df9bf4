"""Bytes over bandwidths, on paper, and beside what dispatch.py counts for real routing."""

import pytest
import torch

from minids import accounting
from minids.model.routing import route, sigmoid_scores
from minids.presets import preset
from minids.systems.alltoall import (
    Reach,
    exchange,
    layer_flops,
    reach,
)
from minids.systems.dispatch import (
    devices_visited,
    expected_destinations,
    free_experts,
    in_order,
    traffic,
)


def test_v3s_token_costs_what_one_can_multiply_on_paper():
    cost = exchange(7168)
    assert cost.out_ib == pytest.approx(3.5 * 7168 * (1 + 4 / 128) / 50e9)
    assert cost.back_ib == pytest.approx(3.5 * 7168 * 2 / 50e9)
    assert cost.back_nvlink == pytest.approx(7 * 7168 * 2 / 160e9)
    assert cost.total == pytest.approx(1.52e-6, rel=1e-3)


def test_both_links_overlap_so_the_slower_one_counts():
    cost = exchange(100, Reach(1, 10), out_bytes=1, back_bytes=2, ib=10, nvlink=20)
    assert (cost.out_ib, cost.out_nvlink) == (10, 50)
    assert (cost.out, cost.back, cost.total) == (50, 100, 150)


def test_the_floor_is_what_dispatch_counts_for_random_routing():
    g = torch.Generator().manual_seed(0)
    scores = sigmoid_scores(torch.randn(4096, 256, generator=g))
    routing = route(scores, top_k=8, n_groups=8, kept_groups=4, group_best=2)
    counted = traffic(devices_visited(routing, in_order(256, n_devices=64, n_nodes=8)), 8, dim=7168)
    assert counted.ib_vectors / 4096 == pytest.approx(reach().nodes, rel=0.03)
    handed = counted.nvlink_vectors / 4096
    assert 0.9 * reach().handed_on < handed < reach().handed_on  # some share a GPU
    seconds = counted.seconds(64) * 64 / 4096
    assert seconds == pytest.approx(exchange(7168).total, rel=0.03)


def test_thirteen_experts_cost_no_more_than_eight():
    """The report's 4 nodes x 3.2: up to 12.8 experts NVLink is not the slower link."""
    eight = exchange(7168, Reach(4, 8))
    assert exchange(7168, Reach(4, free_experts())).total == pytest.approx(eight.total)
    assert exchange(7168, Reach(4, 14)).total > eight.total


def test_without_the_limit_a_token_travels_a_third_further_by_chance_and_twice_at_worst():
    chance = expected_destinations(256, 8, 8)
    assert exchange(7168, reach(kept_nodes=chance)).total == pytest.approx(
        chance / 4 * exchange(7168).total
    )
    assert exchange(7168, reach(kept_nodes=8)).total == 2 * exchange(7168).total


def test_one_more_layer_costs_its_matrices_and_two_products_of_attention():
    v3 = preset("deepseek-v3")
    p = accounting.parameters(v3)
    matrices = p.attention / 61 + p.router / 58 + p.shared / 58 + p.routed * 8 / 256 / 58
    assert layer_flops(v3, 0) == pytest.approx(2 * matrices)
    assert layer_flops(v3, 2048) - layer_flops(v3, 0) == 2 * 128 * (192 + 128) * 2048
    assert layer_flops(v3) == layer_flops(v3, 4096 / 2)  # the mean of a sequence


def test_a_token_stays_at_home_as_often_as_chance_has_it():
    assert reach(6, kept_nodes=3, n_nodes=4, gpus_per_node=2) == Reach(3 * 3 / 4, 6 / 2)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="kept_nodes=9 lies between 1 and n_nodes=8"):
        reach(kept_nodes=9)
    for wrong in ({"top_k": 0}, {"gpus_per_node": 0}):
        with pytest.raises(ValueError, match="are 1 or more"):
            reach(**wrong)
    for name in ("dim", "out_bytes", "back_bytes", "ib", "nvlink"):
        with pytest.raises(ValueError, match=f"positive.*{name}=0"):
            exchange(**{"dim": 8, name: 0})
    with pytest.raises(ValueError, match="has no experts"):
        layer_flops(preset("deepseek-llm-7b"))
