"""Checks of chapter 03: cutting experts, gating them, adding them up, measuring whom they serve."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from minids.check import Claim, checker, close, shaped
from minids.check.answers import is_whole, number_entries, numbers_for, sentence
from minids.check.claims import Refused
from minids.check.sizes import draw


@checker(
    "03.segment",
    hints=(
        "Two products must stay as they were: all experts times their width, and those that one "
        "token meets times their width.",
        "m times as many experts, each m times narrower, m times as many chosen. Then `shared` of "
        "them leave both the pool and the choice, because every token meets them anyway.",
        "return m * n - shared, m * k - shared, width // m",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    n, k, m, shared = draw(g, 12, 20), draw(g, 2, 3), draw(g, 3, 5), draw(g, 1, 3)
    width = 60 * draw(g, 1, 4)
    cut = attempt(n, k, width, m, shared)
    yield Claim(
        "the answer is three whole numbers",
        isinstance(cut, tuple | list) and len(cut) == 3 and all(map(is_whole, cut)),
        "return routed, chosen and width, in this order, as ints; // divides whole numbers.",
    )
    routed, chosen, narrow = cut
    yield Claim(
        "more experts are left to choose from than a token chooses",
        routed > chosen,
        "the order is routed, chosen, width: first all that are left, then those of one token.",
    )
    yield Claim(
        "every expert is m times narrower",
        narrow * m == width,
        "an expert that keeps its width makes a larger model, not a finer one: width // m.",
    )
    yield Claim(
        "all experts together are as wide as before",
        (routed + shared) * narrow == n * width,
        "m n experts in all; the shared ones are taken out of them, not added to them.",
    )
    yield Claim(
        "a token does not meet less than before",
        (chosen + shared) * narrow >= k * width,
        "for each of the k experts that it met, a token now needs all m pieces.",
    )
    yield Claim(
        "and no more: those that one token meets are as wide as before",
        (chosen + shared) * narrow == k * width,
        "a token meets the shared ones anyway: only the rest is left to choose.",
    )
    yield Claim(
        "uncut and without shared experts nothing changes",
        tuple(attempt(n, k, width, 1, 0)) == (n, k, width),
        "m = 1 and shared = 0 is GShard's shape itself.",
    )
    yield Claim(
        "the paper's cut: 2 of 16 becomes 7 of 63 and one shared",
        tuple(attempt(16, 2, 512, 4, 1)) == (63, 7, 128),
        "16 x 4 experts, one of them shared.",
    )


@checker(
    "03.gates",
    hints=(
        "A softmax over all experts, of which the k largest stay and the rest become 0.",
        "(t, d) @ (d, e) gives logits; softmax over e; topk gives values and places; scatter the "
        "values into zeros.",
        "torch.zeros_like(s).scatter(-1, best.indices, best.values)",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
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
    learned = centroids.clone().requires_grad_()
    gate = attempt(x, learned, 1)
    total = gate.sum()
    grad = (
        torch.autograd.grad(total, learned, allow_unused=True)[0] if total.requires_grad else None
    )
    yield Claim(
        "with k = 1 the router still learns: its vectors get a gradient",
        grad is not None and float(grad.abs().max()) > 1e-4,
        "a gate that is always 1 has no gradient; no detach, and no 1.0 where something was "
        "chosen.",
    )
    loud = 100 * x[[int(logits.amax(-1).argmax())]]
    yield Claim(
        "one token and large logits work too",
        close(attempt(loud, centroids, e), (loud @ centroids.T).softmax(-1), rtol=1e-2),
        "use torch.softmax, which subtracts the largest logit first.",
    )


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
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    t, d, e = 9, 5, 4
    x = torch.randn(t, d, generator=g)
    weights = [torch.randn(d, d, generator=g) for _ in range(e + 2)]

    def fresh(start: int, end: int) -> list[_Expert]:
        return [_Expert(weight) for weight in weights[start:end]]

    gates = torch.rand(t, e, generator=g) + 0.2
    gates[torch.arange(t), torch.randint(e, (t,), generator=g)] = 0.0
    gates[:, 1] = 0.0
    gates[0, 1] = 0.7
    routed = fresh(0, e)
    out = attempt(x, gates, routed, fresh(e, e + 2))
    yield shaped(out, (t, d), like=x, what="what the layer returns")
    yield Claim(
        "without experts the layer is the residual: it returns x",
        close(attempt(x, torch.zeros(t, e), fresh(0, e), []), x),
        "h = x + …; the token itself is always added.",
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
    one = attempt(x[:1], gates[:1], fresh(0, e), fresh(e, e + 1))
    yield Claim(
        "one token alone gives what it gives among others",
        close(one, expected[:1] - torch.tanh(x[:1] @ weights[e + 1])),
        "tokens do not see each other here; keep the table even with one row.",
    )


def _information(chosen: Tensor, domain: Tensor, n_experts: int) -> float:
    n_domains = int(domain.max()) + 1
    pair = domain[:, None] * n_experts + chosen
    joint = torch.bincount(pair.flatten(), minlength=n_domains * n_experts).double()
    joint = joint.view(n_domains, n_experts) / joint.sum()
    p, q = joint.sum(1), joint.sum(0)
    shared = sum(
        float(joint[d, e]) * math.log(float(joint[d, e]) / float(p[d] * q[e]))
        for d in range(n_domains)
        for e in range(n_experts)
        if joint[d, e] > 0
    )
    return shared / -sum(float(x) * math.log(float(x)) for x in p if x > 0)


@checker(
    "03.measure",
    hints=(
        "Count how often each domain chose each expert, make the table sum to 1, and compare it "
        "with the product of its margins.",
        "I = sum of p(d, e) ln(p(d, e) / (p(d) p(e))), where 0 ln 0 is 0; H = - sum of p(d) "
        "ln p(d). Return I / H.",
        "torch.xlogy(p, p / outside).nansum() / -torch.xlogy(p_d, p_d).sum()",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    e = 6
    domain = torch.arange(4).repeat_interleave(30)
    perfect = torch.stack([domain, domain], dim=1)
    pick = torch.randint(2, (30, 1), generator=g)
    same = torch.cat([pick, 3 - pick], dim=1).repeat(4, 1)
    found = attempt(same, domain, e)
    yield Claim(
        "0 when every domain chooses alike, also when all of them crowd the same experts",
        isinstance(found, float | int | Tensor) and abs(float(found)) < 1e-3,
        "compare with the product of the margins: p(d) p(e), not with an even table.",
    )
    yield Claim(
        "1 when every domain has experts of its own, also when some experts are never chosen",
        close(attempt(perfect, domain, e), 1.0, rtol=1e-3),
        "an empty cell adds 0: 0 ln 0 = 0, not nan. Divide I by H, the entropy of the domains.",
    )
    first = (domain + torch.randint(3, (120,), generator=g)) % e
    chosen = torch.stack([first, torch.randint(e, (120,), generator=g)], dim=1)
    found = float(attempt(chosen, domain, e))
    yield Claim(
        "the numbers of the experts mean nothing",
        close(attempt(e - 1 - chosen, domain, e), found, rtol=1e-3),
        "no correlation: experts have names, not sizes.",
    )
    yield Claim(
        "in between it is I / H",
        close(found, _information(chosen, domain, e), rtol=1e-3),
        "p(d, e) sums to 1 over the whole table; natural logarithm above and below.",
    )
    cut = torch.cat([torch.arange(30), 30 + torch.randperm(90, generator=g)[:20]])
    unequal = chosen[cut], domain[cut]
    yield Claim(
        "domains of unequal size are weighed by their size",
        close(attempt(*unequal, e), _information(*unequal, e), rtol=1e-3),
        "H is the entropy of the domains as they come, not ln 4; p(d) is the row's sum.",
    )
    few, many = domain.clamp(max=2), torch.arange(6).repeat_interleave(20)
    yield Claim(
        "three domains work, and six",
        close(attempt(chosen, few, e), _information(chosen, few, e), rtol=1e-3)
        and close(attempt(chosen, many, e), _information(chosen, many, e), rtol=1e-3),
        "the table has a row for each domain: int(domain.max()) + 1 of them, not always 4.",
    )
    yield Claim(
        "one expert for each token works too",
        close(attempt(chosen[:, :1], domain, e), _information(chosen[:, :1], domain, e), rtol=1e-3),
        "k may be 1: chosen is (t, 1), and every choice is one count.",
    )


_PREDICT = {
    "2 of 16": math.comb(16, 2),
    "8 of 64": math.comb(64, 8),
    "7 of 63": math.comb(63, 7),
    "16B, share active": 8 / 66,
}


@checker(
    "03.predict",
    takes=dict,
    hints=(
        "The order in which experts are chosen does not matter, and none is chosen twice.",
        "n! / (k! (n - k)!), which is math.comb(n, k). A token of the 16B model meets 6 + 2 of "
        "64 + 2 experts of one width.",
        '"2 of 16": 16 * 15 / 2',
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield numbers_for(attempt, _PREDICT)
    yield Claim(
        "2 of 16: 120 ways",
        attempt["2 of 16"] == _PREDICT["2 of 16"],
        "16 x 15 ordered pairs; first and second place do not matter: halve them.",
    )
    yield Claim(
        "8 of 64 are far more than four times as many ways as 2 of 16",
        attempt["8 of 64"] > 1000 * 4 * _PREDICT["2 of 16"],
        "cutting each expert in four does not give four times as many ways: ways multiply.",
    )
    yield Claim(
        "8 of 64, exactly",
        attempt["8 of 64"] == _PREDICT["8 of 64"],
        "no expert is chosen twice, and order does not matter: so it is not 64 ** 8.",
    )
    yield Claim(
        "7 of 63, once one expert is shared",
        attempt["7 of 63"] == _PREDICT["7 of 63"],
        "the shared expert is not chosen: it leaves the pool and the choice.",
    )
    yield Claim(
        "the share of its experts that a token of DeepSeekMoE 16B meets",
        close(float(attempt["16B, share active"]), _PREDICT["16B, share active"], rtol=5e-3),
        "shared experts count above and below the line: (6 + 2) / (64 + 2).",
    )


# One expert, or k = 1, is not yet a gate of 1.
_CONSTANT = re.compile(
    r"""constant | never\s+(changes|moves|varies) | always\s+the\s+same
    | p\s*(/|over|divided\s+by)\s*p\b
    | gate\b.{0,40}(\bnot|\bcannot|n't)\s+(change|depend|vary|move)
    | (\b(always|is|are|equals?|stays?|becomes?|remains?|be|gives?|to|at|of|gate|value|exactly)\b
      | (?<!k)(?<!k\s)=)
      (\s+\w+)?\s*\b(1|one)\b(?!\s+(chosen|single|expert|token|of\b))
    | \b(1|one)\b,?\s+(whatever|regardless|no\s+matter|independent|for\s+(any|all|every))""",
    re.VERBOSE,
)


@checker(
    "03.explain",
    takes=dict,
    hints=(
        "Write the output as gate times expert, and differentiate the gate by the first logit.",
        "d softmax_1 / d logit_1 = p (1 - p). What is p / p?",
        '"renormalised": 0, because 0.8 / 0.8 is 1 whatever the logits are',
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield number_entries(attempt, "raw", "renormalised")
    raw = float(attempt["raw"])
    yield Claim(
        "raw: a larger logit makes the output larger",
        raw > 0,
        "the gate grows with its logit, and the expert returns 3, not -3: which sign is left?",
    )
    yield Claim(
        "raw: the gate is a softmax, which flattens towards 1",
        raw < 3 * 0.8,
        "a softmax does not grow as fast as its logit: differentiate it, dp / dlogit = p (1 - p).",
    )
    yield Claim(
        "raw: what the expert returns is a factor of the slope",
        not close(raw, 0.16, rtol=5e-3),
        "that is the slope of the gate alone, and the output is 3 p.",
    )
    yield Claim(
        "the slope with the raw gate",
        close(raw, 0.48, rtol=5e-3),
        "the other logit shares the softmax: with p = 0.8, p (1 - p) and not p p; times 3.",
    )
    yield Claim(
        "the slope with the renormalised gate",
        attempt["renormalised"] == 0,
        "over one expert the gate is p / p: what is its derivative?",
    )
    yield sentence(attempt)
    yield Claim(
        "it names the constant gate",
        _CONSTANT.search(attempt["because"].lower()) is not None,
        "say what value the gate has whatever the logits are.",
    )
