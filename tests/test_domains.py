"""The synthetic texts: the same on every machine, true to their facts, and worth learning."""

import ast
import hashlib
import re
from collections import Counter

import pytest

from minids.text.domains import DOMAINS, documents, domain
from minids.text.facts import CHINESE, ENGLISH, functions, people

DIGESTS = {
    "stories": "336f1f79859d668f8e8e16ac3b717ff62c525a73152938e24ec4bf7afaf6eb5c",
    "code": "9f95cfe2dd562ff5e766a9fd5612b6014aee45c95ed20efcb5913b48c606abf9",
    "arithmetic": "aad6fc814c51d50cd0593cd151a3b3b94a2dc680b860a74d62a1a9bebee86e12",
    "chinese": "db4f86c64d928d9b3b60898b6531a4c9438a1613cfc20a58efefa288799bfb36",
}
"""Of the first 10,000 characters, seed 0. Changing a text changes every figure of the course."""


@pytest.mark.parametrize("name", DOMAINS)
def test_a_text_is_the_same_on_every_machine_and_python(name):
    text = domain(name, seed=0, n_chars=10_000)
    assert hashlib.sha256(text.encode()).hexdigest() == DIGESTS[name]


@pytest.mark.parametrize("name", DOMAINS)
def test_a_text_has_the_length_asked_for_and_a_longer_one_begins_with_it(name):
    long = domain(name, seed=4, n_chars=3_001)
    for n_chars in (1, 2, 100, 3_000, 3_001):
        assert domain(name, seed=4, n_chars=n_chars) == long[:n_chars]
        assert len(long[:n_chars]) == n_chars


@pytest.mark.parametrize("name", DOMAINS)
def test_documents_are_whole_and_as_few_as_needed(name):
    texts = documents(name, seed=0, n_chars=5_000)
    assert "".join(texts)[:5_000] == domain(name, seed=0, n_chars=5_000)
    assert sum(map(len, texts)) >= 5_000 > sum(map(len, texts[:-1]))
    assert all(text.endswith("\n") and text.strip() for text in texts)


@pytest.mark.parametrize("name", DOMAINS)
def test_another_seed_tells_something_else(name):
    assert domain(name, seed=0, n_chars=500) != domain(name, seed=1, n_chars=500)


@pytest.mark.parametrize("name", ["stories", "arithmetic", "chinese"])
def test_held_out_documents_are_new(name):
    known = set(documents(name, seed=0, n_chars=100_000))
    new = documents(name, seed=1, n_chars=20_000)
    assert sum(text in known for text in new) < 0.02 * len(new)


def test_held_out_code_tells_the_same_functions():
    known = set(re.findall(r"^def .*(?:\n .*)+", domain("code", seed=0, n_chars=100_000), re.M))
    new = re.findall(r"^def .*(?:\n .*)+", "".join(documents("code", seed=1, n_chars=20_000)), re.M)
    assert set(new) <= known
    assert len(known) >= 64


# Facts


@pytest.mark.parametrize("language", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_there_are_64_people_each_with_one_value_for_each_fact(language):
    everyone = people(language)
    assert tuple(everyone) == language.names
    assert len(everyone) == 64
    for name, known in everyone.items():
        assert all(known[fact] in values for fact, values in language.values.items())
        assert known["friend"] in everyone and known["friend"] != name
        assert known["friend_food"] == everyone[known["friend"]]["food"]
    assert [p["they"] for p in everyone.values()] == [
        pronoun for pronoun in language.pronouns for _ in range(32)
    ]


@pytest.mark.parametrize("language", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_no_two_people_are_alike_and_no_fact_tells_another(language):
    """With the friend, 64 people take about 2,000 bits: no rule is shorter than the table."""
    everyone = people(language).values()
    facts = list(language.values)
    assert len({tuple(p[fact] for fact in facts) for p in everyone}) == 64
    for fact in facts:
        assert len({p[fact] for p in everyone}) >= 0.75 * len(language.values[fact])
    for one, other in zip(facts, facts[1:], strict=False):
        assert len({(p[one], p[other]) for p in everyone}) >= 32


def test_stories_never_contradict_the_facts():
    everyone = people(ENGLISH)
    text = domain("stories", seed=9, n_chars=200_000)
    said = {
        "town": re.findall(r"(\w+) lives in (\w+)\.", text)
        + re.findall(r"house of (\w+) stands in (\w+)\.", text),
        "job": re.findall(r"(\w+) works as a (\w+)\.", text),
        "food": re.findall(r"(\w+) likes (\w+) best", text),
        "music": re.findall(r"(\w+) plays the (\w+)\.", text),
        "month": re.findall(r"birthday of (\w+) is in (\w+)\.", text),
        "friend": re.findall(r"(\w+) is a friend of (\w+), who", text),
        "animal": re.findall(r"(\w+) has a \w+ (\w+)\.", text),
    }
    told = Counter()
    for fact, pairs in said.items():
        for name, value in pairs:
            if name in everyone:  # and no pronoun
                assert everyone[name][fact] == value
                told[fact] += 1
    assert min(told[fact] for fact in said) > 100


def test_each_story_is_about_the_person_its_first_sentence_names():
    for story in documents("stories", seed=2, n_chars=20_000):
        heroes = set(re.findall(r"[A-Z]\w+", story.split(".")[0])) & set(ENGLISH.names)
        assert heroes, story
        pronouns = set(re.findall(r"\b(?:she|he)\b", story.lower()))
        assert pronouns <= {people(ENGLISH)[name]["they"] for name in heroes}, story


def test_every_person_and_every_function_is_told_of():
    texts = {name: domain(name, seed=0, n_chars=100_000) for name in DOMAINS}
    assert [name for name in ENGLISH.names if f"{name} " not in texts["stories"]] == []
    assert [name for name in CHINESE.names if name not in texts["chinese"]] == []
    assert [name for name in functions() if f"def {name}(" not in texts["code"]] == []


# Code and arithmetic


def test_all_64_functions_run_and_return_whole_numbers():
    assert len(functions()) == 64
    assert len({source.split(":", 1)[1] for source, _ in functions().values()}) == 64
    for name, (source, n) in functions().items():
        space: dict = {}
        exec(source, space)
        for arguments in ((0, 0, 0), (1, 2, 3), (19, 7, 11), (99, 98, 97)):
            assert isinstance(space[name](*arguments[:n]), int)


def test_code_documents_are_python_and_calls_have_the_right_number_of_arguments():
    calls = 0
    for text in documents("code", seed=6, n_chars=50_000):
        assert text.endswith("\n\n")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and node.func.id in functions():
                assert len(node.args) == functions()[node.func.id][1]
                calls += 1
    assert calls > 100


def test_every_line_of_arithmetic_is_true():
    lines = "".join(documents("arithmetic", seed=0, n_chars=50_000)).splitlines()
    kinds = Counter()
    for line in lines:
        a, sign, b, result = re.fullmatch(r"(\d+)([+*-])(\d+)=(\d+)", line).groups()
        a, b = int(a), int(b)
        assert {"+": a + b, "-": a - b, "*": a * b}[sign] == int(result)
        kinds[sign] += 1
    assert min(kinds.values()) > 0.3 * len(lines)


def test_chinese_is_chinese():
    text = domain("chinese", seed=0, n_chars=50_000)
    assert re.fullmatch(r"[\u4e00-\u9fff，。\n]+", text)
    assert 150 < len(set(text)) < 250


# Bad input


def test_an_unknown_domain_is_refused_with_the_list():
    with pytest.raises(ValueError, match="no domain 'story'; there are: stories, code"):
        domain("story", seed=0, n_chars=10)


@pytest.mark.parametrize("n_chars", [0, -5])
def test_a_text_without_characters_is_refused(n_chars):
    with pytest.raises(ValueError, match=f"got n_chars={n_chars}"):
        documents("stories", seed=0, n_chars=n_chars)
