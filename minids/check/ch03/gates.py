"""03.gates: who is chosen, and how much each counts."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, close, shaped


@checker(
    "03.gates",
    hints=(
        "A softmax over all experts, of which the k largest stay and the rest become 0.",
        "(t, d) @ (d, e) gives logits; softmax over e; topk gives values and places; scatter the "
        "values into zeros.",
        "torch.zeros_like(s).scatter(-1, best.indices, best.values)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    t, d, e, k = 11, 6, 7, 3
    x, centroids = torch.randn(t, d, generator=g), torch.randn(e, d, generator=g)
    out = attempt(x, centroids, k)
    yield shaped(out, (t, e), like=x, what="the gates")
    yield Claim(
        "every token has k gates that are not 0",
        bool(((out != 0).sum(-1) == k).all()),
        "k experts for each token, over the last axis; the others get exactly 0.",
    )
    whole = attempt(x, centroids, e)
    yield Claim(
        "with k = e the gates are positive and those of a token sum to 1",
        close(whole.sum(-1), torch.ones(t)) and bool((whole > 0).all()),
        "a softmax over the experts of one token, axis -1.",
    )
    logits = x @ centroids.T
    best = logits.topk(k, dim=-1).indices
    yield Claim(
        "they belong to the k experts whose vectors fit the token best",
        bool((out.gather(-1, best) != 0).all()),
        "the affinity is x @ centroids.T; the largest k of each token stay.",
    )
    yield Claim(
        "with k = e the gates are the softmax itself",
        close(whole, logits.softmax(-1)),
        "the softmax of the plain products x @ centroids.T: no scale, no temperature.",
    )
    yield Claim(
        "a gate does not depend on how many are kept",
        close(out.gather(-1, best), whole.gather(-1, best)),
        "V1 keeps the softmax over ALL experts as it is: do not renormalise over the chosen, and "
        "do not apply the softmax to them alone.",
    )
    leaves = [x.clone().requires_grad_(), centroids.clone().requires_grad_()]
    total = attempt(*leaves, 1).sum()
    if total.requires_grad:
        total.backward()
    yield Claim(
        "with k = 1 the router still learns: its vectors get a gradient, and so do the tokens",
        all(leaf.grad is not None and float(leaf.grad.abs().max()) > 1e-4 for leaf in leaves),
        "a gate that is always 1 has no gradient; no detach, not of the tokens either, and no 1.0 "
        "where something was chosen.",
    )
    weights, leaf = torch.randn(t, e, generator=g), centroids.clone().requires_grad_()
    (got,) = torch.autograd.grad((attempt(x, leaf, k) * weights).sum(), leaf)
    chosen = ((x @ leaf.T).softmax(-1) * weights).gather(-1, best)
    (expected,) = torch.autograd.grad(chosen.sum(), leaf)
    yield Claim(
        "who was not chosen sends no gradient of its own",
        close(got, expected, rtol=1e-3),
        "only the values that stay carry a gradient: no straight-through sum of all affinities.",
    )
    loud = 100 * x[[int(logits.amax(-1).argmax())]]
    yield Claim(
        "one token and large logits work too",
        close(attempt(loud, centroids, e), (loud @ centroids.T).softmax(-1), rtol=1e-2),
        "use torch.softmax, which subtracts the largest logit first.",
    )
