"""Who guesses the next tokens: the modules of multi-token prediction, or any smaller model.

A drafter writes its guesses into the text behind what is known, where the model finds them to
check (decode/speculative.py). Whatever was wrong about them is forgotten before the next guess.

axes: b rows, s places of a text, n drafts, d model width, v vocabulary
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minids.decode.rows import Rows, put, through, window
from minids.decode.sample import draw, shares, truncate
from minids.model.mtp import MTP, Module
from minids.model.transformer import Transformer


class Pick(NamedTuple):
    """How a token is chosen from logits: the likeliest at temperature 0, drawn otherwise."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    generator: torch.Generator | None = None

    def probabilities(self, logits: Float[Tensor, "... v"]) -> Float[Tensor, "... v"]:
        """Return what tokens are drawn from: softmax at the temperature, cut, summing to 1."""
        flat = (logits.flatten(0, -2).float() / self.temperature).log_softmax(-1)
        return truncate(flat, self.top_k, self.top_p).softmax(-1).view(logits.shape)

    def draw(self, weights: Float[Tensor, "b v"]) -> Int[Tensor, " b"]:
        """Return a token for each row, with chances in proportion to its weights."""
        return draw(weights, shares(len(weights), weights.device, self.generator))

    def __call__(
        self, logits: Float[Tensor, "b v"]
    ) -> tuple[Int[Tensor, " b"], Float[Tensor, "b v"] | None]:
        """Return a token for each row and what it was drawn from; None when greedy."""
        if self.temperature == 0:
            return logits.argmax(-1), None
        p = self.probabilities(logits)
        return self.draw(p), p


class Text:
    """The texts being written: of each row the tokens, how many are known, and hidden states.

    `tokens` has room behind what is known: for drafts, and for what rows that are ahead leave.
    The model has read all known tokens but the last, and `hidden` holds what it made of them.
    """

    def __init__(self, prompts: Sequence[Sequence[int]], room: int, like: Float[Tensor, "v d"]):
        batch, device = len(prompts), like.device
        self.tokens = torch.zeros(batch, room, dtype=torch.long, device=device)
        for row, prompt in zip(self.tokens, prompts, strict=True):
            row[: len(prompt)] = torch.tensor(prompt, device=device)
        self.known = [len(prompt) for prompt in prompts]
        self.hidden = like.new_zeros(batch, room, like.shape[1])

    def drafted(self, n: int) -> Int[Tensor, "b n"]:
        """Return the first `n` tokens behind what is known."""
        return window(self.tokens, self.known, n)


class ModelDraft:
    """Drafts by a model of its own, one token after another (arXiv 2211.17192)."""

    def __init__(self, model: Transformer, batch: int, room: int) -> None:
        self.model = model
        cache = model.new_cache(batch, room)
        self.rows = Rows(cache.layers, batch, model.cos, model.sin)

    def propose(self, text: Text, n: int, pick: Pick) -> list[Tensor | None]:
        """Write `n` drafts behind the known tokens; return what each was drawn from."""
        rows = self.rows
        rows.rewind(
            [min(pair) for pair in zip(rows.lengths, (k - 1 for k in text.known), strict=True)]
        )
        drawn_from = []
        for j in range(n):
            counts = [
                known + j - length for known, length in zip(text.known, rows.lengths, strict=True)
            ]
            tokens = window(text.tokens, rows.lengths, max(counts))
            hidden = read(self.model, tokens, rows)
            guess, p = pick(self.model.head(last_of(hidden, counts)))
            rows.keep(counts)
            put(text.tokens, [known + j for known in text.known], guess[:, None])
            drawn_from.append(p)
        return drawn_from


class ModuleDraft:
    """Drafts by the modules of multi-token prediction: module k guesses the k-th one.

    Module k reads place i as soon as token i + k is known or guessed. Places that rest on a guess
    are read again once it has become a fact.
    """

    def __init__(self, mtp: MTP, batch: int, room: int) -> None:
        self.mtp = mtp
        main = mtp.main
        layers = mtp.new_cache(batch, room)
        self.rows = [Rows([layer], batch, main.cos, main.sin) for layer in layers]
        like = main.embed.weight
        self.hidden = [like.new_zeros(batch, room, like.shape[1]) for _ in layers[1:]]

    def propose(self, text: Text, n: int, pick: Pick) -> list[Tensor | None]:
        """Write `n` drafts behind the known tokens; return what each was drawn from."""
        drawn_from = []
        below = [text.hidden, *self.hidden]
        for k in range(1, n + 1):
            rows, module = self.rows[k - 1], self.mtp.depths[k - 1]
            assert isinstance(module, Module)
            start = rows.lengths
            counts = [known - 1 - at for known, at in zip(text.known, start, strict=True)]
            t = max(counts)
            tokens = window(text.tokens, [at + k for at in start], t)
            x = module.join(window(below[k - 1], start, t), self.mtp.main.embed(tokens))
            hidden = module.norm(through([module.block], x, rows))
            if k < len(below):
                put(below[k], start, hidden)
            guess, p = pick(self.mtp.main.head(last_of(hidden, counts)))
            facts = zip(text.known, start, strict=True)  # places that rest on no guess
            rows.keep([max(0, known - k - at) for known, at in facts])
            put(text.tokens, [known + k - 1 for known in text.known], guess[:, None])
            drawn_from.append(p)
        return drawn_from


def read(model: Transformer, tokens: Int[Tensor, "b n"], rows: Rows) -> Float[Tensor, "b n d"]:
    """Return the model's hidden states at new tokens of every row, ready for its head."""
    return model.norm(through(model.layers, model.embed(tokens), rows))


def last_of(hidden: Float[Tensor, "b s d"], counts: Sequence[int]) -> Float[Tensor, "b d"]:
    """Return the last of the `counts[b]` first vectors of every row."""
    return window(hidden, [max(0, count - 1) for count in counts], 1)[:, 0]
