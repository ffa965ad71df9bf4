"""Four small worlds to read about: stories, code, arithmetic and Chinese.

Real text differs between machines; these do not. A text is a function of its name, its seed and
its length alone, on every machine and Python version. What the texts tell is fixed (facts.py), so
a text from another seed is honest held-out data: the same facts in other sentences. A model
is as good as the number of facts it can store, which is what makes the *total* size of a mixture
of experts matter and not only its active size.
"""

import random
from collections.abc import Callable

from minids.text.facts import CHINESE, ENGLISH, Language, functions, people, pick


def domain(name: str, *, seed: int, n_chars: int) -> str:
    """Return exactly `n_chars` characters of one domain; a longer text begins with the shorter."""
    return "".join(documents(name, seed=seed, n_chars=n_chars))[:n_chars]


def documents(name: str, *, seed: int, n_chars: int) -> list[str]:
    """Return whole documents of one domain, as few as make up `n_chars` characters.

    A document is a story about one person, a function or some calls, eight lines of
    arithmetic, or a story in Chinese. Each ends with a newline.
    """
    if name not in _WRITERS:
        raise ValueError(f"there is no domain {name!r}; there are: {', '.join(DOMAINS)}")
    if n_chars < 1:
        raise ValueError(f"a text needs at least one character, got n_chars={n_chars}")
    rng, write = random.Random(seed), _WRITERS[name]
    texts: list[str] = []
    while n_chars > 0:
        texts.append(write(rng))
        n_chars -= len(texts[-1])
    return texts


def _story(rng: random.Random, language: Language) -> str:
    """Tell 3 to 6 facts about one person, first by name, then by name or pronoun."""
    person = people(language)[pick(rng, language.names)]
    facts = sorted(language.templates, key=lambda _: rng.random())[: pick(rng, (3, 4, 5, 6))]
    sentences = []
    for i, templates in enumerate(facts):
        who = person["they"] if i > 0 and rng.random() < 0.5 else person["name"]
        words = {**person, "who": who.capitalize(), "they": who}
        sentences.append(pick(rng, templates).format_map(words))
    return language.space.join(sentences) + "\n"


def _code(rng: random.Random) -> str:
    """Write out one function, perhaps called once, or three calls; end in a blank line."""
    names = tuple(functions())
    if rng.random() < 0.7:
        name = pick(rng, names)
        source = functions()[name][0]
        return source + (f"\nprint({_call(rng, name)})\n\n" if rng.random() < 0.5 else "\n")
    lines = [f"{variable} = {_call(rng, pick(rng, names))}\n" for variable in "abc"]
    return "".join(lines) + "print(a + b + c)\n\n"


def _call(rng: random.Random, name: str) -> str:
    arguments = [str(pick(rng, range(20))) for _ in range(functions()[name][1])]
    return f"{name}({', '.join(arguments)})"


def _worksheet(rng: random.Random) -> str:
    return "".join(_sum(rng) for _ in range(8))


def _sum(rng: random.Random) -> str:
    """Write one true line: a sum, a difference that is not negative, or a small product."""
    kind, a, b = pick(rng, "+-*"), pick(rng, range(100)), pick(rng, range(100))
    if kind == "+":
        return f"{a}+{b}={a + b}\n"
    if kind == "-":
        return f"{max(a, b)}-{min(a, b)}={abs(a - b)}\n"
    return f"{a % 13}*{b % 13}={(a % 13) * (b % 13)}\n"


_WRITERS: dict[str, Callable[[random.Random], str]] = {
    "stories": lambda rng: _story(rng, ENGLISH),
    "code": _code,
    "arithmetic": _worksheet,
    "chinese": lambda rng: _story(rng, CHINESE),
}

DOMAINS: tuple[str, ...] = tuple(_WRITERS)
"""The four domains, in the order in which labelled batches number them."""
