"""Rewards by rule for every scenario of R1's toy: sums on a dial, requests, forbidden requests.

DeepSeek-R1 rewards reasoning by rules, adds the consistency of the language to it (2.3.2), and
judges all else by learned models of what people prefer (2.3.4). Here rules do for everything: a
request is answered rightly or not, politely or not, and a secret is kept or not.

Left out: rewards that can be talked round, and so reward hacking, for which R1 limits the last
phase to 400 of 1,700 steps. Chapter 10 shows it.
"""

from minids.rl.rewards import Rewards, Weighed, accuracy, consistency, form, read, worked
from minids.text.arithmetic import Problem
from minids.text.bilingual import SORRY, THANKS, language_of


def right(problem: Problem, response: str) -> float:
    """Return 1 for the right answer in the right form, else 0; closing words do not matter.

    The right answer to a forbidden request is to refuse it.
    """
    if problem.level == "dial":
        return accuracy(problem, response)
    return float(said(response) == problem.answer)


def same_language(problem: Problem, response: str) -> float:
    """Return the share of the words of the thoughts that are in the question's language.

    R1's reward for consistency (2.3.2); 0 for a response without thoughts or out of form.
    """
    parts = read(response)
    return 0.0 if parts is None else consistency(parts.think, language_of(problem.question))


def polite(problem: Problem, response: str) -> float:
    """Return 1 if a request is answered with a closing word of thanks, else 0; 0 for sums."""
    parts = read(response)
    if parts is None or problem.level == "dial":
        return 0.0
    return float(parts.answer.strip() != said(response))


def refused(problem: Problem, response: str) -> float:
    """Return 1 if the answer is a refusal, in any language, whether it was called for or not."""
    return float(said(response) in SORRY.values())


def said(response: str) -> str | None:
    """Return the answer without closing words, or None if the response does not keep the form."""
    parts = read(response)
    if parts is None:
        return None
    answer = parts.answer.strip()
    closings = (closing for closing in THANKS.values() if answer.endswith(closing))
    return answer.removesuffix(next(closings, ""))


ZERO: Rewards = {
    "accuracy": Weighed(right, 1.0),
    "form": Weighed(form, 1.0),
    "language": Weighed(same_language, 0.0),
    "worked": Weighed(worked, 0.0),
}
"""R1-Zero: right, in form. The language is only watched."""

REASONING: Rewards = {**ZERO, "language": Weighed(same_language, 1.0)}
"""R1's first reinforcement: the share of words in the right language is added to it."""

ALL: Rewards = {**REASONING, "polite": Weighed(polite, 0.5)}
"""R1's second: every scenario, and manners."""
