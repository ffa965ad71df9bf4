"""The dial: which scale is chosen, what it picks, and what it refuses."""

import json
import subprocess
import sys

import pytest
import torch

from minids.study import scale as module
from minids.study.scale import Scale, agrees, threads


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def test_smoke_is_float32_on_the_cpu_and_measures_nothing(monkeypatch):
    monkeypatch.setattr(module, "fastest", None)
    scale = Scale.auto({"MINIDS_SCALE": "smoke"})
    assert (scale.kind, scale.device.type, scale.products) == ("smoke", "cpu", "plain")


def test_without_a_gpu_it_is_a_laptop(no_cuda):
    assert Scale.auto({}).kind == Scale.auto({"MINIDS_SCALE": ""}).kind == "laptop"


def test_with_cuda_it_is_a_gpu_in_bf16(cuda, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    scale = Scale.auto({})
    assert (scale.kind, scale.device.type, scale.products) == ("gpu", "cuda", "bf16")


def test_a_machine_with_cuda_can_play_the_laptop(cuda):
    assert Scale.auto({"MINIDS_SCALE": "laptop"}).device.type == "cpu"


def test_an_unknown_scale_is_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"'huge' is no scale: take one of smoke, laptop, gpu"):
        Scale.auto({"MINIDS_SCALE": "huge"})


def test_a_gpu_that_is_not_there_is_refused(no_cuda):
    with pytest.raises(ValueError, match="scale gpu needs a CUDA device"):
        Scale.auto({"MINIDS_SCALE": "gpu"})


def test_the_environment_is_read_when_asked(monkeypatch):
    monkeypatch.setenv("MINIDS_SCALE", "smoke")
    assert Scale.auto().kind == "smoke"


def test_each_scale_picks_its_own_value():
    cpu = torch.device("cpu")
    picked = [
        Scale(kind=kind, device=cpu).pick(smoke=1, laptop=2, gpu=3)
        for kind in ("smoke", "laptop", "gpu")
    ]
    assert picked == [1, 2, 3]
    assert Scale(kind="gpu", device=cpu).pick(smoke=1, laptop=2) == 2


def test_bf16_is_chosen_where_it_was_measured_to_pay_and_nowhere_else(no_cuda, monkeypatch):
    for found in ("bf16", "onednn"):
        monkeypatch.setattr(module, "fastest", lambda device, exact, found=found: found)
        assert Scale.auto({}).products == found


def test_an_apple_gpu_has_to_agree_with_the_cpu_first(no_cuda, monkeypatch):
    for agreed, device in ((True, "mps"), (False, "cpu")):
        monkeypatch.setattr(module, "mps_agrees", lambda agreed=agreed: agreed)
        assert Scale.auto({}).device.type == device


def test_a_device_that_computes_the_same_agrees():
    assert agrees(torch.device("cpu"))


def test_a_device_that_computes_something_else_does_not(monkeypatch):
    class Wrong(module.Transformer):
        def to(self, *args):
            return self.mul_up()

        def mul_up(self):
            torch.nn.init.constant_(self.norm.weight, 1.01)
            return self

    monkeypatch.setattr(module, "Transformer", Wrong)
    assert not agrees(torch.device("cpu"))


def test_a_device_that_lacks_an_operation_does_not_agree():
    assert not agrees(torch.device("meta"))


def test_the_scale_says_itself_in_a_line():
    scale = Scale(kind="laptop", device=torch.device("cpu"), products="bf16")
    assert str(scale) == "laptop: cpu, bf16 products"


def test_a_quiet_machine_uses_its_cores_and_a_busy_one_a_single_thread():
    assert threads({}, cores=2, load=0.3) == 2
    assert threads({}, cores=2, load=1.2) == 2  # this run itself
    assert threads({}, cores=2, load=4.0) == 1
    assert threads({}, cores=1, load=0.0) == 1


def test_the_environment_decides_on_threads_where_it_speaks():
    assert threads({"OMP_NUM_THREADS": "3"}, cores=2, load=9.0) == 3
    assert threads({"OMP_NUM_THREADS": "all"}, cores=2, load=0.0) == 2


def test_threads_can_be_asked_without_arguments():
    assert 1 <= threads() <= 4096


TWENTY_TENSORS = """
import resource
import torch
from minids.study.scale import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(10, 1024, 1024)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fetched = faults()
print(keep_memory(), fetched, [faults() for _ in range(4)][1:])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is the C library's of Linux")
def test_kept_memory_is_not_fetched_page_by_page_again():
    """In a process of its own, as a chapter has: the memory of this one is full of holes."""
    done = subprocess.run(
        [sys.executable, "-c", TWENTY_TENSORS], check=True, capture_output=True, text=True
    )
    kept, before, after = done.stdout.split(maxsplit=2)
    if kept == "True":
        # The best of three: a system short of memory takes pages away from whoever has to wait.
        assert min(json.loads(after)) <= 0.1 * int(before)
