"""Four ways to learn from a teacher: what each reads, what each is told, and where it ends."""

import copy
import itertools

import pytest
import torch

from minids.config import GQAConfig, ModelConfig
from minids.model.layers import init_weights
from minids.model.transformer import Transformer
from minids.rl import distill, sft
from minids.rl.traces import Trace, traces
from minids.text.alphabet import alphabet
from minids.text.arithmetic import problems
from minids.text.batches import paired
from minids.train.loop import Diverged
from minids.train.losses import forward_kl, reverse_kl

CODEC = alphabet()
ASK = problems("add-1", seed=0)


def tiny(seed: int = 0, std: float = 0.3, dim: int = 16, vocab: int = CODEC.vocab) -> Transformer:
    heads = GQAConfig(n_heads=2, n_kv_heads=1, head_dim=dim // 2)
    c = ModelConfig(
        name="t", vocab=vocab, dim=dim, n_layers=1, hidden=24, attention=heads, context=24
    )
    model = Transformer(c)
    init_weights(model, std, torch.Generator().manual_seed(seed))
    return model


def some(teacher: Transformer, n: int, seed: int = 0) -> list[Trace]:
    written = traces(teacher, ASK, CODEC, max_new=6, seed=seed, at_once=16)
    return list(itertools.islice(written, n))


def weights(model: Transformer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def on_policy(student, teacher, **how):
    given = {"tokens": 60, "batch": 4, "max_new": 6, "lr": 1e-3, "seed": 0} | how
    return distill.on_policy(student, teacher, ASK, CODEC, **given)


def gap(student: Transformer, teacher: Transformer, written: list[Trace]) -> float:
    """The forward divergence over all responses."""
    prompts, responses = zip(*(t.pair for t in written), strict=True)
    batch = paired(prompts, responses, batch=len(written), pad=sft.PAD, seed=0)(0)
    with torch.no_grad():
        logits = [model(batch.tokens).logits for model in (student, teacher)]
        return float(forward_kl(*logits, batch.mask))


def test_soft_lessons_bring_the_student_near_its_teacher():
    teacher, student = tiny(0), tiny(1, dim=8)
    written = some(teacher, 64)
    before = gap(student, teacher, written)
    for _ in distill.soft(student, teacher, written * 6, batch=16, lr=2e-2, seed=0):
        pass
    assert gap(student, teacher, written) < 0.6 * before


def test_on_policy_lessons_make_their_own_divergence_small():
    teacher, student = tiny(0), tiny(1, dim=8)
    losses = [s.loss for s in on_policy(student, teacher, tokens=3000, batch=32, lr=2e-2)]
    assert sum(losses[-3:]) < 0.6 * sum(losses[:3])


@pytest.mark.parametrize("kind", ["soft", "on-policy"])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(kind):
    teacher = tiny(0)
    student = copy.deepcopy(teacher)
    if kind == "soft":
        step = next(distill.soft(student, teacher, some(teacher, 8), batch=4, lr=1e-3, seed=0))
    else:
        step = next(on_policy(student, teacher))
    assert abs(step.loss) < 1e-6 and step.grad_norm < 1e-4


@pytest.mark.parametrize("kind", ["soft", "on-policy"])
def test_the_teacher_stays_as_it_was_and_holds_no_gradients(kind):
    teacher, student = tiny(0), tiny(1)
    before, was = weights(teacher), weights(student)
    written = some(teacher, 8)
    lessons = (
        distill.soft(student, teacher, written, batch=4, lr=1e-2, seed=0)
        if kind == "soft"
        else on_policy(student, teacher)
    )
    assert len(list(lessons)) >= 2
    assert torch.equal(before, weights(teacher))
    assert all(p.grad is None for p in teacher.parameters())
    assert not torch.equal(was, weights(student))


def test_soft_reads_the_batches_of_supervised_fine_tuning_and_counts_the_same_tokens():
    teacher, student = tiny(0), tiny(1)
    written = some(teacher, 10)
    soft = list(distill.soft(copy.deepcopy(student), teacher, written, batch=4, lr=1e-3, seed=3))
    hard = list(sft.tuned(student, [t.pair for t in written], epochs=1, batch=4, lr=1e-3, seed=3))
    assert [s.tokens for s in soft] == [s.tokens for s in hard]
    assert [s.lr for s in soft] == pytest.approx([s.lr for s in hard])
    assert len(soft) == sft.updates(10, epochs=1, batch=4)


def test_the_first_loss_of_soft_is_the_divergence_of_its_first_batch():
    teacher, student = tiny(0), tiny(1)
    written = some(teacher, 6)
    prompts, responses = zip(*(t.pair for t in written), strict=True)
    batch = paired(prompts, responses, batch=3, pad=sft.PAD, seed=5)(0)
    with torch.no_grad():
        expected = forward_kl(
            student(batch.tokens).logits, teacher(batch.tokens).logits, batch.mask
        )
    step = next(distill.soft(student, teacher, written, batch=3, lr=1e-3, seed=5))
    assert step.loss == pytest.approx(float(expected), rel=1e-5)
    assert step.parts["learnt"] == int(batch.mask.sum())


def test_on_policy_learns_from_what_the_student_writes_and_not_from_the_teacher(monkeypatch):
    writers = []
    generate = distill.generate

    def watched(model, *args, **how):
        writers.append(model)
        return generate(model, *args, **how)

    monkeypatch.setattr(distill, "generate", watched)
    teacher, student = tiny(0), tiny(1)
    steps = list(on_policy(student, teacher))
    assert len(writers) == len(steps) and all(model is student for model in writers)


def test_on_policy_is_reverse_and_soft_is_forward(monkeypatch):
    used = []
    for name in ("forward_kl", "reverse_kl"):
        original = {"forward_kl": forward_kl, "reverse_kl": reverse_kl}[name]
        monkeypatch.setattr(
            distill, name, lambda *a, name=name, f=original: used.append(name) or f(*a)
        )
    teacher, student = tiny(0), tiny(1)
    next(on_policy(student, teacher))
    next(distill.soft(student, teacher, some(teacher, 4), batch=4, lr=1e-3, seed=0))
    assert used == ["reverse_kl", "forward_kl"]


def test_on_policy_ends_with_the_step_that_reaches_the_budget():
    teacher, student = tiny(0), tiny(1)
    steps = list(on_policy(student, teacher, tokens=50))
    learnt = [s.parts["learnt"] for s in steps]
    assert sum(learnt) >= 50 > sum(learnt[:-1])
    assert [s.i for s in steps] == list(range(len(steps)))


def test_the_rate_follows_the_share_of_the_budget_and_the_warm_up():
    teacher, student = tiny(0), tiny(1)
    seen = []

    def fall(share: float) -> float:
        seen.append(share)
        return 1 - share / 2

    steps = list(on_policy(student, teacher, tokens=400, schedule=fall))
    spent = itertools.accumulate((step.parts["learnt"] for step in steps), initial=0)
    assert seen == [tokens / 400 for tokens in spent][:-1]
    assert steps[0].lr == pytest.approx(1e-4)  # a tenth: the first of ten steps
    assert steps[-1].lr == pytest.approx(1e-3 * (1 - seen[-1] / 2))


def test_a_run_is_a_function_of_its_seed():
    def run(seed: int) -> torch.Tensor:
        student = tiny(1)
        list(on_policy(student, tiny(0), seed=seed))
        return weights(student)

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))


def test_another_vocabulary_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match="sft.tuned"):
        on_policy(tiny(vocab=90), tiny())
    with pytest.raises(ValueError, match="cannot be compared"):
        distill.soft(tiny(vocab=90), tiny(), some(tiny(), 1), batch=1, lr=1e-3, seed=0)


def test_bad_sizes_are_refused_before_the_first_step():
    teacher = tiny()
    with pytest.raises(ValueError, match="tokens=0"):
        on_policy(tiny(1), teacher, tokens=0)
    with pytest.raises(ValueError, match="no traces"):
        distill.soft(tiny(1), teacher, [], batch=1, lr=1e-3, seed=0)


def test_an_update_that_would_ruin_the_weights_is_not_made():
    teacher, student = tiny(0), tiny(1)
    with torch.no_grad():
        student.head.weight[0, 0] = torch.nan
    before = weights(student)
    with pytest.raises(Diverged, match="lower `lr`"):
        next(distill.soft(student, teacher, some(teacher, 2), batch=2, lr=1e-3, seed=0))
    assert torch.equal(before.nan_to_num(), weights(student).nan_to_num())


def test_on_policy_asks_and_draws_anew_in_every_step(monkeypatch):
    numbers, drawn = [], []
    real = distill.generate

    def ask(i):
        numbers.append(i)
        return ASK(0)  # one question for all, so that chance alone makes a difference

    def watched(*args, **how):
        drawn.append(real(*args, **how))
        return drawn[-1]

    monkeypatch.setattr(distill, "generate", watched)
    how = {"tokens": 60, "batch": 4, "max_new": 6, "lr": 0.0, "seed": 0}
    assert len(list(distill.on_policy(tiny(1), tiny(0), ask, CODEC, **how))) > 1
    assert numbers == list(range(4 * len(drawn)))
    assert drawn[0].answers() != drawn[1].answers()


@pytest.mark.parametrize("kind", ["soft", "on-policy"])
def test_the_gradient_of_a_lesson_is_clipped_and_told_as_it_was(kind, monkeypatch):
    monkeypatch.setattr(distill, "CLIP", 1e-3)
    teacher, student = tiny(0), tiny(1)
    if kind == "soft":
        step = next(distill.soft(student, teacher, some(teacher, 8), batch=4, lr=1e-3, seed=0))
    else:
        step = next(on_policy(student, teacher))
    left = torch.stack([p.grad.norm() for p in student.parameters()]).norm()
    assert step.grad_norm > 2e-3 and left.item() == pytest.approx(1e-3, rel=1e-3)
