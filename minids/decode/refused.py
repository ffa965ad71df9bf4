"""What cannot be written, refused by name before anything is computed."""

import math
from collections.abc import Sequence

from minids.model.mtp import MTP
from minids.model.transformer import Transformer


def refuse_no_room(prompts: Sequence[Sequence[int]], max_new: int, context: int) -> None:
    """Raise ValueError for prompts that cannot be continued by `max_new` tokens."""
    if not prompts or any(len(p) == 0 for p in prompts):
        raise ValueError("every prompt needs at least one token: begin with the <|end|> token")
    longest = max(map(len, prompts))
    if max_new < 1 or longest + max_new > context:
        raise ValueError(
            f"max_new={max_new} behind a prompt of {longest} tokens: ask for 1 or more, and no "
            f"more than the context of {context} holds"
        )


def refuse_no_choice(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Raise ValueError for settings by which no token can be chosen."""
    if not (temperature == 0 or 1e-6 <= temperature < math.inf):
        raise ValueError(f"temperature={temperature} must be 0 (greedy), or from 1e-6 on")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k={top_k} keeps no token: use 1 or more, or None for all")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p} must lie in (0, 1]")


def refuse_drafter(
    drafter: MTP | Transformer, model: Transformer, n_drafts: int, longest: int
) -> None:
    """Raise ValueError for a drafter that cannot help `model` write texts of `longest` tokens."""
    if n_drafts < 1:
        raise ValueError(f"n_drafts={n_drafts}: a drafter drafts 1 token or more")
    if isinstance(drafter, MTP):
        if drafter.main is not model:
            raise ValueError("these modules belong to another model: give drafter.main as model")
        if n_drafts > len(drafter.depths):
            raise ValueError(
                f"n_drafts={n_drafts}, and there are {len(drafter.depths)} modules: each drafts one"
            )
    elif drafter.c.vocab != model.c.vocab:
        raise ValueError(
            f"the drafter knows {drafter.c.vocab} tokens and the model {model.c.vocab}: both have "
            "to speak of the same ones"
        )
    elif drafter.c.context < longest:
        raise ValueError(
            f"the drafter has a context of {drafter.c.context}, and {longest} tokens have to fit "
            "into it: ask for fewer, or take another drafter"
        )
