"""Byte-pair encoding: what is learned, how it is run, and the file that ships with the course."""

import errno
import hashlib
import pickle
import time
import unicodedata
from pathlib import Path

import pytest
import regex
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from minids.text.bpe import PATTERN, merge
from minids.text.corpus import real_text
from minids.text.domains import domain
from minids.text.tokenizer import (
    SHIPPED,
    SPECIAL,
    Tokenizer,
    bytes_per_token,
    default_tokenizer,
    load,
    read_ranks,
    save,
    train_bpe,
)
from minids.text.vocabulary import SIZE, build, held_out_texts

WHOLE = r"[\s\S]+"  # one piece: nothing is cut before merging
BYTES = [bytes([byte]) for byte in range(256)]


@pytest.fixture(scope="module")
def english() -> str:
    return domain("stories", seed=0, n_chars=60_000)


# What is learned


def test_the_wikipedia_example_is_compressed_as_wikipedia_says():
    # aaabdaaabac: Z = aa, Y = ab, X = ZY; the string becomes X d X a c.
    ranks = train_bpe("aaabdaaabac", 256 + 3)
    assert list(ranks.items())[256:] == [(b"aa", 256), (b"ab", 257), (b"aaab", 258)]
    assert merge(b"aaabdaaabac", ranks) == [258, ord("d"), 258, ord("a"), ord("c")]


def test_the_256_bytes_are_the_first_ranks_and_merges_follow_in_order(english):
    ranks = train_bpe(english, 400)
    assert list(ranks)[:256] == BYTES
    assert list(ranks.values()) == list(range(400))


def test_each_merge_joins_two_tokens_that_are_older(english):
    ranks = train_bpe(english, 400)
    for token, rank in list(ranks.items())[256:]:
        parts = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        assert any(max(ranks.get(a, rank), ranks.get(b, rank)) < rank for a, b in parts)


def test_each_merge_is_the_most_frequent_pair_of_that_moment(english):
    """Recount everything from nothing before each merge: slow, and shares no code."""
    text = english[:4_000]
    ranks = list(train_bpe(text, 300, pattern=WHOLE))
    word = [bytes([byte]) for byte in text.encode()]
    for made in ranks[256:]:
        pairs: dict[tuple[bytes, bytes], int] = {}
        for pair in zip(word, word[1:], strict=False):
            pairs[pair] = pairs.get(pair, 0) + 1
        most = max(pairs.values())
        tied = [pair for pair, n in pairs.items() if n == most]
        left, right = min(tied, key=lambda p: (ranks.index(p[0]), ranks.index(p[1])))
        assert left + right == made
        word = _joined(word, left, right)


def _joined(word: list[bytes], left: bytes, right: bytes) -> list[bytes]:
    out, i = [], 0
    while i < len(word):
        both = word[i : i + 2] == [left, right]
        out.append(left + right if both else word[i])
        i += 2 if both else 1
    return out


def test_learning_twice_gives_the_same_ranks(english):
    assert list(train_bpe(english, 500).items()) == list(train_bpe(english, 500).items())


def test_a_smaller_vocabulary_is_the_beginning_of_a_larger_one(english):
    small, large = train_bpe(english, 350), train_bpe(english, 450)
    assert list(large.items())[:350] == list(small.items())


def test_the_merges_are_those_of_hugging_face():
    """Words of lower-case letters only: there both break ties by the same order of tokens.

    With other bytes the two may differ at the first tie, because Hugging Face orders its
    tokens by the printable stand-ins it gives to bytes (a space becomes U+0120), we by the bytes.
    """
    from tokenizers import Tokenizer as HuggingFace
    from tokenizers import models, pre_tokenizers, trainers

    letters = (c for c in domain("stories", seed=3, n_chars=40_000).lower())
    text = "".join(c if c.isalpha() else " " for c in letters)
    theirs = HuggingFace(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    alphabet = sorted(set(text) - {" "})
    trainer = trainers.BpeTrainer(vocab_size=len(alphabet) + 300, show_progress=False)
    theirs.train_from_iterator([text], trainer)
    by_rank = sorted(theirs.get_vocab().items(), key=lambda item: item[1])
    ours = train_bpe(text, 256 + 300, pattern=r"[a-z]+")
    assert [token.encode() for token, _ in by_rank[len(alphabet) :]] == list(ours)[256:]


def test_a_text_too_short_for_the_vocabulary_is_refused():
    with pytest.raises(ValueError, match="after 257 no pair occurs twice: give more text"):
        train_bpe("abc abd", 258, pattern=r"\w+")


def test_fewer_tokens_than_bytes_are_refused():
    with pytest.raises(ValueError, match="256 or more, got 100"):
        train_bpe("some text", 100)


def _seconds(text: str, vocab: int) -> float:
    """The processor time of learning, the better of two."""
    times = []
    for _ in range(2):
        start = time.process_time()
        train_bpe(text, vocab)
        times.append(time.process_time() - start)
    return min(times)


def test_learning_time_grows_no_faster_than_the_text():
    code = real_text("code", n_chars=200_000).train
    assert _seconds(code[:160_000], 600) < 2 * 8 * _seconds(code[:20_000], 600)


def test_a_late_merge_costs_less_than_counting_again_would():
    """Counting all pairs again each time would make 8 times the merges cost 8 times as much."""
    code = real_text("code", n_chars=60_000).train
    assert _seconds(code, 256 + 800) < 4 * _seconds(code, 256 + 100)


# How text is cut before merging


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("the cat, then", ["the", " cat", ",", " then"]),
        ("37+45=82", ["3", "7", "+", "4", "5", "=", "8", "2"]),
        ("def f(x):\n    return x", ["def", " f", "(", "x", "):", "\n    ", "return", " x"]),
        ("one.  Two", ["one", ".", " ", " Two"]),
        ("a\n\nb\n", ["a", "\n\n", "b", "\n"]),
        ("三加四 is 7。", ["三", "加", "四", " is", " ", "7", "。"]),
        ("naïve Éluard", ["naïve", " Éluard"]),
        ("end   ", ["end", "   "]),
    ],
)
def test_text_is_cut_into_words_digits_indentation_and_chinese(text, pieces):
    assert regex.findall(PATTERN, text) == pieces


@given(st.text())
def test_every_character_is_in_exactly_one_piece(text):
    assert "".join(regex.findall(PATTERN, text)) == text


def test_a_character_of_every_kind_is_in_a_piece():
    """Also those that chance rarely draws: an accent of its own goes with its letter."""
    kinds = {unicodedata.category(letter): letter for letter in map(chr, range(0x3100))}
    assert len(kinds) > 25
    for letter in kinds.values():
        text = f"{letter}a{letter} {letter}三{letter}\n{letter}"
        assert "".join(regex.findall(PATTERN, text)) == text, unicodedata.name(letter, repr(letter))
    assert regex.findall(PATTERN, "cafe\u0301 noir") == ["cafe\u0301", " noir"]


# How it is run


@given(st.text())
def test_any_text_comes_back_as_it_went_in(text):
    tokenizer = default_tokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode_bytes(tokenizer.encode(text)) == text.encode()


@given(st.binary())
def test_any_bytes_come_back_as_they_went_in(data):
    tokenizer = default_tokenizer()
    assert tokenizer.decode_bytes(list(data)) == data
    assert tokenizer.decode_bytes(merge(data, read_ranks(SHIPPED))) == data


@given(st.text(alphabet="abet hn\n0127.,=_()三加四是", max_size=60))
@settings(max_examples=200)
def test_encoding_is_the_merge_loop_by_hand_on_each_piece(text):
    ranks = read_ranks(SHIPPED)
    by_hand = [t for piece in regex.findall(PATTERN, text) for t in merge(piece.encode(), ranks)]
    assert default_tokenizer().encode(text) == by_hand


@given(st.text(alphabet="".join(SPECIAL) + " "))
def test_no_text_spells_a_special_token(text):
    tokenizer = default_tokenizer()
    assert max(tokenizer.encode(text + "".join(SPECIAL))) < tokenizer.id("<|end|>")


def test_special_tokens_are_read_where_asked_for_and_come_back():
    tokenizer = default_tokenizer()
    text = "<|user|>3+4<|assistant|><think>3+4=7</think><answer>7</answer><|end|>"
    ids = tokenizer.encode(text, special=True)
    assert ids.count(tokenizer.id("<think>")) == 1
    assert sum(i >= tokenizer.id("<|end|>") for i in ids) == 7
    assert tokenizer.decode(ids) == text
    assert len(tokenizer.encode(text)) > len(ids)


def test_the_bytes_of_the_tokens_are_the_text():
    tokenizer = default_tokenizer()
    pieces = tokenizer.pieces(tokenizer.encode("Mira likes bread."))
    assert b"".join(pieces) == b"Mira likes bread."
    assert tokenizer.pieces([0, 255]) == [b"\x00", b"\xff"]


def test_half_a_character_decodes_to_a_replacement_and_its_bytes_are_kept():
    first_byte = "三".encode()[:1]
    assert default_tokenizer().decode([first_byte[0]]) == "\ufffd"
    assert default_tokenizer().decode_bytes([first_byte[0]]) == first_byte


@pytest.mark.parametrize("wrong", [1024, 10**9, -1])
def test_a_token_outside_the_vocabulary_is_named(wrong):
    with pytest.raises(ValueError, match=f"token {wrong} is not in a vocabulary of 1024"):
        default_tokenizer().decode([5, wrong])


def test_an_unknown_special_token_is_refused_with_the_list():
    with pytest.raises(ValueError, match=r"'<\|stop\|>'; there are: <\|end\|>"):
        default_tokenizer().id("<|stop|>")


def test_a_tokenizer_can_be_sent_to_another_process():
    again = pickle.loads(pickle.dumps(default_tokenizer()))
    assert again.encode("Mira 12", special=True) == default_tokenizer().encode("Mira 12")
    assert again.special == default_tokenizer().special


def test_ones_own_vocabulary_runs_the_same_way(english):
    own = Tokenizer(train_bpe(english, 300), special=("<|end|>",), name="own")
    assert (own.vocab, own.id("<|end|>"), repr(own)) == (301, 300, "Tokenizer('own', vocab=301)")
    assert own.decode(own.encode(english)) == english
    assert bytes_per_token(own, english) > 1.3


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ({token: rank + 1 for rank, token in enumerate(BYTES)}, "ranks must be 0, 1, 2"),
        ({token: rank for rank, token in enumerate(BYTES[:-1])}, "the bytes 0 to 255"),
        ({b"ab": 0} | {token: rank + 1 for rank, token in enumerate(BYTES)}, "the bytes 0 to 255"),
    ],
)
def test_ranks_that_are_no_byte_level_vocabulary_are_refused(ranks, message):
    with pytest.raises(ValueError, match=message):
        Tokenizer(ranks)


# What ships with the course


def test_the_shipped_vocabulary_has_1024_tokens_with_its_special_ones_last():
    tokenizer = default_tokenizer()
    assert tokenizer.vocab == SIZE == 1024
    assert list(tokenizer.special) == list(SPECIAL)
    assert list(tokenizer.special.values()) == list(range(1016, 1024))


def test_the_shipped_file_is_in_merge_order_with_all_bytes_first():
    ranks = read_ranks(SHIPPED)
    assert list(ranks.values()) == list(range(1016))
    assert list(ranks)[:256] == BYTES


def test_the_shipped_file_is_what_tiktoken_would_read():
    # tiktoken.load.load_tiktoken_bpe needs a cache folder; this is its parser, without it.
    import base64

    lines = (line.split() for line in SHIPPED.read_bytes().splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    encoding = tiktoken.Encoding(
        "theirs", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={}
    )
    text = domain("chinese", seed=5, n_chars=2_000)
    assert encoding.encode(text) == default_tokenizer().encode(text)


def test_numbers_are_one_token_in_digits_in_english_and_in_chinese():
    tokenizer = default_tokenizer()
    words = "zero one two three four five six seven eight nine ten plus minus times equals"
    one = [
        *"0123456789+-*=",
        *"零一二三四五六七八九十加减乘等于得是",
        *(f" {w}" for w in words.split()),
    ]
    assert [text for text in one if len(tokenizer.encode(text)) != 1] == []


def test_all_kinds_of_text_in_the_course_are_shortened():
    per_token = {
        title: bytes_per_token(default_tokenizer(), text)
        for title, text in held_out_texts().items()
    }
    least = {"Python manual": 2.3, "standard library": 2.0, "stories": 2.4, "code": 2.3}
    least |= {"arithmetic": 1.0, "chinese": 2.4}
    assert {title: per_token[title] >= low for title, low in least.items()} == dict.fromkeys(
        per_token, True
    )
    assert per_token["arithmetic"] == 1.0  # digits are never joined


def test_a_vocabulary_is_written_as_it_was_learned_and_read_back(tmp_path, english):
    ranks = train_bpe(english, 280)
    save(ranks, tmp_path / "own.tiktoken")
    assert list(read_ranks(tmp_path / "own.tiktoken").items()) == list(ranks.items())
    assert load(tmp_path / "own.tiktoken").encode("Mira") == Tokenizer(ranks).encode("Mira")
    digest, name = (tmp_path / "own.sha256").read_text().split()
    assert name == "own.tiktoken"
    assert digest == hashlib.sha256((tmp_path / "own.tiktoken").read_bytes()).hexdigest()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.sha256", "own.tiktoken"]


def test_a_vocabulary_that_cannot_be_written_leaves_the_one_before(tmp_path, english, monkeypatch):
    path = tmp_path / "own.tiktoken"
    save(train_bpe(english, 280), path)

    def full(file, data):
        if ".sha256" in file.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        save(train_bpe(english, 290), path)
    assert load(path).vocab == 280 + len(SPECIAL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.sha256", "own.tiktoken"]


def test_a_changed_vocabulary_is_refused(tmp_path):
    path = tmp_path / SHIPPED.name
    path.write_bytes(SHIPPED.read_bytes().replace(b" 700\n", b" 701\n"))
    path.with_suffix(".sha256").write_bytes(SHIPPED.with_suffix(".sha256").read_bytes())
    with pytest.raises(ValueError, match="not the file whose sha256 .* build it with `python -m"):
        load(path)


def test_a_missing_vocabulary_or_checksum_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"gone.tiktoken is missing"):
        load(tmp_path / "gone.tiktoken")
    (tmp_path / "gone.tiktoken").write_bytes(SHIPPED.read_bytes())
    with pytest.raises(ValueError, match=r"gone.sha256 is missing"):
        load(tmp_path / "gone.tiktoken")


@pytest.mark.parametrize(
    "content", ["no base64!! 0\n", "A!A== 0\n", "AA== zero\n", "AA==\n", "é 0\n"]
)
def test_a_file_of_another_format_is_refused(tmp_path, content):
    path = tmp_path / "odd.tiktoken"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="is no .tiktoken file"):
        read_ranks(path)


def test_the_vocabulary_can_be_built_again_from_this_python(tmp_path):
    """Another Python has another manual, so not the same file, but one that does the same work."""
    rebuilt = build(tmp_path / "again.tiktoken")
    assert rebuilt.vocab == SIZE
    for title, text in held_out_texts().items():
        shipped = bytes_per_token(default_tokenizer(), text)
        assert bytes_per_token(rebuilt, text) == pytest.approx(shipped, rel=0.1), title


def test_a_word_of_a_million_letters_is_refused_and_not_a_panic(capfd):
    with pytest.raises(ValueError, match="a word of about a million letters"):
        default_tokenizer().encode("a" * 1_100_000)
    with pytest.raises(ValueError, match="empty text"):
        bytes_per_token(default_tokenizer(), "")
