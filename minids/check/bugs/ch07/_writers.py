"""Answers to 07.write that write the right text, and the loop that most mistakes change."""

import torch

from minids.check.bugs.ch07.verify import verify


def passes_of(model, draft, prompt, n_new, *, rewind=lambda length, kept, n: length, judge=verify):
    """Greedy writing with drafts; `rewind` and `judge` may be broken."""
    text, cache, passes = list(prompt), model.new_cache(1, len(prompt) + 2 * n_new + 64), 0
    while len(text) < len(prompt) + n_new:
        guess = list(draft(text))
        new = torch.tensor([[*text[cache.length :], *guess]])
        best = model(new, cache).logits[0, -len(guess) - 1 :].argmax(-1).tolist()
        passes += 1
        gained = judge(best, guess)
        cache.rewind(rewind(len(text) + len(gained) - 1, len(gained) - 1, len(guess)))
        text += gained
    return text[len(prompt) : len(prompt) + n_new], passes


def write(model, draft, prompt, n_new):
    return passes_of(model, draft, prompt, n_new)


def write_prompt_first(model, draft, prompt, n_new):
    cache = model.new_cache(1, len(prompt) + n_new + 64)
    best = model(torch.tensor([prompt]), cache, last=1).logits[0, -1].argmax()
    new, passes = [int(best)], 1
    while len(new) < n_new:
        start, guess = cache.length, list(draft([*prompt, *new]))
        rows = torch.tensor([[new[-1], *guess]])
        choices = model(rows, cache).logits[0].argmax(-1).tolist()
        passes += 1
        right = 0
        for ours, theirs in zip(choices, guess, strict=False):
            if ours != theirs:
                break
            right += 1
        new += [*guess[:right], choices[right]]
        cache.rewind(start + right + 1)
    return new[:n_new], passes


def write_prompt_in_a_pass_of_its_own(model, draft, prompt, n_new):
    """The pass over the prompt brings no token: its last one is left for the first round."""
    text, cache, passes = list(prompt), model.new_cache(1, len(prompt) + n_new + 8), 0
    if len(prompt) > 1:
        model(torch.tensor([prompt[:-1]]), cache)
        passes += 1
    while len(text) < len(prompt) + n_new:
        guess = list(draft(text))
        logits = model(torch.tensor([[text[-1], *guess]]), cache).logits[0]
        passes += 1
        text += verify(logits.argmax(-1).tolist(), guess)
        cache.rewind(len(text) - 1)
    return text[len(prompt) : len(prompt) + n_new], passes


def write_all_but_the_last_of_the_prompt_first(model, draft, prompt, n_new):
    """As before, and for a prompt of one token a pass over nothing."""
    if len(prompt) == 1:
        cache = model.new_cache(1, n_new)
        model(torch.tensor([prompt[:-1]]), cache)
    return write_prompt_in_a_pass_of_its_own(model, draft, prompt, n_new)


def write_no_draft_too_many(model, draft, prompt, n_new):
    """Drafts that would lead past the end are not even read."""

    def enough(text):
        return draft(text)[: len(prompt) + n_new - len(text) - 1]

    return passes_of(model, enough, prompt, n_new)


RIGHT = [
    write,
    write_prompt_first,
    write_prompt_in_a_pass_of_its_own,
    write_no_draft_too_many,
]
