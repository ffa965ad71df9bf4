"""07.measure: how often a draft is kept."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, close


@checker(
    "07.measure",
    hints=(
        "A draft is tested only if its turn comes: all before it were kept.",
        "Position i is tested in rounds with drafts > i and kept >= i, and kept in those with "
        "kept > i.",
        "turns = [kept > i for drafts, kept in rounds if drafts > i and kept >= i]",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    simple = [(1, 1), (1, 0), (1, 1), (1, 1)]
    out = attempt(simple)
    yield Claim(
        "the answer is a list, a share for each position",
        isinstance(out, list) and len(out) == 1,
        "return a list: as many shares as the longest round has drafts.",
    )
    yield Claim(
        "three of four kept is 0.75",
        close(float(out[0]), 0.75),
        "the share that was kept, not rejected; and a share: half of them is 0.5, not 50.",
    )
    two = attempt([(2, 2), (2, 0), (2, 1), (2, 2)])
    yield Claim(
        "the first position has a share of its own",
        len(two) == 2 and close(float(two[0]), 0.75),
        "for each position by itself: three of these four rounds kept their first draft.",
    )
    yield Claim(
        "the second position is judged by the rounds whose turn came",
        close(float(two[1]), 2 / 3),
        "of the rounds whose turn came, because all before it was kept, which share kept this one? "
        "Do not round it.",
    )
    uneven = attempt([(2, 1), (1, 1), (3, 3), (2, 2), (1, 0), (3, 2)])
    yield Claim(
        "short rounds count at the positions that they drafted",
        len(uneven) == 3 and close(float(uneven[0]), 5 / 6),
        "every round has a first draft, however long the longest is: all six count here.",
    )
    yield Claim(
        "and not at positions behind their last draft",
        close(float(uneven[1]), 0.75)
        and close(float(uneven[2]), 0.5)
        and close(float(attempt([(1, 1), (0, 0)])[0]), 1.0),
        "a round that drafted one token and kept it says nothing about the second: nobody guessed "
        "there. Nor does a round without drafts say anything about the first.",
    )
    never = attempt([(2, 1), (2, 0)])
    yield Claim(
        "a position whose drafts were all dropped has a share, too: 0",
        len(never) == 2 and close(float(never[0]), 0.5) and float(never[1]) == 0,
        "as many shares as the longest round has DRAFTS, however many of them were kept.",
    )
    n = 400
    kept = torch.rand(n, 3, generator=g) < torch.tensor([0.9, 0.6, 0.3])
    counts = kept.long().cumprod(-1).sum(-1).tolist()
    found = attempt([(3, count) for count in counts])
    tested = [sum(count >= i for count in counts) for i in range(3)]
    truth = [sum(count > i for count in counts) / tested[i] for i in range(3)]
    yield Claim(
        "shares of 400 rounds",
        len(found) == 3 and all(close(float(x), y) for x, y in zip(found, truth, strict=True)),
        "given that those before it were kept.",
    )
