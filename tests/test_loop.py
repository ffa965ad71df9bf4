"""The loop: it learns, repeats itself bit for bit, resumes, and never leaves half a step.

Golden losses: the first 20 steps of the toy presets stand in tests/golden/. A change of the
model or the loop that should not change numbers must not change these. Where it should, write them
anew and say why in the commit:

    OMP_NUM_THREADS=1 python tests/test_loop.py
"""

import io
import json
import math
import os
import platform
import signal
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from test_gradients import DENSE, EXPERTS, some_batch
from torch.testing import assert_close

from minids.model.balance import nudge
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.text.batches import packed
from minids.train.loop import Diverged, evaluate, fit
from minids.train.update import adamw

GOLDEN = Path(__file__).parent / "golden"
TOLERANCE = 2e-3  # of the loss; another machine adds up in another order
TOYS = ["toy-llama", "toy-v3"]


def phrases(n=4000, vocab=23, seed=0):
    """Tokens in which eight always follow each other: there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    known = torch.randint(vocab, (16, 8), generator=generator)
    return known[torch.randint(16, (n // 8,), generator=generator)].flatten()


def batches(seed=0):
    return packed(phrases(), batch=6, length=12, seed=seed)


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("config", [DENSE, EXPERTS], ids=["dense", "experts"])
def test_the_loss_falls(config):
    losses = [step.loss for step in fit(Transformer(config, seed=0), batches(), steps=80, lr=1e-2)]
    assert losses[0] == pytest.approx(math.log(23), rel=0.3)
    assert sum(losses[-5:]) / 5 < 0.7 * losses[0]


@pytest.mark.parametrize("config", [DENSE, EXPERTS], ids=["dense", "experts"])
def test_the_same_seeds_give_the_same_numbers_bit_for_bit(config):
    def run(seed):
        model = Transformer(config, seed=seed)
        steps = list(fit(model, batches(seed), steps=5))
        return [(step.loss, step.grad_norm) for step in steps], state_of(model)

    losses, state = run(0)
    again, state_again = run(0)
    assert losses == again and same(state, state_again)
    assert losses != run(1)[0]


@pytest.mark.parametrize("config", [DENSE, EXPERTS], ids=["dense", "experts"])
def test_three_steps_a_restart_and_three_more_are_six_steps(config):
    settings = {"steps": 6, "lr": 1e-2, "balance": 0.01}
    model = Transformer(config, seed=0)
    straight = [step.loss for step in fit(model, batches(), **settings)]

    first = Transformer(config, seed=0)
    optimizer = adamw(first)
    stopped = islice(fit(first, batches(), optimizer=optimizer, **settings), 3)
    losses = [step.loss for step in stopped]
    file = io.BytesIO()
    torch.save({"model": first.state_dict(), "optimizer": optimizer.state_dict()}, file)

    saved = torch.load(io.BytesIO(file.getvalue()))
    second = Transformer(config, seed=99)
    second.load_state_dict(saved["model"])
    optimizer = adamw(second)
    optimizer.load_state_dict(saved["optimizer"])
    resumed = fit(second, batches(), start=3, optimizer=optimizer, **settings)
    losses += [step.loss for step in resumed]
    assert losses == straight
    assert same(second.state_dict(), model.state_dict())


def test_forgetting_the_optimizer_is_not_resuming():
    model = Transformer(DENSE, seed=0)
    straight = [step.loss for step in fit(model, batches(), steps=6, lr=1e-2)]
    model = Transformer(DENSE, seed=0)
    losses = [step.loss for step in islice(fit(model, batches(), steps=6, lr=1e-2), 3)]
    losses += [step.loss for step in fit(model, batches(), steps=6, lr=1e-2, start=3)]
    assert losses[:4] == straight[:4] and losses[4:] != straight[4:]


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_trains_like_the_whole(parts):
    def run(accumulate):
        model = Transformer(EXPERTS, seed=0).double()
        steps = list(
            fit(model, lambda i: some_batch(i), steps=4, accumulate=accumulate, balance=0.1)
        )
        return [step.loss for step in steps], state_of(model)

    losses, state = run(1)
    losses_in_parts, state_in_parts = run(parts)
    assert losses_in_parts == pytest.approx(losses, rel=1e-9)
    assert_close(state_in_parts, state, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("given", [{"betas": (0.5, 0.6)}, {"weight_decay": 5.0}])
def test_it_makes_the_optimizer_that_one_would_give_it(given):
    def run(make):
        model = Transformer(DENSE, seed=0)
        list(fit(model, batches(), steps=3, optimizer=make(model), **given))
        return state_of(model)

    ours = run(lambda model: None)
    assert same(ours, run(lambda model: adamw(model, **given)))
    assert not same(ours, run(adamw))


def test_breaking_out_leaves_the_weights_of_the_last_step_seen():
    model, other = Transformer(DENSE, seed=0), Transformer(DENSE, seed=0)
    list(fit(other, batches(), steps=2, warmup=5))
    steps = fit(model, batches(), steps=9, warmup=5)
    for step in steps:
        if step.i == 1:
            break
    steps.close()
    assert same(model.state_dict(), other.state_dict())
    assert next(steps, None) is None


def test_an_interrupt_while_a_batch_is_made_changes_nothing():
    def interrupted(i):
        if i == 2:
            raise KeyboardInterrupt
        return batches()(i)

    model = Transformer(DENSE, seed=0)
    steps = fit(model, interrupted, steps=9)
    seen = [next(steps), next(steps)]
    before = state_of(model)
    with pytest.raises(KeyboardInterrupt):
        next(steps)
    assert len(seen) == 2 and same(model.state_dict(), before)


@pytest.fixture
def ctrl_c():
    """Ctrl-C raises, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_in_the_middle_of_an_update_lets_it_finish(ctrl_c):
    class Interrupted(torch.optim.SGD):
        def step(self, closure=None):
            os.kill(os.getpid(), signal.SIGINT)
            super().step(closure)

    model, other = Transformer(EXPERTS, seed=0), Transformer(EXPERTS, seed=0)
    list(fit(other, batches(), steps=1, optimizer=torch.optim.SGD(other.parameters())))
    optimizer = Interrupted(model.parameters())
    with pytest.raises(KeyboardInterrupt):
        next(fit(model, batches(), steps=1, optimizer=optimizer))
    assert same(model.state_dict(), other.state_dict())


def test_a_loss_that_is_no_number_stops_before_the_weights_are_touched():
    def poison(model, output, batch):
        return {"poison": output.logits.sum() * (math.nan if len(seen) == 2 else 0.0)}

    model, seen = Transformer(DENSE, seed=0), []
    steps = fit(model, batches(), steps=9, extra_losses=poison)
    seen += [next(steps), next(steps)]
    before = state_of(model)
    with pytest.raises(Diverged, match=r"(?s)step 2: .* nan, .*lower `lr`, a longer `warmup`"):
        next(steps)
    assert same(model.state_dict(), before)
    assert all(p.grad is None for p in model.parameters())


def test_an_endless_term_is_named_though_its_gradient_is_a_number():
    def endless(model, output, batch):
        return {"added": model.head.weight.sum() + math.inf}

    model = Transformer(DENSE, seed=0)
    before = state_of(model)
    with pytest.raises(Diverged, match=r"step 0: loss is 3\.\d+, added is inf"):
        list(fit(model, batches(), steps=1, extra_losses=endless))
    assert same(model.state_dict(), before)


def test_an_infinite_gradient_of_a_finite_loss_stops_too():
    def steep(model, output, batch):
        return {"steep": (model.head.weight[0, 0] * 0.0).sqrt()}

    with pytest.raises(Diverged, match="step 0"):
        list(fit(Transformer(DENSE, seed=0), batches(), steps=1, extra_losses=steep))


def test_the_bias_moves_once_for_each_step_by_its_speed_and_by_the_load():
    model = Transformer(EXPERTS, seed=0)
    steps = fit(model, batches(), steps=3, accumulate=2, bias_speed=lambda i: 0.5 if i else 0.25)
    bias = torch.zeros(6)
    for step, speed in zip(steps, (0.25, 0.5, 0.5), strict=True):
        bias = nudge(bias, step.loads[0], speed)
        assert_close(model.layers[1].ffn.router.bias, bias)
    assert bias.abs().max() >= 0.25


def test_a_speed_of_zero_leaves_the_bias():
    model = Transformer(EXPERTS, seed=0)
    list(fit(model, batches(), steps=3, bias_speed=0.0))
    assert not model.layers[1].ffn.router.bias.any()


def test_the_nudge_evens_out_the_load():
    def late_violation(speed):
        model = Transformer(EXPERTS, seed=0)
        steps = list(fit(model, batches(), steps=120, lr=1e-3, bias_speed=speed))
        load = torch.stack([step.loads[0] for step in steps[-30:]]).mean(0)
        return float(load.max() / load.mean() - 1)

    assert late_violation(0.01) < 0.5 * late_violation(0.0)


def test_steps_tell_their_parts_and_how_uneven_the_load_is():
    config = replace(EXPERTS, n_dense=0)
    model = Transformer(config, seed=0)
    model.layers[0].ffn.router.bias[2:] = -9.0  # of the first layer four experts get nothing
    step = next(fit(model, batches(), steps=1, balance=0.1))
    assert set(step.parts) == {"balance", "max_vio", "idle_experts"}
    first, second = step.loads
    assert first.tolist() == [0.5, 0.5, 0, 0, 0, 0] and second.min() > 0.1 / 6
    uneven = (2.0 + float(second.max() * 6 - 1)) / 2
    assert step.parts["max_vio"] == pytest.approx(uneven, rel=1e-5)
    assert step.parts["idle_experts"] == 4
    assert step.tokens == 72
    assert step.tokens_per_second == pytest.approx(72 / step.seconds)


def test_a_dense_step_has_no_parts():
    step = next(fit(Transformer(DENSE, seed=0), batches(), steps=1))
    assert step.parts == {} and step.loads == ()


def test_the_gradient_is_clipped_and_told_as_it_was():
    model = Transformer(DENSE, seed=0)
    step = next(fit(model, batches(), steps=1, clip=0.01))
    left = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    assert step.grad_norm > 0.1
    assert left.item() == pytest.approx(0.01, rel=1e-3)


def test_the_rate_is_the_lower_of_warm_up_and_schedule():
    steps = fit(
        Transformer(DENSE, seed=0), batches(), steps=6, lr=0.1, warmup=4,
        schedule=lambda i: 0.6 if i < 5 else 0.2,
    )  # fmt: skip
    assert [step.lr for step in steps] == pytest.approx([0.025, 0.05, 0.06, 0.06, 0.06, 0.02])


def test_bf16_products_train_float32_weights_to_about_the_same_loss():
    def run(kind):
        model = Transformer(DENSE, seed=0)
        losses = [step.loss for step in fit(model, batches(), steps=20, lr=1e-2, products=kind)]
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        return losses

    exact, rounded = run("plain"), run("bf16")
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("wrong", [{"start": 4}, {"start": -1}, {"accumulate": 0}])
def test_a_run_that_cannot_be_is_refused_before_its_first_step(wrong):
    with pytest.raises(ValueError, match="must"):
        fit(Transformer(DENSE, seed=0), batches(), steps=3, **wrong)


def test_evaluation_weighs_tokens_alike_and_leaves_no_trace():
    model = Transformer(DENSE, seed=0)
    before = state_of(model)
    one, two = some_batch(0), some_batch(1, rows=2)
    together = evaluate(model, [one, two])
    losses = [evaluate(model, [batch]) for batch in (one, two)]
    counts = [int(batch.mask.sum()) for batch in (one, two)]
    expected = sum(x * n for x, n in zip(losses, counts, strict=True)) / sum(counts)
    assert together == pytest.approx(expected)
    assert same(model.state_dict(), before)
    assert all(p.grad is None for p in model.parameters())
    next(fit(model, batches(), steps=1))  # and it can still be trained


def test_an_untrained_head_of_zeros_guesses_uniformly():
    model = Transformer(DENSE, seed=0)
    torch.nn.init.zeros_(model.head.weight)
    assert evaluate(model, [some_batch()]) == pytest.approx(math.log(23))


def test_evaluating_nothing_is_refused():
    with pytest.raises(ValueError, match="got no token that counts"):
        evaluate(Transformer(DENSE, seed=0), [])


def golden_losses(name):
    config = preset(name)
    text = packed(phrases(20_000, config.vocab), batch=4, length=32, seed=0)
    steps = fit(Transformer(config, seed=0), text, steps=20, balance=1e-4 if config.moe else 0.0)
    return [step.loss for step in steps]


@pytest.mark.parametrize("name", TOYS)
def test_the_first_twenty_losses_of_the_toy_are_the_golden_ones(name):
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert golden_losses(name) == pytest.approx(golden["losses"], rel=golden["tolerance"])


@pytest.mark.parametrize("change", [{"rope_theta": 100.0}, {"norm_eps": 1e-3}])
def test_the_golden_losses_would_notice_a_small_change(change, monkeypatch):
    golden = json.loads((GOLDEN / "toy-llama.json").read_text(encoding="utf-8"))
    changed = replace(preset("toy-llama"), **change)
    monkeypatch.setitem(golden_losses.__globals__, "preset", lambda name: changed)
    assert golden_losses("toy-llama") != pytest.approx(golden["losses"], rel=golden["tolerance"])


def write_golden():
    """Write the golden losses anew."""
    GOLDEN.mkdir(exist_ok=True)
    for name in TOYS:
        record = {
            "preset": name,
            "losses": [round(loss, 6) for loss in golden_losses(name)],
            "tolerance": TOLERANCE,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {torch.get_num_threads()} thread",
        }
        text = json.dumps(record, indent=1)
        (GOLDEN / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(name, record["losses"][0], record["losses"][-1])


if __name__ == "__main__":
    write_golden()


def test_evaluation_passes_over_batches_in_which_nothing_counts():
    model, batch = Transformer(DENSE, seed=0), some_batch(0)
    empty = batch._replace(mask=torch.zeros_like(batch.mask))
    assert evaluate(model, [empty, batch]) == evaluate(model, [batch])
    with pytest.raises(ValueError, match="no token that counts"):
        evaluate(model, [empty])


def test_evaluation_multiplies_as_it_is_told():
    model, batch = Transformer(DENSE, seed=0), some_batch()
    exact, rounded = (evaluate(model, [batch], products=kind) for kind in ("plain", "bf16"))
    assert rounded != exact and rounded == pytest.approx(exact, rel=0.02)
