"""docs/glossary.md: words in order, in Chinese too, their chapters say them, the code is there."""

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parents[1]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "glossary.md").read_text("utf-8").splitlines()
    if line.startswith("| ") and "---" not in line
][1:]
PROSE = {
    path.name[:2]: re.sub(r"\n# ?", " ", path.read_text("utf-8"))
    for path in (ROOT / "notebooks" / "src").glob("*.py")
}


def test_words_stand_in_order_and_once() -> None:
    words = [row[0].casefold() for row in ROWS]
    assert words == sorted(set(words))


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_word_is_in_its_chapter_and_its_code_is_there(row: list[str]) -> None:
    word, chinese, meaning, chapter, where = row
    said = PROSE[chapter].casefold()
    for part in re.split("[ -]", word.casefold()):
        assert part[:5] in said, f"chapter {chapter} does not say {part}"
    assert re.search("[一-龥]", chinese) and meaning
    resolve_name("minids." + where.strip("`"))
