"""Say where the course can be cloned from: its address, its badges, its notebooks' install cells.

Nothing is executed and nothing is sent anywhere. Until somebody has said so there is no address,
and nothing here invents one: whoever owned an invented one could run code on learners' machines.
"""

import json
import re
from pathlib import Path
from typing import Any

from minids.course import files, install_cell, measure

GITHUB = "https://github.com/"
_NAME = re.compile(r"(?=[^/]{1,39}/)([A-Za-z0-9](?:-?[A-Za-z0-9])*)/([A-Za-z0-9._-]{1,100})")
_URLS = re.compile(r'^(\[project\.urls\]\n(?:#[^\n]*\n)*)(?:Source = "[^"\n]*"\n)?', re.M)
_BADGES = re.compile(r"(<!-- badges: begin[^\n]*-->\n).*?(<!-- badges: end -->)", re.S)
COUNTS = Path("tests") / "cells_expected.json"
COLAB = (
    "[![Open chapter 00 in Colab: its first cell installs what is missing]"
    "(https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{name}/blob/main/notebooks/00_map.ipynb)"
)
BINDER = (
    "[![Open chapter 00 on Binder: slow to start, enough for chapters 00 and 09]"
    "(https://mybinder.org/badge_logo.svg)]"
    "(https://mybinder.org/v2/gh/{name}/main?urlpath=lab/tree/notebooks/00_map.ipynb)"
)


def publish(name: str | None = None, *, root: Path) -> list[Path]:
    """Write the address of a GitHub repository "OWNER/NAME" wherever it belongs; what changed.

    That is pyproject.toml, the badges between the marks in README.md, and every notebook's
    install cell. Without a name the cells are written for the address that is there, or for
    none. Raises ValueError for what is no such name, before anything is written.
    """
    changed = [] if name is None else _declare(checked(name), root)
    return changed + renew(root)


def checked(name: str) -> str:
    """The name as it was given. ValueError for what cannot be a repository's."""
    found = _NAME.fullmatch(name)
    if found is None or found[2].strip(".") == "" or found[2].endswith(".git"):
        raise ValueError(f"{name!r} is no repository; give OWNER/NAME as GitHub's address has it")
    if found[1].upper() == "OWNER":
        raise ValueError("put the owner of your own copy in place of OWNER")
    return name


def renew(root: Path) -> list[Path]:
    """Write the install cell into every notebook that is there, executing none; what changed.

    Seconds and counts of cells that are kept by number move along.
    """
    import nbformat

    changed, lengths = [], {}
    for path in files.sources(root):
        built = path.parent.parent.name == "solutions"
        for target in [files.target(path), *([files.exercise_of(path)] if built else [])]:
            if not target.exists():
                continue
            old = target.read_text(encoding="utf-8")
            new = install_cell.put(nbformat.reads(old, as_version=4), target, root)
            changed += _write(target, files.as_text(new), old)
            if target == files.target(path):
                lengths[files.label(path)] = sum(c.cell_type == "code" for c in new.cells)
    return changed + measure.lengthen(root, lengths) + _recount(root, lengths)


def _declare(name: str, root: Path) -> list[Path]:
    """Write the address into pyproject.toml, and the badges into README.md if it has the marks."""
    project, readme = root / "pyproject.toml", root / "README.md"
    old = project.read_text(encoding="utf-8") if project.exists() else ""
    new, found = _URLS.subn(rf'\g<1>Source = "{GITHUB}{name}"\n', old)
    if not found:
        raise ValueError(f"{project} has no line [project.urls] to write the address below")
    changed = _write(project, new, old)
    if readme.exists():
        old = readme.read_text(encoding="utf-8")
        badges = "\n".join(badge.format(name=name) for badge in (COLAB, BINDER))
        changed += _write(readme, _BADGES.sub(rf"\g<1>{badges}\n\g<2>", old), old)
    return changed


def _recount(root: Path, lengths: dict[str, int]) -> list[Path]:
    """Bring the committed numbers of cells up to date, of notebooks that have one."""
    path = root / COUNTS
    if not path.exists():
        return []
    old = path.read_text(encoding="utf-8")
    known: dict[str, Any] = json.loads(old)
    known |= {name: number for name, number in lengths.items() if name in known}
    return _write(path, json.dumps(known, indent=1, sort_keys=True) + "\n", old)


def _write(path: Path, new: str, old: str) -> list[Path]:
    if new == old:
        return []
    files.write(path, new)
    return [path]
