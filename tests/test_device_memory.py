"""Sizes follow the memory that a device has left."""

import math

import pytest
import torch

from minids.study import device_memory
from minids.study.device_memory import free, usage, within
from minids.study.scale import Scale


def test_what_fits_stays_as_it_is():
    assert within([4, 8], 10, 100) == (4, 8)  # 80 of 100 bytes


def test_all_sizes_are_halved_together_so_that_their_ratios_stay():
    assert within([4, 16], 10, 100) == (2, 8)


def test_a_share_is_kept_for_what_was_not_counted():
    assert within([8], 10, 99) == (4,)
    assert within([8], 10, 99, share=1.0) == (8,)


def test_what_cannot_be_halved_enough_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"16 GB are needed and 1 GB are free: \[1, 16\]"):
        within([1, 16], 1e9, 1e9)


@pytest.mark.parametrize(("sizes", "each"), [([], 1), ([0, 1], 1), ([1], 0)])
def test_nonsense_is_refused(sizes, each):
    with pytest.raises(ValueError, match="begin at 1"):
        within(sizes, each, 10)


def test_a_cpu_limits_nothing_and_tells_no_usage():
    assert free("cpu") == math.inf and usage("cpu") is None
    assert Scale(kind="laptop", device=torch.device("cpu")).fit([10**9], 1e9) == (10**9,)


def test_memory_that_torch_keeps_of_deleted_tensors_counts_as_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 70)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 30)
    assert free("cuda") == 140


def test_a_scale_takes_sizes_by_the_memory_of_its_device(monkeypatch):
    monkeypatch.setattr(device_memory, "free", lambda device: {"cuda": 100.0}[device.type])
    scale = Scale(kind="gpu", device=torch.device("cuda"))
    assert scale.memory == 100 and scale.fit((8, 32), 5) == (4, 16)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_peak_is_of_the_time_since_the_last_question():
    usage("cuda")
    large = torch.zeros(10**8, device="cuda")
    del large
    assert usage("cuda").peak >= 4 * 10**8 > usage("cuda").peak
