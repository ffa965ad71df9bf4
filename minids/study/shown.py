"""What a cell shows, where nobody looks: pictures and words are kept. A stand-in for IPython.

Chapters ask IPython to show things. Here that name means this file, whether IPython is installed or
not, so that a chapter does the same everywhere.

Left out: sliders. A chapter shows the same figure beside each, and ipywidgets counts as missing.
"""

import base64
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """A picture: the bytes of a PNG in base64, and its description."""

    png: str
    alt: str


class Words:
    """Markdown or HTML, kept as it is written."""

    def __init__(self, data: str) -> None:
        self.data = data


figures: list[Figure] = []
"""The pictures since `take` was called last. Words are printed."""


def take() -> list[Figure]:
    """Return the pictures that were kept, and forget them."""
    taken = list(figures)
    figures.clear()
    return taken


def display(*things: Any, raw: bool = False, metadata: Any = None, **_: Any) -> None:
    """Keep each thing: a picture as one, anything else printed as words.

    With `raw` things are dicts from a MIME type to data, as IPython has them.
    """
    for thing in things:
        if raw:
            _bundle(thing, metadata or {})
        elif hasattr(thing, "_ipython_display_"):
            thing._ipython_display_()
        elif isinstance(thing, Words):
            print(thing.data)
        elif hasattr(thing, "savefig"):
            from minids.study.widgets import png

            _bundle({"image/png": png(thing)}, {})
        else:
            print(repr(thing))


def _bundle(data: dict[str, Any], metadata: dict[str, Any]) -> None:
    if "image/png" not in data:
        print(data.get("text/plain", ""))
        return
    alt = metadata.get("image/png", {}).get("alt", "")
    figures.append(Figure(base64.b64encode(data["image/png"]).decode("ascii"), alt))


def clear_output(wait: bool = False) -> None:
    """Do nothing: what was printed is kept."""


def install() -> None:
    """Let `import IPython` find this stand-in, and `import ipywidgets` nothing."""
    names: dict[str, Any] = {
        "display": display, "clear_output": clear_output, "Markdown": Words, "HTML": Words,
    }  # fmt: skip
    shows = _module("IPython.display", names)
    about = {"display": shows, "get_ipython": lambda: None, "version_info": (9, 0, 0)}
    sys.modules["IPython"], sys.modules["IPython.display"] = _module("IPython", about), shows
    sys.modules["ipywidgets"] = None  # type: ignore[assignment]


def _module(name: str, names: dict[str, Any]) -> ModuleType:
    made = ModuleType(name)
    made.__spec__ = ModuleSpec(name, None)
    vars(made).update(names)
    return made
