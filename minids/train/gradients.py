"""From a batch to gradients: forward, losses, backward, in as many parts as memory asks for.

The gradient of a batch does not depend on how it was cut. A token that counts weighs the same in
every part, so a part with more of them weighs more; averaging the parts' means would be wrong
wherever masks differ. Several processes are more parts: each takes its rows of the same batch.

axes: e routed experts
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minids.model.balance import sequence_balance, weighted_load
from minids.model.products import Products, products
from minids.model.transformer import Output
from minids.text.batches import Batch
from minids.train.losses import next_token
from minids.train.world import World

ExtraLosses = Callable[[nn.Module, Output, Batch], dict[str, Tensor]]
"""More terms of the loss, by name: each a mean over the tokens that count, weight included."""


class Gradients(NamedTuple):
    """What `add_gradients` found on its way; the gradients themselves are in the weights."""

    terms: dict[str, Float[Tensor, ""]]  # the loss and what was added to it, without gradients
    # Share of assignments by expert, padding left out, for each layer with experts.
    loads: list[Float[Tensor, " e"]]


def add_gradients(
    model: nn.Module,
    batch: Batch,
    *,
    accumulate: int = 1,
    kind: Products = "plain",
    balance: float = 0.0,
    extra_losses: ExtraLosses | None = None,
    world: World | None = None,
) -> Gradients:
    """Add the gradients of the batch's loss to the weights; return its terms and its loads.

    `accumulate` is the number of parts, cut between rows. `balance` weighs V3's sequence-wise
    loss, summed over layers. Of several processes each gets the whole batch, works on its rows,
    and has in the end what one process would have. `extra_losses` must name the same terms for
    every part; one in which nothing counts comes as if all did, and weighs nothing. ValueError if
    parts would be empty or nothing counts.
    """
    world = world or World.alone()
    n_rows, n_counting = len(batch.tokens), int(batch.mask.sum())
    n_read = batch.read.sum()
    n_parts = accumulate * world.size
    if n_parts > n_rows or not n_counting:
        raise ValueError(
            f"a batch of {n_rows} rows with {n_counting} tokens that count, in {n_parts} parts: "
            "every part needs a row, and something has to count"
        )
    terms: dict[str, Tensor] = {}
    loads: list[Tensor] = []
    for part in _parts(world.rows(batch), accumulate):
        rows, read = len(part.tokens) / n_rows, part.read.flatten()
        with products(kind, part.tokens.device):
            output = model(part.tokens)
            new = {"loss": next_token(output.logits, part.targets, part.mask, count=n_counting)}
            if balance and output.routings:
                each = [sequence_balance(r, len(part.tokens), read) for r in output.routings]
                new["balance"] = balance * rows * torch.stack(each).sum()
            if extra_losses is not None:
                share = part.mask.sum() / n_counting
                some = part if share else part._replace(mask=torch.ones_like(part.mask))
                more = extra_losses(model, output, some)
                if taken := sorted(more.keys() & new.keys()):
                    raise ValueError(
                        f"extra_losses gave {', '.join(taken)}, a name that is taken: rename it"
                    )
                new |= {name: share * value for name, value in more.items()}
        if terms and (odd := sorted(terms.keys() ^ new.keys())):
            raise ValueError(
                f"extra_losses gave {', '.join(odd)} for some parts alone: name the same terms "
                "for all, 0 where there is nothing to add"
            )
        torch.stack(list(new.values())).sum().backward()
        part_loads = [read.sum() / n_read * weighted_load(r, read) for r in output.routings]
        terms = {name: value.detach() + terms.get(name, 0.0) for name, value in new.items()}
        loads = [a + b for a, b in zip(loads, part_loads, strict=True)] if loads else part_loads
    if world.size > 1:
        from minids.train.parallel import add_up  # half a second, which one process can spare

        add_up(model, world)
        summed = world.summed([*terms.values(), *loads])
        terms = dict(zip(terms, summed, strict=False))
        loads = summed[len(terms) :]
    return Gradients(terms, loads)


def clip(weights: Sequence[Tensor], limit: float) -> Float[Tensor, ""]:
    """Scale gradients to a norm of at most `limit`; return the norm before, of the whole model.

    Where each process has a part of the weights, the norm is that of all parts.
    """
    norm = nn.utils.clip_grad_norm_(weights, limit)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


def _parts(batch: Batch, n: int) -> Iterator[Batch]:
    """The rows of a batch in `n` parts, as even as they come."""
    cut = (tensor.tensor_split(n) for tensor in batch)
    return (Batch(*tensors) for tensors in zip(*cut, strict=True))
