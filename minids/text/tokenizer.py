"""Text to whole numbers and back: a vocabulary, run by tiktoken, and the file that holds it.

A .tiktoken file has a line for each token: its bytes in base64, a space, its rank. Ours come
with their sha256 in a file beside them, in the format of the command `sha256sum`. How ranks are
learned is in bpe.py; what the shipped ones were learned from is in vocabulary.py.

Left out: normalisation. What goes in comes out, byte for byte.
"""

import base64
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import tiktoken

from minids.presets import DATA
from minids.text.bpe import PATTERN
from minids.text.bpe import train_bpe as train_bpe

SPECIAL = (
    *("<|end|>", "<|pad|>", "<|user|>", "<|assistant|>"),
    *("<think>", "</think>", "<answer>", "</answer>"),
)
"""Tokens that no text can spell: end of a document, padding, who speaks, and the tags of R1."""

SHIPPED = DATA / "tokenizer" / "minids-1024.tiktoken"
"""The vocabulary of this course; vocabulary.py says what it was trained on."""


class Tokenizer:
    """Turns text into tokens and back, through `tiktoken.Encoding`. It never changes.

    Tokens 0 to 255 are the bytes, then come the merges, then the special tokens. Only `encode`
    with `special=True` reads special tokens from text, so nothing a user types can forge one.
    """

    def __init__(
        self,
        ranks: Mapping[bytes, int],
        *,
        special: Sequence[str] = SPECIAL,
        pattern: str = PATTERN,
        name: str = "minids",
    ):
        self.special = {token: len(ranks) + i for i, token in enumerate(special)}
        self.vocab = len(ranks) + len(self.special)
        self.name = name
        self._encoding = tiktoken.Encoding(
            name,
            pat_str=pattern,
            mergeable_ranks=_checked(ranks),
            special_tokens=self.special,
            explicit_n_vocab=self.vocab,
        )

    def __repr__(self) -> str:
        return f"Tokenizer({self.name!r}, vocab={self.vocab})"

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Return the tokens of a text. `special=True` reads "<|end|>" and the like as one token.

        ValueError for a word of about a million letters, which tiktoken cannot search through.
        """
        try:
            if special:
                return self._encoding.encode(text, allowed_special="all")
            return self._encoding.encode_ordinary(text)
        except BaseException as error:  # tiktoken's panic is no Exception
            if type(error).__name__ != "PanicException":
                raise
            raise ValueError(
                "the text holds a word of about a million letters: put spaces or line ends into it"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of these tokens; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of these tokens: exact even where a character is cut in two."""
        return b"".join(self.pieces(ids))

    def pieces(self, ids: Iterable[int]) -> list[bytes]:
        """Return the bytes of each token, for showing where a text was cut."""
        ids = list(ids)
        try:
            return self._encoding.decode_tokens_bytes(ids)
        except (KeyError, OverflowError):
            wrong = next(i for i in ids if not 0 <= i < self.vocab)
            raise ValueError(f"token {wrong} is not in a vocabulary of {self.vocab}") from None

    def id(self, special: str) -> int:
        """Return the number of a special token."""
        if special not in self.special:
            raise ValueError(f"no special token {special!r}; there are: {', '.join(self.special)}")
        return self.special[special]


def bytes_per_token(tokenizer: Tokenizer, text: str) -> float:
    """Return how many bytes of UTF-8 one token stands for on average: higher is shorter."""
    if not text:
        raise ValueError("an empty text has no tokens to count: give one with a letter at least")
    return len(text.encode()) / len(tokenizer.encode(text))


@cache
def default_tokenizer() -> Tokenizer:
    """Return the tokenizer of this course: 1,016 byte tokens and merges, 8 special tokens."""
    return load()


def load(path: Path = SHIPPED) -> Tokenizer:
    """Return the tokenizer of a .tiktoken file whose sha256 stands in a file beside it.

    Refuses with ValueError a file that is missing, changed, or no byte-level vocabulary.
    """
    beside = path.with_suffix(".sha256")
    repair = "restore it from the course, or build it with `python -m minids.text.vocabulary`"
    for file in (path, beside):
        if not file.is_file():
            raise ValueError(f"{file} is missing: {repair}")
    expected = beside.read_text(encoding="ascii", errors="replace").split()[:1]
    if [hashlib.sha256(path.read_bytes()).hexdigest()] != expected:
        raise ValueError(f"{path} is not the file whose sha256 stands in {beside.name}: {repair}")
    return Tokenizer(read_ranks(path), name=path.stem)


def save(ranks: Mapping[bytes, int], path: Path) -> None:
    """Write the ranks in the .tiktoken format, and their sha256 beside them, or nothing at all."""
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items()]
    data = "".join(lines).encode()
    digest = f"{hashlib.sha256(data).hexdigest()}  {path.name}\n"
    contents = {path: data, path.with_suffix(".sha256"): digest.encode()}
    partial = {file: file.with_name(file.name + ".partial") for file in contents}
    try:
        for file, content in contents.items():
            partial[file].write_bytes(content)
        for file in contents:
            os.replace(partial[file], file)
    finally:
        for file in contents:
            partial[file].unlink(missing_ok=True)


def read_ranks(path: Path) -> dict[bytes, int]:
    """Return the rank of each token in a .tiktoken file; `Tokenizer` checks their order."""
    try:
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines() if line]
        return {base64.b64decode(token, validate=True): int(rank) for token, rank in lines}
    except ValueError as error:
        raise ValueError(
            f"{path} is no .tiktoken file, whose lines are `base64 rank`: {error}"
        ) from None


def _checked(ranks: Mapping[bytes, int]) -> dict[bytes, int]:
    """Return the ranks if they are a byte-level vocabulary: all bytes first, no gap, no double."""
    if list(ranks.values()) != list(range(len(ranks))):
        raise ValueError(f"ranks must be 0, 1, 2, … in order, one for each of {len(ranks)} tokens")
    if list(ranks)[:256] != [bytes([byte]) for byte in range(256)]:
        raise ValueError(
            "the first 256 ranks must be the bytes 0 to 255, or some text has no token"
        )
    return dict(ranks)
