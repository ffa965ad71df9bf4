"""What a teacher wrote is kept or thrown away by a rule, and counted either way."""

import itertools

import pytest
import torch

from minids.config import GQAConfig, ModelConfig
from minids.model.layers import init_weights
from minids.model.transformer import Transformer
from minids.rl.rewards import accuracy
from minids.rl.traces import Trace, collect, traces, verified
from minids.text.alphabet import alphabet
from minids.text.arithmetic import is_held_out, problems
from minids.text.lessons import asked

CODEC = alphabet()
ASK = problems("add-2", seed=0)


def tiny(seed: int = 0) -> Transformer:
    heads = GQAConfig(n_heads=2, n_kv_heads=1, head_dim=8)
    c = ModelConfig(
        name="t", vocab=CODEC.vocab, dim=16, n_layers=1, hidden=24, attention=heads, context=40
    )
    model = Transformer(c)
    init_weights(model, 0.3, torch.Generator().manual_seed(seed))
    return model


def written(marks: str, length: int = 5) -> list[Trace]:
    """Traces of equal length; "r" is a right one."""
    return [Trace(ASK(i), [1], [2] * length, mark == "r") for i, mark in enumerate(marks)]


def test_a_trace_holds_the_question_and_is_judged_by_the_rule_of_accuracy():
    for trace in itertools.islice(traces(tiny(), ASK, CODEC, max_new=6, seed=0, at_once=4), 10):
        assert trace.prompt == CODEC.encode(asked(trace.problem), special=True)
        assert 1 <= len(trace.response) <= 6
        text = CODEC.decode(trace.response)
        assert trace.right == bool(accuracy(trace.problem, text))


def test_trace_n_answers_question_n_and_no_question_of_an_exam():
    found = list(itertools.islice(traces(tiny(), ASK, CODEC, max_new=2, seed=0, at_once=3), 8))
    assert [t.problem for t in found] == [ASK(i) for i in range(8)]
    assert not any(is_held_out(t.problem) for t in found)


def test_traces_are_a_function_of_their_seed():
    def some(seed: int) -> list[list[int]]:
        drawn = traces(tiny(), ASK, CODEC, max_new=5, seed=seed, at_once=4)
        return [t.response for t in itertools.islice(drawn, 8)]

    assert some(0) == some(0) != some(1)


def test_every_batch_of_a_teacher_has_its_own_chance():
    drawn = traces(tiny(), lambda _: ASK(0), CODEC, max_new=5, seed=0, at_once=4)
    first, second = ([next(drawn).response for _ in range(4)] for _ in range(2))
    assert first != second


def test_right_traces_alone_are_kept_in_order():
    marks = written("rwwr")
    assert [t.problem for t in verified(marks)] == [ASK(0), ASK(3)]
    assert list(verified(written("www"))) == []


def test_both_sets_have_the_budget_and_what_was_thrown_away_is_counted():
    found = collect(written("wrwrwrwrrr"), tokens=15)
    assert [t.right for t in found.raw] == [False, True, False]
    assert all(t.right for t in found.verified) and len(found.verified) == 3
    assert (found.answers, found.right, found.written) == (6, 3, 30)
    assert found.thrown_away == pytest.approx(0.5)


def test_a_teacher_that_is_always_right_gives_equal_sets():
    found = collect(written("rrrr"), tokens=12)
    assert found.raw == found.verified and found.thrown_away == 0


def test_the_last_trace_reaches_the_budget_and_none_comes_after_it():
    for budget in (1, 5, 6, 10):
        found = collect(written("rwrwrwrw"), tokens=budget)
        for chosen in (found.raw, found.verified):
            sizes = [len(t.response) for t in chosen]
            assert sum(sizes) >= budget > sum(sizes[:-1])


@pytest.mark.parametrize("marks", ["", "wwww", "w" * 100])
def test_a_teacher_that_is_never_right_is_refused(marks):
    with pytest.raises(ValueError, match="0 were right"):
        collect(written(marks), tokens=20)


def test_a_teacher_stops_where_several_times_the_budget_is_written():
    with pytest.raises(ValueError, match="of 7 answers 0"):  # 7 x 5 tokens are the first over 30
        collect(itertools.cycle(written("w")), tokens=10, most=3)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="budget"):
        collect(written("r"), tokens=0)
    with pytest.raises(ValueError, match="at least one"):
        next(traces(tiny(), ASK, CODEC, max_new=2, seed=0, at_once=0))
