"""03.layer: what the experts of a token add up to."""

from collections.abc import Iterator

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker, close, shaped
from minids.check.claims import Refused


class _Expert:
    """An expert that takes rows alone, and remembers how many it was given."""

    def __init__(self, weight: Tensor) -> None:
        self.weight, self.rows = weight, 0

    def __call__(self, x: Tensor) -> Tensor:
        if x.dim() != 2:
            raise Refused(
                f"an expert takes rows of shape (n, d), and was given {tuple(x.shape)}",
                "x[i] is a vector; x[i : i + 1] and x[[i]] are tables of one row.",
            )
        self.rows += len(x)
        return torch.tanh(x @ self.weight)


@checker(
    "03.layer",
    hints=(
        "Three things are added: the token itself, what the shared experts make of it, and the "
        "gated sum of its chosen experts.",
        "For each expert: which tokens have a gate for it? Give it those rows alone, times their "
        "gates, and add the result at their places.",
        "rows = gates[:, i].nonzero().flatten(); out = out.index_add(0, rows, gates[rows, i, None] "
        "* expert(x[rows]))",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    t, d, e = 9, 5, 4
    x = torch.randn(t, d, generator=g)
    weights = [torch.randn(d, d, generator=g) for _ in range(e + 2)]

    def fresh(start: int, end: int) -> list[_Expert]:
        return [_Expert(weight) for weight in weights[start:end]]

    gates = torch.rand(t, e, generator=g) + 0.2
    gates[torch.arange(t), torch.randint(e, (t,), generator=g)] = 0.0
    gates[:, 1] = 0.0
    gates[0, 1] = 0.7
    routed, shared = fresh(0, e), fresh(e, e + 2)
    out = attempt(x, gates, routed, shared)
    yield shaped(out, (t, d), like=x, what="what the layer returns")
    yield Claim(
        "every shared expert is asked",
        all(expert.rows for expert in shared),
        "`shared` is a list of any length: go through all of it, not shared[0] alone.",
    )
    yield Claim(
        "without experts the layer is the residual: it returns x",
        close(attempt(x, torch.zeros(t, e), fresh(0, e), []), x),
        "h = x + …; the token itself is always added.",
    )
    turned = attempt(x, gates.flip(1), fresh(0, e)[::-1], fresh(e, e + 2)[::-1])
    yield Claim(
        "the order of the experts means nothing",
        close(turned, out),
        "every expert reads x itself, not the sum so far (out = out + expert(x), and not "
        "expert(out)), and adds to it: out[rows] = … forgets who came before.",
    )
    only_shared = attempt(x, torch.zeros(t, e), fresh(0, e), fresh(e, e + 2))
    yield Claim(
        "every shared expert is added with weight 1",
        close(only_shared - x, sum(torch.tanh(x @ w) for w in weights[e:])),
        "shared experts have no gate and are not averaged; each is added as it is.",
    )
    expected = x + sum(torch.tanh(x @ w) for w in weights[e:])
    expected = expected + sum(gates[:, [i]] * torch.tanh(x @ w) for i, w in enumerate(weights[:e]))
    yield Claim(
        "every chosen expert is added, times its gate",
        close(out, expected),
        "gates[rows, i] multiplies what expert i makes of those rows; gates are not squared, not "
        "applied to the input, and not made to sum to 1.",
    )
    seen, chosen = [expert.rows for expert in routed], (gates != 0).sum(0).tolist()
    yield Claim(
        "an expert computes only the tokens that chose it",
        seen == chosen,
        "multiplying by 0 afterwards is right and saves nothing: pick the rows first. Each expert "
        f"saw {seen} tokens, and {chosen} had chosen it.",
    )
    leaf = gates.clone().requires_grad_()
    total = attempt(x, leaf, fresh(0, e), []).sum()
    grad = torch.autograd.grad(total, leaf, allow_unused=True)[0] if total.requires_grad else None
    yield Claim(
        "the gates get a gradient, or no router would learn",
        grad is not None and close(grad[0, 1], torch.tanh(x @ weights[1])[0].sum()),
        "multiply by the gate itself, without detach, item or float.",
    )
    leaves = [w.clone().requires_grad_() for w in (x, *weights)]
    rows, experts = leaves[0], [_Expert(w) for w in leaves[1:]]
    total = attempt(rows, gates, experts[:e], experts[e:]).sum()
    made = sum(gates[:, [i]] * torch.tanh(rows @ w) for i, w in enumerate(leaves[1 : e + 1]))
    made = made + rows + sum(torch.tanh(rows @ w) for w in leaves[e + 1 :])
    slopes = (
        torch.autograd.grad(total, leaves, allow_unused=True) if total.requires_grad else [None]
    )
    yield Claim(
        "the tokens and the experts get their gradients, too",
        all(
            got is not None and close(got, slope, rtol=1e-3)
            for got, slope in zip(slopes, torch.autograd.grad(made.sum(), leaves), strict=False)
        ),
        "no torch.no_grad around the experts, and no torch.tensor(x) or detach for the tokens: "
        "layers below learn through x, and experts through what they return.",
    )
    one = attempt(x[:1], gates[:1], fresh(0, e), fresh(e, e + 1))
    yield Claim(
        "one token alone gives what it gives among others",
        close(one, expected[:1] - torch.tanh(x[:1] @ weights[e + 1])),
        "tokens do not see each other here; keep the table even with one row.",
    )
