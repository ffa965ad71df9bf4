"""Checks of chapter 01: norm, merges, rotary positions, the loss, and a bigram model.

Expected values come from properties and from formulas written here in another way than a learner
would; every property stands beside one that the identity fails.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from minids.check import Claim, checker, close, shaped
from minids.check.answers import answers_for, explains, is_number
from minids.check.sizes import draw

# 01.rms_norm


@checker(
    "01.rms_norm",
    hints=(
        "Square every number, take the mean over the vector, take the root: that is its root mean "
        "square. Divide the vector by it.",
        "The mean goes over the last axis and keeps it, as 1, so that it divides each vector: "
        "(…, d) / (…, 1) * (d,).",
        "return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * gain",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    d, none = 2 * draw(g, 4, 7) + 1, 1e-12
    x = 3 * torch.randn(2, 5, d, generator=g) + 1
    ones, gain = torch.ones(d), torch.randn(d, generator=g)
    out = attempt(x, ones, none)
    yield shaped(out, (2, 5, d), like=x)
    louder = torch.cat([x[:, :1], 9 * x[:, 1:]], dim=1)
    yield Claim(
        "no vector notices another one",
        close(attempt(louder, ones, none)[:, 0], out[:, 0]),
        "the mean goes over the last axis alone, not over tokens or the batch.",
    )
    yield Claim(
        "with a gain of 1 every vector has a root mean square of 1",
        close(out.square().mean(-1), torch.ones(2, 5)),
        "divide by the root of the MEAN of the SQUARES of the numbers themselves.",
    )
    yield Claim(
        "a vector keeps its direction: no mean is taken away",
        bool((torch.cosine_similarity(out, x, dim=-1) > 1 - 1e-5).all()),
        "subtracting the mean first is LayerNorm; RMSNorm leaves it out.",
    )
    yield Claim(
        "every number is multiplied by its own gain",
        close(attempt(x, gain, none), out * gain),
        "gain has one number for each place of the vector: multiply, do not add.",
    )
    large = x.square().mean().item() * 0.5
    expected = torch.stack(
        [v * gain * ((v @ v) / d + large).pow(-0.5) for v in x.flatten(0, 1)]
    ).view_as(x)
    yield Claim(
        "eps is added to the mean of the squares, under the root",
        close(attempt(x, gain, large), expected),
        "mean + eps first, then the root; a large eps makes the difference visible.",
    )
    yield Claim(
        "a single vector, and a vector of zeros, work too",
        close(attempt(x[0, 0], ones, none), out[0, 0])
        and not bool(attempt(torch.zeros(1, 1, d), ones, 1e-6).any()),
        "count axes from the right: the last one is -1 however many there are.",
    )
    leaf = x[0, 0].clone().requires_grad_()
    attempt(leaf, ones, none)[0].backward()
    assert leaf.grad is not None
    yield Claim(
        "gradients also pass through the root mean square",
        abs(float(leaf.grad @ leaf.detach()))
        < 1e-4 * float(leaf.grad.norm() * leaf.detach().norm()),
        "no detach, item or data: a longer vector gives the same result, so the gradient must "
        "stand at a right angle to it.",
    )


# 01.bpe_merge

_BYTES = {bytes([byte]): byte for byte in range(256)}


def _ranks(*merges: bytes) -> dict[bytes, int]:
    return _BYTES | {token: 256 + i for i, token in enumerate(merges)}


def _replayed(piece: bytes, ranks: Mapping[bytes, int]) -> list[int]:
    """The tokens of a piece, rank by rank: each merge is made everywhere before the next one."""
    tokens = [piece[i : i + 1] for i in range(len(piece))]
    while True:
        known = [a + b for a, b in zip(tokens, tokens[1:], strict=False) if a + b in ranks]
        if not known:
            return [ranks[token] for token in tokens]
        lowest, at = min(known, key=lambda token: ranks[token]), 0
        while at < len(tokens) - 1:
            if tokens[at] + tokens[at + 1] == lowest:
                tokens[at : at + 2] = [lowest]
            at += 1


def _drawn_ranks(g: torch.Generator) -> dict[bytes, int]:
    """A vocabulary of merges over three letters, each made of two earlier tokens."""
    tokens = [b"a", b"b", b"c"]
    while len(tokens) < 15:
        left, right = (tokens[draw(g, 0, len(tokens) - 1)] for _ in range(2))
        if left + right not in tokens and len(left + right) < 6:
            tokens.append(left + right)
    return _ranks(*tokens[3:])


@checker(
    "01.bpe_merge",
    hints=(
        "Training made the merges in an order. Encoding makes them again, in that order: of all "
        "neighbours that form a token, the token with the lowest rank is made first.",
        "A list of bytes objects, one a byte. In a loop: all joined neighbours that are in ranks; "
        "stop if there are none; else join the pair of lowest rank. At the end look up the ranks.",
        "best = min(known, key=lambda i: ranks[tokens[i] + tokens[i + 1]])",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    piece = bytes(draw(g, 97, 122) for _ in range(7))
    out = attempt(piece, _BYTES)
    yield Claim(
        "the result is a list of whole numbers",
        isinstance(out, list) and all(isinstance(token, int) for token in out),
        "return the ranks of the tokens, in a list, not the tokens themselves.",
    )
    yield Claim(
        "with no merges every byte is its own token",
        out == list(piece),
        "start from single bytes: piece[i : i + 1]; the rank of a byte is its value.",
    )
    yield Claim(
        "two neighbours that form a token become that token",
        attempt(b"xaby", _ranks(b"ab")) == [120, 256, 121],
        "join neighbours, and look the joined bytes up in ranks.",
    )
    yield Claim(
        "of two equal pairs the left one goes first",
        attempt(b"aaa", _ranks(b"aa")) == [256, 97],
        "aaa is aa and then a.",
    )
    yield Claim(
        "a long token is made of its parts, or not at all",
        attempt(b"abcd", _ranks(b"abc", b"cd")) == [97, 98, 257],
        "taking the longest token that fits is another method: no two neighbours make abc here.",
    )
    yield Claim(
        "merging goes on until no neighbours form a token",
        attempt(b"ababab", _ranks(b"ab", b"abab")) == [257, 256],
        "after a merge there are new neighbours: look again, in a loop.",
    )
    yield Claim(
        "the token of lowest rank is made first, wherever it stands",
        attempt(b"abc", _ranks(b"bc", b"ab")) == [97, 256]
        and attempt(b"abc", _ranks(b"ab", b"bc")) == [256, 99]
        and attempt(b"abcd", _ranks(b"cd", b"ab", b"bcd")) == [257, 256],
        "the order is that of the ranks, not that of the text, nor of the lengths.",
    )
    yield Claim(
        "a merge may make a token of lower rank possible",
        attempt(b"abc", _ranks(b"abc", b"bc")) == [256],
        "after each merge look at all ranks again, not only at those that come later.",
    )
    ranks = _drawn_ranks(g)
    pieces = [bytes(97 + draw(g, 0, 2) for _ in range(n)) for n in (1, 2, 3, 8, 13, 21, 40)]
    yield Claim(
        "the same as merge by merge, for long and short pieces and many merges",
        all(attempt(piece, ranks) == _replayed(piece, ranks) for piece in pieces),
        "print the tokens after each merge for a short piece, and compare with your own hand.",
    )
    yield Claim(
        "nothing gives nothing",
        attempt(b"", ranks) == [],
        "an empty piece has no tokens.",
    )


# 01.rope


def _turned(x: Tensor, positions: Tensor, theta: float) -> Tensor:
    """Rotation of neighbouring pairs, as one matrix for each position."""
    d = x.shape[-1]
    rows = []
    for p in positions.tolist():
        matrix = torch.zeros(d, d)
        for i in range(d // 2):
            angle = p / theta ** (2 * i / d)
            c, s = math.cos(angle), math.sin(angle)
            matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = torch.tensor([[c, -s], [s, c]])
        rows.append(matrix)
    return torch.einsum("tij,bhtj->bhti", torch.stack(rows), x)


@checker(
    "01.rope",
    hints=(
        "A pair (a, b) is an arrow in the plane. Turned by an angle it is "
        "(a cos - b sin, a sin + b cos). Only the angle depends on the position.",
        "Angles (t, d/2): position times theta^(-2i/d). Pairs a = x[…, 0::2], b = x[…, 1::2]. "
        "The two results are stacked on a new last axis and flattened.",
        "torch.stack([a * c - b * s, a * s + b * c], dim=-1).flatten(-2)",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    d, t, theta = 2 * draw(g, 3, 6), 5, float(draw(g, 50, 500))
    x = torch.randn(2, 3, t, d, generator=g)
    positions = torch.randperm(40, generator=g)[:t] + 1
    out = attempt(x, positions, theta)
    yield shaped(out, (2, 3, t, d), like=x)
    pair = 2 * draw(g, 0, d // 2 - 1)
    alone = torch.zeros(1, 1, t, d)
    alone[..., pair : pair + 2] = 1.0
    elsewhere = attempt(alone, positions, theta)
    elsewhere = torch.cat([elsewhere[..., :pair], elsewhere[..., pair + 2 :]], dim=-1)
    yield Claim(
        "numbers 2i and 2i + 1 turn together, and touch no others",
        not bool(elsewhere.abs().max() > 1e-6),
        "this is the layout of V2 and V3: neighbours are a pair, and stay neighbours (stack and "
        "flatten, not cat). Llama pairs i with i + d/2.",
    )
    yield Claim(
        "at position 0 nothing turns",
        close(attempt(x, torch.zeros(t, dtype=torch.long), theta), x),
        "the angle is the position times something: at 0, cos is 1 and sin is 0.",
    )
    yield Claim(
        "turning keeps the length of every pair",
        close(out.unflatten(-1, (-1, 2)).norm(dim=-1), x.unflatten(-1, (-1, 2)).norm(dim=-1)),
        "a cos - b sin and a sin + b cos: one minus sign, and each number once with each.",
    )
    first = torch.zeros(1, 1, t, d)
    first[..., 0] = 1.0
    angles = positions.float()
    turned = attempt(first, positions, theta)[0, 0, :, :2]
    yield Claim(
        "the first pair turns by one radian per position, at the positions given",
        close(turned, torch.stack([angles.cos(), angles.sin()], dim=-1)),
        "(1, 0) at position p becomes (cos p, sin p). Positions are an argument, not 0, 1, 2, …",
    )
    yield Claim(
        "pair i turns by theta^(-2i/d) radians per position",
        close(out, _turned(x, positions, theta), rtol=1e-3),
        "the exponent goes from 0 to almost -1 in d/2 steps; theta is an argument.",
    )
    q, k = torch.randn(2, 1, 1, 1, d, generator=g)

    def score(at: int, to: int) -> float:
        turned = [attempt(x, torch.tensor([p]), theta) for x, p in ((q, at), (k, to))]
        return float((turned[0] * turned[1]).sum())

    near, far = [score(4, 3), score(13, 12)], [score(11, 3), score(20, 12)]
    size = float(q.norm() * k.norm())
    yield Claim(
        "a score depends on the distance, and on nothing else; also for one token in a batch of 1",
        abs(near[0] - near[1]) + abs(far[0] - far[1]) < 1e-3 * size
        and abs(near[0] - far[0]) > 1e-4 * size,
        "turn by position * frequency: then two turns differ by distance * frequency.",
    )


# 01.next_token


@checker(
    "01.next_token",
    hints=(
        "The logits at place t say what the model expects at place t + 1. So the last logits of a "
        "row have no target, and the first token is no target.",
        "Cut: logits[:, :-1] with tokens[:, 1:] and counts[:, 1:]. Log-softmax over the "
        "vocabulary, pick the target's, mean of the negatives where it counts.",
        "logp = logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    b, t, v = 3, draw(g, 6, 9), draw(g, 11, 17)
    tokens = torch.randint(v, (b, t), generator=g)
    tokens[:, 1:] = torch.where(
        tokens[:, 1:] == tokens[:, :-1], (tokens[:, 1:] + 1) % v, tokens[:, 1:]
    )
    everything = torch.ones(b, t, dtype=torch.bool)
    later = everything.clone()
    later[:, 0] = False
    yield shaped(attempt(torch.zeros(b, t, v), tokens, later), ())
    yield Claim(
        "a uniform guess costs ln(vocab) nats for every token",
        close(attempt(torch.zeros(b, t, v), tokens, later), math.log(v)),
        "the mean of -ln(probability of the target): natural logarithm, over the vocabulary.",
    )
    sure = 30.0 * torch.nn.functional.one_hot(tokens, v).float()
    ahead = torch.cat([sure[:, 1:], sure[:, :1]], dim=1)
    yield Claim(
        "who knows the next token pays nothing, and who repeats the last one pays much",
        float(attempt(ahead, tokens, later)) < 1e-3 and float(attempt(sure, tokens, later)) > 5,
        "place t predicts token t + 1. Without the shift, copying the input would cost nothing.",
    )
    logits = 2 * torch.randn(b, t, v, generator=g)
    counts = torch.zeros(b, t, dtype=torch.bool)
    counts[1, draw(g, 1, 2) :], counts[2, draw(g, 1, t - 2)] = True, True
    expected, n, grad = 0.0, 0, torch.zeros(b, t, v)
    for row, place in counts.nonzero().tolist():
        p = torch.softmax(logits[row, place - 1], -1)
        expected, n = expected - math.log(p[tokens[row, place]]), n + 1
        grad[row, place - 1] = p - torch.nn.functional.one_hot(tokens[row, place], v)
    got = attempt(logits, tokens, counts)
    changed = torch.where(counts, tokens, (tokens + 1) % v)
    yield Claim(
        "a token that does not count may be any other: `counts` belongs to the target",
        close(attempt(logits, changed, counts), float(got)),
        "shift counts together with the tokens: counts[:, 1:].",
    )
    yield Claim(
        "every token that counts weighs the same, in a row with many or few of them",
        close(got, expected / n),
        "divide the sum over all rows by the number of targets that count; no mean of means.",
    )
    first = counts.clone()
    first[:, 0] = True
    yield Claim(
        "the first token of a row is nobody's target, even if `counts` says so",
        close(attempt(logits, tokens, first), expected / n),
        "nothing comes before it, nor does the row above: cut each row before you count.",
    )
    huge = torch.zeros(1, 2, v)
    huge[0, 0, tokens[0, 0]] = 1e4
    yield Claim(
        "logits in the thousands give a finite loss, also for one row of two tokens",
        close(attempt(huge, tokens[:1, :2], everything[:1, :2]), 1e4),
        "log_softmax does in one step what log(softmax) does in two, and never takes log(0).",
    )
    leaf = logits.clone().requires_grad_()
    loss = attempt(leaf, tokens, counts)
    if loss.requires_grad:
        loss.backward()
    yield Claim(
        "the gradient is probability minus one-hot, over the number of targets, and 0 elsewhere",
        leaf.grad is not None and close(leaf.grad, grad / n, rtol=1e-3),
        "keep the tensors in the graph: no detach, item or float on the way.",
    )


# 01.predict

_BLOCK = 4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096

PREDICTED: dict[str, tuple[float, str]] = {
    "first loss": (
        math.log(102_400),
        "before training every token is as likely as every other: ln(vocab), in nats.",
    ),
    "length": (
        64.0,
        "the root mean square is 1, so the squares sum to the width: the length is its root.",
    ),
    "bits per byte": (
        3 / math.log(2) / 4,
        "divide by ln 2 for bits, and by the bytes that a token stands for.",
    ),
    "block": (
        float(_BLOCK),
        "four square matrices of attention, three of the feed-forward, two norms.",
    ),
    "learning rate": (1000**-0.1250, "the rate falls with the budget, to the power -0.125."),
    "batch": (1000**0.3271, "the batch grows with the budget, to the power 0.3271."),
}
"""What the exercise asks for, and why; a tenth of a percent is not asked for, one percent is."""


@checker(
    "01.predict",
    takes=dict,
    hints=(
        "None of the six needs a computer with more than a logarithm and a root.",
        "ln of the vocabulary; root of the width; nats over ln 2 over bytes; 4 d d + 3 d h + 2 d; "
        "the factor to the power of the exponent, twice.",
        "bits = 3 / math.log(2) / 4",
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield answers_for(attempt, (*PREDICTED, "because"), says="all six have an answer, and a reason")
    for name, (expected, why) in PREDICTED.items():
        said = attempt[name]
        yield Claim(
            f"{name}: the answer is a number",
            is_number(said),
            f"you wrote {said!r}: write a plain number.",
        )
        yield Claim(f"{name}: within one percent", close(float(said), expected, rtol=0.01), why)
    why = "say how large the first loss has to be, and what a first loss far below it would mean."
    yield from explains(attempt, (PREDICTED["first loss"][0],), hint=why)


# 01.bigram


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
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    v = draw(g, 7, 11)
    first, some = torch.tensor([0]), torch.randint(1, v, (30,), generator=g)  # 0 is not in some
    some[0] = v - 1  # the largest token, in every piece of some
    circle, wide = torch.arange(8 * v) % v, v + 4
    yield Claim(
        "what is only in the held-out text is not learned",
        float(attempt(first, circle, v, 0.1)) > 0.9 * math.log(v),
        "count the training text alone: looking at the test is cheating.",
    )
    nothing = float(attempt(first, some, wide, 0.5))
    yield Claim(
        "a pair that was never seen costs something finite",
        math.isfinite(nothing),
        "alpha goes into every place of the table, also where nothing was counted.",
    )
    yield Claim(
        "a longer held-out text costs no more per token, if all tokens are alike",
        close(attempt(first, some[:12], wide, 0.5), nothing),
        "a mean over the pairs, not a sum: divide by their number, one less than the tokens.",
    )
    yield Claim(
        "who has read nothing guesses all tokens alike: ln(vocab), in nats",
        close(nothing, math.log(wide)),
        "alpha in every place, divided by alpha * vocab, is 1 / vocab, also if some tokens never "
        "occur: natural logarithm.",
    )
    forward = float(attempt(circle, circle[: 3 * v], v, 1e-6))
    yield Claim(
        "what follows depends on the token before",
        abs(forward / math.log(v) - 1) > 0.2,
        "every token is as frequent as every other in this text: how often one occurs says "
        "nothing. Condition on the token before.",
    )
    yield Claim(
        "a text that goes round in a circle is learned",
        forward < 0.1,
        "after token i comes i + 1, always: the row is the token before, the column the one after.",
    )
    yield Claim(
        "the same circle read backwards is a surprise",
        float(attempt(circle, circle[: 3 * v].flip(0), v, 1e-6)) > 3,
        "count (before, after) in training, and look up (before, after) in the held-out text.",
    )
    broken = circle[:6].clone()
    broken[5] = broken[0]
    yield Claim(
        "the last token of the held-out text counts, too",
        float(attempt(circle, broken, v, 0.1)) > 1.5 * float(attempt(circle, circle[:6], v, 0.1)),
        "n tokens have n - 1 pairs: held_out[:-1] beside held_out[1:], and no pair is left out.",
    )
    weights = torch.rand(v, v, generator=g) ** 4
    chain = [0]
    for _ in range(200):
        chain.append(int(torch.multinomial(weights[chain[-1]], 1, generator=g)))
    train, held_out = torch.tensor(chain[:150]), torch.tensor(chain[150:])
    alpha = float(torch.rand((), generator=g)) + 0.2
    followed = [chain[:149].count(token) for token in range(v)]

    def cost(before: int, after: int) -> float:
        seen = sum(p == (before, after) for p in zip(chain[:149], chain[1:150], strict=True))
        return -math.log((seen + alpha) / (followed[before] + alpha * v))

    got = attempt(train, held_out, v, alpha)
    yield Claim(
        "another alpha gives another loss",
        not close(attempt(train, held_out, v, 3 * alpha), float(got)),
        "alpha is an argument: write no number of your own in its place.",
    )
    yield Claim(
        "every row of probabilities sums to 1, alpha included",
        close(got, sum(map(cost, chain[150:], chain[151:])) / (len(held_out) - 1)),
        "(pairs + alpha) / (how often the token before has a follower + alpha * vocab): each row "
        "by its own sum (keepdim=True). The last token of the training text has no follower there.",
    )
    last = chain[149]
    other = max(range(v), key=lambda token: abs(followed[token] - followed[last]))
    yield Claim(
        "a held-out text of one pair costs what the row of its first token says",
        close(attempt(train, torch.tensor([last, other]), v, alpha), cost(last, other)),
        "two tokens are one pair. n(a) is the sum of row a, over all that follows a "
        "(keepdim=True); the last token of the training text has no follower there.",
    )
