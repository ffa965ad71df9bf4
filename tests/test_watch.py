"""The watcher: made-up runs with one trouble each, and healthy ones that it must leave alone."""

import math
import random
from pathlib import Path
from typing import NamedTuple

import pytest
from test_gradients import DENSE, EXPERTS
from test_loop import batches

from minids.model.transformer import Transformer
from minids.study.watch import TROUBLES, watch
from minids.train.loop import Diverged, fit


class Made(NamedTuple):
    i: int
    loss: float
    grad_norm: float = 1.0
    parts: dict[str, float] = {}


def healthy(n=300, seed=0, start=6.93, end=2.5, **parts):
    """A loss that falls as losses do, with noise and a gradient norm that shrinks."""
    noise = random.Random(seed)
    return [
        Made(
            i,
            end + (start - end) * math.exp(-i / 60) + noise.gauss(0, 0.05),
            (1 + 4 * math.exp(-i / 10)) * math.exp(noise.gauss(0, 0.3)),
            {name: value(i) if callable(value) else value for name, value in parts.items()},
        )
        for i in range(n)
    ]


def told(steps, vocab=1024):
    """Names of the troubles, in the order in which they were told."""
    said = []
    assert list(watch(steps, vocab=vocab, say=said.append)) == steps
    return [line.split(", ")[1].split(":")[0] for line in said]


def learner(n=80, **parts):
    """A healthy reinforcement learning run: its loss stays near 0 while answers get better."""
    return [Made(i, 0.01, 0.3, {"accuracy": i / n, "reward": i / n, **parts}) for i in range(n)]


@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_run_raises_no_alarm(seed):
    assert told(healthy(seed=seed, idle_experts=0.0, max_vio=0.5)) == []


def test_a_real_run_raises_no_alarm():
    for config in (DENSE, EXPERTS):
        steps = list(fit(Transformer(config, seed=0), batches(), steps=120, lr=1e-2))
        assert told(steps, vocab=config.vocab) == []


def test_a_single_steep_step_is_no_alarm():
    steps = healthy()
    steps[100] = steps[100]._replace(grad_norm=50.0, loss=4.0)
    assert told(steps) == []


def test_steps_pass_through_unchanged_and_one_at_a_time():
    taken = []

    def run():
        for step in healthy(3):
            taken.append(step)
            yield step

    first = next(watch(run()))
    assert taken == [first]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("field", ["loss", "grad_norm"])
def test_a_number_that_is_none_is_told_at_once(bad, field):
    steps = healthy()
    steps[150] = steps[150]._replace(**{field: bad})
    assert told(steps[:151])[0] == "not a number"


def test_an_exploding_gradient_is_told():
    steps = healthy()
    for k in range(150, 160):
        steps[k] = steps[k]._replace(grad_norm=3.0 ** (k - 145))
    assert told(steps) == ["exploding gradients"]


def test_a_loss_above_a_uniform_guess_is_told():
    steps = [step._replace(loss=step.loss + 5) for step in healthy(30)]
    assert told(steps) == ["worse than guessing"]
    assert told(steps, vocab=None) == []


def test_a_loss_that_stays_where_it_began_is_told():
    assert told([step._replace(loss=6.93) for step in healthy()]) == ["not learning"]


def test_a_plateau_late_in_a_run_is_no_alarm():
    assert told(healthy(600)) == []


def test_experts_that_stay_idle_are_told():
    assert told(healthy(idle_experts=2.0)) == ["idle experts"]


def test_experts_that_are_idle_at_first_or_now_and_then_are_no_alarm():
    assert told(healthy(idle_experts=lambda i: 3.0 if i < 80 else 0.0)) == []
    assert told(healthy(idle_experts=lambda i: float(i % 10 == 0))) == []


def test_reinforcement_learning_may_keep_its_loss():
    assert told(learner(entropy=0.8)) == []


def test_entropy_that_collapses_while_answers_are_wrong_is_told():
    steps = [Made(i, 0.0, 1.0, {"entropy": 0.9**i, "accuracy": 0.1}) for i in range(50)]
    assert told(steps) == ["collapsed entropy"]


def test_entropy_that_goes_because_answers_are_right_is_no_alarm():
    steps = [
        Made(i, 0.0, 1.0, {"entropy": 0.9**i, "accuracy": min(1.0, i / 20)}) for i in range(50)
    ]
    assert told(steps) == []


def test_groups_that_all_got_the_same_reward_are_told():
    steps = [Made(i, 0.0, 1.0, {"flat_groups": 0.97, "accuracy": 0.01}) for i in range(50)]
    assert told(steps) == ["flat groups"]


def test_flat_groups_of_a_solved_task_are_no_alarm():
    assert (
        told([Made(i, 0.0, 1.0, {"flat_groups": 0.97, "accuracy": 0.98}) for i in range(9)]) == []
    )


def test_each_trouble_is_told_once_with_its_step_and_the_chapter_that_explains_it():
    said = []
    list(watch([Made(i, math.nan) for i in range(7, 20)], say=said.append))
    assert len(said) == 1
    assert said[0].startswith("step 7, not a number: ")
    assert "Explained in chapter 01" in said[0]


def test_two_troubles_are_both_told():
    steps = [step._replace(loss=9.0, parts={"idle_experts": 1.0}) for step in healthy()]
    assert set(told(steps)) == {"worse than guessing", "not learning", "idle experts"}


def test_every_trouble_has_a_test_here():
    source = Path(__file__).read_text(encoding="utf-8")
    assert all(source.count(f'"{name}"') for name in TROUBLES)


def test_a_run_that_diverges_still_raises():
    def explode(model, output, batch):
        return {"nan": output.logits.sum() * math.nan}

    model = Transformer(DENSE, seed=0)
    with pytest.raises(Diverged, match="step 0"):
        list(watch(fit(model, batches(), steps=3, extra_losses=explode)))
