"""The picture in CONTRIBUTING.md is the folder, and its tables name what exists."""

import dataclasses
import re
from pathlib import Path

import pytest
from test_floors import PLACE

from minids import config
from minids.huggingface import to_hf
from minids.presets import preset

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
OUTER, PICTURE = re.findall(r"^```\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)[:2]


def picture() -> dict[str, str]:
    """Every path in the picture of the package, and the rest of its line."""
    found, folders = {}, []
    for line in PICTURE.splitlines():
        entry = re.match(r"( *)([\w/]+(?:\.py|/))(.*)", line)
        if entry is None or len(entry[1]) > 16:
            continue  # the second line of a description
        depth = {0: 0, 2: 1, 6: 2, 10: 3}[len(entry[1])]
        folders = [*folders[:depth], entry[2]]
        found["".join(folders)] = entry[3]
    return found


def real() -> set[str]:
    """Every file of the package but `__init__.py`, and every folder; a chapter's checks as one."""
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "minids").rglob("*.py")}
    files = {re.sub(r"/ch\d\d/.*", "/chNN/", name) for name in files}
    folders = {name.rsplit("/", 1)[0] + "/" for name in files}
    return folders | {name for name in files if not name.endswith("__init__.py")}


def test_the_picture_shows_every_file_and_nothing_else():
    assert set(picture()) == real()


def test_every_file_in_the_picture_says_what_it_is():
    assert not [
        path for path, words in picture().items() if path != "minids/" and not words.strip()
    ]


def test_the_floors_in_the_picture_are_the_ones_that_are_enforced():
    for path, words in picture().items():
        floor = re.search(r"floor (\d)", words)
        top = path.removeprefix("minids/").rstrip("/").removesuffix(".py")
        if path != "minids/" and "/" not in top:
            assert floor, f"{path} has no floor"
            assert int(floor[1]) == PLACE[top][0]
        else:
            assert not floor


def test_files_stand_in_the_order_of_their_floors():
    floors = re.findall(r"floor (\d)", PICTURE)
    assert floors == sorted(floors)


@pytest.mark.parametrize("name", re.findall(r"^([\w./]+/?)  ", OUTER, re.MULTILINE))
def test_everything_at_the_top_exists(name):
    assert (ROOT / name).exists()


def test_files_at_the_top_are_all_named():
    made = {".git", ".gitignore", ".venv", ".github", ".ci", ".gitattributes"}
    for path in ROOT.iterdir():
        if path.name not in made and not path.name.startswith((".", "__")):
            ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
            if not {f"{path.name}/", f"/{path.name}/"} & set(ignored):
                assert re.search(rf"\b{re.escape(path.name)}\b", OUTER), f"{path.name} is not named"


def test_the_word_table_names_real_fields_and_config_keys():
    kinds = (config.ModelConfig, config.GQAConfig, config.MLAConfig, config.MoEConfig)
    fields = {field.name for kind in kinds for field in dataclasses.fields(kind)}
    keys = {key for name in ("deepseek-llm-67b", "deepseek-v3") for key in to_hf(preset(name))}
    table = TEXT[TEXT.index("| here | paper | config.json |") :]
    rows = [line.strip("|").split("|") for line in table.splitlines()[2:] if line.startswith("|")]
    assert len(rows) > 15
    for here, _, key in rows:
        assert set(re.findall(r"`(\w+)`", here)) <= fields
        assert set(re.findall(r"`(\w+)`", key)) <= keys
