"""Mistakes of 07.write: a text written with drafts and a cache."""

import torch

from minids.check.bugs.ch07._writers import (
    RIGHT,
    passes_of,
    write,
    write_all_but_the_last_of_the_prompt_first,
)
from minids.check.bugs.ch07.verify import verify, verify_believes


def write_without_rewind(model, draft, prompt, n_new):
    """Everything that was read stays in the cache, rejected drafts too."""
    text, cache, passes = list(prompt), model.new_cache(1, len(prompt) + 6 * n_new + 64), 0
    unread = list(prompt)
    while len(text) < len(prompt) + n_new:
        guess = list(draft(text))
        logits = model(torch.tensor([[*unread, *guess]]), cache).logits
        best = logits[0, -len(guess) - 1 :].argmax(-1).tolist()
        passes += 1
        gained = verify(best, guess)
        text += gained
        unread = text[-1:]
    return text[len(prompt) : len(prompt) + n_new], passes


def write_rewinds_too_little(model, draft, prompt, n_new):
    text, cache, passes = list(prompt), model.new_cache(1, len(prompt) + 6 * n_new + 64), 0
    unread = list(prompt)
    while len(text) < len(prompt) + n_new:
        guess = list(draft(text))
        logits = model(torch.tensor([[*unread, *guess]]), cache).logits
        best = logits[0, -len(guess) - 1 :].argmax(-1).tolist()
        passes += 1
        gained = verify(best, guess)
        wrong = len(guess) - len(gained) + 1
        cache.rewind(cache.length - max(0, wrong - 1))
        text += gained
        unread = text[-1:]
    return text[len(prompt) : len(prompt) + n_new], passes


def write_believes(model, draft, prompt, n_new):
    return passes_of(model, draft, prompt, n_new, judge=verify_believes)


def write_plainly(model, draft, prompt, n_new):
    return passes_of(model, lambda text: [], prompt, n_new)


def write_with_one_draft(model, draft, prompt, n_new):
    return passes_of(model, lambda text: draft(text)[:1], prompt, n_new)


def write_with_two_drafts(model, draft, prompt, n_new):
    return passes_of(model, lambda text: draft(text)[:2], prompt, n_new)


def write_with_four_drafts(model, draft, prompt, n_new):
    return passes_of(model, lambda text: draft(text)[:4], prompt, n_new)


def write_in_little_room(model, draft, prompt, n_new):
    text, cache, passes = list(prompt), model.new_cache(1, len(prompt) + n_new + 4), 0
    while len(text) < len(prompt) + n_new:
        guess = list(draft(text))
        rows = torch.tensor([[*text[cache.length :], *guess]])
        best = model(rows, cache).logits[0, -len(guess) - 1 :].argmax(-1).tolist()
        passes += 1
        text += verify(best, guess)
        cache.rewind(len(text) - 1)
    return text[len(prompt) : len(prompt) + n_new], passes


def write_without_cache(model, draft, prompt, n_new):
    text, passes = list(prompt), 0
    while len(text) < len(prompt) + n_new:
        guess = list(draft(text))
        logits = model(torch.tensor([[*text, *guess]])).logits
        text += verify(logits[0, -len(guess) - 1 :].argmax(-1).tolist(), guess)
        passes += 1
    return text[len(prompt) : len(prompt) + n_new], passes


def write_forgets_all(model, draft, prompt, n_new):
    return passes_of(model, draft, prompt, n_new, rewind=lambda length, kept, n: 0)


def write_too_much(model, draft, prompt, n_new):
    text, cache, passes = list(prompt), model.new_cache(1, len(prompt) + 2 * n_new + 64), 0
    while len(text) < len(prompt) + n_new:
        guess = list(draft(text))
        new = torch.tensor([[*text[cache.length :], *guess]])
        gained = verify(model(new, cache).logits[0, -len(guess) - 1 :].argmax(-1).tolist(), guess)
        passes += 1
        cache.rewind(len(text) + len(gained) - 1)
        text += gained
    return text[len(prompt) :], passes


def write_the_drafts(model, draft, prompt, n_new):
    text, passes = list(prompt), 0
    while len(text) < len(prompt) + n_new:
        text += list(draft(text))[:1] or [0]
        passes += 1
    return text[len(prompt) :], passes


def write_returns_text(model, draft, prompt, n_new):
    return write(model, draft, prompt, n_new)[0]


def write_draft_lacks_the_prompt(model, draft, prompt, n_new):
    return passes_of(model, lambda text: draft(text[len(prompt) :]), prompt, n_new)


def write_draft_lacks_the_newest_token(model, draft, prompt, n_new):
    return passes_of(model, lambda text: draft(text[:-1]), prompt, n_new)


def write_draft_gets_a_tensor(model, draft, prompt, n_new):
    return passes_of(model, lambda text: draft(torch.tensor(text)), prompt, n_new)


def _all_or_nothing(best, guess):
    return list(best) if list(best[:-1]) == list(guess) else [best[0]]


def _one_if_any_is_wrong(best, guess):
    right = verify(best, guess)
    return right if len(right) > len(guess) else right[:2]


def write_all_or_nothing(model, draft, prompt, n_new):
    return passes_of(model, draft, prompt, n_new, judge=_all_or_nothing)


def write_keeps_one(model, draft, prompt, n_new):
    return passes_of(model, draft, prompt, n_new, judge=_one_if_any_is_wrong)


def write_reads_kept_drafts_again(model, draft, prompt, n_new):
    def rewind(length, kept, n):
        return length if kept == n else length - kept

    return passes_of(model, draft, prompt, n_new, rewind=rewind)


__all__ = ["RIGHT", "WRONG"]

WRONG = [
    ("all drafts or none", write_all_or_nothing, "up to the first wrong one"),
    ("one draft if any is wrong", write_keeps_one, "up to the first wrong one"),
    ("kept drafts read again", write_reads_kept_drafts_again, "leave in the cache"),
    ("no rewind", write_without_rewind, "rewind"),
    ("rewinds one too little", write_rewinds_too_little, "rewind"),
    ("every draft believed", write_believes, "wrong drafts"),
    ("no drafts read", write_plainly, "several tokens a pass"),
    ("one draft read", write_with_one_draft, "read all drafts in one pass"),
    ("two drafts read", write_with_two_drafts, "read all drafts in one pass"),
    ("four drafts read", write_with_four_drafts, "up to 8 tokens"),
    ("room for few drafts", write_in_little_room, "more do not fit"),
    ("no cache", write_without_cache, "reads nothing twice"),
    ("the cache emptied", write_forgets_all, "reads nothing twice"),
    ("more tokens than asked", write_too_much, "exactly n_new"),
    ("the drafts as they are", write_the_drafts, "how often the model was called"),
    ("drafts without the prompt", write_draft_lacks_the_prompt, "the whole prompt"),
    ("drafts a token late", write_draft_lacks_the_newest_token, "up to the newest"),
    ("drafts from a tensor", write_draft_gets_a_tensor, "one list of tokens"),
    (
        "a pass over an empty row",
        write_all_but_the_last_of_the_prompt_first,
        "model(torch.tensor([prompt[:-1]]), cache)",
    ),
    ("the text alone", write_returns_text, "a pair"),
]
