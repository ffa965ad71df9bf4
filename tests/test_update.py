"""The update: what decays, what is nudged, and that it happens whole or not at all."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import torch
from test_gradients import DENSE, EXPERTS
from torch import nn
from torch.testing import assert_close

from minids.model.transformer import Transformer
from minids.train.update import adamw, nudge_biases, uninterrupted


def test_decay_pulls_on_matrices_and_leaves_gains_and_biases():
    model = Transformer(replace(EXPERTS, attention=replace(DENSE.attention, qkv_bias=True)), seed=0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    adamw(model, lr=0.1, weight_decay=0.5).step()
    for name, p in model.named_parameters():
        factor = 1 - 0.1 * 0.5 if p.dim() >= 2 else 1.0
        assert_close(p.detach(), factor * before[name], msg=name)


def test_frozen_weights_stay_out():
    model = Transformer(DENSE, seed=0)
    model.embed.requires_grad_(False)
    held = {id(p) for group in adamw(model).param_groups for p in group["params"]}
    assert id(model.embed.weight) not in held
    assert len(held) == len(list(model.parameters())) - 1


def test_the_first_update_of_adam_is_the_rate_in_every_direction():
    model = nn.Linear(3, 2)
    before = model.weight.detach().clone()
    model(torch.ones(1, 3)).sum().backward()
    adamw(model, lr=0.01, weight_decay=0.0).step()
    assert_close(before - model.weight.detach(), torch.full((2, 3), 0.01))


def test_starved_experts_are_nudged_up_and_crowded_ones_down():
    model = Transformer(EXPERTS, seed=0)
    share = torch.tensor([0.5, 0.1, 0.0, 0.2, 0.1, 0.1])
    nudge_biases(model, [share], speed=0.25)
    expected = torch.tensor([-0.25, 0.25, 0.25, -0.25, 0.25, 0.25])
    assert_close(model.layers[1].ffn.router.bias, expected)


def test_each_layer_is_nudged_by_its_own_load():
    model = Transformer(replace(EXPERTS, n_dense=0), seed=0)
    left, right = torch.eye(6)[0], torch.eye(6)[5]
    nudge_biases(model, [left, right], speed=1.0)
    signs = [block.ffn.router.bias.sign().tolist() for block in model.layers]
    assert signs == [[-1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, -1]]


def test_routers_without_a_bias_are_left_alone():
    model = Transformer(replace(EXPERTS, moe=replace(EXPERTS.moe, biased=False)), seed=0)
    nudge_biases(model, [torch.eye(6)[0]], speed=1.0)
    assert model.layers[1].ffn.router.bias is None


@pytest.fixture
def ctrl_c():
    """Ctrl-C as a terminal has it: a shell that starts the tests in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_waits_for_the_end_of_the_block(ctrl_c):
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("the rest")
    assert done == ["the rest"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_inside_the_block_leaves_interrupts_as_they_were(ctrl_c):
    with pytest.raises(ZeroDivisionError), uninterrupted():
        1 / 0  # noqa: B018
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_threads_other_than_the_main_one_may_update_too():
    done = []

    def work():
        with uninterrupted():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_training_does_not_load_the_compiler():
    script = (
        "import sys, torch\n"
        "from minids.train.update import adamw\n"
        "model = torch.nn.Linear(3, 3)\n"
        "optimizer = adamw(model)\n"
        "model(torch.ones(1, 3)).sum().backward()\n"
        "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
        "optimizer.step()\n"
        "optimizer.zero_grad(set_to_none=True)\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False", "it takes a second or two in every process"


def test_it_updates_bit_for_bit_as_torchs_own_does():
    ours, theirs = (nn.Linear(5, 4) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    mine = adamw(ours, lr=0.01, weight_decay=0.1)
    groups = [{"params": [theirs.weight], "weight_decay": 0.1}]
    groups += [{"params": [theirs.bias], "weight_decay": 0.0}]
    other = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95), fused=True)
    x = torch.randn(4, 7, 5, generator=torch.Generator().manual_seed(0))
    for part in x:
        for model, optimizer in ((ours, mine), (theirs, other)):
            optimizer.zero_grad()
            model(part).square().sum().backward()
            optimizer.step()
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))
    assert not any(p.grad_fn for p in ours.parameters())


def test_an_interrupt_is_not_lost_when_the_block_fails(ctrl_c):
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
