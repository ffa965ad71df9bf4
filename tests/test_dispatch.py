"""Where tokens go, on paper and with DeepSeek's numbers."""

import pytest
import torch

from minids.model.routing import Routing, route, sigmoid_scores, softmax_scores
from minids.systems.dispatch import (
    BF16_BYTES,
    FP8_BYTES,
    Placement,
    Traffic,
    destinations,
    device_load,
    devices_visited,
    expected_destinations,
    free_experts,
    in_order,
    nodes_visited,
    pack,
    rebalance,
    replicate,
    traffic,
)


def logits(tokens: int, experts: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(tokens, experts, generator=torch.Generator().manual_seed(seed))


def choosing(*rows: list[int], n_experts: int) -> Routing:
    experts = torch.tensor(rows)
    return Routing(experts, torch.ones(experts.shape), torch.ones(len(rows), n_experts))


def test_tokens_visit_the_devices_of_their_experts():
    placement = in_order(8, n_devices=4, n_nodes=2)
    routing = choosing([0, 1], [0, 7], [2, 4], n_experts=8)
    visited = devices_visited(routing, placement)
    assert [row.nonzero().flatten().tolist() for row in visited] == [[0], [0, 3], [1, 2]]
    at_nodes = nodes_visited(visited, 2)
    assert [row.nonzero().flatten().tolist() for row in at_nodes] == [[0], [0, 1], [0, 1]]


def test_destinations_are_counted():
    visited = devices_visited(
        choosing([0, 1], [0, 7], [2, 4], n_experts=8), in_order(8, n_devices=4, n_nodes=2)
    )
    torch.testing.assert_close(destinations(visited), torch.tensor([0, 1, 2, 0, 0]) / 3)


def test_node_limited_routing_bounds_v3s_destinations_at_four():
    scores, placement = sigmoid_scores(logits(2000, 256)), in_order(256, n_devices=64, n_nodes=8)
    free = route(scores, top_k=8)
    limited = route(scores, top_k=8, n_groups=8, kept_groups=4, group_best=2)
    shares = [
        destinations(nodes_visited(devices_visited(r, placement), 8)) for r in (free, limited)
    ]
    assert shares[0][5:].sum() > 0.5
    assert shares[1][5:].sum() == 0
    assert shares[1][4] > 0.5


def test_device_limited_routing_bounds_v2s_destinations_at_three():
    scores, placement = softmax_scores(logits(2000, 160)), in_order(160, n_devices=8, n_nodes=1)
    limited = route(scores, top_k=6, n_groups=8, kept_groups=3)
    share = destinations(devices_visited(limited, placement))
    assert share[4:].sum() == 0
    assert share[3] > 0.5


def test_chance_alone_visits_as_many_nodes_as_the_formula_says():
    placement = in_order(256, n_devices=64, n_nodes=8)
    visited = devices_visited(route(sigmoid_scores(logits(20_000, 256)), top_k=8), placement)
    expected = expected_destinations(256, 8, 8)
    assert expected == pytest.approx(5.2947, abs=1e-4)
    assert nodes_visited(visited, 8).sum(-1).float().mean().item() == pytest.approx(
        expected, rel=0.01
    )
    assert expected_destinations(8, 8, 3) == pytest.approx(3)  # one expert a place
    assert expected_destinations(8, 1, 3) == 1


def test_a_token_crosses_infiniband_once_for_a_node_and_nvlink_inside():
    # Two nodes of two devices, one expert on each; every token starts on device 0.
    placement = in_order(4, n_devices=4, n_nodes=2)
    home = torch.zeros(1, dtype=torch.long)

    def crossings(*experts: int) -> tuple[int, int]:
        visited = devices_visited(choosing(list(experts), n_experts=4), placement)
        return traffic(visited, 2, dim=100, home=home)[:2]

    assert crossings(0) == (0, 0)  # at home
    assert crossings(1) == (0, 1)  # the neighbour
    assert crossings(2) == (1, 0)  # the device of the same number in the other node
    assert crossings(3) == (1, 1)  # lands on device 2, is handed on to 3
    assert crossings(2, 3) == (1, 1)  # two experts there, one crossing
    assert crossings(0, 1, 2, 3) == (1, 2)


def test_bytes_are_fp8_out_and_bf16_back():
    visited = devices_visited(choosing([3], n_experts=4), in_order(4, n_devices=4, n_nodes=2))
    there_and_back = traffic(visited, 2, dim=7168, home=torch.tensor([0]))
    assert FP8_BYTES * 128 == 128 + 4
    assert there_and_back.ib_bytes == 7168 * (FP8_BYTES + BF16_BYTES)
    assert there_and_back.nvlink_bytes == there_and_back.ib_bytes
    everywhere = torch.ones(1, 4, dtype=torch.bool)
    ib, nvlink = traffic(everywhere, 2, dim=7168, home=torch.tensor([0]))[2:]
    assert (ib, nvlink) == (there_and_back.ib_bytes, 2 * there_and_back.ib_bytes)
    assert there_and_back.seconds(1) == pytest.approx(there_and_back.ib_bytes / 50e9)
    assert there_and_back.seconds(4) == pytest.approx(there_and_back.seconds(1) / 4)


def test_limiting_nodes_saves_infiniband():
    scores, placement = sigmoid_scores(logits(2000, 256)), in_order(256, n_devices=64, n_nodes=8)
    free, limited = (
        traffic(
            devices_visited(route(scores, top_k=8, n_groups=8, kept_groups=kept), placement),
            8,
            dim=7168,
        )
        for kept in (8, 4)
    )
    assert limited.ib_vectors / free.ib_vectors == pytest.approx(4 / 5.29, rel=0.02)
    assert limited.seconds(64) < free.seconds(64)


def test_tokens_start_evenly_spread_unless_told_otherwise():
    placement = in_order(4, n_devices=4, n_nodes=2)
    visited = devices_visited(choosing([0], [0], [1], [1], [2], [2], [3], n_experts=4), placement)
    assert traffic(visited, 2, dim=1)[:2] == (0, 0)  # every token is at home


def test_nvlink_could_serve_thirteen_experts_at_the_price_of_eight():
    assert free_experts() == pytest.approx(4 * 3.2)
    assert round(free_experts()) == 13
    assert free_experts(kept_nodes=1) == pytest.approx(3.2)
    assert free_experts(ib=10, nvlink=25) == 10


def test_eplbs_worked_example():
    # README of deepseek-ai/EPLB: 12 experts of two layers, 4 copies more, 2 nodes of 4 GPUs.
    layers = [
        [90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86],
        [20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27],
    ]
    expected = [
        [5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1],
        [7, 10, 6, 8, 6, 11, 8, 9, 2, 4, 5, 1, 5, 0, 3, 1],
    ]
    for load, slots in zip(layers, expected, strict=True):
        placement = rebalance(load, n_slots=16, n_groups=4, n_nodes=2, n_devices=8)
        assert placement.hosted.shape == (8, 2)
        assert placement.hosted.flatten().tolist() == slots


def test_a_copy_goes_to_the_busiest_expert():
    assert replicate([5.0, 1.0, 9.0], 5) == [0, 1, 2, 2, 0]  # 9, then 5 against 4.5
    assert replicate([1.0, 1.0], 2) == [0, 1]


def test_packs_hold_equally_many_items_and_nearly_equal_weights():
    weights = [8.0, 7.0, 6.0, 5.0, 4.0, 3.0]
    packs = pack(weights, 3)
    assert packs == [[0, 5], [1, 4], [2, 3]]
    assert {sum(weights[i] for i in p) for p in packs} == {11.0}


def test_v3_serves_288_slots_from_32_gpus():
    # V3-P 3.4.1: prefilling, 4 nodes of 8 GPUs, 32 redundant experts, so 9 experts on a GPU.
    load = softmax_scores(logits(1, 256))[0]
    placement = rebalance(load.tolist(), n_slots=288, n_groups=8, n_nodes=4, n_devices=32)
    assert placement.hosted.shape == (32, 9)
    assert placement.copies.sum() == 288
    assert placement.copies.min() == 1
    before = device_load(load, in_order(256, n_devices=32, n_nodes=4))
    after = device_load(load, placement)
    torch.testing.assert_close(after.sum(), torch.tensor(1.0))
    assert before.max() * 32 > 2.0
    assert after.max() * 32 < 1.25


def test_the_experts_of_a_group_stay_on_a_node():
    placement = rebalance(
        logits(1, 32)[0].exp().tolist(), n_slots=40, n_groups=8, n_nodes=4, n_devices=8
    )
    node_of = {}
    for device, experts in enumerate(placement.hosted.tolist()):
        for expert in experts:
            node_of.setdefault(expert // 4, set()).add(device // 2)
    assert all(len(nodes) == 1 for nodes in node_of.values())


def test_groups_that_nodes_cannot_hold_whole_are_ignored():
    load = logits(1, 12)[0].exp().tolist()
    whole = rebalance(load, n_slots=16, n_groups=5, n_nodes=2, n_devices=8)
    alone = rebalance(load, n_slots=16, n_groups=1, n_nodes=1, n_devices=8)
    assert torch.equal(whole.hosted, alone.hosted)
    assert whole.n_nodes == 2


def test_tokens_take_turns_at_the_copies_of_an_expert():
    placement = Placement(hosted=torch.tensor([[0, 1], [0, 2]]), n_nodes=1)
    visited = devices_visited(choosing([0], [0], [0], [1], [2], n_experts=3), placement)
    assert visited.int().tolist() == [[1, 0], [0, 1], [1, 0], [1, 0], [0, 1]]


def test_turns_count_the_tokens_of_an_expert_and_not_of_the_batch():
    placement = Placement(hosted=torch.tensor([[0, 1], [0, 2]]), n_nodes=1)
    rows = [[0], [1]] * 10  # every second token chooses the expert that has two copies
    visited = devices_visited(choosing(*rows, n_experts=3), placement)
    assert visited[::2].sum(0).tolist() == [5, 5]
    two = choosing([0, 1], [1, 0], [0, 2], [2, 0], n_experts=3)
    assert devices_visited(two, placement).int().tolist() == [[1, 0], [1, 1], [1, 1], [0, 1]]


def test_a_load_is_shared_by_the_copies():
    placement = Placement(hosted=torch.tensor([[0, 1], [0, 2]]), n_nodes=1)
    torch.testing.assert_close(
        device_load(torch.tensor([0.6, 0.3, 0.1]), placement), torch.tensor([0.6, 0.4])
    )


def test_what_cannot_be_placed_is_refused():
    with pytest.raises(ValueError, match="10 experts do not split over n_devices=4"):
        in_order(10, n_devices=4, n_nodes=2)
    with pytest.raises(ValueError, match="do not split into n_nodes=3"):
        in_order(8, n_devices=4, n_nodes=3)
    with pytest.raises(ValueError, match="n_slots=10 must be at least 12 experts"):
        rebalance([1.0] * 12, n_slots=10, n_groups=4, n_nodes=2, n_devices=2)
    for slots, groups, nodes, devices in ((13, 4, 2, 2), (12, 4, 2, 3), (12, 5, 1, 2)):
        with pytest.raises(ValueError, match=f"a multiple of n_devices={devices}, n_devices one"):
            rebalance([1.0] * 12, n_slots=slots, n_groups=groups, n_nodes=nodes, n_devices=devices)
    for expert, hosted in ((5, [0, 1]), (2, [0, 1]), (1, [0, 2])):
        with pytest.raises(ValueError, match="hosted nowhere"):
            devices_visited(
                choosing([expert], n_experts=6), Placement(hosted=torch.tensor([hosted]), n_nodes=1)
            )


def test_both_networks_work_at_once_so_the_slower_one_counts():
    assert Traffic(0, 0, ib_bytes=50e9, nvlink_bytes=320e9).seconds(4) == pytest.approx(2 / 4)
    assert Traffic(0, 0, ib_bytes=150e9, nvlink_bytes=160e9).seconds(4) == pytest.approx(3 / 4)
    assert Traffic(0, 0, ib_bytes=60, nvlink_bytes=80).seconds(2, ib=10, nvlink=20) == 3
    assert Traffic(0, 0, ib_bytes=60, nvlink_bytes=80).seconds(2, ib=30, nvlink=10) == 4
