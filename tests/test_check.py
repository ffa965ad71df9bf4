"""The check engine, and the proof of every checker by right answers and planted mistakes."""

import copy
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minids.check import (
    Claim,
    NotYet,
    bugs,
    call,
    check,
    checker,
    close,
    examine,
    exercises,
    hint,
    progress,
    raises,
    shaped,
)
from minids.check.answers import explains, number_entries, numbers_for, numbers_in, what_moves
from minids.check.bugs.__main__ import page
from minids.check.claims import Refused
from minids.check.registry import CHECKERS

SEEDS = (0, 1, 2)
MORE_SEEDS = (*SEEDS, 3, 4)  # for what must be accepted
RIGHT = [
    pytest.param(name, attempt, id=f"{name}-{number}")
    for name, attempts in bugs.right().items()
    for number, attempt in enumerate(attempts)
]
WRONG = [
    pytest.param(planted, id=f"{planted.exercise}-{planted.mistake}") for planted in bugs.wrong()
]

SAID: dict[tuple[str, str], Any] = {}
"""The verdict on each planted mistake with seed 0, kept from its own test for the table's."""


# --- every checker is proved


@pytest.mark.parametrize(("name", "attempt"), RIGHT)
def test_a_right_answer_is_accepted(name: str, attempt: Any) -> None:
    for seed in MORE_SEEDS:
        verdict = examine(name, attempt, seed=seed)
        assert verdict.state == "solved", verdict.message()


@pytest.mark.parametrize("planted", WRONG)
def test_a_planted_mistake_is_caught_by_the_claim_that_names_it(planted: bugs.Planted) -> None:
    for seed in SEEDS:
        verdict = examine(planted.exercise, planted.attempt, seed=seed)
        SAID.setdefault((planted.exercise, planted.mistake), verdict)
        assert verdict.state in ("wrong", "error"), f"seed {seed}: not caught"
        assert planted.words in f"{verdict.failed} {verdict.hint}", verdict.message()


@pytest.mark.parametrize("name", exercises())
def test_a_stub_is_told_apart_from_a_mistake(name: str) -> None:
    def stub(*_args: Any, **_kwargs: Any) -> None:
        raise NotImplementedError

    blank = stub if CHECKERS[name].takes is None else ...
    assert "nothing here yet" in examine(name, blank, seed=0).message()


@pytest.mark.parametrize("name", exercises())
def test_every_exercise_has_two_right_answers_and_five_wrong_ones(name: str) -> None:
    planted = [p for p in bugs.wrong() if p.exercise == name]
    assert len({p.mistake for p in planted}) >= 5
    assert len(bugs.right()[name]) >= 2


def test_more_than_ten_exercises_have_three_answers_beside_the_first() -> None:
    assert sum(len(answers) >= 4 for answers in bugs.right().values()) > 10


@pytest.mark.parametrize("name", exercises())
def test_a_check_leaves_the_random_state_alone(name: str) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    examine(name, bugs.right()[name][-1], seed=0)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("name", [name for name in exercises() if CHECKERS[name].takes is None])
def test_no_check_hands_out_what_its_module_keeps(name: str) -> None:
    answer, module = bugs.right()[name][0], sys.modules[CHECKERS[name].claims.__module__]
    kinds = (list, dict, set, torch.Tensor)
    kept = {id(x) for x in vars(module).values() if isinstance(x, kinds)}

    def given(*args: Any, **kwargs: Any) -> Any:
        assert not kept & {id(x) for x in (*args, *kwargs.values())}
        return answer(*args, **kwargs)

    assert examine(name, given, seed=0).state == "solved"


def test_bugs_are_registered_for_exercises_that_exist() -> None:
    known = set(exercises())
    assert {p.exercise for p in bugs.wrong()} | set(bugs.right()) == known


def test_the_published_table_is_what_the_checks_say_of_every_planted_mistake() -> None:
    missing = [p for p in bugs.wrong() if (p.exercise, p.mistake) not in SAID]
    SAID.update({(p.exercise, p.mistake): examine(p.exercise, p.attempt, seed=0) for p in missing})
    rows = [bugs.row(p, SAID[p.exercise, p.mistake]) for p in bugs.wrong()]
    assert len(SAID) == len(rows) == len(WRONG)
    assert not [row for row in rows if row.claim == "NOT CAUGHT" or not row.hint]
    published = Path(__file__).parents[1].joinpath("docs", "mistakes.md").read_text("utf-8")
    # Digits may depend on the machine.
    now, then = (re.sub(r"[\d.]+", "0", text).splitlines() for text in (page(rows), published))
    assert now == then, "write it anew: python -m minids.check.bugs > docs/mistakes.md"


# --- the engine


@pytest.fixture
def double() -> Iterator[str]:
    @checker("99.double", hints=("idea", "plan", "one line"))
    def _(attempt: Any, g: torch.Generator) -> Iterator[Claim]:
        x = torch.rand(3, 5, generator=g) + 1
        out = attempt(x)
        yield shaped(out, (3, 5), like=x)
        yield Claim("it doubles", close(out, 2 * x), "multiply by 2.")

    yield "99.double"
    del CHECKERS["99.double"]


def endless(x: Any) -> None:
    while True:
        with suppress(Exception):
            time.sleep(0.01)


def in_place(x: Any) -> Any:
    x *= 2
    return x


def forgotten(x: Any) -> None:
    x * 2


def divided(x: Any) -> Any:
    return 1 // 0


def no_half(x: Any) -> Any:
    raise NotImplementedError("'exotic' not implemented for 'Half'")


def leaves(x: Any) -> Any:
    raise SystemExit(1)


def unheard(x: Any) -> Any:
    class Unheard(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    raise Unheard


def of_no_kind(x: Any) -> Any:
    raise BaseException("of no kind")


def endlessly(x: Any) -> Any:
    return endlessly(x)


def in_turn(x: Any) -> Any:
    yield 2 * x


class Own(torch.Tensor):
    """A tensor that is equal to whatever it is compared with."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = super().__torch_function__(func, types, args, kwargs or {})
        return torch.zeros(()) if func.__name__ == "max" else found


class Anything:
    """Equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


ACCIDENTS = [
    (lambda x: 3 * x, "it doubles", "multiply by 2."),
    (in_place, "changes what it was given", "work on a copy"),
    (forgotten, "returns None", "`return`"),
    (lambda x: x * torch.nan, "NaN", "0/0"),
    (divided, "stops with ZeroDivisionError", "in the line `return 1 // 0`"),
    (no_half, "stops with NotImplementedError", "for 'Half'"),
    (leaves, "stops with SystemExit", "raise SystemExit(1)"),
    (lambda x: "text", "the right shape", "should be a tensor; it is a str"),
    (lambda x: 2 * x.double(), "dtype", "expected torch.float32 like the input"),
    (
        lambda x: torch.empty(3, 5, device="meta"),
        "device",
        "the input lies on cpu, the result on meta",
    ),
    (lambda x: 2 * x.T, "the right shape", "expected shape (3, 5), got (5, 3)"),
    (lambda: 0, "cannot be called with the inputs of the task", "Keep the arguments"),
    (torch.rand(3), "wants your function itself", "without calling f"),
    (None, "wants your function itself, and got None", "without calling f"),
    (unheard, "stops with Unheard", "in the line `raise Unheard`"),
    (of_no_kind, "stops with BaseException", "of no kind -- in the line"),
    (endlessly, "stops with RecursionError", "in the line `return endlessly(x)`"),
    (in_turn, "the right shape", "should be a tensor; it is a generator"),
    (lambda x: np.asarray(2 * x), "the right shape", "should be a tensor; it is a ndarray"),
    (lambda x: torch.empty(10**15), "stops with RuntimeError", "in the line `(lambda x: torch"),
    (lambda x: x.as_subclass(Own), "returns Own, a kind of Tensor of its own", "a plain Tensor"),
]


# An exercise of each of five chapters, so that guards are tried with real claims behind them.
ODD = [in_turn, endlessly, unheard, of_no_kind]
ODD += [lambda *_: np.zeros((3, 5)), lambda *_: torch.empty(10**15), lambda *_: Anything()]
ODD += [lambda *_: torch.zeros(3, 5).as_subclass(Own), lambda *_: torch.zeros(3, 5).to_sparse()]
ODD += [lambda *_: torch.zeros(3, 5) * 1j, lambda *_: 10**400, lambda *_: torch.Tensor]


@pytest.mark.parametrize("attempt", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize(
    "name", ["00.saving", "02.repeat_kv", "04.absorb", "07.verify", "10.reward"]
)
def test_whatever_comes_back_from_a_real_exercise_becomes_a_sentence(
    name: str, attempt: Any
) -> None:
    verdict = examine(name, attempt, seed=1)
    assert verdict.state in ("wrong", "error")
    assert len(verdict.failed) > 10 and len(verdict.hint) > 10
    assert "Traceback" not in verdict.message()


@pytest.mark.parametrize("name", [name for name in exercises() if CHECKERS[name].takes is dict])
def test_no_answer_is_right_because_it_is_equal_to_everything(name: str) -> None:
    answer = bugs.right()[name][0]
    assert "a value of type Anything" in examine(name, {**answer, Anything(): 1}, seed=1).failed
    for key in answer:
        assert (
            "a value of type Anything" in examine(name, {**answer, key: Anything()}, seed=1).failed
        )


def test_whoever_presses_stop_stops_the_check(double: str) -> None:
    def stopped(x: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine(double, stopped, seed=1)


@pytest.mark.parametrize(("attempt", "says", "tells"), ACCIDENTS)
def test_every_accident_becomes_a_sentence(
    double: str, attempt: Any, says: str, tells: str
) -> None:
    verdict = examine(double, attempt, seed=1)
    assert verdict.state in ("wrong", "error")
    assert says in verdict.failed
    assert tells in verdict.hint
    assert "Traceback" not in verdict.message()


def test_an_endless_loop_is_ended(double: str) -> None:
    CHECKERS[double] = replace(CHECKERS[double], seconds=0.3)
    verdict = examine(double, endless, seed=1)
    assert verdict.failed == "your code is still running after 0.3 s"
    assert (
        verdict.hint
        == "is there a loop without an end, or are the same things worked out again and again?"
    )
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_loop_that_swallows_the_first_alarm_hears_the_next(double: str) -> None:
    def stubborn(x: Any) -> None:
        with suppress(BaseException):
            endless(x)
        time.sleep(5)

    CHECKERS[double] = replace(CHECKERS[double], seconds=0.3)
    assert examine(double, stubborn, seed=1).failed == "your code is still running after 0.3 s"


def test_an_alarm_that_was_set_before_a_check_still_rings(double: str) -> None:
    signal.setitimer(signal.ITIMER_REAL, 1000)
    try:
        examine(double, lambda x: 2 * x, seed=1)
        assert 900 < signal.getitimer(signal.ITIMER_REAL)[0] <= 1000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def test_off_the_main_thread_a_check_works_without_a_limit(double: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(examine, double, lambda x: 2 * x, seed=1).result().state == "solved"


def test_what_holds_is_printed_and_what_fails_stops(double: str, capsys: Any) -> None:
    with pytest.raises(NotYet, match=r"it doubles -- not yet\.\n  hint: multiply by 2\."):
        check(double, lambda x: 3 * x, seed=4)
    assert capsys.readouterr().out == "  ok: the result has the right shape, dtype and device\n"
    check(double, lambda x: 2 * x)
    assert capsys.readouterr().out.endswith("99.double: solved (2 claims hold)\n")


def test_a_later_claim_is_not_computed_before_the_earlier_hold() -> None:
    @checker("99.order", hints=("a", "b", "c"))
    def _(attempt: Any, g: torch.Generator) -> Iterator[Claim]:
        yield Claim("first", False, "see first.")
        raise AssertionError("computed")

    assert examine("99.order", lambda: 0, seed=0).failed == "first"
    del CHECKERS["99.order"]


def test_inputs_differ_by_seed_and_repeat_with_it() -> None:
    seen = []

    @checker("99.seen", hints=("a", "b", "c"))
    def _(attempt: Any, g: torch.Generator) -> Iterator[Claim]:
        seen.append((torch.rand(1, generator=g).item(), torch.rand(1).item()))
        yield Claim("first", True, "")

    for seed in (1, 1, 2):
        examine("99.seen", lambda: 0, seed=seed)
    assert seen[0] == seen[1] != seen[2]
    del CHECKERS["99.seen"]


def test_an_answer_can_be_a_number() -> None:
    @checker("99.bytes", hints=("a", "b", "c"), takes=(int, float))
    def _(attempt: Any, g: torch.Generator) -> Iterator[Claim]:
        yield Claim("bytes per token", close(attempt, 70_272), "two bytes a number.")

    assert examine("99.bytes", 70_272, seed=0).state == "solved"
    assert examine("99.bytes", 35_136, seed=0).hint == "two bytes a number."
    assert "nothing here yet" in examine("99.bytes", ..., seed=0).message()
    assert "should be of type int or float" in examine("99.bytes", "70 kB", seed=0).failed
    del CHECKERS["99.bytes"]


def test_in_ipython_no_traceback_is_shown() -> None:
    assert NotYet("one sentence")._render_traceback_() == ["one sentence"]


def test_hints_come_in_three_grades_and_a_pointer(double: str, capsys: Any) -> None:
    for level in (1, 2, 3, 4):
        hint(double, level)
    out = capsys.readouterr().out
    assert all(words in out for words in ("idea", "plan", "one line", "solutions/"))
    with pytest.raises(ValueError, match="from 1 to 3"):
        hint(double, 5)


def test_unknown_exercises_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="there is no exercise '98.x'; known: "):
        check("98.x", lambda: 0)


def test_three_hints_are_demanded() -> None:
    with pytest.raises(ValueError, match="three hints"):
        checker("99.x", hints=("a", "b", ""))


# --- helpers for checkers


def test_closeness_is_relative_to_the_expected_size() -> None:
    assert close(torch.tensor([1e-3, 2e-3]), torch.tensor([1e-3, 2e-3 + 1e-8]))
    assert not close(torch.tensor([1e-3, 2e-3]), torch.tensor([1e-3, 2.1e-3]))
    assert not close(torch.tensor([torch.inf]), torch.tensor([1.0]))


def test_nothing_can_be_compared_with_nearly_zero() -> None:
    with pytest.raises(AssertionError, match="near zero"):
        close(torch.zeros(3), torch.full((3,), 1e-9))


def test_shapes_are_not_broadcast() -> None:
    with pytest.raises(Exception, match=r"shape \(3, 1\) was expected, and \(1, 3\) came"):
        close(torch.ones(1, 3), torch.ones(3, 1))


def test_guards_can_be_loosened() -> None:
    assert call(forgotten, torch.ones(2), may_be_none=True) is None
    assert call(in_place, torch.ones(2), may_change=True).sum() == 4
    assert call(lambda x: x * torch.nan, torch.ones(2), may_be_nan=True).isnan().all()


@pytest.mark.parametrize(
    ("given", "change"),
    [
        (torch.ones(2), torch.Tensor.zero_),
        (torch.ones(2), lambda x: setattr(x, "data", x.double())),
        (torch.ones(2, requires_grad=True), torch.Tensor.detach_),
        ([1, 2], lambda x: x.append(3)),
        ([torch.ones(2)], lambda x: x[0].zero_()),
        ({"a": 1}, lambda x: x.update(b=2)),
        ({"a": torch.ones(2)}, lambda x: x["a"].zero_()),
        ({1, 2}, lambda x: x.add(3)),
        (bytearray(b"ab"), lambda x: x.extend(b"c")),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_whatever_is_changed_in_place_is_seen(given: Any, change: Any, named: bool) -> None:
    args, kwargs = ((), {"x": copy.deepcopy(given)}) if named else ((copy.deepcopy(given),), {})
    assert call(lambda x: 1, *args, **kwargs) == 1
    with pytest.raises(Refused, match="changes what it was given"):
        call(lambda x: (change(x), 1)[1], *args, **kwargs)


def test_not_a_number_that_was_given_is_no_change() -> None:
    assert call(lambda x: 1, torch.tensor([torch.nan, 1.0])) == 1


@pytest.mark.parametrize("nothing", [..., NotImplemented])
def test_what_stands_for_nothing_yet_is_blank(double: str, nothing: Any) -> None:
    assert examine(double, lambda x: nothing, seed=1).state == "blank"


def test_gradients_pass_through_the_guard() -> None:
    x = torch.ones(2, requires_grad=True)
    call(lambda x: (x * 3).sum(), x).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3, 3]


def test_raising_can_be_asked_for() -> None:
    assert raises(divided, ZeroDivisionError, 1)
    assert not raises(lambda x: x, ValueError, 1)


# --- the progress file


def test_progress_is_kept_in_the_current_folder(
    double: str, tmp_path: Any, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIDS_PROGRESS", raising=False)
    check(double, lambda x: 2 * x)
    with pytest.raises(NotYet):
        check(double, lambda x: 3 * x)
    kept = progress.read(tmp_path)[double]
    assert kept["solved"] is True
    assert kept["tries"] == 2
    assert kept["failed"] == "it doubles"
    file = tmp_path / ".minids" / "progress.json"
    assert json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o644  # whoever teaches may read it


@pytest.mark.parametrize("text", ["", "[1, 2]", "3", '{"99.double": 3}', "[" * 100_000])
def test_a_file_that_holds_no_progress_is_read_as_empty(tmp_path: Any, text: str) -> None:
    (tmp_path / "progress.json").write_text(text)
    assert progress.load(tmp_path / "progress.json") == {}


def test_a_write_that_fails_leaves_nothing_behind(
    double: str, tmp_path: Any, monkeypatch: Any, capsys: Any
) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIDS_PROGRESS", raising=False)
    monkeypatch.setattr(progress.os, "replace", full)
    check(double, lambda x: 2 * x)
    assert [path.name for path in (tmp_path / ".minids").iterdir()] == ["progress.lock"]


def test_a_folder_that_cannot_be_written_to_does_not_disturb(
    double: str, tmp_path: Any, monkeypatch: Any, capsys: Any
) -> None:
    (tmp_path / ".minids").write_text("a file where the folder should be")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIDS_PROGRESS", raising=False)
    check(double, lambda x: 2 * x)
    assert "solved" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "kept"), [
    ("<<<<<<< mine\n{}", True), ('{"99.other": {"solved": true}', True), ("[1, 2]", True),
    ("", False), ("{}", False), ("{\n\n}\n", False),
])  # fmt: skip
def test_a_progress_file_that_cannot_be_read_is_set_aside(
    double: str, tmp_path: Any, monkeypatch: Any, capsys: Any, text: str, kept: bool
) -> None:
    (tmp_path / ".minids").mkdir()
    (tmp_path / ".minids" / "progress.json").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIDS_PROGRESS", raising=False)
    for _ in range(2):
        check(double, lambda x: 2 * x)
    assert progress.read(tmp_path)[double]["solved"]
    aside = list((tmp_path / ".minids").glob("progress.unreadable*"))
    assert [p.read_text() for p in aside] == [text] * kept


RECORDS = """
import sys
from minids.check import progress

print("ready", flush=True)
input()
for number in range(50):
    progress.record(f"{sys.argv[1]}.{number}", "solved", 1, "")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other locks")
def test_two_notebooks_that_check_at_once_lose_no_result(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("MINIDS_PROGRESS", "on")
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    commands = [[sys.executable, "-c", RECORDS, name] for name in ("one", "two")]
    both = [subprocess.Popen(command, cwd=tmp_path, **pipes) for command in commands]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        process.communicate()
    expected = {f"{name}.{number}" for name in ("one", "two") for number in range(50)}
    assert set(progress.read(tmp_path)) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other locks")
def test_a_notebook_that_hangs_keeps_nobody_from_recording(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIDS_PROGRESS", "on")
    monkeypatch.setattr(progress, "PATIENCE", 0.02)
    (tmp_path / ".minids").mkdir()
    with (tmp_path / ".minids" / "progress.lock").open("a") as file:
        progress._lock(file)
        progress.record("99.double", "solved", 1, "")
    assert progress.read(tmp_path)["99.double"]["solved"]


@pytest.mark.parametrize(("words", "said"), [
    ("half of 262 144 tokens", 262_144), ("36,6 percent", 36.6), ("1,200,000 and more", 1_200_000),
    ("about .52, as measured", 0.52), ("1_200_000 of them", 1_200_000), ("it is 7.", 7),
    ("nur 0,375 davon", 0.375), ("three eighths, 3/8", 0.375), ("7.86e5 numbers", 786_000),
    ("786K numbers", 786_000), ("0.786 million", 786_000), ("262'144 of them", 262_144),
])  # fmt: skip
def test_numbers_of_a_sentence_are_read_as_people_write_them(words, said):
    assert said in numbers_in(words)


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_a_notebook_without_gradients_does_not_make_answers_wrong(without):
    answer = bugs.right()["01.rms_norm"][0]
    with without():
        assert examine("01.rms_norm", answer, seed=0).state == "solved"
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize("name", ["00.measure", "02.cache_bytes", "08.round", "08.tile"])
def test_a_notebook_of_another_dtype_does_not_make_answers_wrong(name, double_by_default):
    for answer in bugs.right()[name]:
        assert examine(name, answer, seed=0).state == "solved"
        assert torch.get_default_dtype() == torch.float64


def test_the_dtype_that_an_answer_leaves_behind_is_not_that_of_the_notebook():
    def wide(*args):
        torch.set_default_dtype(torch.float64)
        return bugs.right()["02.repeat_kv"][0](*args)

    examine("02.repeat_kv", wide, seed=0)
    assert torch.get_default_dtype() == torch.float32


def test_what_an_answer_switches_off_is_on_for_the_next_check():
    def without_gradients(*args):
        torch.set_grad_enabled(False)
        return bugs.right()["02.repeat_kv"][0](*args)

    assert "leaves gradients" in examine("02.repeat_kv", without_gradients, seed=0).failed
    assert torch.is_grad_enabled()


class Agreeable(dict[str, Any]):
    """A dictionary that is equal to whatever it is compared with, and finds what it has not."""

    def __eq__(self, other: object) -> bool:
        return True

    def __missing__(self, key: str) -> Anything:
        return Anything()

    def __contains__(self, key: object) -> bool:
        return True


@pytest.mark.parametrize("kind", [OrderedDict, Counter, partial(defaultdict, int), Agreeable])
def test_a_dictionary_of_another_kind_counts_for_what_it_holds(kind: Any) -> None:
    answer = bugs.right()["01.predict"][0]
    assert examine("01.predict", kind(answer), seed=0).state == "solved"
    first = next(iter(answer))
    without = {key: value for key, value in answer.items() if key != first}
    assert examine("01.predict", kind(without), seed=0).state == "wrong"


def test_numbers_of_other_kinds_are_compared_as_numbers():
    assert close(np.float32(0.5), 0.5)
    assert close(Fraction(1, 2), 0.5)


def test_numbers_keep_all_their_digits_in_a_comparison():
    exact = 1234567.89
    for same in (exact, np.float64(exact), torch.tensor(exact, dtype=torch.float64)):
        assert close(same, exact, rtol=1e-9)
    assert close(torch.tensor(exact), exact, rtol=1e-9)  # as near as its 24 bits can come
    assert not close(round(exact, 1), exact, rtol=1e-9)


def test_an_entry_that_is_no_number_is_named():
    answer = {"share": "3/8", "because": "of what was said above"}
    assert "'3/8'" in number_entries(answer, "share").hint
    assert number_entries(answer | {"share": 0.375}, "share").holds


@pytest.mark.parametrize(("said", "near"), [(0.5024, True), (0.4976, True), (0.505, False)])
def test_half_a_percent_is_near_enough_in_an_explanation(said, near):
    answer = {"because": f"each of the heads would keep about {said} of all that it had"}
    sentence, number = explains(answer, (0.5, 50.0), hint="which share?")
    assert sentence.holds and number.holds is near


def test_every_question_needs_a_number_and_what_else_is_written_does_not_matter():
    assert numbers_for({"a": 1, "b": 2.0, "c": "why"}, ("a", "b")).holds
    assert numbers_for({"a": 1, "b, c": "2,024"}, ("a", "b, c")).hint.startswith(
        "'b, c' is '2,024'"
    )
    assert "the keys are 'a', 'b, c'" in numbers_for({"a": 1}, ("a", "b, c")).hint


def test_a_word_that_is_none_of_the_words_is_named():
    expected = {"twice the heads": (frozenset({"cache"}), "because")}
    answer = {"twice the heads": {"cache", "cash"}}
    _, known, moves = what_moves(answer, expected, words=("cache", "weights"))
    assert not known.holds and "'cash'" in known.hint and not moves.holds
