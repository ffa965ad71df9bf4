"""11.loss: the loss of a response alone."""

from collections.abc import Iterator

import torch
from torch.nn import functional as F

from minids.check import Attempt, Claim, checker, close, shaped
from minids.check.sizes import draw


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
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
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
    sure = float(attempt(known, *inputs[1:]))
    doubly = float(_response_loss(known.softmax(-1), *inputs[1:]))
    yield Claim(
        "the logits are made probabilities once, and not twice",
        abs(sure - doubly) > 1e-3 * doubly,
        "cross_entropy takes logits, and log_softmax as well: no softmax before them.",
    )
    yield Claim(
        "a model that is sure of every next token has no loss",
        sure < 1e-3,
        "what is predicted at a place is the NEXT token: shift tokens against logits. And "
        "return the loss itself, not exp of it.",
    )
    x = inputs[0].clone().requires_grad_()
    value = attempt(x, *inputs[1:])
    if value.requires_grad:
        value.backward()
    pull = torch.zeros_like(x) if x.grad is None else x.grad
    yield Claim(
        "it has a gradient for the logits",
        bool((pull != 0).any()),
        "keep the tensors in the graph: no detach, item, float or numpy on the way.",
    )
    felt = (pull.abs().sum(-1) > 0).tolist()
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
        "one mean over all tokens that count, not a mean of the rows' means: divide by the "
        "number of tokens. In nats.",
    )
    single = _texts(g, [1], [2], v)
    yield Claim(
        "one row of one token works",
        close(attempt(*single), _response_loss(*single)),
        "no squeeze; a response may be a single token.",
    )
