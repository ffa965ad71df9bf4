"""The wind tunnel: each balance loss evens out what it is about."""

import pytest

from minids.study.evened import DEVICES, EXPERTS, LOSSES, evened


@pytest.mark.parametrize("seed", [0, 3, 7])
def test_each_loss_evens_out_what_it_names(seed):
    by_name = {name: evened(name, seed=seed) for name in LOSSES}
    assert by_name["none"].experts > 1
    assert by_name["expert loss"].experts < 0.1
    assert by_name["device loss"].devices < 0.1
    assert by_name["device loss"].experts > 1


def test_loads_are_shares():
    found = evened("none", seed=0, tokens=64)
    assert found.load.shape == (EXPERTS,)
    assert found.load.sum().item() == pytest.approx(1)
    by_device = found.load.view(DEVICES, -1).sum(1)
    assert found.devices == pytest.approx((by_device.max() * DEVICES - 1).item(), abs=1e-5)


def test_a_seed_repeats():
    a, b = (evened("expert loss", seed=1, steps=3, tokens=64).load.tolist() for _ in range(2))
    assert a == b
