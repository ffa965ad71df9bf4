"""What chapters run on a GPU, with one that is pretended: nothing forgets where a tensor lies."""

from dataclasses import replace

import pytest
import torch
from pretend_cuda import pretend_cuda

from minids.model.fp8 import Recipe as FP8
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.rl import r1
from minids.rl.r1_recipe import shortened
from minids.study import (
    balancing,
    decode_cost,
    distill_arms,
    distill_plan,
    latent,
    latent_decode,
    low_precision,
    mixture_runs,
    mtp_lab,
    r1_lab,
    recall,
    sharing,
    stretch,
    zero_lab,
)
from minids.study.scale import Scale

ON = {"products": "bf16", "device": "cuda"}


def yarn():
    lesson = recall.learn(seed=0, steps=2, length=32, rows=2, **ON)
    model = recall.build(32, weights=lesson.weights).to("cuda")
    longer = stretch.stretch(model, "YaRN", 2, temperature=True, beta=2.0)
    recall.tune(longer, 64, seed=1, steps=2, products="bf16")
    return lesson.losses[-1]


def modules():
    found = mtp_lab.trained(seed=0, n_layers=1, steps=1, batch=5, device="cuda")
    return found.nats


def grpo():
    recipe = replace(zero_lab.quick(1, 1, 2), batch=4)
    model = zero_lab.base(recipe, seed=0, kind="bf16", device="cuda")
    [step] = zero_lab.leak(model, seed=0, steps=1, prompts=1, kind="bf16")
    return step.loss


def distillation():
    tiny = distill_plan.tiny()
    few = replace(tiny.recipe, settings=replace(tiny.settings, max_new=16), dim=16, n_layers=1)
    plan = replace(tiny, recipe=few, reading=1, tokens=20, batch=2, dim=16)
    student = distill_arms.student(plan, seed=0, device="cuda")
    teacher = Transformer(plan.recipe.config).to("cuda")
    found = distill_arms.collected(plan, teacher, seed=0)
    who = distill_arms.Cast(teacher, student, found)
    for arm in ("soft", "on-policy"):
        learnt = distill_arms.run(arm, plan, who, seed=0)
    return float(learnt.embed.weight.detach().sum())


RUNS = {
    "02": lambda: sharing.held_out_loss(seed=0, n_kv_heads=2, steps=2, n_windows=4, batch=2, **ON),
    "02, a step": lambda: decode_cost.one_step(sharing.toy(2), 8, batch=2, device="cuda").seconds,
    "03": lambda: mixture_runs.run(seed=0, arm="1 + 7 of 63", steps=1, batch=4, marks=1, n=1, **ON)[
        "loss"
    ],
    "04": lambda: latent.loss(seed=0, kind="MLA", steps=2, n_windows=4, **ON),
    "04, a step": lambda: latent_decode.step_seconds(64, device="cuda", repeats=2)["MHA"],
    "05": yarn,
    "06": lambda: balancing.run(seed=0, way="bias 0.01", steps=1, batch=4, **ON)["loss"],
    "07": modules,
    "08": lambda: low_precision.held_out_loss(
        seed=0, steps=2, n_windows=4, device="cuda", recipe=FP8(size=16), outlier=10.0
    ),
    "10": grpo,
    "12": distillation,
}


LONG = ("03", "10")


@pytest.mark.parametrize(
    "run", [pytest.param(RUNS[n], marks=[pytest.mark.slow] * (n in LONG), id=n) for n in RUNS]
)
def test_the_runs_of_a_chapter_stay_on_their_device(run):
    with pretend_cuda():
        assert run() == pytest.approx(
            run(), rel=100
        )  # a number, twice: the second time from caches


@pytest.mark.slow
def test_the_runs_of_chapter_11_stay_on_their_device():
    recipe = shortened(reading=2, practice=1, prompts=1, examples=2, each=2, tested=2)
    with pretend_cuda():
        base = r1.pretrained(recipe, seed=0, kind="bf16", device="cuda")
        zero = r1_lab.rewarded(base.model, recipe, seed=0, kind="bf16")
    assert 0 <= zero.scores.sampled <= 1


def test_the_scale_of_a_gpu_is_chosen_there():
    with pretend_cuda():
        scale = Scale.auto({})
        assert (scale.kind, scale.products) == ("gpu", "bf16")
        assert scale.fit((64,), 1e9) == (64,) and scale.fit((256,), 1e9) == (64,)


# --- what is pretended


def test_tensors_of_two_places_cannot_meet():
    with pretend_cuda():
        there = torch.ones(2, device="cuda")
        assert there.device.type == (there + 1).device.type == "cuda"
        assert there.cpu().device.type == "cpu"
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(2)
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        with pytest.raises(RuntimeError, match="'cuda' generator"):
            torch.rand(2, device="cuda", generator=torch.Generator())


def test_a_model_that_was_moved_refuses_tokens_that_were_not():
    with pretend_cuda():
        model = Transformer(preset("toy-llama")).to("cuda")
        with pytest.raises(RuntimeError, match="same device"):
            model(torch.zeros(1, 4, dtype=torch.long))


def test_it_computes_what_the_cpu_computes():
    tokens = torch.arange(8).view(2, 4)
    model = Transformer(preset("toy-v3"))
    wanted = model(tokens).logits
    wanted.square().mean().backward()
    expected = model.head.weight.grad.clone()
    model.zero_grad()
    with pretend_cuda():
        there = model.to("cuda")
        found = there(tokens.to("cuda")).logits
        found.square().mean().backward()
        torch.testing.assert_close(found.detach().cpu(), wanted.detach())
        torch.testing.assert_close(there.head.weight.grad.cpu(), expected)
