"""Who serves whom: labelled tokens counted by expert, and what an expert's number says of a label.

DeepSeek-V3 draws the load of each expert by domain (arXiv 2412.19437, figure 9). One number for
such a picture is the mutual information of expert and label, as a share of what there is to know.

Left out: a correction for small counts. Count thousands of tokens.

axes: t tokens, k experts per token, l labels (domains, clusters, rows), e routed experts
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def by_label(
    experts: Int[Tensor, "t k"], label: Int[Tensor, " t"], *, n_labels: int, n_experts: int
) -> Float[Tensor, "l e"]:
    """Return how often tokens of each label chose each expert."""
    pair = (label[:, None] * n_experts + experts).flatten()
    return torch.bincount(pair, minlength=n_labels * n_experts).view(n_labels, n_experts).float()


def specialisation(counts: Float[Tensor, "l e"]) -> float:
    """Return I(expert; label) / H(label): 0 if experts tell nothing of the label, 1 if all.

    ValueError if all tokens have one label: then there is nothing to tell.
    """
    joint = counts.double() / counts.double().sum()
    label, expert = joint.sum(1, keepdim=True), joint.sum(0, keepdim=True)
    to_know = -torch.xlogy(label, label).sum()
    if not to_know > 0:
        raise ValueError("all tokens have the same label: specialisation needs two or more")
    told = torch.xlogy(joint, joint).sum() - torch.xlogy(joint, label * expert).sum()
    return float((told / to_know).clamp(min=0))  # rounding can take it a little below


def relative_load(counts: Float[Tensor, "l e"]) -> Float[Tensor, "l e"]:
    """Return each expert's load among the tokens of one label, over the even share: 1 when even."""
    return counts / counts.mean(1, keepdim=True)


def filled_in_turn(share: Float[Tensor, " l"], n_experts: int) -> Float[Tensor, "l e"]:
    """Return an even load that mixes few labels: experts are filled one after another.

    A label that is larger than an expert's even share spreads over several experts, one that is
    smaller shares an expert with its neighbour. Entries sum to 1, each column to 1 / e.
    """
    ends = share.double().cumsum(0) / share.double().sum()
    edges = torch.arange(n_experts + 1, dtype=torch.float64) / n_experts
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    low = torch.maximum(starts[:, None], edges[None, :-1])
    high = torch.minimum(ends[:, None], edges[None, 1:])
    return (high - low).clamp(min=0).float()
