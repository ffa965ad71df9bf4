"""How even the load of the experts is, and three ways to make it so: losses, a bias, a limit.

An uneven load idles devices and starves experts. V1 and V2 add losses to the training loss, for
experts, devices and communication (arXiv 2401.06066, section 3.3; arXiv 2405.04434, 2.2.3). V3
moves a bias that takes part in the choice alone, and keeps a tiny loss within each sequence
(arXiv 2412.19437, 2.1.2; arXiv 2408.15664).

Every loss here is 1.0 when even and not yet multiplied by its factor alpha: 0.003, 0.05 and
0.02 in V2 (expert, device, communication), 0.0001 in V3 (sequence). Gradients flow through the
affinities; how often an expert was chosen is a count and has none.

axes: t tokens of all sequences, one sequence after another; b sequences; e routed experts,
k experts per token, d devices, m experts of a device
"""

import torch
from einops import reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor

from minids.model.routing import Routing, how_often


def load(routing: Routing) -> Float[Tensor, " e"]:
    """Return the share of all assignments that each expert was asked for; they sum to 1."""
    counts = how_often(routing.experts.flatten(), routing.scores.shape[-1])
    return counts / routing.experts.numel()


def weighted_load(
    routing: Routing, times: Int[Tensor, " t"] | Bool[Tensor, " t"]
) -> Float[Tensor, " e"]:
    """Return the load when token t counts `times[t]` times; all 0 if none counts.

    Padding counts 0 times: it asks for experts, too, and says nothing about the text.
    """
    each = times.long().repeat_interleave(routing.experts.shape[-1])
    counts = how_often(routing.experts.flatten(), routing.scores.shape[-1], each)
    return counts / counts.sum().clamp(min=1)


def max_violation(load: Float[Tensor, " e"]) -> Float[Tensor, ""]:
    """Return MaxVio, by how much the busiest expert exceeds the mean: 0 when even, e - 1 at worst.

    Measure it over many tokens: few of them are never even, by chance alone.
    """
    return load.max() / load.mean() - 1


def nudge(
    bias: Float[Tensor, " e"], load: Float[Tensor, " e"], speed: float
) -> Float[Tensor, " e"]:
    """Return the next bias: a step of `speed` up for starved experts, down for crowded ones.

    Once for each optimizer step, with the load of its whole batch; V3's speed is 0.001. The step
    is as long for an expert a little off as for one far off. A load within a millionth of the
    mean is even: rounding alone would move it.
    """
    gap = load.mean() - load
    return bias + speed * gap.sign().where(gap.abs() > 1e-6 * load.mean(), 0.0)


def expert_balance(
    routing: Routing, n_sequences: int = 1, read: Bool[Tensor, " t"] | None = None
) -> Float[Tensor, ""]:
    """Return V1's and V2's expert-level loss: sum over experts of frequency times affinity.

    1.0 when even, e / k when all tokens want the same k experts with all their affinity. With
    one sequence all tokens are one batch; with more it is the mean over the sequences. `read` is
    False on padding, which counts in neither factor; a sequence of padding alone adds 0.
    """
    even = routing.experts.shape[-1] / routing.scores.shape[-1]
    frequency = _by_sequence(_chosen(routing), n_sequences, read) / even
    affinity = _by_sequence(_affinity(routing), n_sequences, read)
    return (frequency * affinity).sum(-1).mean()


def sequence_balance(
    routing: Routing, n_sequences: int, read: Bool[Tensor, " t"] | None = None
) -> Float[Tensor, ""]:
    """Return V3's complementary loss: `expert_balance` of the unbiased choice, by sequence.

    The frequency counts the top k of the scores without bias and groups, as printed in the
    report: the loss sees what the router wants, not what the bias makes of it.
    """
    wanted = routing.scores.topk(routing.experts.shape[-1], dim=-1).indices
    return expert_balance(routing._replace(experts=wanted), n_sequences, read)


def device_balance(routing: Routing, n_devices: int, n_sequences: int = 1) -> Float[Tensor, ""]:
    """Return V1's and V2's device-level loss: devices in place of `expert_balance`'s experts.

    Device i holds experts i e / d to (i + 1) e / d. Experts of a device may share unevenly.
    """
    even = routing.experts.shape[-1] / routing.scores.shape[-1]
    chosen = _by_device(_chosen(routing), n_devices, "mean") / even
    return _times_affinity(chosen, routing, n_sequences)


def communication_balance(
    routing: Routing, n_devices: int, kept_devices: int, n_sequences: int = 1
) -> Float[Tensor, ""]:
    """Return V2's communication loss: devices should receive equally many tokens.

    `kept_devices` is M, the devices that a token may visit. Groups bound what a device sends;
    this evens out what it receives. 1.0 when every device receives M t / d tokens.
    """
    visited = _by_device(_chosen(routing), n_devices, "max") * (n_devices / kept_devices)
    return _times_affinity(visited, routing, n_sequences)


def _times_affinity(
    x: Float[Tensor, "t d"], routing: Routing, n_sequences: int
) -> Float[Tensor, ""]:
    """The mean over sequences of what devices got times the affinity for them, summed."""
    affinity = _by_device(_affinity(routing), x.shape[1], "sum")
    got, wanted = (_by_sequence(y, n_sequences, None) for y in (x, affinity))
    return (got * wanted).sum(-1).mean()


def _chosen(routing: Routing) -> Float[Tensor, "t e"]:
    """1.0 where a token chose an expert, 0.0 elsewhere."""
    return torch.zeros_like(routing.scores).scatter(-1, routing.experts, 1.0)


def _affinity(routing: Routing) -> Float[Tensor, "t e"]:
    """The affinities of a token for all experts; they sum to 1, also those of sigmoids."""
    return routing.scores / routing.scores.sum(-1, keepdim=True)


def _by_sequence(
    x: Float[Tensor, "t n"], n_sequences: int, read: Bool[Tensor, " t"] | None
) -> Float[Tensor, "b n"]:
    """The mean over the tokens of each sequence, or over those that are `read`."""
    if x.shape[0] % n_sequences:
        raise ValueError(f"{x.shape[0]} tokens do not split into n_sequences={n_sequences}")
    if read is None:
        return reduce(x, "(b t) n -> b n", "mean", b=n_sequences)
    counts = read[:, None].to(x.dtype)
    total, n = (reduce(y, "(b t) n -> b n", "sum", b=n_sequences) for y in (x * counts, counts))
    return total / n.clamp(min=1)


def _by_device(x: Float[Tensor, "n e"], n_devices: int, how: str) -> Float[Tensor, "n d"]:
    if x.shape[1] % n_devices:
        raise ValueError(f"{x.shape[1]} experts do not split over n_devices={n_devices}")
    return reduce(x, "n (d m) -> n d", how, d=n_devices)
