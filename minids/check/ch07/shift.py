"""07.shift: who predicts what."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, shaped
from minids.check.answers import pair


@checker(
    "07.shift",
    hints=(
        "Write five tokens down. Module 1 at place 0 knows tokens 0 and 1. What can it predict?",
        "At place i module k is given token i + k and has to say token i + k + 1. The last k + 1 "
        "places have no such token.",
        "return tokens[:, k:-1], tokens[:, k + 1 :]",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    tokens = torch.randperm(26, generator=g).view(2, 13)
    added, predicted = pair(attempt(tokens, 1))
    yield shaped(added, (2, 11), like=tokens, what="what module 1 is given along the row")
    yield shaped(predicted, (2, 11), like=tokens, what="what module 1 has to predict")
    where = {token: i for row in tokens.tolist() for i, token in enumerate(row)}
    read, asked = ([where.get(x, -1) for x in m.flatten().tolist()] for m in (added, predicted))
    yield Claim(
        "a module is not given the token that it has to predict",
        all(i != j for i, j in zip(read, asked, strict=True)),
        "a module that is given the token it has to say learns nothing: predict the token behind "
        "the one it reads.",
    )
    yield Claim(
        "what it predicts stands right behind what it reads",
        all(i + 1 == j for i, j in zip(read, asked, strict=True)),
        "which of your two tensors is read, and which is asked? Return what is given first."
        if all(i == j + 1 for i, j in zip(read, asked, strict=True))
        else "place i reads token i + k and predicts the one right behind it.",
    )
    yield Claim(
        "module 1 starts with token 1 and predicts token 2",
        torch.equal(added, tokens[:, 1:12]) and torch.equal(predicted, tokens[:, 2:]),
        "place i reads token i + k and predicts token i + k + 1: with k = 1 the first are tokens "
        "1 and 2.",
    )
    deep = {k: pair(attempt(tokens, k)) for k in (2, 4)}
    yield Claim(
        "each module has one place less than the one before",
        all(getattr(x, "shape", ()) == (2, 12 - k) for k in deep for x in deep[k]),
        "k counts: the deeper the module, the earlier the text ends for it. Nothing wraps around.",
    )
    yield Claim(
        "place 0 of module k is given token k, and the other places go on from there",
        all(torch.equal(deep[k][0], tokens[:, k:12]) for k in deep),
        "what is given moves with the depth, too: module 2 is given token 2 first, and not token "
        "1 again.",
    )
    yield Claim(
        "and predicts the one behind",
        all(torch.equal(deep[k][1], tokens[:, k + 1 :]) for k in deep),
        "each depth looks one token further: module 2 predicts token 3 first.",
    )
    one = pair(attempt(tokens[:1, :5], 3))
    yield Claim(
        "a row with room for one place gives one place",
        torch.equal(one[0], tokens[:1, 3:4]) and torch.equal(one[1], tokens[:1, 4:5]),
        "slices along the row keep both axes: tokens[:, k:-1].",
    )
