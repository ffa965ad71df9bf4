"""Real text without a download: what every Python carries, or a file of your own.

Prose is the language reference and library manual behind `help()` (`pydoc_data/topics.py`), code
is the standard library. Both are part of Python and stand under its licence (PSF-2.0; some
modules name their own). They are read from the running Python, never copied into the course.
They differ from version to version: no checked number may depend on their bytes. The texts
of domains.py are the same everywhere.
"""

import hashlib
import os
import sysconfig
import tokenize
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

_NO_CODE = {"test", "tests", "idlelib", "lib2to3", "distutils", "encodings", "pydoc_data"}
_NO_CODE |= {"turtledemo", "ensurepip", "site-packages", "dist-packages", "__phello__"}


class Corpus(NamedTuple):
    """A text to learn from and a text to be tested on. No document is in both."""

    train: str
    held_out: str

    def __str__(self) -> str:
        return f"{len(self.train):,} characters to learn from, {len(self.held_out):,} held out"


def real_text(kind: str = "prose", *, n_chars: int | None = None, held_out: float = 0.1) -> Corpus:
    """Return `n_chars` characters of text that comes with this Python (all if None), in two parts.

    `kind` is "prose", "code" or "both", which is equal parts of the two. Whole documents
    (topics of the manual, modules of the library) are held out, as many as fit into the share
    `held_out` of all characters. Python 3.11 carries 0.37 million characters of prose and 8.2
    million of code. ValueError if so little is asked for that no document fits.
    """
    if kind == "both":
        prose = real_text("prose", n_chars=n_chars and n_chars // 2, held_out=held_out)
        size = len(prose.train) + len(prose.held_out)
        code = real_text("code", n_chars=size, held_out=held_out)
        return Corpus(prose.train + code.train, prose.held_out + code.held_out)
    if not 0 < held_out < 1:
        raise ValueError(f"held_out is a share between 0 and 1, got {held_out}")
    texts = real_documents(kind)
    total = sum(map(len, texts.values()))
    total = total if n_chars is None else min(n_chars, total)
    away: list[str] = []
    room = held_out * total
    for name, text in texts.items():
        if len(text) <= room:
            away.append(name)
            room -= len(text)
    if not away:
        raise ValueError(
            f"no {kind} document is as short as {held_out * total:.0f} characters: "
            "ask for more n_chars or a larger share held_out"
        )
    tested = "".join(texts.pop(name) for name in away)
    return Corpus("".join(texts.values())[: total - len(tested)], tested)


def real_documents(kind: str) -> dict[str, str]:
    """Return documents by name, mixed in a fixed order. No paragraph of prose comes twice."""
    if kind not in ("prose", "code"):
        raise ValueError(f"kind must be 'prose' or 'code', got {kind!r}")
    found = _topics() if kind == "prose" else _modules(Path(sysconfig.get_path("stdlib")))
    if not found:
        raise ValueError(
            f"this Python carries no {kind} (its standard library came without source files): "
            "read a text of your own with own_text"
        )
    mixed = sorted(found, key=lambda name: hashlib.sha256(name.encode()).digest())
    return {name: found[name] for name in mixed}


def _topics() -> dict[str, str]:
    """Return the topics of `help()`. They quote each other: the longest one keeps a paragraph."""
    try:
        topics: dict[str, str] = import_module("pydoc_data.topics").topics
    except ImportError:
        return {}
    seen: set[str] = set()
    kept = {}
    for name in sorted(topics, key=lambda name: (-len(topics[name]), name)):
        new = [p for p in topics[name].strip().split("\n\n") if p.strip() not in seen]
        seen.update(p.strip() for p in new)
        if sum(map(len, new)) > 200:
            kept[name] = "\n\n".join(new) + "\n\n"
    return kept


def _modules(root: Path) -> dict[str, str]:
    """Return the modules below a folder, tests and tables left out, by path."""
    found = {}
    for folder, inside, files in os.walk(root):
        inside[:] = [name for name in inside if name not in _NO_CODE]
        for path in (Path(folder, file) for file in files if file.endswith(".py")):
            with tokenize.open(path) as module:  # it knows about encoding cookies
                if text := module.read():
                    found[path.relative_to(root).as_posix()] = text
    return found


def own_text(path: Path | str, *, held_out: float = 0.1) -> Corpus:
    """Return a text file of yours; its last lines, about the share `held_out`, are held out."""
    if not 0 < held_out < 1:
        raise ValueError(f"held_out is a share between 0 and 1, got {held_out}")
    text = read_text(path)
    share = int(len(text) * (1 - held_out))
    cut = text.rfind("\n", 0, share) + 1
    if cut < 0.9 * share:  # lines so long that the last of them would be nearly all
        cut = share
    return Corpus(text[:cut], text[cut:])


def read_text(path: Path | str) -> str:
    """Return the text of a UTF-8 file, its line ends made "\\n"; refuses what is no text."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name one text file in it")
    if not path.is_file():
        raise ValueError(f"there is no file {path} (looked in {Path.cwd()})")
    data = path.read_bytes()
    if b"\0" in data:
        zero = data.index(0)
        raise ValueError(f"{path} is no UTF-8 text (a picture? UTF-16?): byte {zero} is zero")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 (byte {error.start} is {data[error.start]:#04x}): "
            "save it as UTF-8, or pick another file"
        ) from None
    if not text.strip():
        raise ValueError(f"{path} is empty: there is nothing to learn from")
    return text.replace("\r\n", "\n").replace("\r", "\n")
