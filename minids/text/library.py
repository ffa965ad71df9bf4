"""What the base of R1's toy has read: sums and requests, first tidy, then as people write.

The first part of the reading is a textbook, without mistakes. It still goes to and fro between the
languages now and then: that is a habit of its authors and no mistake. The second part has all the
faults. A base that begins with the faults needs two to three times as long to learn to count.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from minids.text import dial, requests
from minids.text.alphabet import Codec
from minids.text.arithmetic import Problem
from minids.text.batches import Batch, padded
from minids.text.dial import Faults
from minids.text.lessons import asked
from minids.text.requests import Manners


@dataclass(frozen=True, kw_only=True)
class Library:
    """What the texts are like.

    sums      share of sums; the others are requests
    faults    of the workings, in the second part
    manners   of the answers to requests, in both parts
    textbook  share of the reading that is the first part
    """

    sums: float = 0.8
    faults: Faults = field(
        default_factory=lambda: Faults(slip=0.03, habit=0.65, switch=0.65, guess=0.1, untidy=0.3)
    )
    manners: Manners = field(default_factory=lambda: Manners(slip=0.2, polite=0.3, refuse=0.1))
    textbook: float = 0.6

    def __post_init__(self) -> None:
        for name in ("sums", "textbook"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is a share: give 0 to 1")


def text(
    library: Library, *, seed: int, tidy: bool = False
) -> Callable[[int], tuple[Problem, str]]:
    """Return the function from i to text i: a question of training, and somebody's response.

    `tidy` gives the textbook, in which the only fault left is the change of languages.
    """
    of_sums, of_requests = dial.sums(seed=seed), requests.requests(seed=seed)
    faults = Faults(switch=library.faults.switch) if tidy else library.faults

    def number(i: int) -> tuple[Problem, str]:
        rng = random.Random(f"library/{seed}/{i}")
        if rng.random() < library.sums:
            problem = of_sums(i)
            return problem, dial.respond(problem, faults, rng)
        problem = of_requests(i)
        return problem, requests.respond(problem, library.manners, rng)

    return number


def reading(
    library: Library, codec: Codec, *, steps: int, batch: int, seed: int
) -> Callable[[int], Batch]:
    """Return the function from i to batch i of a reading of `steps`; the responses alone count."""
    parts = [text(library, seed=seed, tidy=tidy) for tidy in (True, False)]
    pad = codec.id("<|pad|>")

    def batch_number(i: int) -> Batch:
        part = parts[i >= round(library.textbook * steps)]
        pairs = [part(n) for n in range(i * batch, (i + 1) * batch)]
        return padded(
            [codec.encode(asked(problem), special=True) for problem, _ in pairs],
            [codec.encode(response, special=True) for _, response in pairs],
            pad=pad,
        )

    return batch_number


def without_switching(library: Library) -> Library:
    """Return the library whose authors keep to the language of the question."""
    return replace(library, faults=replace(library.faults, switch=0.0))
