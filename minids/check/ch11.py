"""Checks of chapter 11: a reward for language, a loss of responses, rejection, stages, prices."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from minids.check import Claim, checker, close, shaped
from minids.check.answers import answers_for, explains
from minids.check.sizes import draw

Attempt = Callable[..., Any]

ENGLISH = "zero one two three four five six seven eight nine".split()
CHINESE = list("零一二三四五六七八九")


def _spoken(g: torch.Generator, languages: str) -> str:
    """Words in the languages that the letters e and c name, each a digit that was drawn."""
    said = ""
    for letter in languages:
        new = (ENGLISH if letter == "e" else CHINESE)[draw(g, 0, 9)]
        said += (" " if said and said[-1].isascii() and new.isascii() else "") + new
    return said


@checker(
    "11.language",
    hints=(
        "Count words, not letters: a run of Latin letters is one English word, and every Chinese "
        "character is a word by itself. Figures and signs belong to no language.",
        "find all words with one pattern, decide for each which language it is, return the share "
        "that is in the one asked for, and 0.0 if there are none.",
        r're.findall(r"[a-zA-Z]+|[\u4e00-\u9fff]", text), and word.isascii() tells English',
    ),
)
def _(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n = draw(g, 3, 6)
    english, chinese = _spoken(g, "e" * n), _spoken(g, "c" * n)
    yield Claim(
        "thoughts in the language asked for get 1, in either language",
        attempt(english, "english") == 1 and attempt(chinese, "chinese") == 1,
        "every word is in the right language: the share is 1 for English and for Chinese alike.",
    )
    yield Claim(
        "thoughts in the other language get 0",
        attempt(english, "chinese") == 0 and attempt(chinese, "english") == 0,
        "look at the second argument: which language was asked for?",
    )
    mixed = " ".join(3 * [_spoken(g, "e")]) + _spoken(g, "c")
    yield Claim(
        "three English words and a Chinese one: 0.75 and 0.25",
        close(attempt(mixed, "english"), 0.75) and close(attempt(mixed, "chinese"), 0.25),
        "the share of words, not of letters, and not all or nothing: an English word is several "
        "letters and counts as one, each time that it is said.",
    )
    run = _spoken(g, "ecccc")
    yield Claim(
        "one English word and four Chinese characters in a row: 0.2",
        close(attempt(run, "english"), 0.2),
        "Chinese is written without spaces: each character is a word, so split() is too coarse.",
    )
    numbers = f"{_spoken(g, 'ec')} [12]+{draw(g, 30, 99)}^1=5_6, 7，"
    yield Claim(
        "figures and signs are neutral",
        close(attempt(numbers, "english"), 0.5) and close(attempt(numbers, "chinese"), 0.5),
        "only letters make words: figures, signs and commas count for no language.",
    )
    yield Claim(
        "thoughts without a word get 0",
        all(attempt(text, lang) == 0 for text in ("", " 1, 2") for lang in ("english", "chinese")),
        "else a model that thinks nothing would earn the reward; take care of 0 over 0.",
    )
    one = _spoken(g, "c")
    yield Claim(
        "a single word works, as long or short as it is",
        attempt(one, "chinese") == 1
        and attempt("SIX", "english") == 1
        and attempt("I", "english") == 1,
        "capital letters are letters too, and one letter alone is a word: [a-zA-Z]+.",
    )


def _texts(
    g: torch.Generator, prompts: list[int], lengths: list[int], v: int
) -> tuple[torch.Tensor, ...]:
    b, t = len(prompts), max(lengths)
    logits = torch.randn(b, t, v, generator=g)
    tokens = torch.randint(0, v, (b, t), generator=g)
    return logits, tokens, torch.tensor(prompts), torch.tensor(lengths)


def _response_loss(
    logits: torch.Tensor, tokens: torch.Tensor, prompts: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """One response after another, cut out and joined."""
    rows, targets = [], []
    for i, (start, end) in enumerate(zip(prompts.tolist(), lengths.tolist(), strict=True)):
        rows.append(logits[i, start - 1 : end - 1])
        targets.append(tokens[i, start:end])
    return F.cross_entropy(torch.cat(rows), torch.cat(targets))


@checker(
    "11.loss",
    hints=(
        "The logits at a place predict the token at the next one. Of those tokens, the ones of the "
        "response count, and nothing else.",
        "logits[:, :-1] against tokens[:, 1:]; column j of the targets is token j + 1, and counts "
        "if prompts <= j + 1 < lengths; mean over all that count.",
        "p = torch.arange(1, t); mask = (p >= prompts[:, None]) & (p < lengths[:, None])",
    ),
)
def _(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    v = draw(g, 5, 8)
    inputs = _texts(g, [3, 2, 4], [8, 4, 9], v)
    inputs[1].clamp_(min=1)
    inputs[1][0, 5] = 0  # once, in the middle of a response
    loss = attempt(*inputs)
    yield shaped(loss, (), like=inputs[0])
    yield Claim("the loss is positive", float(loss) > 0, "MINUS the log-probability: surprise.")
    known = inputs[0].clone()
    rows = torch.arange(3)[:, None]
    known[rows, torch.arange(8)[None], inputs[1][:, 1:]] = 50.0
    yield Claim(
        "a model that is sure of every next token has no loss",
        float(attempt(known, *inputs[1:])) < 1e-3,
        "what is predicted at a place is the NEXT token: shift tokens against logits.",
    )
    x = inputs[0].clone().requires_grad_()
    attempt(x, *inputs[1:]).backward()
    assert x.grad is not None
    felt = (x.grad.abs().sum(-1) > 0).tolist()
    place = torch.arange(9)
    wanted = (place >= inputs[2][:, None] - 1) & (place < inputs[3][:, None] - 1)
    yield Claim(
        "nothing is learned about the prompt",
        not any(felt[i][j] for i in range(3) for j in range(int(inputs[2][i]) - 1)),
        "the response alone counts: not the question, which the model will be given.",
    )
    yield Claim(
        "the first token of the response is learned: the last of the prompt predicts it",
        all(felt[i][int(inputs[2][i]) - 1] for i in range(3)),
        "target j is token j + 1: the prediction at place prompts - 1 counts.",
    )
    yield Claim(
        "nothing is learned about padding",
        not any(felt[i][j] for i in range(3) for j in range(int(inputs[3][i]) - 1, 9)),
        "tokens from `lengths` on fill the row up, and do not count.",
    )
    yield Claim(
        "every token of the response is learned, the end included",
        felt == wanted.tolist(),
        "the last target is token lengths - 1; and token 0 is a word like any other.",
    )
    yield Claim(
        "each token weighs the same, in whichever row it stands",
        close(loss, _response_loss(*inputs)),
        "one mean over all tokens that count, not a mean of the rows' means.",
    )
    single = _texts(g, [1], [2], v)
    yield Claim(
        "one row of one token works",
        close(attempt(*single), _response_loss(*single)),
        "no squeeze; a response may be a single token.",
    )


FORM = "<think>{}</think><answer>{}</answer>"


@checker(
    "11.reject",
    hints=(
        "What is kept will be imitated. So keep what is right and can be read, and say of the rest "
        "which of the four faults comes first.",
        "form first (one pattern for the whole text), then the answer, then whether there are "
        "thoughts, then their language; None at the end.",
        'if consistency(think, language) < 1: return "mixed languages"',
    ),
)
def _(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n = draw(g, 0, 8)
    clean = _spoken(g, "eee")
    yield Claim(
        "a right and readable response is kept, in either language",
        attempt(FORM.format(clean, n), str(n), "english", may_be_none=True) is None
        and attempt(FORM.format(_spoken(g, "ccc"), n), str(n), "chinese", may_be_none=True) is None,
        "no fault: return None.",
    )

    def said(response: str, language: str = "english") -> Any:
        return attempt(response, str(n), language, may_be_none=True)

    yield Claim(
        "a wrong answer is dropped",
        said(FORM.format(clean, n + 1)) == "wrong answer",
        "compare what stands between the answer tags with the right answer: 'wrong answer'.",
    )
    yield Claim(
        "an answer that only contains the right one is wrong",
        said(FORM.format(clean, f"1{n}")) == "wrong answer",
        "the whole text between the tags has to be the answer: == and not in.",
    )
    yield Claim(
        "a zero in front makes another answer",
        said(FORM.format(clean, f"0{n}")) == "wrong answer",
        "compare the texts: int() takes 07 for 7.",
    )
    broken = f"<answer>{clean}</think><answer>{n}</answer>"
    yield Claim(
        "what is out of form is dropped, although the answer is right",
        said(broken) == "out of form" and said(FORM.format(clean, n) + "!") == "out of form",
        "match the whole response: 'out of form' comes first.",
    )
    yield Claim(
        "so is what has tags among its thoughts",
        said(FORM.format(f"<answer>1</answer>{clean}", n)) == "out of form",
        "a dot stands for anything, tags included: write [^<>]*.",
    )
    yield Claim(
        "thoughts of several lines are kept",
        said(FORM.format(f"{clean}\n{clean}", n)) is None,
        "a dot does not match a line break: write [^<>]*.",
    )
    yield Claim(
        "a right answer without thoughts is dropped",
        said(FORM.format("", n)) == "no working" and said(FORM.format(" ", n)) == "no working",
        "there is nothing to imitate: 'no working'; white space is no thought.",
    )
    yield Claim(
        "one word in the other language is enough to be dropped",
        said(FORM.format(_spoken(g, "eeeec"), n)) == "mixed languages",
        "every word has to be in the language of the question: consistency below 1, not below "
        "one half.",
    )
    yield Claim(
        "thoughts wholly in the other language are dropped too",
        said(FORM.format(_spoken(g, "ccc"), n)) == "mixed languages",
        "the language asked for is an argument: pure is not enough.",
    )
    yield Claim(
        "of two faults the first is told: a wrong answer before no working and mixed languages",
        said(FORM.format(_spoken(g, "ec"), n + 1)) == "wrong answer"
        and said(FORM.format("", n + 1)) == "wrong answer",
        "ask in the order form, answer, working, language.",
    )


class _Model(NamedTuple):
    """Stands for a model: says what was done to which model."""

    done: str
    to: Any
    by: tuple[Any, ...]


@checker(
    "11.stages",
    hints=(
        "Two tunings and two practices. Which model does each start from, and what is it given?",
        "Dev1 = tune(base, cold); Dev2 = practise(Dev1, ...); samples = answer(Dev2); Dev3 = "
        "tune(base, kept + general); R1 = practise(Dev3, ...).",
        "kept = [sample for sample, fault in answer(dev2) if fault is None]",
    ),
)
def _(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    base = _Model("base", None, ())
    cold = [f"trace {draw(g, 0, 99)}" for _ in range(3)]
    general = [f"request {draw(g, 0, 99)}" for _ in range(2)]
    asked: list[Any] = []

    def tune(model: Any, examples: Any) -> _Model:
        return _Model("tuned", model, tuple(examples))

    def practise(model: Any, rewards: Any) -> _Model:
        return _Model("practised", model, tuple(sorted(rewards)))

    good = [f"good {i}" for i in range(draw(g, 2, 4))]

    def answer(model: Any) -> list[tuple[str, str | None]]:
        asked.append(model)
        faults: list[tuple[str, str | None]] = [("bad", "wrong answer"), ("mixed", "mixed")]
        return [*[(text, None) for text in good], *faults]

    found = attempt(base, cold, general, tune, practise, answer)
    names = ("Dev1", "Dev2", "Dev3", "R1")
    yield Claim(
        "four models come back by name",
        isinstance(found, dict) and tuple(found) == names,
        'return {"Dev1": …, "Dev2": …, "Dev3": …, "R1": …}, in this order.',
    )
    dev1, dev2, dev3, last = (found[name] for name in names)
    yield Claim(
        "Dev1 is the base, tuned on the cold start",
        dev1 == tune(base, cold),
        "the cold start comes first: tune(base, cold). Without it you have R1-Zero.",
    )
    yield Claim(
        "Dev2 is Dev1 after practice",
        isinstance(dev2, _Model) and dev2.done == "practised" and dev2.to == dev1,
        "practise(dev1, …): reinforcement goes on from the tuned model.",
    )
    yield Claim(
        "its rewards are accuracy, form and language",
        dev2.by == ("accuracy", "form", "language"),
        "three rules, and no manners yet: the sums alone are practised.",
    )
    yield Claim(
        "it is Dev2 that answers",
        asked == [dev2],
        "rejection sampling takes the best reasoner there is: answer(dev2), once.",
    )
    yield Claim(
        "Dev3 starts from the base again",
        isinstance(dev3, _Model) and dev3.done == "tuned" and dev3.to == base,
        "only data come from Dev2; its weights do not: tune(base, …).",
    )
    kept = set(dev3.by)
    yield Claim(
        "Dev3 reads everything that was kept, and nothing that was not",
        set(good) <= kept and not kept & {"bad", "mixed"},
        "a sample comes with its fault: keep those whose fault is None.",
    )
    yield Claim(
        "and the answers to requests",
        sorted(dev3.by) == sorted([*good, *general]),
        "R1 adds 200,000 samples that are no reasoning to 600,000 that are: kept + general.",
    )
    yield Claim(
        "R1 is Dev3 after practice in everything, manners included",
        last == practise(dev3, ["accuracy", "form", "language", "manners"]),
        "the fourth stage starts from Dev3 and rewards all four.",
    )


@checker(
    "11.price",
    hints=(
        "Pair the runs of one seed: they share the base. What does each lose, and is the mean loss "
        "larger than chance makes it?",
        "lost = alone - rewarded, seed by seed; its mean; how many are above 0; and whether |mean| "
        "<= multiple(n - 1) standard errors. A standard error is stdev(lost) by the root of n.",
        "inside = abs(mean) <= multiple(n - 1) * statistics.stdev(lost) / n**0.5",
    ),
)
def _(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n = draw(g, 3, 5)
    alone = (0.9 + 0.01 * torch.rand(n, generator=g)).tolist()
    lost = (0.2 + 0.1 * torch.rand(n, generator=g)).tolist()
    lost[1], lost[2] = -lost[1] / 10, 0.0
    found = attempt(alone, _less(alone, lost))
    yield Claim(
        "the answer names mean, positive and inside",
        isinstance(found, dict) and set(found) == {"mean", "positive", "inside"},
        'return {"mean": …, "positive": …, "inside": …}.',
    )
    yield Claim(
        "the mean price is what accuracy alone has more",
        close(found["mean"], sum(lost) / n, rtol=1e-6),
        "alone minus rewarded, averaged over the seeds: a price is positive where something is "
        "lost.",
    )
    yield Claim(
        "positive counts the seeds that lose something",
        found["positive"] == n - 2,
        "seed by seed: how many differences are above 0? Not whether the mean is. Whoever is as "
        "good as before loses nothing.",
    )
    wide = [0.1, 0.5, 0.9]
    yield Claim(
        "a price of 0.2 in every seed is outside, however unlike the seeds are",
        not attempt(wide, _less(wide, [0.2, 0.201, 0.199]))["inside"],
        "a hard seed is hard for both: the noise is the spread of the differences, and not that of "
        "`alone`.",
    )
    yield Claim(
        "chance reaches 0.248 for prices that spread by 0.1 in three seeds: 0.26 is outside",
        not attempt(wide, _less(wide, [0.16, 0.26, 0.36]))["inside"],
        "a mean of n is steadier than one run: divide the deviation by the root of n.",
    )
    yield Claim(
        "and 0.24 is inside",
        bool(attempt(wide, _less(wide, [0.14, 0.24, 0.34]))["inside"]),
        "three seeds know little of their own noise: multiple(n - 1), which is 4.30 and not 2, "
        "times statistics.stdev and not pstdev.",
    )
    five, spread = [0.1, 0.5, 0.9, 0.3, 0.7], torch.tensor([-0.2, -0.1, 0.0, 0.1, 0.2])
    far, near = (attempt(five, _less(five, (spread + x).tolist())) for x in (0.25, 0.19))
    yield Claim(
        "five seeds know more: with prices from -0.2 to 0.2 around it 0.25 is outside, 0.19 inside",
        not far["inside"] and bool(near["inside"]),
        "how far chance reaches depends on the number of seeds: multiple(n - 1) with n = "
        "len(alone), which is 2.78 for five.",
    )
    better = attempt(alone, [a + 0.5 for a in alone])
    yield Claim(
        "a gain is a negative price, and outside as well",
        better["mean"] < 0 and better["positive"] == 0 and not better["inside"],
        "keep the sign of the mean, and compare its size with the noise.",
    )


def _less(alone: list[float], lost: list[float]) -> list[float]:
    return [a - b for a, b in zip(alone, lost, strict=True)]


WEIGHED: dict[str, tuple[float, str]] = {
    "right and mixed, accuracy alone": (
        1.0,
        "rewards 1, 1, 0, 0: mean 1/2, deviation 1/2. Nobody looks at the language.",
    ),
    "right and pure, language at 1": (
        3 / 5**0.5,
        "rewards 2, 1.5, 1, 0.5: mean 1.25, deviation 0.559.",
    ),
    "right and mixed, language at 1": (
        1 / 5**0.5,
        "1.5 lies 0.25 above the mean of 1.25: a right answer still, and pushed half as hard.",
    ),
    "wrong and pure, language at 1": (
        -1 / 5**0.5,
        "its reward is 1, below the mean of the group: good language alone does not pay.",
    ),
    "weight at which wrong and pure equals right and mixed": (
        2.0,
        "1 + w / 2 = 0 + w.",
    ),
}


@checker(
    "11.weigh",
    takes=dict,
    hints=(
        "First the four rewards, then how many deviations each lies above their mean.",
        "accuracy + w times consistency; mean; population deviation, which divides by 4; "
        "(reward - mean) / deviation.",
        "with w = 1: 2, 1.5, 1, 0.5, mean 1.25, deviation 0.559",
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield answers_for(attempt, (*WEIGHED, "because"))
    for name, (expected, why) in WEIGHED.items():
        told = attempt[name]
        ok = isinstance(told, int | float) and abs(told - expected) <= 0.02 * abs(expected)
        yield Claim(f"{name}, within 2 %", ok, why)
    why = (
        "from which weight on do wrong answers in one language earn more than right mixed ones? "
        "Write the number in figures, as 0.5."
    )
    yield from explains(attempt, (2.0,), hint=why)
