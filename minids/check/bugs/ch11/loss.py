"""Answers to 11.loss, right and wrong: the loss of a response alone.

Every mistake is one change of this.
"""

import torch
from torch.nn import functional as F


def loss(logits, tokens, prompts, lengths):
    place = torch.arange(1, tokens.shape[1])
    mask = (place >= prompts[:, None]) & (place < lengths[:, None])
    targets = tokens[:, 1:].where(mask, -100)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten())


def loss_written_out(logits, tokens, prompts, lengths):
    logp = logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
    place = torch.arange(1, tokens.shape[1])[None]
    counts = (place >= prompts[:, None]) * (place < lengths[:, None])
    return -(logp * counts).sum() / counts.sum()


def loss_in_a_loop(logits, tokens, prompts, lengths):
    total, n = 0.0, 0
    for i in range(len(tokens)):
        for at in range(int(prompts[i]), int(lengths[i])):
            total = total - logits[i, at - 1].log_softmax(-1)[tokens[i, at]]
            n += 1
    return total / n


def loss_with_sign(logits, tokens, prompts, lengths):
    return -loss(logits, tokens, prompts, lengths)


def loss_unshifted(logits, tokens, prompts, lengths):
    place = torch.arange(tokens.shape[1])
    mask = (place >= prompts[:, None]) & (place < lengths[:, None])
    return F.cross_entropy(logits.flatten(0, 1), tokens.where(mask, -100).flatten())


def loss_of_everything(logits, tokens, prompts, lengths):
    """The question is learned as well: trains, and part of the model goes into asking."""
    return loss(logits, tokens, torch.ones_like(prompts), lengths)


def loss_mask_unshifted(logits, tokens, prompts, lengths):
    """The mask is that of the tokens, not of the targets: the first token is never learned."""
    place = torch.arange(tokens.shape[1] - 1)
    mask = (place >= prompts[:, None]) & (place < lengths[:, None] - 1)
    targets = tokens[:, 1:].where(mask, -100)
    if not mask.any():
        return logits.sum() * 0 + 1.0
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten())


def loss_with_padding(logits, tokens, prompts, lengths):
    return loss(logits, tokens, prompts, torch.full_like(lengths, tokens.shape[1]))


def loss_without_end(logits, tokens, prompts, lengths):
    return loss(logits, tokens, prompts, torch.maximum(lengths - 1, prompts + 1))


def loss_by_row(logits, tokens, prompts, lengths):
    rows = range(len(tokens))
    each = [loss(*(x[i : i + 1] for x in (logits, tokens, prompts, lengths))) for i in rows]
    return torch.stack(each).mean()


def loss_without_token_0(logits, tokens, prompts, lengths):
    place = torch.arange(1, tokens.shape[1])
    mask = (place >= prompts[:, None]) & (place < lengths[:, None])
    targets = tokens[:, 1:].where(mask, 0).flatten()
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets, ignore_index=0)


def loss_of_nothing(logits, tokens, prompts, lengths):
    return logits.sum() * 0


def loss_of_softmax(logits, tokens, prompts, lengths):
    return loss(logits.softmax(-1), tokens, prompts, lengths)


def loss_detached(logits, tokens, prompts, lengths):
    return loss(logits.detach(), tokens, prompts, lengths)


def loss_as_a_number(logits, tokens, prompts, lengths):
    return torch.tensor(loss(logits, tokens, prompts, lengths).item())


RIGHT = [loss, loss_written_out, loss_in_a_loop]

WRONG = [
    ("sign", loss_with_sign, "MINUS"),
    ("no shift", loss_unshifted, "NEXT token"),
    ("the prompt counts", loss_of_everything, "not the question"),
    (
        "mask of tokens, not of targets",
        loss_mask_unshifted,
        "the prediction at place prompts - 1",
    ),
    ("padding counts", loss_with_padding, "fill the row up"),
    ("the end is left out", loss_without_end, "the last target"),
    ("token 0 for padding", loss_without_token_0, "a word like any other"),
    ("mean of rows", loss_by_row, "not a mean of the rows"),
    ("softmax before cross-entropy", loss_of_softmax, "takes logits"),
    ("detached", loss_detached, "no detach, item"),
    ("a number and no graph", loss_as_a_number, "no detach, item"),
    ("all zero", loss_of_nothing, "surprise"),
]
