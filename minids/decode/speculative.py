"""Write several tokens in one pass: someone drafts, the model checks all drafts at once.

Reading a few tokens costs a model little more than reading one. So the drafts are read in one
pass, and as many are kept as the model would have written itself (decode/accept.py). Greedy text
is the same, token for token; sampled text follows the same distribution. The drafter decides how
fast it goes, and never what is written.

Rows of a batch accept different numbers and go on at their own pace (decode/rows.py).

Left out: log-probabilities of what was written (one pass gives them: decode.sample.token_logp);
trees of drafts.

axes: b rows, m places that are checked: the drafts and one behind them, d model width
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from minids.decode.accept import accept, accept_greedy
from minids.decode.draft import ModelDraft, ModuleDraft, Pick, Text, read
from minids.decode.refused import refuse_drafter, refuse_no_choice, refuse_no_room
from minids.decode.rows import Rows, put, window
from minids.model.mtp import MTP
from minids.model.transformer import Transformer

Drafter = MTP | Transformer
GREEDY = Pick(temperature=0.0)


class Round(NamedTuple):
    """One pass of the model: what every row gained, and how many drafts it took."""

    new: list[list[int]]  # nothing for a row that had ended
    drafts: int
    accepted: list[int]  # for each row that had not ended; some of them may lie behind its end


class Speculated(NamedTuple):
    """What `speculate` wrote, and how good the drafts were: those behind a row's end count, too."""

    answers: list[list[int]]  # the stop token included
    passes: int  # of the model, that over the prompts included
    tested: list[int]  # drafts at each position whose turn came: all before them were right
    accepted: list[int]  # how many of those were kept

    @property
    def acceptance(self) -> list[float]:
        """Return the share of drafts that were kept, at each position, given those before it."""
        return [a / max(1, n) for a, n in zip(self.accepted, self.tested, strict=True)]


def speculate(
    model: Transformer,
    drafter: Drafter | None,
    prompts: Sequence[Sequence[int]],
    max_new: int,
    *,
    n_drafts: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: int | None = None,
    generator: torch.Generator | None = None,
) -> Speculated:
    """Continue every prompt by up to `max_new` tokens, as `generate` would, in fewer passes.

    `drafter` is the model with its modules, or any model of the same vocabulary; None writes
    plainly, one token a pass. A row ends with the token `stop`. Temperature, top-k and top-p cut
    what the model and what the drafter draw from.
    """
    pick = Pick(temperature, top_k, top_p, generator)
    answers: list[list[int]] = [[] for _ in prompts]
    tested, accepted, passes = [0] * n_drafts, [0] * n_drafts, 0
    for one in rounds(model, drafter, prompts, max_new, n_drafts=n_drafts, pick=pick, stop=stop):
        passes += 1
        for answer, new in zip(answers, one.new, strict=True):
            answer += new
        for count in one.accepted:
            for position in range(one.drafts):
                tested[position] += position <= count
                accepted[position] += position < count
    if drafter is None:
        tested, accepted = [], []
    return Speculated(answers, passes, tested, accepted)


@torch.inference_mode()
def rounds(
    model: Transformer,
    drafter: Drafter | None,
    prompts: Sequence[Sequence[int]],
    max_new: int,
    *,
    n_drafts: int = 1,
    pick: Pick = GREEDY,
    stop: int | None = None,
) -> Iterator[Round]:
    """Yield what every pass brings; the first reads the prompts. Arguments as in `speculate`."""
    refuse_no_room(prompts, max_new, model.c.context)
    refuse_no_choice(pick.temperature, pick.top_k, pick.top_p)
    batch, longest = len(prompts), max(map(len, prompts)) + max_new
    if drafter is None:
        n_drafts = 0
    else:
        refuse_drafter(drafter, model, n_drafts, longest)
    room = longest + 2 * n_drafts + 1
    text = Text(prompts, room, model.embed.weight)
    rows = Rows(model.new_cache(batch, room).layers, batch, model.cos, model.sin)
    helper = _helper(drafter, batch, room)
    left = [max_new] * batch
    while any(left):
        reading = rows.lengths == [0] * batch
        n = 0 if reading else min(n_drafts, max(left) - 1)
        drawn_from = helper.propose(text, n, pick) if helper and n else []
        start = rows.lengths
        t = max(text.known) if reading else n + 1
        hidden = read(model, window(text.tokens, start, t), rows)
        put(text.hidden, start, hidden)
        at = [known - 1 - length for known, length in zip(text.known, start, strict=True)]
        kept, following = _checked(model, window(hidden, at, n + 1), text, drawn_from, pick)
        yield _advance(text, rows, left, kept, following, n, stop, at)


def _helper(drafter: Drafter | None, batch: int, room: int) -> ModuleDraft | ModelDraft | None:
    if isinstance(drafter, MTP):
        return ModuleDraft(drafter, batch, room)
    return None if drafter is None else ModelDraft(drafter, batch, room)


def _checked(
    model: Transformer,
    hidden: Float[Tensor, "b m d"],
    text: Text,
    drawn_from: list[Tensor | None],
    pick: Pick,
) -> tuple[list[int], list[int]]:
    """How many drafts of each row are kept, and the token behind them."""
    logits, drafts = model.head(hidden), text.drafted(hidden.shape[1] - 1)
    if pick.temperature == 0:
        kept, following = accept_greedy(logits.argmax(-1), drafts)
    else:
        p = pick.probabilities(logits)
        given = [q for q in drawn_from if q is not None]
        q = torch.stack(given, dim=1) if given else p[:, :0]
        kept, following = accept(p, q, drafts, pick)
    counts, tokens = torch.stack([kept, following]).tolist()
    return counts, tokens


def _advance(
    text: Text,
    rows: Rows,
    left: list[int],
    kept: list[int],
    following: list[int],
    drafts: int,
    stop: int | None,
    at: list[int],
) -> Round:
    """Take over what was accepted; rows that have ended stay as they are."""
    put(
        text.tokens,
        [known + count for known, count in zip(text.known, kept, strict=True)],
        torch.tensor(following, device=text.tokens.device)[:, None],
    )
    drafted = text.drafted(drafts).tolist()
    new: list[list[int]] = []
    counted, read_now = [], []
    for b, count in enumerate(kept):
        alive = left[b] > 0
        gained = [*drafted[b][:count], following[b]][: left[b]] if alive else []
        if stop in gained:
            gained = gained[: gained.index(stop) + 1]
            left[b] = 0
        left[b] -= min(left[b], len(gained))
        counted += [count] if alive else []
        read_now.append(at[b] + len(gained) if alive else 0)
        text.known[b] += len(gained)
        new.append(gained)
    rows.keep(read_now)
    return Round(new, drafts, counted)
