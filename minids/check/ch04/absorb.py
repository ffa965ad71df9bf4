"""04.absorb: latent attention without rebuilding keys and values."""

from collections.abc import Iterator

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker, close, shaped
from minids.check.ch04.common import count_flops, has_gradient, latent_inputs, mixed_head_by_head


@checker(
    "04.absorb",
    hints=(
        "Each head carries its query to the latents, mixes the latents, and only then goes up to "
        "values.",
        "q_latent (b, h, t, r) = q_nope with key_up. Scores (b, h, t, s) = q_latent with latent, "
        "plus q_rope with k_rope. Mask, softmax. Mixed latents (b, h, t, r). Up with value_up.",
        'q_latent = torch.einsum("bhtn,hnr->bhtr", q_nope, key_up)',
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    sizes = (9, 5, 6, 7)
    w = latent_inputs(g, 2, 3, 4, 8, sizes=sizes)
    out = attempt(**w)
    yield shaped(out, (2, 3, 4, 7), like=w["latent"], what="the mixed values")
    first = latent_inputs(g, 1, 3, 1, 1, sizes=sizes)
    yield Claim(
        "a first token alone gets its own values back",
        close(attempt(**first), torch.einsum("hvr,bsr->bhsv", first["value_up"], first["latent"])),
        "one latent has weight 1: softmax over the latents, and value_up of each head on the mix.",
    )
    w1 = latent_inputs(g, 2, 3, 1, 8, sizes=sizes)
    silent = w1 | {name: torch.zeros_like(w1[name]) for name in ("q_nope", "q_rope")}
    first_alone = torch.einsum("hvr,br->bhv", w1["value_up"], w1["latent"][:, 0])[:, :, None]
    yield Claim(
        "a new token behind seven others sees more than the first of them",
        not close(attempt(**silent), first_alone, rtol=1e-3),
        "the new tokens are the LAST t of s, also if t is 1: shift the triangle by s - t.",
    )
    yield Claim(
        "a query of zeros mixes all latents alike",
        close(attempt(**silent), _of_equal_weights(silent), rtol=1e-3),
        "the weights of a query sum to 1: softmax over the latents, the last axis.",
    )
    loud = silent | {"q_nope": 1e6 * w1["q_nope"]}
    yield Claim(
        "a very large query sees one latent alone, the one that fits its head best",
        close(attempt(**loud), mixed_head_by_head(loud), rtol=1e-3),
        "each head carries its query with its own key_up; and there is one softmax, over the sum "
        "of both parts of the scores.",
    )
    still = w1 | {"q_nope": torch.zeros_like(w1["q_nope"])}
    yield Claim(
        "a query that says nothing still looks by position",
        close(attempt(**still), mixed_head_by_head(still), rtol=1e-3)
        or not close(attempt(**still), _of_equal_weights(still)),
        "the scores have two parts: add q_rope with k_rope before the softmax.",
    )
    rope_first = w1 | {"q_rope": torch.zeros_like(w1["q_rope"])}
    yield Claim(
        "scores are divided by the root of both widths, n + p",
        close(attempt(**rope_first), mixed_head_by_head(rope_first), rtol=1e-3)
        and close(attempt(**still), mixed_head_by_head(still), rtol=1e-3),
        "one scale for the sum of both parts: (n + p) ** -0.5, the rope width counts too.",
    )
    alike = w | {"latent": w["latent"][:, :1].expand(-1, 8, -1).clone()}
    yield Claim(
        "latents that are all the same give this one back, however many of them a query sees",
        close(attempt(**alike), mixed_head_by_head(alike), rtol=1e-3),
        "the weights of what a query sees sum to 1: mask with -inf BEFORE the softmax, so that "
        "masked places take part in none.",
    )
    yield Claim(
        "no query looks into the future: of t new tokens, number i sees s - t + i + 1",
        close(out, mixed_head_by_head(w), rtol=1e-3),
        "the new tokens are the LAST t of s: shift the triangle by s - t. A masked score is -inf "
        "before the softmax, and not 0.",
    )
    alone = latent_inputs(g, 1, 1, 1, 6, sizes=sizes)
    square = latent_inputs(g, 1, 2, 5, 5, sizes=(4, 3, 2, 8))
    yield Claim(
        "one head alone works, and a whole text without a past",
        close(attempt(**alone), mixed_head_by_head(alone), rtol=1e-3)
        and close(attempt(**square), mixed_head_by_head(square), rtol=1e-3),
        "nothing may depend on the number of heads or on s > t.",
    )
    yield Claim(
        "gradients reach every input",
        has_gradient(attempt, w1),
        "stay in torch, without numpy, detach() or no_grad(): what leaves torch cannot be trained, "
        "nor counted.",
    )
    many = latent_inputs(g, 1, 4, 1, 499, sizes=(32, 16, 8, 16))
    rebuilding = 2 * 4 * 499 * 32 * (16 + 16)
    yield Claim(
        "one new token over many latents costs less than a quarter of rebuilding",
        4 * count_flops(lambda: attempt(**many)) < rebuilding,
        "keys or values are rebuilt for every token: multiply the query by key_up instead, and the "
        "mixed latent by value_up.",
    )
    both = latent_inputs(g, 1, 4, 2, 499, sizes=(32, 16, 8, 16))
    yield Claim(
        "and two new tokens cost less than half of it",
        2 * count_flops(lambda: attempt(**both)) < rebuilding,
        "with several new tokens, too, queries are carried: one way for every t, and no key made.",
    )


def _of_equal_weights(w: dict[str, Tensor]) -> Tensor:
    """What comes out if the last of the tokens looks at all alike."""
    return torch.einsum("hvr,br->bhv", w["value_up"], w["latent"].mean(1))[:, :, None]
