"""Multi-token prediction: small modules behind a model, each looking one token further ahead.

Module k takes, at every place i, what depth k - 1 made of the text up to token i, and the
embedding of token i + k. It predicts token i + k + 1 (DeepSeek-V3, section 2.2). The modules run
one after another, so that each prediction rests on every token before it; others predict all
depths side by side (arXiv 2404.19737). Embedding and head are the model's own. A module gives the
model more to learn from, can be thrown away afterwards, or can draft (decode/draft.py).

The report does not say whether the model's final norm comes before the first module. Here it
does, as in the code that runs the released weights.

Left out: nudging the biases of the modules' own routers; sequence-wise balance losses on them.

axes: b batch, t tokens, d model width, i twice the model width
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minids.config import ModelConfig
from minids.model.attention import Mask
from minids.model.cache import Cache, KVCache, LatentCache
from minids.model.layers import RMSNorm, init_weights
from minids.model.products import Linear
from minids.model.rope import Rotary
from minids.model.routing import Routing
from minids.model.transformer import Block, Output, Transformer

Order = Literal["report", "released"]
"""report: hidden state first, then embedding (equation 21). released: the other way round, as the
published weights have it. Trained from scratch the two are equals; loaded wrongly, one is noise."""


class Module(nn.Module):
    """One module: two norms, a projection from twice the width, a block, the norm of its head.

    here             paper      Hugging Face (layer n_layers + k - 1)
    hidden_norm      RMSNorm    hnorm
    embedding_norm   RMSNorm    enorm
    merge            M_k        eh_proj
    block            TRM_k      the names of any other layer
    norm                        shared_head.norm
    """

    def __init__(self, c: ModelConfig, order: Order = "report") -> None:
        super().__init__()
        if order not in ("report", "released"):
            raise ValueError(f"order={order!r} must be 'report' or 'released'")
        self.embedding_first = order == "released"
        self.hidden_norm = RMSNorm(c.dim, c.norm_eps)
        self.embedding_norm = RMSNorm(c.dim, c.norm_eps)
        self.merge = Linear(2 * c.dim, c.dim, bias=False)
        self.block = Block(c, c.n_layers)
        self.norm = RMSNorm(c.dim, c.norm_eps)

    def join(
        self, hidden: Float[Tensor, "b t d"], embedded: Float[Tensor, "b t d"]
    ) -> Float[Tensor, "b t d"]:
        """Return one vector a place from the hidden state of a depth and the next embedding."""
        pair = self.hidden_norm(hidden), self.embedding_norm(embedded)
        merged = self.merge(torch.cat(pair[::-1] if self.embedding_first else pair, dim=-1))
        return merged.to(hidden.dtype)  # autocast narrows products, and this begins a sum

    def forward(
        self,
        hidden: Float[Tensor, "b t d"],
        embedded: Float[Tensor, "b t d"],
        turn: Rotary,
        cache: KVCache | LatentCache | None = None,
        mask: Mask | None = None,
    ) -> tuple[Float[Tensor, "b t d"], Routing | None]:
        """Return the hidden state of this depth, ready for the head, and its routing."""
        x, routing = self.block(self.join(hidden, embedded), turn, cache, mask)
        return self.norm(x), routing


class MTP(nn.Module):
    """A model with `mtp_depth` modules behind it. Called, it is the model alone, bit for bit.

    Its parameters are the model's and the modules'; `main` is the model, to be kept without them.
    `seed` draws the modules' weights and never touches the model's.
    """

    def __init__(self, main: Transformer, *, order: Order = "report", seed: int | None = 0) -> None:
        super().__init__()
        self.c = main.c
        if self.c.mtp_depth < 1:
            raise ValueError(
                f"{self.c.name} has mtp_depth=0: build the model from replace(config, mtp_depth=1)"
            )
        self.main = main
        self.depths = nn.ModuleList(Module(self.c, order) for _ in range(self.c.mtp_depth))
        if not main.embed.weight.is_meta:
            generator = None if seed is None else torch.Generator().manual_seed(seed)
            init_weights(self.depths, self.c.init_std, generator)
            self.depths.to(main.embed.weight)

    def forward(
        self, tokens: Int[Tensor, "b t"], cache: Cache | None = None, *, last: int | None = None
    ) -> Output:
        """Return the model's own output: no module runs."""
        return self.main(tokens, cache, last=last)

    def ahead(
        self, hidden: Float[Tensor, "b t d"], targets: Int[Tensor, "b t"]
    ) -> tuple[Output, ...]:
        """Return the output of every depth for a text that is known, as in training.

        `hidden` is the model's `Output.hidden`, `targets` the token after each place. Depth k has
        t - k places, and its logits predict `targets[:, k:]`. ValueError if a depth has none.
        """
        t = targets.shape[1]
        if t <= len(self.depths):
            raise ValueError(
                f"{len(self.depths)} modules look {len(self.depths) + 1} tokens ahead, and the "
                f"rows have {t}: give longer rows"
            )
        outputs = []
        for k, module in enumerate(self.depths, 1):
            n = t - k
            turn = Rotary(self.main.cos[:n], self.main.sin[:n])
            embedded = self.main.embed(targets[:, k - 1 : -1])
            hidden, routing = module(hidden[:, :n], embedded, turn)
            routings = () if routing is None else (routing,)
            outputs.append(Output(self.main.head(hidden), hidden, routings))
        return tuple(outputs)

    def new_cache(self, batch: int, max_len: int) -> list[KVCache | LatentCache]:
        """Return an empty cache for every module, for `batch` rows of up to `max_len` places."""
        return [self.main.layer_cache(batch, max_len) for _ in self.depths]


def swap_order(merge: Float[Tensor, "d i"]) -> Float[Tensor, "d i"]:
    """Return the weight of `merge` for the other order: its halves exchanged."""
    return torch.cat(merge.chunk(2, dim=1)[::-1], dim=1)


def main_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the model's own weights out of a `state_dict` of an `MTP`: the modules discarded."""
    return {name.removeprefix("main."): w for name, w in state.items() if name.startswith("main.")}
