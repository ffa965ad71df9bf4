"""Process supervision: steps judged by rule, their ends in tokens, and the loop that learns."""

from functools import partial

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from minids.config import GQAConfig, ModelConfig
from minids.model.layers import init_weights
from minids.model.transformer import Transformer
from minids.rl.advantages import EPS, over_tokens
from minids.rl.grpo import Settings, grpo
from minids.rl.process import Judged, columns, last_tokens, supervised
from minids.rl.rewards import R1_ZERO, Weighed, accuracy, form
from minids.rl.rollouts import Learnt, Scored, joined, roll_out
from minids.rl.sft import tuned
from minids.rl.update import credit, learn, optimizer_for, silent
from minids.rl.variants import DAPO, GRPO, dr_grpo
from minids.text.alphabet import alphabet
from minids.text.arithmetic import LEVELS, Problem, problems
from minids.text.lessons import asked, told
from minids.text.spoken import LANGUAGES
from minids.text.tokenizer import SPECIAL, default_tokenizer
from minids.text.working import work

CODEC = alphabet()
SUM = Problem("47+38", "85", "add-2")
MAKE = Problem("24=1,3,4,6", "6/(1-3/4)", "countdown")
ONES, TENS = "seven plus eight is fifteen", "four plus three plus one is eight"
ASK = problems("add-1", seed=0)


def worth(problem: Problem, response: str) -> list[float]:
    return [step.reward for step in columns(problem, response)]


# --- the rule


def test_columns_by_hand():
    text = told(f"{ONES},four plus three plus one is nine", "85")
    judged = columns(SUM, text)
    assert [step.reward for step in judged] == [1.0, 0.0, 1.0]
    pieces = ["<think>seven plus eight is fifteen,", "four plus three plus one is nine"]
    ends = [len(pieces[0]), len(pieces[0] + pieces[1]), len(text)]
    assert [step.end for step in judged] == ends


@pytest.mark.parametrize(
    "think, answer, rewards",
    [
        (f"{ONES},{TENS}", "85", [1, 1, 1]),
        (f"{ONES},{TENS}", "58", [1, 1, 0]),  # the habit: right columns, wrong order
        ("七加八得十五，四加三加一得八", "85", [1, 1, 1]),
        (f"七加八得十五，{TENS}", "85", [1, 1, 1]),  # a column each in its language
        ("seven plus eight is fourteen," + TENS, "85", [0, 1, 1]),
        ("", "85", [1]),
        (" \n", "85", [1]),
        ("", "95", [0]),
        (f"{ONES},{ONES},{TENS}", "85", [1, 0, 0, 1]),  # said again: the place is another's
        (f"{ONES},{TENS},{TENS}", "85", [1, 1, 0, 1]),  # beyond the last column
        (f"{TENS},{ONES}", "85", [0, 0, 1]),
        ("one plus one is two", "85", [0, 1]),  # true, but no column of this problem
        (",,", "85", [0, 0, 1]),
        (f"{ONES},", "85", [1, 1]),
        ("eight plus seven is fifteen", "85", [0, 1]),  # not as it is taught
    ],
)
def test_a_step_is_right_if_it_is_this_column_of_this_problem(think, answer, rewards):
    assert worth(SUM, told(think, answer)) == rewards


@pytest.mark.parametrize("level", [level for level in LEVELS if level != "countdown"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_workings_as_they_are_taught_are_right_in_every_step(level, language):
    for i in range(30):
        problem = problems(level, seed=1)(i)
        working = work(problem)
        text = told(working.aloud(language), working.answer)
        assert worth(problem, text) == [1.0] * (len(working.steps) + 1)


def test_of_countdown_the_answer_alone_is_judged():
    assert columns(MAKE, told("three over four is zero", "6/(1-3/4)"))[:-1] == []
    assert worth(MAKE, told("", "6/(1-3/4)")) == [1.0] and worth(MAKE, told("", "6")) == [0.0]


def test_the_last_step_is_worth_what_it_is_told_to_be():
    half = partial(columns, answer=lambda p, r: (accuracy(p, r) + form(p, r)) / 2)
    for text, rewards in ((told(ONES, "85"), [1, 1]), (told(ONES, "58"), [1, 0.5]), ("85", [0])):
        assert [step.reward for step in half(SUM, text)] == rewards


def test_a_problem_without_columns_is_refused_by_name():
    with pytest.raises(ValueError, match="no columns for 'dial'"):
        columns(Problem("three eight", "1", "dial"), told("one", "1"))


PIECES = st.sampled_from(
    [*SPECIAL, ONES, TENS, ",", "，", "85", " ", "\n", "<", "<Think>", "＜think＞", "＋", "５",
     "٨٥", "seven", "plus", "is", "七", "八", "ſeven", "\u200b", "\x00", "__import__('os')"]
)  # fmt: skip
NEARLY = st.lists(PIECES, max_size=9).map("".join)
INSIDE = st.builds(told, NEARLY, NEARLY)


@given(st.one_of(st.text(), NEARLY, INSIDE))
@example("\ud800")
@example("<think>,，,</think><answer></answer>")
def test_every_text_has_steps_worth_0_to_1_that_end_in_order_and_with_the_text(text):
    for problem in (SUM, MAKE, Problem("(3+4)*5", "35", "expression")):
        judged = columns(problem, text)
        ends = [step.end for step in judged]
        assert all(step.reward in (0.0, 1.0) for step in judged)
        assert all(a < b for a, b in zip(ends, ends[1:], strict=False)) and ends[-1] == len(text)
        assert judged[-1].reward == accuracy(problem, text)


@given(st.one_of(st.text(), NEARLY, INSIDE))
def test_no_text_is_paid_for_more_steps_than_the_problem_has(text):
    assert sum(worth(SUM, text)) <= 3
    # Every paid column can be read in the text by anyone.
    spoken = (ONES, TENS, "七加八得十五", "四加三加一得八")
    assert sum(worth(SUM, text)[:-1]) <= sum(text.count(words) for words in spoken)


def test_look_alikes_of_a_right_column_earn_nothing():
    for think in (
        "ſeven plus eight is fifteen", "seven plus eight is fifteen\u200b", "７加八得十五",
        "SEVEN plus eight is fifteen", "seven+eight=fifteen", "7+8=15",
    ):  # fmt: skip
        assert worth(SUM, told(think, "85")) == [0.0, 1.0], think


# --- from characters to tokens


class Bytes:
    """A vocabulary in which every byte is a token; a Chinese character is three of them."""

    vocab = 256

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return list(text.encode())

    def decode(self, ids) -> str:
        return bytes(ids).decode(errors="replace")

    def id(self, special: str) -> int:
        return 0


@pytest.mark.parametrize("codec", [CODEC, default_tokenizer(), Bytes()], ids=lambda c: repr(c)[:9])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_step_ends_with_the_token_that_completes_it_in_any_vocabulary(codec, language):
    text = told(work(SUM).aloud(language), "85")
    tokens = codec.encode(text, special=True)
    assert codec.decode(tokens) == text
    judged = columns(SUM, text)
    last = last_tokens([step.end for step in judged], tokens, codec)
    for step, at in zip(judged, last, strict=True):
        assert codec.decode(tokens[: at + 1]).startswith(text[: step.end])
        assert not codec.decode(tokens[:at]).startswith(text[: step.end])
    assert last[-1] == len(tokens) - 1


def test_columns_of_tokens_by_hand():
    text = told(f"{ONES},{TENS}", "85")
    # <think> seven plus eight is fifteen , | four plus three plus one is eight | … to <|end|>
    tokens = CODEC.encode(text, special=True)
    ends = [step.end for step in columns(SUM, text)]
    assert last_tokens(ends, tokens, CODEC) == [6, 13, len(tokens) - 1]


@given(st.lists(st.integers(0, 255), min_size=1, max_size=12), st.lists(st.integers(0, 14)))
def test_any_bytes_and_any_ends_have_a_last_token(tokens, ends):
    last = last_tokens(sorted(ends), tokens, Bytes())
    assert all(0 <= at < len(tokens) for at in last) and last == sorted(last)
    assert last_tokens([len(Bytes().decode(tokens))], tokens, Bytes()) == [len(tokens) - 1]


def test_an_answer_that_breaks_off_within_a_character_ends_with_its_last_token():
    tokens = list("七".encode())[:2]  # two bytes of three, which look as one of them does
    assert last_tokens([1], tokens, Bytes()) == [1]


# --- the advantages of rollouts


def written(*responses: str, problem: Problem = SUM, gap: int = 0) -> Scored:
    """Rollouts as the loop has them; `gap` columns of a longer prompt stand before the answers."""
    rows = [CODEC.encode(r, special=True) for r in responses]
    width = max(map(len, rows)) + gap
    targets = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        targets[i, gap : gap + len(row)] = torch.tensor(row)
        mask[i, gap : gap + len(row)] = True
    tokens = torch.cat([torch.zeros(len(rows), 3, dtype=torch.long), targets], 1)
    rewards = torch.tensor([accuracy(problem, r) for r in responses])
    learnt = Learnt(tokens, targets, mask, torch.zeros_like(mask, dtype=torch.float))
    return Scored((problem,) * len(rows), responses, rewards, {}, learnt)


@pytest.mark.parametrize("gap", [0, 2])
def test_a_wrong_first_step_pushes_down_its_own_tokens_and_no_later_one(gap):
    wrong_first = told(f"seven plus eight is two,{TENS}", "85")
    right = told(f"{ONES},{TENS}", "85")
    got = supervised(written(wrong_first, right, gap=gap), columns, CODEC, 2)
    # steps 0, 1, 1 and 1, 1, 1: mean 5/6, deviation sqrt(5)/6
    deviation = 5**0.5 / 6 + EPS
    low, high = -5 / 6 / deviation, 1 / 6 / deviation
    first, tens = 7, 7  # tokens of a column: six words and a comma, seven words
    answer = len(CODEC.encode(right, special=True)) - 14
    expected = [low + 2 * high] * first + [2 * high] * tens + [high] * answer
    torch.testing.assert_close(got[0, gap:], torch.tensor(expected))
    expected = [3 * high] * first + [2 * high] * tens + [high] * answer
    torch.testing.assert_close(got[1, gap:], torch.tensor(expected))
    assert expected[0] > 0 > got[0, gap] and (got[:, :gap] == 0).all()


def test_joined_rollouts_have_the_advantages_of_their_parts():
    a = written(told(ONES, "85"), told("", "95"))
    other = Problem("3+4", "7", "add-1")
    b = written(told("", "7"), told("three plus four is seven", "8"), problem=other, gap=1)
    s = Settings(prompts=1, group=2, minibatches=1, steps_of=columns)
    both = joined([a, b])
    together = credit(both, s, CODEC)[both.learnt.mask]
    apart = torch.cat([credit(part, s, CODEC)[part.learnt.mask] for part in (a, b)])
    torch.testing.assert_close(together, apart)


def test_a_group_is_silent_when_its_steps_are_equal_and_not_when_its_answers_are():
    s = Settings(prompts=1, group=2, minibatches=1, steps_of=columns)
    equal = written(told("", "95"), "85")
    differ = written(told(ONES, "95"), told("", "95"))
    assert silent(credit(equal, s, CODEC), 2).tolist() == [True]
    assert silent(credit(differ, s, CODEC), 2).tolist() == [False]
    outcome = Settings(prompts=1, group=2, minibatches=1)
    assert silent(credit(differ, outcome, CODEC), 2).tolist() == [True]


def test_a_rollout_without_steps_has_no_advantage():
    got = supervised(written(told("", "85"), told("", "95")), lambda p, r: [], CODEC, 2)
    assert (got == 0).all()


# --- the loop


def tiny(dim=16, std=0.3) -> Transformer:
    heads = GQAConfig(n_heads=2, n_kv_heads=1, head_dim=dim // 2)
    c = ModelConfig(
        name="t", vocab=CODEC.vocab, dim=dim, n_layers=2, hidden=24, attention=heads, context=48
    )
    model = Transformer(c)
    init_weights(model, std, torch.Generator().manual_seed(0))
    return model


def small(**how) -> Settings:
    return Settings(**({"prompts": 3, "group": 4, "max_new": 7, "warmup": 1, "lr": 1e-2} | how))


def odd(_problem: Problem, response: str) -> float:
    """A reward that tells the answers of a model apart that knows nothing."""
    return float(len(response) % 2)


def at_once(problem: Problem, response: str) -> list[Judged]:
    """The whole response as one step that carries the outcome."""
    return [Judged(odd(problem, response), len(response))]


@pytest.mark.parametrize("variant", [GRPO, DAPO], ids=lambda v: v.name)
def test_one_step_that_carries_the_outcome_is_outcome_supervision_bit_for_bit(variant):
    """In groups of four, where mean and variance of rewards 0 and 1 need no rounding."""
    rules = {"odd": Weighed(odd, 1.0)}
    seen = []
    for steps_of in (None, at_once):
        model, how = tiny(), small(variant=variant, steps_of=steps_of, epochs=2)
        steps = list(grpo(model, ASK, CODEC, rules, steps=5, settings=how))
        seen.append((model, [(s.loss, s.grad_norm, s.parts) for s in steps]))
    (outcome, told_outcome), (process, told_process) = seen
    assert told_outcome == told_process and any(norm > 0 for _, norm, _ in told_outcome)
    assert all(map(torch.equal, outcome.parameters(), process.parameters()))


def test_without_steps_the_advantages_are_those_of_the_answers():
    scored = roll_out(tiny(), [ASK(0), ASK(1)], CODEC, {"odd": Weighed(odd, 1.0)},
                      group=4, max_new=7, generator=torch.Generator().manual_seed(0))  # fmt: skip
    s = small(prompts=2)
    expected = s.variant.advantages(scored.rewards.reshape(2, 4)).flatten()
    got = credit(scored, s, CODEC)
    assert torch.equal(got, over_tokens(expected, scored.learnt.mask)) and bool((got != 0).any())


def test_with_steps_the_reward_of_the_answer_is_measured_and_moves_nothing():
    """Opposite rewards, the same steps: the same weights."""
    ends = []
    for sign in (1.0, -1.0):
        model = tiny()
        rules = {"odd": Weighed(lambda p, r, sign=sign: sign * odd(p, r), 1.0)}
        steps = list(grpo(model, ASK, CODEC, rules, steps=3, settings=small(steps_of=at_once)))
        ends.append((model, steps[0].parts["reward"]))
    assert ends[0][1] == -ends[1][1] != 0
    assert all(map(torch.equal, ends[0][0].parameters(), ends[1][0].parameters()))


def test_dapo_asks_again_where_steps_are_equal():
    asked = {}
    for name, rule in (("equal", lambda p, r: [Judged(0.5, len(r))]), ("differ", two_parts)):
        numbers: list[int] = []

        def ask(i, numbers=numbers):
            numbers.append(i)
            return ASK(i)

        how = small(variant=DAPO, steps_of=rule)
        list(grpo(tiny(), ask, CODEC, R1_ZERO, steps=1, settings=how))
        asked[name] = numbers
    assert asked == {"equal": list(range(9)), "differ": [0, 1, 2]}  # outcomes are all equal in both


def test_dapo_learns_from_the_groups_alone_whose_steps_differ():
    differ = written(told(ONES, "95"), told("", "95"))
    equal = written(told("", "95"), told("", "58"))
    weights = []
    for scored in (differ, joined([equal, differ]), joined([differ, equal])):
        model, s = tiny(), small(variant=DAPO, prompts=2, group=2, minibatches=1, steps_of=columns)
        learn(model, None, optimizer_for(model, s), scored.learnt, credit(scored, s, CODEC), s,
              1e-2, torch.Generator().manual_seed(0), "plain")  # fmt: skip
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    torch.testing.assert_close(weights[1], weights[0])
    torch.testing.assert_close(weights[2], weights[0])
    assert not torch.equal(weights[0], torch.cat([p.flatten() for p in tiny().parameters()]))


def two_parts(_problem: Problem, response: str) -> list[Judged]:
    """A step at half the text that is as good as the text is short; the answer is never right."""
    half = max(1, len(response) // 2)
    return [Judged(1 / (1 + len(response)), half), Judged(0.0, len(response))]


def test_steps_are_refused_where_rewards_are_not_divided_by_their_deviation():
    with pytest.raises(ValueError, match=r"steps_of divides .* and Dr. GRPO does not"):
        small(variant=dr_grpo(7), steps_of=columns)


def reader_of_three_ways(several: list[Problem]) -> Transformer:
    """A model that has read each answer without working, with its own and with another's."""
    lessons = []
    for problem, other in zip(several, several[1:] + several[:1], strict=True):
        for think in (work(problem).aloud("english"), work(other).aloud("english"), ""):
            texts = asked(problem), told(think, problem.answer)
            lessons.append(tuple(CODEC.encode(text, special=True) for text in texts))
    model = tiny(dim=32, std=0.1)
    list(tuned(model, lessons, epochs=80, batch=len(lessons), lr=1e-2, seed=0))
    return model


def test_a_model_that_is_paid_for_columns_alone_writes_more_right_ones():
    """Every third answer it has read has the right column; no answer is paid, whatever it is.

    From a third it comes to nine in ten. Where all steps earn the same it stays within 0.1.
    """

    def columns_alone(problem: Problem, response: str) -> list[Judged]:
        *judged, answer = columns(problem, response)
        return [*judged, answer._replace(reward=0.0)]

    several = [ASK(i) for i in range(6)]
    model = reader_of_three_ways(several)
    rules = {"paid": Weighed(lambda p, r: sum(s.reward for s in columns_alone(p, r)), 0.0)}
    how = Settings(prompts=6, group=16, max_new=20, lr=3e-3, steps_of=columns_alone)
    run = grpo(model, lambda i: several[i % 6], CODEC, rules, steps=6, settings=how)
    seen = [step.parts["paid"] for step in run]
    first, last = sum(seen[:2]) / 2, sum(seen[-2:]) / 2
    assert first < 0.5 and last > first + 0.25, seen


def test_where_most_steps_are_wrong_the_formula_prefers_few_of_them():
    """Each wrong step lies below the mean: a text of one wrong step is pushed down the least."""
    many, few = told("one plus one is two,two plus two is two", "95"), "<think>"
    got = supervised(written(many, few, told(ONES, "95")), columns, CODEC, 3)
    assert got[0, 0] == pytest.approx(3 * got[1, 0].item(), rel=1e-5) and got[1, 0] < 0
