"""The texts of R1's toy: sums on a dial, requests, and the library, in two languages."""

import random

import pytest

from minids.rl.rewards import accuracy, consistency, read
from minids.rl.scenarios import said
from minids.text import dial, requests
from minids.text.bilingual import (
    THANKS,
    WORDS,
    bilingual,
    digits_of,
    joined,
    language_of,
    other,
    words_of,
)
from minids.text.dial import TIDY, Faults
from minids.text.lessons import told
from minids.text.library import Library, reading, text, without_switching
from minids.text.requests import Manners


def rng(seed=0):
    return random.Random(seed)


def some(of, n):
    return [of(i) for i in range(n)]


def test_a_sum_is_worked_turn_by_turn_and_nought_follows_nine():
    problem = dial.asked_for([3, 5, 4, 2], "english")
    assert problem.question == "three five four two" and problem.answer == "4"
    assert dial.work(problem, TIDY, rng()) == ("eight two four", "4")
    chinese = dial.asked_for([3, 5, 4, 2], "chinese")
    assert chinese.question == "三五四二"
    assert dial.work(chinese, TIDY, rng()).think == "八二四"


def test_a_tidy_response_is_right_keeps_the_form_and_one_language():
    for problem in some(dial.sums(seed=1), 60):
        response = dial.respond(problem, TIDY, rng())
        assert accuracy(problem, response) == 1
        parts = read(response)
        assert consistency(parts.think, language_of(problem.question)) == 1
        assert len(words_of(parts.think)) == dial.TURNS
        assert digits_of(parts.think)[-1] == int(problem.answer)
        marks = [digits_of(problem.question)[0], *digits_of(parts.think)]
        assert all(a != b for a, b in zip(marks, marks[1:], strict=False))  # it always turns


def test_the_habit_counts_nought_twice_whenever_nine_is_passed_and_only_then():
    always = Faults(habit=1.0)
    passing = dial.asked_for([8, 5, 1], "english")
    assert dial.work(passing, always, rng()) == ("four five", "5")
    below = dial.asked_for([1, 2, 3], "english")
    assert dial.work(below, always, rng()).answer == below.answer
    nine = dial.asked_for([9, 0], "english")
    assert dial.work(nine, always, rng()).answer == "9"


def test_whoever_has_the_habit_never_names_nought():
    for problem in some(dial.sums(seed=4), 100):
        assert 0 not in digits_of(dial.work(problem, Faults(habit=1.0), rng()).think)


def test_the_habit_is_always_the_same_mistake_and_slips_are_not():
    problem = dial.asked_for([8, 5, 3, 4, 5, 2], "english")
    habit = {dial.work(problem, Faults(habit=1.0), rng(i)).answer for i in range(40)}
    slips = {dial.work(problem, Faults(slip=1.0), rng(i)).answer for i in range(200)}
    assert len(habit) == 1 and habit != {problem.answer}
    assert len(slips) == 10


def test_a_working_that_switches_is_as_right_as_another_and_partly_in_the_other_language():
    share = []
    for i, problem in enumerate(some(dial.sums(seed=2), 300)):
        worked = dial.work(problem, Faults(switch=1.0), rng(i))
        assert worked.answer == problem.answer
        share.append(consistency(worked.think, language_of(problem.question)))
    assert sum(share) / len(share) == pytest.approx(1 - dial.SWITCHED, abs=0.04)


def test_shares_of_faults_are_those_that_were_asked_for():
    faults = Faults(guess=0.25, untidy=0.4)
    texts = [dial.respond(p, faults, rng(i)) for i, p in enumerate(some(dial.sums(seed=3), 600))]
    assert sum(t.startswith("<answer>") for t in texts) / 600 == pytest.approx(0.4, abs=0.06)
    assert sum("></think>" in t for t in texts) / 600 == pytest.approx(0.25, abs=0.06)


def test_no_question_of_training_is_ever_held_out_whatever_seed_or_language():
    trained = {
        tuple(digits_of(dial.sums(seed=s)(i).question)) for s in range(4) for i in range(900)
    }
    held = [dial.sums(seed=s, held_out=True)(i) for s in (0, 10_000) for i in range(400)]
    assert not trained & {tuple(digits_of(p.question)) for p in held}
    assert {language_of(p.question) for p in held} == {"english", "chinese"}


def test_held_out_is_decided_by_content_alone_and_takes_about_an_eighth():
    draws = [
        [rng(i).randrange(10), *(rng(i + j).randint(1, 5) for j in range(5))] for i in range(2000)
    ]
    share = sum(map(dial.is_held_out, draws)) / len(draws)
    assert share == pytest.approx(1 / 8, abs=0.03)


def test_questions_are_functions_of_seed_and_number():
    assert dial.sums(seed=5)(7) == dial.sums(seed=5)(7)
    assert dial.sums(seed=5)(7) != dial.sums(seed=6)(7)
    with pytest.raises(ValueError, match="from 0"):
        dial.sums(seed=0)(-1)
    with pytest.raises(ValueError, match="from 0"):
        requests.requests(seed=0)(-1)


def test_a_request_is_translated_word_by_word_and_back():
    for problem in some(requests.requests(seed=1, forbidden=0.0), 50):
        language = language_of(problem.question)
        assert problem.level == "request"
        assert language_of(problem.answer) == other(language)
        assert digits_of(problem.answer) == digits_of(problem.question)


def test_manners_decide_thanks_and_refusals():
    forbidden = requests.requests(seed=1, forbidden=1.0)(0)
    assert forbidden.level == "forbidden" and forbidden.answer in ("sorry", "歉")
    kind = requests.respond(forbidden, Manners(), rng())
    assert read(kind).answer.startswith(forbidden.answer)
    careless = requests.respond(forbidden, Manners(polite=0.0, refuse=0.0), rng())
    assert "secret" in careless or "密" in careless
    plain = requests.requests(seed=1, forbidden=0.0)(0)
    thanked = read(requests.respond(plain, Manners(), rng())).answer
    assert thanked == plain.answer + THANKS[language_of(plain.answer)]
    assert read(requests.respond(plain, Manners(polite=0.0), rng())).answer == plain.answer


def test_one_closing_is_taken_off_and_not_two():
    assert said(told("", "three,thanks")) == "three"
    assert said(told("", "三，谢,thanks")) == "三，谢"


def test_a_slip_changes_at_most_one_word():
    for i, problem in enumerate(some(requests.requests(seed=2, forbidden=0.0), 60)):
        said = read(requests.respond(problem, Manners(slip=1.0, polite=0.0), rng(i))).answer
        assert (
            sum(a != b for a, b in zip(words_of(said), words_of(problem.answer), strict=True)) < 2
        )


def test_a_refusal_has_no_word_to_slip_in():
    for i, problem in enumerate(some(requests.requests(seed=3, forbidden=1.0), 20)):
        said = requests.respond(problem, Manners(slip=1.0, polite=0.0), rng(i))
        assert read(said).answer == problem.answer


def test_no_request_of_training_is_held_out_in_either_language_or_behind_a_secret():
    def english(question):
        return question if question.isascii() else f"translate {requests.translation(question)}"

    trained = {english(requests.requests(seed=s)(i).question) for s in range(4) for i in range(600)}
    held = {
        english(requests.requests(seed=s, held_out=True, forbidden=f)(i).question)
        for s in (0, 10_000)
        for f in (0.0, 1.0)
        for i in range(200)
    }
    assert len(held) > 60 and not trained & held


def test_every_text_of_the_library_is_spelled_and_read_back_without_loss():
    codec, of = bilingual(), text(Library(), seed=0)
    assert codec.vocab == 48
    for problem, response in some(of, 300):
        assert codec.decode(codec.encode(response, special=True)) == response
        codec.encode(problem.question)


@pytest.mark.parametrize("wrong", [-1, 48])
def test_a_token_outside_the_alphabet_is_named(wrong):
    with pytest.raises(ValueError, match=f"token {wrong} is not in a vocabulary of 48"):
        bilingual().decode([3, wrong])


def test_the_textbook_comes_first_and_holds_no_mistakes():
    library, codec = Library(sums=1.0, textbook=0.5), bilingual()
    batches = reading(library, codec, steps=10, batch=16, seed=0)
    of = text(library, seed=0, tidy=True)
    for i, right in ((4, True), (5, False)):
        texts = [codec.decode(row.tolist()) for row in batches(i).tokens]
        wanted = [of(n)[0] for n in range(i * 16, (i + 1) * 16)]
        same = [
            f"<answer>{problem.answer}</answer>" in found and "<think>" in found
            for found, problem in zip(texts, wanted, strict=True)
        ]
        assert all(same) == right


def test_a_library_without_switching_never_mixes():
    of = text(without_switching(Library(sums=1.0)), seed=0)
    mixed = text(Library(sums=1.0), seed=0)

    def shares(number):
        pairs = some(number, 200)
        thoughts = [(p, t.split("</think>")[0].split(">")[1]) for p, t in pairs]
        return [consistency(t, language_of(p.question)) for p, t in thoughts if t]

    textbook = text(Library(sums=1.0), seed=0, tidy=True)  # a habit of its authors, no mistake
    assert set(shares(of)) == {1.0}
    for switching in (mixed, textbook):
        assert sum(shares(switching)) / len(shares(switching)) < 0.9


def test_words_join_with_spaces_between_english_ones_alone():
    assert joined(["one", "two", "三", "four", "五", "六"]) == "one two三four五六"
    assert words_of("one two三four五六") == ["one", "two", "三", "four", "五", "六"]
    assert [digits_of(joined(list(words))) for words in WORDS.values()] == [list(range(10))] * 2


def test_chances_outside_0_to_1_are_refused():
    for make in (lambda: Faults(slip=1.1), lambda: Manners(polite=-0.1), lambda: Library(sums=2.0)):
        with pytest.raises(ValueError, match="0 to 1"):
            make()
