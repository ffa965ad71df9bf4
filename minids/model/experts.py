"""What the chosen experts of each token add up to.

Their weights are fused, and tokens are sorted by expert, so that one grouped product serves all
experts; a plain loop over experts stands beside it as the reference.

axes: t tokens, d model width, e experts, k experts per token, ff twice the hidden width of an
expert (gate and up), n assignments (t k), i and o widths going in and out
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from minids.model.layers import gated_silu
from minids.model.multiply import BF16Grouped, OneDNNGrouped
from minids.model.products import kind_for, linear
from minids.model.routing import Routing, how_often


def experts_loop(
    x: Float[Tensor, "t d"],
    gate_up: Float[Tensor, "e ff d"],
    down: Float[Tensor, "e d ff//2"],
    routing: Routing,
) -> Float[Tensor, "t d"]:
    """Return the weighted sum of each token's experts, one expert at a time: the reference."""
    out = torch.zeros_like(x)
    for expert in routing.experts.unique().tolist():
        token, slot = (routing.experts == expert).nonzero(as_tuple=True)
        hidden = gated_silu(linear(x[token], gate_up[expert]))
        y = linear(hidden, down[expert]) * routing.weights[token, slot, None]
        out.index_add_(0, token, y.to(out.dtype))
    return out


def experts_grouped(
    x: Float[Tensor, "t d"],
    gate_up: Float[Tensor, "e ff d"],
    down: Float[Tensor, "e d ff//2"],
    routing: Routing,
) -> Float[Tensor, "t d"]:
    """Return what `experts_loop` returns, all experts at once: sort by expert, multiply, add up.

    The weights are applied before `down`, which is linear: the same sum, fewer numbers to weigh.
    """
    token, weights, ends = by_expert(routing, len(down), _rows(x, gate_up, routing))
    hidden = gated_silu(grouped_linear(x.index_select(0, token), gate_up, ends))
    y = grouped_linear((hidden * weights[:, None]).to(hidden.dtype), down, ends)
    return x.new_zeros(x.shape).index_add(0, token, y.to(x.dtype))


def by_expert(
    routing: Routing, n_experts: int, rows: int = 1
) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"], Int[Tensor, " e"]]:
    """Return the token and the weight of each assignment, sorted by expert, and the groups' ends.

    Groups are filled up to a multiple of `rows` with token 0 at weight 0, which adds nothing to
    any sum or gradient.
    """
    flat = routing.experts.flatten()
    order = flat.argsort(stable=True)
    token, weights = order // routing.experts.shape[-1], routing.weights.flatten()[order]
    counts = how_often(flat, n_experts)
    if rows == 1:
        return token, weights, counts.cumsum(0).int()
    full = (counts + rows - 1) // rows * rows
    ends = full.cumsum(0)
    shift = (ends - full) - (counts.cumsum(0) - counts)  # how far filling moves each group
    place = torch.arange(len(flat), device=flat.device) + shift[flat[order]]
    size = int(ends[-1])
    return (
        token.new_zeros(size).scatter(0, place, token),
        weights.new_zeros(size).scatter(0, place, weights),
        ends.int(),
    )


ROWS = 64
"""Groups of tokens are filled up to multiples of this on a CPU, where products are large."""


def _rows(x: Tensor, gate_up: Tensor, routing: Routing) -> int:
    """Return to what multiple groups are filled up: 1 for not at all.

    oneDNN writes a program for every new shape, which takes longer than a product of these sizes
    itself. Groups have another size in each step of training; filled up they come in few shapes.
    """
    return ROWS if x.is_cpu and _large(routing.experts.numel(), gate_up) else 1


def _large(assignments: int, weight: Tensor) -> bool:
    """Whether the groups' products are large enough to pay for another way to multiply."""
    return 2 * assignments * weight[0].numel() >= 4e6 * len(weight)


def experts_of_one_token(
    x: Float[Tensor, "1 d"],
    gate_up: Float[Tensor, "e ff d"],
    down: Float[Tensor, "e d ff//2"],
    routing: Routing,
) -> Float[Tensor, "1 d"]:
    """Return what `experts_loop` returns, for the single token of a decoding step: no sorting.

    About twice as fast as `experts_grouped` on a CPU, which visits idle experts too.
    """
    chosen = routing.experts[0].tolist()
    hidden = gated_silu(torch.cat([linear(x, gate_up[e]) for e in chosen]))
    hidden = (hidden * routing.weights[0, :, None]).to(hidden.dtype)
    parts = [linear(h, down[e]) for h, e in zip(hidden.split(1), chosen, strict=True)]
    return torch.stack(parts).sum(0)


def grouped_linear(
    x: Float[Tensor, "n i"], weight: Float[Tensor, "e o i"], ends: Int[Tensor, " e"]
) -> Float[Tensor, "n o"]:
    """Return each row of `x` times the matrix of its group; rows of group i stop at `ends[i]`.

    By torch's grouped product where it applies, which leaves out float64, widths whose rows are
    no multiple of 16 bytes, and old versions of torch; by one product per group elsewhere.
    """
    # Autocast knows F.linear but not the grouped product, so the types are made equal here.
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
    kind = kind_for(x, weight) if _large(len(x), weight) else "plain"
    bytes_each = 2 if kind == "bf16" else weight.element_size()
    aligned = all(width * bytes_each % 16 == 0 for width in weight.shape[1:])
    if hasattr(F, "grouped_mm") and aligned and weight.dtype != torch.float64:
        if kind != "plain":
            multiply = BF16Grouped if kind == "bf16" else OneDNNGrouped
            return multiply.apply(x, weight, ends)
        return F.grouped_mm(x, weight.transpose(-2, -1), offs=ends)
    counts = ends.diff(prepend=ends.new_zeros(1)).tolist()
    return torch.cat([linear(rows, w) for rows, w in zip(x.split(counts), weight, strict=True)])


class Experts(nn.Module):
    """The routed experts' weights, fused: expert i is a SwiGLU of gate_up[i] and down[i].

    Rows of `gate_up`: the gate's first, then the up projection's.
    """

    def __init__(self, n_experts: int, dim: int, hidden: int) -> None:
        super().__init__()
        self.gate_up = nn.Parameter(torch.empty(n_experts, 2 * hidden, dim))
        self.down = nn.Parameter(torch.empty(n_experts, dim, hidden))

    def forward(self, x: Float[Tensor, "t d"], routing: Routing) -> Float[Tensor, "t d"]:
        """Return for each token the weighted sum of its experts."""
        decoding = len(x) == 1 and x.device.type == "cpu"
        compute = experts_of_one_token if decoding else experts_grouped
        return compute(x, self.gate_up, self.down, routing)
