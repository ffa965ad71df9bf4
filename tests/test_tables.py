"""Reading the published tables, and printing rows so that columns stand under each other."""

import pytest

from minids.presets import DATA
from minids.study import tables


def test_reading_a_table_that_is_not_there_lists_those_that_are():
    with pytest.raises(ValueError, match="no table 'costs'.*cost"):
        tables.read("costs")
    with pytest.raises(ValueError, match="no figure 'x'"):
        tables.figure("x")


def test_text_aligns_columns_and_counts_chinese_letters_twice():
    rows = [{"row": "发布", "n": 5}, {"row": "ab", "n": 12345}]
    assert tables.text(rows).splitlines() == [
        "row        n",
        "----  ------",
        "发布       5",
        "ab    12,345",
    ]
    assert tables.markdown(rows, ["n"]) == "| n |\n| --- |\n| 5 |\n| 12,345 |"


def test_the_tables_lie_beside_the_configs():
    assert (DATA / "paper" / "seed.csv").exists()


def test_numbers_are_numbers_and_empty_cells_are_none():
    row = next(row for row in tables.read("models") if row["model"] == "deepseek-llm-7b")
    assert row["total_b"] == 6.9 and row["context"] == 4096 and row["activated_b"] is None
    assert row["released"] == "2023-11-29"


def test_a_column_with_gaps_or_formatted_numbers_still_stands_to_the_right():
    rows = [{"a": None, "b": "1.50", "c": "x"}, {"a": 12, "b": "10.25", "c": "yz"}]
    assert tables.text(rows).splitlines()[2:] == ["     1.50  x", "12  10.25  yz"]
