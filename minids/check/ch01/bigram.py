"""01.bigram: nats per token of a table of pairs."""

import math
from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Attempt, Claim, checker, close
from minids.check.sizes import draw


@checker(
    "01.bigram",
    hints=(
        "Count how often each token follows each other token in the training text. Its share "
        "among all followers is the probability.",
        "counts (vocab, vocab), row: the token before, column: the token after. Add alpha to all, "
        "divide each row by its sum, take -ln at the pairs of the held-out text, and the mean.",
        "counts.index_put_((train[:-1], train[1:]), torch.ones(len(train) - 1), accumulate=True)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    def loss(*inputs: Any) -> float:
        return float(attempt(*inputs))

    v = draw(g, 7, 11)
    first, some = torch.tensor([0]), torch.randint(1, v, (30,), generator=g)  # 0 is not in some
    some[0] = v - 1  # the largest token, in every piece of some
    circle, wide = torch.arange(8 * v) % v, v + 4
    nothing = loss(first, some, wide, 0.5)
    yield Claim(
        "the loss is in nats",
        not any(close(nothing, math.log(wide, base)) for base in (2, 10)),
        "the natural logarithm: no log2, no log10.",
    )
    yield Claim(
        "a guess costs something: a surprise is above 0",
        nothing > 0,
        "a probability lies below 1, so its logarithm is negative: minus ln p. And alpha * vocab "
        "is in every sum, also if most tokens never occur.",
    )
    yield Claim(
        "what is only in the held-out text is not learned",
        loss(first, circle, v, 0.1) > 0.9 * math.log(v),
        "count the training text alone: looking at the test is cheating.",
    )
    yield Claim(
        "a pair that was never seen costs something finite",
        math.isfinite(nothing),
        "alpha goes into every place of the table, also where nothing was counted.",
    )
    yield Claim(
        "a longer held-out text costs no more per token, if all tokens are alike",
        close(loss(first, some[:12], wide, 0.5), nothing),
        "a mean over the pairs, not a sum: divide by their number, one less than the tokens.",
    )
    yield Claim(
        "who has read nothing guesses all tokens alike: ln(vocab), in nats",
        close(nothing, math.log(wide)),
        "alpha in every place, divided by alpha * vocab, is 1 / vocab, also if some tokens never "
        "occur: natural logarithm.",
    )
    forward = loss(circle, circle[: 3 * v], v, 1e-6)
    yield Claim(
        "what follows depends on the token before",
        abs(forward / math.log(v) - 1) > 0.2,
        "every token is as frequent as every other in this text: how often one occurs says "
        "nothing. Condition on the token before. (Tensors are never equal as keys of a dictionary: "
        ".tolist() makes numbers of them.)",
    )
    yield Claim(
        "a text that goes round in a circle is learned",
        forward < 0.1,
        "after token i comes i + 1, always: the row is the token before, the column the one after.",
    )
    yield Claim(
        "the same circle read backwards is a surprise",
        loss(circle, circle[: 3 * v].flip(0), v, 1e-6) > 3,
        "count (before, after) in training, and look up (before, after) in the held-out text.",
    )
    broken = circle[:6].clone()
    broken[5] = broken[0]
    yield Claim(
        "the last token of the held-out text counts, too",
        loss(circle, broken, v, 0.1) > 1.5 * loss(circle, circle[:6], v, 0.1),
        "n tokens have n - 1 pairs: held_out[:-1] beside held_out[1:], and no pair is left out.",
    )
    pair = torch.tensor([0, 1])
    yield Claim(
        "a training text of one pair teaches that pair",
        not close(loss(pair, pair, 3, 0.5), math.log(3)),
        "n tokens have n - 1 pairs: train[:-1] beside train[1:], from the first to the last.",
    )
    twice = loss(torch.tensor([2, 0, 1, 0, 1, 0, 2]), pair, 3, 0.5)
    yield Claim(
        "a pair that comes twice counts twice",
        not close(twice, -math.log((1 + 0.5) / (2 + 3 * 0.5))),
        "`+=` with index tensors counts equal pairs once: index_put_(..., accumulate=True), "
        "bincount or a loop.",
    )
    weights = torch.rand(v, v, generator=g) ** 4
    chain = [0]
    for _ in range(200):
        chain.append(int(torch.multinomial(weights[chain[-1]], 1, generator=g)))
    chain[149] = chain[149] or 1  # the training text does not end as it begins
    train, held_out = torch.tensor(chain[:150]), torch.tensor(chain[150:])
    alpha = float(torch.rand((), generator=g)) + 0.2
    followed = [chain[:149].count(token) for token in range(v)]

    def cost(before: int, after: int) -> float:
        seen = sum(p == (before, after) for p in zip(chain[:149], chain[1:150], strict=True))
        return -math.log((seen + alpha) / (followed[before] + alpha * v))

    got = loss(train, held_out, v, alpha)
    each = [cost(*pair) for pair in zip(chain[150:], chain[151:], strict=False)]
    mean = sum(each) / len(each)
    chance = sum(math.exp(-x) for x in each) / len(each)
    yield Claim(
        "every pair has a surprise of its own",
        close(got, mean) or not close(got, -math.log(chance)),
        "-ln of every probability first, and the mean of these: not -ln of a mean probability.",
    )
    round_again = (sum(each) + cost(chain[-1], chain[150])) / len(held_out)
    yield Claim(
        "the last token of the held-out text has no follower",
        close(got, mean) or not close(got, round_again),
        "n tokens have n - 1 pairs: held_out[:-1] beside held_out[1:]; roll joins the end to the "
        "beginning.",
    )
    yield Claim(
        "another alpha gives another loss",
        not close(loss(train, held_out, v, 3 * alpha), got),
        "alpha is an argument: write no number of your own in its place.",
    )
    yield Claim(
        "every row of probabilities sums to 1, alpha included",
        close(got, mean, rtol=1e-5),
        "(pairs + alpha) / (how often the token before has a follower + alpha * vocab): each row "
        "by its own sum (keepdim=True). The last token of the training text has no follower there.",
    )
    last = chain[149]
    other = max(range(v), key=lambda token: abs(followed[token] - followed[last]))
    yield Claim(
        "a held-out text of one pair costs what the row of its first token says",
        close(loss(train, torch.tensor([last, other]), v, alpha), cost(last, other)),
        "two tokens are one pair. n(a) is the sum of row a, over all that follows a "
        "(keepdim=True); the last token of the training text has no follower there.",
    )
    mixed = loss(torch.tensor([0, 1, 0, 1]), torch.tensor([0, 1, 2, 0]), 3, 0.5)
    yield Claim(
        "a row that was never seen counts beside those that were",
        close(mixed, -sum(map(math.log, (2.5 / 3.5, 0.5 / 2.5, 1 / 3))) / 3),
        "a token without a follower has 1/vocab for each, and its pairs belong to the mean.",
    )
