"""A mixture of experts in place of a feed-forward: shared experts for all, routed ones by choice.

axes: b batch, t tokens (in `Router` of all sequences, one after another), d model width,
e routed experts
"""

from collections.abc import Callable
from functools import partial

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from minids.config import ModelConfig, MoEConfig
from minids.model.experts import Experts
from minids.model.layers import SwiGLU, init_weights
from minids.model.routing import SCORES, Routing, route


class Router(nn.Module):
    """Which experts see which token. `bias` is moved by the training loop, never by a gradient.

    The bias is None in models without one, and stays float32 whatever the model's type: beside
    0.5, a step of 0.001 is lost in bfloat16.
    """

    bias: Tensor | None

    def __init__(self, dim: int, c: MoEConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(c.n_routed, dim))
        bias = torch.zeros(c.n_routed, dtype=torch.float32) if c.biased else None
        self.register_buffer("bias", bias)
        self.scores = SCORES[c.scores]
        self.choose = partial(
            route,
            top_k=c.top_k,
            normalise=c.normalise,
            scale=c.scale,
            n_groups=c.n_groups,
            kept_groups=c.kept_groups,
            group_best={"max": 1, "top2": 2}[c.group_score],
        )

    def logits(self, x: Float[Tensor, "t d"]) -> Float[Tensor, "t e"]:
        """Return the affinities before softmax or sigmoid, in float32 at least, also in autocast.

        Close calls between experts are common: in bfloat16 they would be decided by rounding.
        """
        exact = torch.promote_types(self.weight.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            # Not `linear`, which `products` may hand to a coarser product.
            return x.to(exact) @ self.weight.to(exact).t()

    def forward(self, x: Float[Tensor, "t d"]) -> Routing:
        """Return the experts of each token."""
        return self.choose(self.scores(self.logits(x)), self.bias)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Router":
        """Move or cast the weights, but only ever move the bias: `nn.Module` calls this."""
        before = self.bias
        super()._apply(fn, recurse)
        if before is not None and self.bias is not None and self.bias.dtype != before.dtype:
            self.bias = before.to(self.bias.device)
        return self


class MoE(nn.Module):
    """Shared experts, which see every token, plus routed ones (DeepSeekMoE, section 3.2).

    The shared experts are one SwiGLU of their joint width, which is equal to their sum.
    """

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        if c.moe is None:
            raise ValueError(f"{c.name} has no experts: give its config a MoEConfig in `moe`")
        m = c.moe
        self.router = Router(c.dim, m)
        self.experts = Experts(m.n_routed, c.dim, m.hidden)
        self.shared = SwiGLU(c.dim, m.n_shared * m.hidden) if m.n_shared else None
        init_weights(self, c.init_std)

    def forward(self, x: Float[Tensor, "b t d"]) -> tuple[Float[Tensor, "b t d"], Routing]:
        """Return what the experts make of `x`, without the residual, and the routing they saw."""
        routing = self.router(rearrange(x, "b t d -> (b t) d"))
        return self.mix(x, routing), routing

    def mix(self, x: Float[Tensor, "b t d"], routing: Routing) -> Float[Tensor, "b t d"]:
        """Return what the experts make of `x` under a given routing: a dropped or a changed one."""
        y = self.experts(rearrange(x, "b t d -> (b t) d"), routing)
        y = rearrange(y, "(b t) d -> b t d", b=len(x))
        return y if self.shared is None else y + self.shared(x)
