"""Words for more than one check of chapter 11."""

import torch

from minids.check.sizes import draw

ENGLISH = "zero one two three four five six seven eight nine".split()

CHINESE = list("零一二三四五六七八九")


def spoken(g: torch.Generator, languages: str) -> str:
    """Words in the languages that the letters e and c name, each a digit that was drawn."""
    said = ""
    for letter in languages:
        new = (ENGLISH if letter == "e" else CHINESE)[draw(g, 0, 9)]
        said += (" " if said and said[-1].isascii() and new.isascii() else "") + new
    return said
