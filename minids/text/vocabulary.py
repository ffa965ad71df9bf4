"""What the shipped vocabulary was learned from; `python -m minids.text.vocabulary` learns it again.

A mixture of everything the course reads: the Python manual and library (training documents only),
the synthetic domains, and the words in which arithmetic is worked aloud, so that each number
from zero to ten is one token in English and in Chinese. Another Python version carries another
manual and gives another vocabulary: that is why the file is shipped and its sha256 checked.
Checkpoints and figures made with one vocabulary mean nothing with another.
"""

import argparse
from pathlib import Path

from minids.text.bpe import train_bpe
from minids.text.corpus import real_text
from minids.text.domains import DOMAINS, domain
from minids.text.tokenizer import SHIPPED, SPECIAL, Tokenizer, bytes_per_token, load, save

SIZE = 1024
"""Tokens in all: 256 bytes, 760 merges and 8 special tokens."""

_CODE_CHARS = 300_000
_DOMAIN_CHARS = {"stories": 120_000, "code": 80_000, "arithmetic": 10_000, "chinese": 100_000}
_ALOUD = """zero one two three four five six seven eight nine ten
    plus minus times equals is so first then answer carry
    零 一 二 三 四 五 六 七 八 九 十 加 减 乘 等 于 得 是 所 以 先 再 答 案 进"""


def training_text() -> str:
    """Return the text that this Python would learn the vocabulary from, about 1 MB."""
    texts = [
        real_text("prose").train,
        real_text("code").train[:_CODE_CHARS],
        *(domain(name, seed=0, n_chars=n) for name, n in _DOMAIN_CHARS.items()),
        *(f" {word}," * 300 if word.isascii() else f"{word}，" * 300 for word in _ALOUD.split()),
    ]
    return "\n".join(texts)


def build(path: Path = SHIPPED) -> Tokenizer:
    """Learn the vocabulary from this Python's texts, write it with its sha256, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save(train_bpe(training_text(), SIZE - len(SPECIAL)), path)
    return load(path)


def held_out_texts() -> dict[str, str]:
    """Return a text of each kind that the vocabulary was not learned from."""
    real = {"Python manual": real_text("prose"), "standard library": real_text("code")}
    texts = {title: corpus.held_out[:200_000] for title, corpus in real.items()}
    return texts | {name: domain(name, seed=1, n_chars=50_000) for name in DOMAINS}


if __name__ == "__main__":
    about = "Learn the vocabulary anew from this Python's texts, and write it over the shipped one."
    argparse.ArgumentParser(description=about).parse_args()
    tokenizer = build()
    print(f"{SHIPPED} written: {tokenizer}")
    for title, text in held_out_texts().items():
        print(f"{title:16} {bytes_per_token(tokenizer, text):.2f} bytes per token")
