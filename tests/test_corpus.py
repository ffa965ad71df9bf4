"""Real text: what Python carries, split by document, and files of one's own."""

import pytest

from minids.text import corpus
from minids.text.corpus import own_text, read_text, real_documents, real_text


@pytest.fixture(scope="module", params=["prose", "code"])
def kind(request):
    return request.param


def test_this_python_carries_prose_and_code(kind):
    text = real_text(kind)
    assert len(text.train) > {"prose": 200_000, "code": 2_000_000}[kind]
    assert ("def " in text.train) and ("statement" in text.train)


def test_it_is_the_same_every_time(kind):
    assert real_text(kind, n_chars=50_000) == real_text(kind, n_chars=50_000)


def test_no_document_is_in_both_parts(kind):
    text = real_text(kind, n_chars=200_000)
    away = {name for name, document in real_documents(kind).items() if document in text.held_out}
    assert away
    assert not any(real_documents(kind)[name] in text.train for name in away)


def test_no_paragraph_of_held_out_prose_can_be_learned_by_heart():
    text = real_text("prose")
    learned = {" ".join(p.split()) for p in text.train.split("\n\n")}
    tested = [" ".join(p.split()) for p in text.held_out.split("\n\n")]
    known = sum(len(p) for p in tested if p in learned)
    assert known < 0.01 * len(text.held_out)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_the_held_out_share_is_nearly_what_was_asked_for(kind, share):
    text = real_text(kind, held_out=share)
    total = len(text.train) + len(text.held_out)
    assert 0.8 * share < len(text.held_out) / total <= share


@pytest.mark.parametrize("n_chars", [20_000, 300_000])
def test_as_many_characters_come_back_as_were_asked_for(kind, n_chars):
    text = real_text(kind, n_chars=n_chars)
    assert len(text.train) + len(text.held_out) == n_chars


def test_both_is_equal_parts_of_prose_and_code():
    prose, code, both = (real_text(kind, n_chars=n) for kind, n in PARTS)
    assert both.train == prose.train + code.train
    assert both.held_out == prose.held_out + code.held_out
    whole = real_text("both")
    assert len(whole.train) + len(whole.held_out) == 2 * sum(map(len, real_text("prose")))


PARTS = (("prose", 50_000), ("code", 50_000), ("both", 100_000))


def test_documents_are_mixed_and_none_is_a_test_or_a_table():
    names = list(real_documents("code"))
    assert names != sorted(names)
    assert "argparse.py" in names and "json/decoder.py" in names
    assert not [name for name in names if name.startswith(("test/", "encodings/", "site-"))]


def test_a_corpus_reports_its_sizes():
    assert str(corpus.Corpus("a" * 1_234, "b" * 56)) == (
        "1,234 characters to learn from, 56 held out"
    )


def test_a_python_without_sources_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(ValueError, match="this Python carries no code .* own_text"):
        real_text("code")


@pytest.mark.parametrize("share", [0, 1, -0.1, 2])
def test_a_share_outside_0_and_1_is_refused(share, tmp_path):
    with pytest.raises(ValueError, match="between 0 and 1"):
        real_text("prose", held_out=share)
    with pytest.raises(ValueError, match="between 0 and 1"):
        own_text(tmp_path, held_out=share)


def test_too_little_text_to_hold_any_out_is_refused(kind):
    with pytest.raises(ValueError, match="as short as 0 characters: ask for more n_chars"):
        real_text(kind, n_chars=3)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'prose' or 'code', got 'poems'"):
        real_documents("poems")
    with pytest.raises(ValueError, match="'prose' or 'code', got 'poems'"):
        real_text("poems")


# Files of one's own


def test_a_text_file_is_read_as_it_is(tmp_path):
    path = tmp_path / "own.txt"
    path.write_bytes("Zeile eins\r\nZeile zwei — 三\n".encode())
    assert read_text(path) == read_text(str(path)) == "Zeile eins\nZeile zwei — 三\n"


def test_line_ends_of_every_system_become_one(tmp_path):
    path = tmp_path / "ends.txt"
    path.write_bytes(b"Unix\nWindows\r\nMac\rempty\r\n\r\n")
    assert read_text(path) == "Unix\nWindows\nMac\nempty\n\n"


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "own.txt").write_bytes(b"\xef\xbb\xbfhello")
    assert read_text(tmp_path / "own.txt") == "hello"


def test_the_last_lines_of_an_own_file_are_held_out(tmp_path):
    lines = [f"line number {i}\n" for i in range(1_000)]
    (tmp_path / "own.txt").write_text("".join(lines))
    text = own_text(tmp_path / "own.txt", held_out=0.2)
    assert text.train + text.held_out == "".join(lines)
    assert text.train.endswith("\n") and text.held_out.startswith("line number ")
    assert len(text.held_out) == pytest.approx(0.2 * len("".join(lines)), rel=0.01)


def test_something_is_held_out_of_the_shortest_lines(tmp_path):
    (tmp_path / "own.txt").write_text("l\n" * 5)
    assert own_text(tmp_path / "own.txt").held_out


def test_an_own_file_of_one_line_is_split_inside_it(tmp_path):
    (tmp_path / "own.txt").write_text("x" * 1_000)
    assert [len(part) for part in own_text(tmp_path / "own.txt")] == [900, 100]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: there is nothing to learn from"),
        (b" \n\t\n", "is empty"),
        (b"PK\x03\x04\x00\x01", "byte 4 is zero"),
        ("hello".encode("utf-16"), "UTF-16.*byte 3 is zero"),
        (b"caf\xe9 au lait", "is not UTF-8 .byte 3 is 0xe9.: save it as UTF-8"),
    ],
)
def test_what_is_no_text_is_refused_with_the_reason(tmp_path, content, message):
    path = tmp_path / "odd"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_text(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no file .*gone.txt"):
        read_text(tmp_path / "gone.txt")
    with pytest.raises(ValueError, match="is a folder: name one text file in it"):
        read_text(tmp_path)


def test_a_file_of_one_long_line_is_cut_within_it(tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("title\n" + "word " * 2000)
    mine = own_text(path, held_out=0.1)
    assert len(mine.held_out) == pytest.approx(0.1 * len(mine.train + mine.held_out), abs=2)
