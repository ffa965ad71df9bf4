"""01.next_token: the loss of the next token, with a mask."""

import math
from collections.abc import Iterator

import torch
from torch.nn.functional import cross_entropy

from minids.check import Attempt, Claim, checker, close, shaped
from minids.check.sizes import draw


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
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    b, t, v = 3, draw(g, 6, 9), draw(g, 11, 17)
    tokens = torch.randint(1, v, (b, t), generator=g)
    tokens[:, 1:] = torch.where(
        tokens[:, 1:] == tokens[:, :-1], tokens[:, 1:] % (v - 1) + 1, tokens[:, 1:]
    )
    tokens[1, 4] = 0  # once, where it counts
    later = torch.ones(b, t, dtype=torch.bool)
    later[:, 0] = False
    yield shaped(attempt(torch.zeros(b, t, v), tokens, later), ())
    yield Claim(
        "a uniform guess costs ln(vocab) nats for every token",
        close(attempt(torch.zeros(b, t, v), tokens, later), math.log(v)),
        "the mean of -ln(probability of the target): natural logarithm, over the vocabulary.",
    )
    sure = 30.0 * torch.nn.functional.one_hot(tokens, v).float()
    ahead = torch.cat([sure[:, 1:], sure[:, :1]], dim=1)
    softened = cross_entropy(ahead[:, :-1].softmax(-1).flatten(0, 1), tokens[:, 1:].flatten())
    yield Claim(
        "one softmax is enough",
        not close(attempt(ahead, tokens, later), softened),
        "cross_entropy takes logits and makes the softmax itself: give it logits, not "
        "probabilities.",
    )
    words = tokens[:, :1].expand(b, t)
    known = 30.0 * torch.nn.functional.one_hot(words, v).float()
    yield Claim(
        "who expects the one word that a row repeats pays nothing",
        float(attempt(known, words.clone(), later)) < 1e-3,
        "the logits of a place stay together: where the vocabulary has to come second, "
        "transpose(1, 2), not reshape.",
    )
    yield Claim(
        "who knows the next token pays nothing, and who repeats the last one pays much",
        float(attempt(ahead, tokens, later)) < 1e-3 and float(attempt(sure, tokens, later)) > 5,
        "place t predicts token t + 1. Without the shift, copying the input would cost nothing.",
    )
    logits = 2 * torch.randn(b, t, v, generator=g)
    logits[1, 3, 0] -= 10  # the 0 comes as a surprise
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
    surprise = -logits[1, 3].log_softmax(-1)[0].item()
    yield Claim(
        "token 0 is a word like any other",
        not close(got, (expected - surprise) / (n - 1)),
        "`counts` alone says what counts: ignore_index=0, or tokens times counts, drops a word.",
    )
    huge = torch.zeros(1, 2, v)
    huge[0, 0, tokens[0, 0]] = 1e4
    yield Claim(
        "logits in the thousands give a finite loss, also for one row of two tokens",
        close(attempt(huge, tokens[:1, :2], later[:1, :2]), 1e4),
        "log_softmax does in one step what log(softmax) does in two, never takes log(0), and needs "
        "nothing small added.",
    )
    yield Claim(
        "every token that counts weighs the same, in a row with many or few of them",
        close(got, expected / n),
        "a target counts if its own `counts` is True, whatever the token before; nothing else is "
        "added or left out. Divide the sum over all rows by the number of targets that count; no "
        "mean of means.",
    )
    first = counts.clone()
    first[:, 0] = True
    yield Claim(
        "the first token of a row is nobody's target, even if `counts` says so",
        close(attempt(logits, tokens, first), expected / n),
        "nothing comes before it, nor does the row above: cut each row before you count.",
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
