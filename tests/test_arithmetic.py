"""Problems without end, worked aloud in two languages, and none that a test asks is practised."""

import random
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minids.text.alphabet import Alphabet, alphabet
from minids.text.arithmetic import LEVELS, Problem, is_held_out, problems
from minids.text.expressions import LONGEST, reach, work_out
from minids.text.lessons import Lessons, asked, lesson, taught, told
from minids.text.spoken import LANGUAGES, Step, number, say
from minids.text.tokenizer import SPECIAL, default_tokenizer
from minids.text.working import Mistakes, guess, work

EVERY = sorted(LEVELS)


def first(level: str, n: int = 60, **how) -> list[Problem]:
    ask = problems(level, **({"seed": 0} | how))
    return [ask(i) for i in range(n)]


def value(problem: Problem) -> int:
    """The answer by Python's own arithmetic, which the package never uses on what it reads."""
    return eval(problem.question)


# --- problems


@pytest.mark.parametrize("level", [level for level in EVERY if level != "countdown"])
def test_answers_are_what_python_works_out(level):
    for problem in first(level):
        assert problem.answer == str(value(problem)) and int(problem.answer) >= 0
        assert problem.level == level


def test_a_countdown_answer_makes_24_from_all_the_numbers_once():
    for problem in first("countdown", 15):
        numbers = problem.question.removeprefix("24=").split(",")
        assert eval(problem.answer) == 24
        inside = work_out(problem.answer).numbers
        assert sorted(inside) == sorted(map(int, numbers))


@pytest.mark.parametrize("level", EVERY)
def test_a_problem_is_a_function_of_seed_and_number(level):
    n = 5
    forwards = first(level, n)
    ask = problems(level, seed=0)
    assert [ask(i) for i in reversed(range(n))] == forwards[::-1]
    assert first(level, n, seed=1) != forwards


def test_problems_never_end():
    ask = problems("add-2", seed=0)
    assert len({ask(i) for i in range(10**9, 10**9 + 500)}) > 300


@pytest.mark.parametrize("level", EVERY)
def test_what_is_held_out_is_never_practised_whatever_the_seed(level):
    n = 20 if level == "countdown" else 400
    practised = {p.question for seed in (0, 1) for p in first(level, n, seed=seed)}
    tested = {p.question for seed in (0, 7) for p in first(level, n, seed=seed, held_out=True)}
    assert tested and not practised & tested
    assert not any(map(is_held_out, first(level, n)))


def test_the_other_order_of_a_held_out_sum_is_held_out_too():
    for problem in first("add-2", 100, held_out=True):
        a, b = problem.question.split("+")
        assert is_held_out(Problem(f"{b}+{a}", problem.answer, "add-2"))


def test_another_order_of_a_held_out_expression_is_held_out_too():
    for same in (
        ["(3+4)*5", "5*(3+4)", "(4+3)*5", "5*(4+3)"],
        ["2*3*40", "40*3*2"],
        ["1+2-3", "2+1-3"],
    ):
        assert len({is_held_out(Problem(question, "", "expression")) for question in same}) == 1
    level = next(name for name in LEVELS if "expr" in name)
    for problem in first(level, 200, held_out=True):
        found = re.fullmatch(r"\((\d+)([+-])(\d+)\)\*(\d+)", problem.question)
        if found and found[2] == "+":
            a, _, b, c = found.groups()
            assert is_held_out(Problem(f"{c}*({b}+{a})", problem.answer, level))
    held_out = [is_held_out(p) for p in map(problems(level, seed=0), range(200))]
    assert not any(held_out)


def test_about_an_eighth_of_all_two_digit_sums_is_held_out():
    sums = [Problem(f"{a}+{b}", "", "add-2") for a in range(10, 100) for b in range(10, 100)]
    assert 0.11 < sum(map(is_held_out, sums)) / len(sums) < 0.14


def test_lessons_hold_no_question_of_the_test():
    text = lesson(Lessons(), seed=0)
    read = {text(i)[0] for i in range(2000)}
    assert not read & {asked(p) for p in first("add-2", 500, held_out=True)}


def test_an_unknown_level_is_refused_with_the_levels_there_are():
    with pytest.raises(ValueError, match="no level 'add-9'; there are: add-1, add-2"):
        problems("add-9", seed=0)
    with pytest.raises(ValueError, match="numbered from 0"):
        problems("add-1", seed=0)(-1)


# --- expressions


@given(st.text(max_size=80))
def test_any_text_at_all_is_read_without_an_exception(text):
    work_out(text)


@given(st.text(alphabet="0123456789+-*/()", max_size=12))
def test_what_is_read_as_an_expression_is_what_python_reads(text):
    worked = work_out(text)
    if worked is not None:
        exact = re.sub(r"[0-9]+", lambda n: f"F({int(n[0])})", text)
        assert worked.value == eval(exact, {"F": Fraction})


@pytest.mark.parametrize(
    "text",
    ["", "1+", "+1", "(1", "1)", "()", "1//2", "2**3", "1/0", "1/(2-2)", "1 + 2", "１+2", "٣",
     "1.5", "a", "__import__('os')", "1234567", "(" * 40 + "1" + ")" * 40, "-1", "²"],
)  # fmt: skip
def test_what_is_no_expression_has_no_value(text):
    assert work_out(text) is None


def test_brackets_and_precedence_count():
    assert work_out("2+3*4").value == 14 and work_out("(2+3)*4").value == 20
    assert work_out("8-3-2").value == 3 and work_out("8/4/2").value == 1
    assert work_out("1/3*3").value == 1
    assert work_out("0" * (LONGEST + 1)) is None


def test_famous_countdowns():
    assert work_out(reach(24, (4, 4, 10, 10))).value == 24  # (10*10-4)/4
    assert reach(24, (1, 1, 1, 1)) is None
    assert reach(24, (3, 3, 8, 8)) is None  # 8/(3-8/3) passes through a fraction


# --- working


@pytest.mark.parametrize("level", EVERY)
def test_working_without_mistakes_leads_to_the_answer(level):
    for problem in first(level, 15 if level == "countdown" else 200):
        assert work(problem).answer == problem.answer


@pytest.mark.parametrize("level", EVERY)
def test_every_step_of_a_right_working_is_true(level):
    for problem in first(level, 15):
        for step in work(problem).steps:
            assert eval("".join(map(str, step.parts))) == step.value


def test_working_in_words_by_hand():
    carried = work(Problem("47+38", "85", "add-2"))
    assert carried.aloud("english") == (
        "seven plus eight is fifteen,four plus three plus one is eight"
    )
    assert carried.aloud("chinese") == "七加八得十五，四加三加一得八"
    assert work(Problem("42-17", "25", "subtract-2")).aloud("english") == (
        "twelve minus seven is five,four minus one minus one is two"
    )
    assert work(Problem("47*6", "282", "multiply-2")).aloud("english") == (
        "seven times six is forty two,four times six plus four is twenty eight"
    )


@pytest.mark.parametrize(
    "n, english, chinese",
    [(0, "zero", "零"), (10, "ten", "十"), (15, "fifteen", "十五"), (20, "twenty", "二十"),
     (47, "forty seven", "四十七"), (105, "one hundred five", "一百零五"),
     (110, "one hundred ten", "一百一十"), (999, "nine hundred ninety nine", "九百九十九"),
     (2005, "two thousand five", "二千零五"), (2050, "two thousand fifty", "二千零五十")],
)  # fmt: skip
def test_numbers_in_words(n, english, chinese):
    assert number(n, "english") == english and number(n, "chinese") == chinese


def test_division_in_chinese_names_the_divisor_first():
    eight_by_four = Step((8, "/", 4), 2)
    assert say(eight_by_four, "english") == "eight over four is two"
    assert say(eight_by_four, "chinese") == "四除八得二"
    assert say(Step((8, "-", 4), 4), "chinese") == "八减四得四"


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_numbers_sound_alike(language):
    assert len({number(n, language) for n in range(10_000)}) == 10_000
    with pytest.raises(ValueError, match="0 to 9999"):
        number(10_000, language)


def test_slips_come_as_often_as_asked():
    rng, slipped, n = random.Random(0), 0, 2000
    for problem in first("add-1", n):
        slipped += work(problem, Mistakes(slip=0.2), rng).answer != problem.answer
    assert 0.17 < slipped / n < 0.23


def test_the_habit_writes_columns_as_they_were_found():
    rng = random.Random(0)
    told = work(Problem("47+38", "85", "add-2"), Mistakes(habit=1.0), rng)
    assert told.answer == "58" and told.steps == work(Problem("47+38", "85", "add-2")).steps
    assert work(Problem("77+74", "151", "add-2"), Mistakes(habit=1.0), rng).answer == "115"


def test_the_habit_works_expressions_from_left_to_right():
    told = work(Problem("2+3*4", "14", "expression"), Mistakes(habit=1.0), random.Random(0))
    assert told.answer == "20"


def test_a_slip_is_built_upon():
    for seed in range(40):
        working = work(Problem("47+38", "85", "add-2"), Mistakes(slip=0.5), random.Random(seed))
        ones, tens = (step.value for step in working.steps)
        assert working.answer == str(ones % 10 + 10 * tens)
        assert (len(working.steps[1].parts) == 5) == (ones >= 10)


def test_a_slip_is_carried_into_the_step_that_uses_it():
    for i, problem in enumerate(first("expression", 200)):
        one, two = work(problem, Mistakes(slip=1.0), random.Random(i)).steps
        assert one.value in two.parts


def test_equal_values_do_not_change_places():
    twice = Problem("24=3,4,2,6", "(3*4)+(2*6)", "countdown")
    for seed in range(40):
        one, two, last = work(twice, Mistakes(slip=0.5), random.Random(seed)).steps
        assert last.parts == (one.value, "+", two.value)
    again = Problem("24=4,1,4,10", "(1*4)*(10-4)", "countdown")
    for seed in range(40):
        one, two, last = work(again, Mistakes(slip=0.5), random.Random(seed)).steps
        assert two.parts == (10, "-", 4) and last.parts == (one.value, "*", two.value)


def test_a_guess_is_off_by_a_carry():
    rng = random.Random(0)
    assert guess(Problem("47+38", "85", "add-2"), Mistakes(guess=1.0), rng) == "75"
    assert guess(Problem("41+38", "79", "add-2"), Mistakes(guess=1.0), rng) == "89"
    assert guess(Problem("41+38", "79", "add-2"), Mistakes(), rng) == "79"
    for problem in first("countdown", 5):
        assert guess(problem, Mistakes(guess=1.0), rng) != problem.answer


def test_a_wrong_guess_of_countdown_is_never_right_by_chance():
    easy = Problem("24=1,1,2,12", "((1*1)*2)*12", "countdown")  # times one is over one
    for seed in range(40):
        said = work_out(guess(easy, Mistakes(guess=1.0), random.Random(seed)))
        assert said is None or said.value != 24


@pytest.mark.parametrize("level", EVERY)
def test_mistakes_never_break_a_working(level):
    rng = random.Random(0)
    for problem in first(level, 8 if level == "countdown" else 150):
        working = work(problem, Mistakes(slip=0.5, habit=0.5), rng)
        for language in LANGUAGES:
            assert alphabet().encode(working.aloud(language))


def test_chances_are_chances():
    with pytest.raises(ValueError, match="slip=1.5 is a chance"):
        Mistakes(slip=1.5)
    with pytest.raises(ValueError, match="worked=2 is a share"):
        Lessons(worked=2)
    with pytest.raises(ValueError, match="give rng"):
        work(Problem("1+1", "2", "add-1"), Mistakes(slip=0.1))


# --- alphabet and lessons


@given(st.lists(st.integers(0, 79), max_size=30))
def test_whatever_a_model_writes_can_be_read_back(ids):
    a = alphabet()
    assert a.encode(a.decode(ids), special=True) == ids


def test_both_vocabularies_read_every_lesson():
    text, big, small = lesson(Lessons(chinese=0.5), seed=3), default_tokenizer(), alphabet()
    for i in range(40):
        for part in text(i):
            assert big.decode(big.encode(part, special=True)) == part
            assert small.decode(small.encode(part, special=True)) == part


def test_the_alphabet_refuses_what_it_cannot_spell():
    with pytest.raises(ValueError, match="'teen' in 'seven teen' is not in this alphabet"):
        alphabet().encode("seven teen")
    with pytest.raises(ValueError, match="<think>"):
        alphabet().encode("<think>")
    with pytest.raises(ValueError, match="token 80"):
        alphabet().decode([80])
    with pytest.raises(ValueError, match="no special token"):
        alphabet().id("seven")
    with pytest.raises(ValueError, match="may occur once"):
        Alphabet(["a", "a"])


def test_the_alphabet_has_eighty_tokens_and_the_special_ones_of_the_course():
    assert alphabet().vocab == 80
    assert [alphabet().id(token) for token in SPECIAL] == list(range(len(SPECIAL)))


def test_a_third_of_the_lessons_show_their_working():
    text = lesson(Lessons(worked=0.35), seed=0)
    worked = ["<think></think>" not in text(i)[1] for i in range(2000)]
    assert 0.31 < sum(worked) / len(worked) < 0.39


@pytest.mark.parametrize("level", [level for level in LEVELS if level != "countdown"])
def test_a_wrong_guess_is_ten_away_and_never_below_nought(level):
    wrong, draw = Mistakes(guess=1.0), problems(level, seed=0)
    for i in range(400):
        said = guess(draw(i), wrong, random.Random(i))
        assert said.isdecimal() and abs(int(said) - int(draw(i).answer)) == 10


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_workings_is_in_chinese(share):
    text = lesson(Lessons(worked=1.0, chinese=share), seed=0)
    chinese = [not text(i)[1].isascii() for i in range(500)]
    assert sum(chinese) / 500 == pytest.approx(share, abs=0.06 if 0 < share < 1 else 0)


def test_only_the_response_is_learned_and_batches_repeat():
    batches = taught(Lessons(), alphabet(), batch=8, seed=0)
    batch = batches(3)
    assert all(map(lambda a, b: bool((a == b).all()), batch, batches(3)))
    codec = alphabet()
    for row in range(8):
        response = codec.decode(batch.targets[row][batch.mask[row]].tolist())
        assert response == lesson(Lessons(), seed=0)(24 + row)[1]


def test_a_few_lessons_can_be_read_again_and_again():
    batches = taught(Lessons(), alphabet(), batch=4, seed=0, repeat=4)
    assert (batches(0).tokens == batches(5).tokens).all()


def test_a_response_has_the_form_of_the_template():
    assert told("seven", "7") == "<think>seven</think><answer>7</answer><|end|>"


@pytest.mark.parametrize("sign", ["+", "*"])
def test_either_order_of_a_sum_or_product_is_on_the_same_side(sign):
    for a in range(10):
        for b in range(a):
            one, other = (Problem(f"{x}{sign}{y}", "", "") for x, y in ((a, b), (b, a)))
            assert is_held_out(one) == is_held_out(other)
