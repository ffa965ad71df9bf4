"""Batches: the shift, the mask, the order of rows, and what is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minids.text.batches import Batch, packed, padded, paired, renumbered, stream, windows
from minids.text.chance import chance
from minids.text.labelled import domain_streams, labelled, labelled_windows
from minids.text.tokenizer import default_tokenizer

TEXT = torch.arange(1_000)  # each token is its own position


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_seeds_of_neighbours_are_apart_and_those_of_the_stored_runs():
    seeds = {chance(name, i).initial_seed() for name in "ab" for i in range(50)}
    assert len(seeds) == 100
    assert chance(0, "order", 1).initial_seed() == 10407039197203068
    assert chance("haystacks", 3, 64, 0.5).initial_seed() == 36358117251139830


# Packed


def test_targets_are_the_tokens_that_follow():
    tokens, targets, mask = packed(TEXT, batch=5, length=7, seed=0)(3)
    assert tokens.shape == targets.shape == mask.shape == (5, 7)
    assert torch.equal(targets, tokens + 1)
    assert mask.all()


def test_a_row_is_a_stretch_of_the_text():
    tokens = packed(TEXT, batch=5, length=7, seed=0)(3).tokens
    assert torch.equal(tokens - tokens[:, :1], torch.arange(7).expand(5, 7))


def test_batch_i_is_the_same_after_any_order_of_calls():
    first, again = (packed(TEXT, batch=4, length=9, seed=1) for _ in range(2))
    forward = [first(i) for i in range(60)]
    backward = [again(i) for i in reversed(range(60))]
    assert all(same(a, b) for a, b in zip(forward, reversed(backward), strict=True))
    assert same(first(2), forward[2])


def test_other_batches_and_other_seeds_differ():
    batches, others = (packed(TEXT, batch=4, length=9, seed=seed) for seed in (1, 2))
    assert not any(same(batches(0), batches(i)) for i in range(1, 60))
    assert not any(same(batches(i), others(i)) for i in range(20))


@pytest.mark.parametrize("batch", [9, 7, 150])
def test_no_row_is_seen_twice_before_all_are_seen_once(batch):
    rows = (1_000 - 10) // 10  # in an epoch; a batch may end one epoch and begin the next
    batches = packed(TEXT, batch=batch, length=10, seed=0)
    seen = torch.cat([batches(i).tokens for i in range(-(-5 * rows // batch))])
    for epoch in seen[: 5 * rows].split(rows):
        assert len(epoch.unique()) == rows * 10


def test_another_seed_takes_another_order():
    one, two = (packed(TEXT, batch=99, length=10, seed=seed)(0).tokens[:, 0] for seed in (0, 1))
    assert not torch.equal(one - one.min(), two - two.min())


def test_the_next_epoch_cuts_elsewhere_in_another_order():
    batches = packed(TEXT, batch=99, length=10, seed=0)
    starts = [batches(epoch).tokens[:, 0] for epoch in range(6)]
    assert len({int(start.min()) for start in starts}) > 1
    orders = [start - start.min() for start in starts]
    assert not any(torch.equal(orders[0], order) for order in orders[1:])


@pytest.mark.parametrize("n", [41, 42, 47, 50])
def test_rows_begin_everywhere_in_the_end(n):
    """Also where the text would split into rows without rest."""
    batches = packed(torch.arange(n), batch=3, length=10, seed=0)
    starts = torch.cat([batches(i).tokens[:, 0] for i in range(400)])
    assert (starts % 10).unique().tolist() == list(range(10))


@pytest.mark.parametrize("n", [12, 13, 20, 24, 25, 31, 100, 101])
def test_every_token_is_used_in_the_end(n):
    batches = packed(torch.arange(n), batch=3, length=11, seed=0)
    seen = [batches(i) for i in range(400)]
    assert torch.cat([b.tokens for b in seen]).unique().tolist() == list(range(n - 1))
    assert torch.cat([b.targets for b in seen]).unique().tolist() == list(range(1, n))


@given(
    n=st.integers(2, 60),
    batch=st.integers(1, 7),
    length=st.integers(1, 12),
    i=st.integers(0, 30),
    seed=st.integers(-5, 5),
)
def test_any_shape_that_fits_gives_rows_of_the_text(n, batch, length, i, seed):
    if n < length + 1:
        with pytest.raises(ValueError, match=f"{length + 1} tokens are needed, the text has {n}"):
            packed(torch.arange(n), batch=batch, length=length, seed=seed)
        return
    tokens, targets, _ = packed(torch.arange(n), batch=batch, length=length, seed=seed)(i)
    assert tokens.shape == (batch, length)
    assert torch.equal(targets, tokens + 1)
    assert int(tokens.min()) >= 0 and int(targets.max()) < n


def test_the_shortest_text_gives_its_only_row():
    tokens, targets, _ = packed(torch.tensor([5, 6, 7]), batch=1, length=2, seed=0)(0)
    assert (tokens.tolist(), targets.tolist()) == ([[5, 6]], [[6, 7]])


def test_tokens_may_be_kept_small_and_come_out_as_long_integers():
    tokens, targets, _ = packed(TEXT.to(torch.int16), batch=2, length=3, seed=0)(0)
    assert tokens.dtype == targets.dtype == torch.long


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"batch": 0, "length": 3}, "batch must be 1 or more, got 0"),
        ({"batch": 2, "length": 0}, "length must be 1 or more, got 0"),
        ({"batch": 2, "length": 1_000}, "1001 tokens are needed, the text has 1000: give a longer"),
    ],
)
def test_impossible_sizes_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        packed(TEXT, **sizes, seed=0)


def test_a_negative_batch_number_is_refused():
    with pytest.raises(ValueError, match="numbered from 0, got -1"):
        packed(TEXT, batch=2, length=3, seed=0)(-1)


def test_documents_are_followed_by_the_end_token():
    tokenizer = default_tokenizer()
    ids = stream(tokenizer, ["3+4=7\n", "三"])
    assert tokenizer.decode(ids.tolist()) == "3+4=7\n<|end|>三<|end|>"
    assert (ids == tokenizer.id("<|end|>")).sum() == 2
    assert len(stream(tokenizer, [])) == 0


# Windows for evaluation


def test_tokens_that_occur_are_numbered_anew_in_the_old_order():
    a, b = torch.tensor([7, 900, 7, 31]), torch.tensor([31, 2])
    (new_a, new_b), vocab = renumbered(a, b)
    assert new_a.tolist() == [1, 3, 1, 2] and new_b.tolist() == [2, 0]
    assert vocab == 16


@pytest.mark.parametrize(("n", "vocab"), [(1, 16), (16, 16), (17, 32), (237, 240)])
def test_room_for_the_tokens_that_occur_is_a_multiple_of_sixteen(n, vocab):
    (text,), room = renumbered(torch.arange(n).repeat(2) * 3)
    assert room == vocab and text.unique().tolist() == list(range(n))


def test_windows_are_even_fixed_and_do_not_touch():
    tokens, targets, mask = windows(TEXT, length=30, n=8)
    assert torch.equal(targets, tokens + 1) and mask.all()
    assert len(tokens.unique()) == 8 * 30
    assert tokens[:, 0].diff().unique().tolist() == [999 // 8]
    assert same(windows(TEXT, length=30, n=8), windows(TEXT, length=30, n=8))


def test_without_a_number_all_windows_that_fit_are_taken():
    assert windows(TEXT, length=30).tokens.shape == (999 // 30, 30)
    assert windows(TEXT[:31], length=30).targets[0, -1] == 30


def test_too_many_windows_are_refused_with_the_length_needed():
    with pytest.raises(ValueError, match="1021 tokens are needed, the text has 1000"):
        windows(TEXT, length=30, n=34)
    with pytest.raises(ValueError, match="31 tokens are needed, the text has 30"):
        windows(TEXT[:30], length=30)


# Prompts and responses


def test_only_the_response_counts():
    tokens, targets, mask = padded([[1, 2, 3], [4]], [[7, 9], [8, 6, 5, 9]], pad=0)
    assert tokens.tolist() == [[1, 2, 3, 7], [4, 8, 6, 5]]
    assert targets.tolist() == [[2, 3, 7, 9], [8, 6, 5, 9]]
    assert mask.tolist() == [[False, False, True, True], [True, True, True, True]]


def test_padding_never_counts_and_stands_on_the_right():
    tokens, targets, mask = padded([[1], [2, 3, 4]], [[5], [6, 7]], pad=99)
    assert tokens.tolist() == [[1, 5, 99, 99], [2, 3, 4, 6]]
    assert targets.tolist() == [[5, 99, 99, 99], [3, 4, 6, 7]]
    assert mask.tolist() == [[True, False, False, False], [False, False, True, True]]


pairs = st.lists(
    st.tuples(*[st.lists(st.integers(1, 9), min_size=1, max_size=5)] * 2), min_size=1, max_size=6
)


@given(pairs)
def test_the_counted_targets_are_the_responses(pairs):
    prompts, responses = [p for p, _ in pairs], [r for _, r in pairs]
    batch = padded(prompts, responses, pad=0)
    rows = zip(batch.targets, batch.mask, strict=True)
    assert [row[counted].tolist() for row, counted in rows] == responses
    assert batch.tokens.shape[1] == max(len(p) + len(r) for p, r in pairs) - 1


@pytest.mark.parametrize(
    ("prompts", "responses", "message"),
    [
        ([[1]], [[2], [3]], "1 prompts and 2 responses"),
        ([], [], "0 prompts and 0 responses"),
        ([[]], [[2]], "is empty"),
        ([[1]], [[]], "is empty"),
    ],
)
def test_prompts_and_responses_must_pair_up(prompts, responses, message):
    for refuse in (padded, lambda p, r, pad: paired(p, r, batch=1, pad=pad, seed=0)):
        with pytest.raises(ValueError, match=message):
            refuse(prompts, responses, pad=0)


def test_each_pair_comes_once_an_epoch_and_batch_i_is_fixed():
    prompts, responses = [[i] for i in range(12)], [[i, i] for i in range(12)]
    batches = paired(prompts, responses, batch=4, pad=99, seed=0)
    epochs = [torch.cat([batches(i).tokens[:, 0] for i in (e, e + 1, e + 2)]) for e in (0, 3, 6)]
    assert all(epoch.sort().values.tolist() == list(range(12)) for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])
    assert same(batches(5), paired(prompts, responses, batch=4, pad=99, seed=0)(5))


# Labelled domains

WORLDS = {"low": torch.arange(100), "high": torch.arange(1_000, 1_250)}


def test_rows_come_in_turns_from_one_domain_each():
    batches, domain, names = labelled(WORLDS, batch=6, length=8, seed=0)
    assert names == ("low", "high")
    assert domain.tolist() == [0, 1, 0, 1, 0, 1]
    for i in range(50):
        batch = batches(i)
        assert torch.equal(batch.targets, batch.tokens + 1)
        assert torch.equal((batch.targets >= 1_000).long(), domain[:, None].expand(6, 8))


def test_labelled_batches_are_fixed_and_differ():
    one, two = (labelled(WORLDS, batch=4, length=8, seed=3).batches for _ in range(2))
    later = one(7)
    assert same(two(7), later) and not same(one(6), later)
    assert not same(labelled(WORLDS, batch=4, length=8, seed=4).batches(7), later)


def test_labelled_rows_are_those_of_each_domain_alone():
    batch = labelled(WORLDS, batch=6, length=8, seed=5).batches(2)
    alone = packed(WORLDS["high"], batch=3, length=8, seed=5)(2)
    assert torch.equal(batch.tokens[1::2], alone.tokens)


def test_labelled_windows_hold_as_many_of_each():
    batch, domain = labelled_windows(WORLDS, length=9, n=5)
    assert domain.tolist() == [0, 1] * 5
    assert torch.equal(batch.tokens[domain == 1], windows(WORLDS["high"], length=9, n=5).tokens)


def test_unequal_shares_and_short_domains_are_refused():
    with pytest.raises(ValueError, match="5 rows cannot hold equal shares of 2 domains"):
        labelled(WORLDS, batch=5, length=8, seed=0)
    with pytest.raises(ValueError, match="batch must be 1 or more, got 0"):
        labelled(WORLDS, batch=0, length=8, seed=0)
    with pytest.raises(ValueError, match="take a multiple"):
        labelled({}, batch=4, length=8, seed=0)
    with pytest.raises(ValueError, match="201 tokens are needed, the text has 100"):
        labelled(WORLDS, batch=4, length=200, seed=0)
    with pytest.raises(ValueError, match="no domains"):
        labelled_windows({}, length=8, n=1)


def test_the_four_domains_come_as_streams_of_documents():
    tokenizer = default_tokenizer()
    streams = domain_streams(tokenizer, seed=0, n_chars=3_000)
    assert list(streams) == ["stories", "code", "arithmetic", "chinese"]
    for tokens in streams.values():
        assert tokens[-1] == tokenizer.id("<|end|>")
        assert len(tokenizer.decode(tokens.tolist()).replace("<|end|>", "")) >= 3_000


@pytest.mark.parametrize("rows", [1, 3, 7, 100])
def test_the_pieces_of_a_batch_are_its_rows_in_order(rows):
    whole = windows(TEXT, length=10, n=7)
    pieces = whole.pieces(rows)
    assert [len(piece.tokens) for piece in pieces] == [min(rows, 7 - i) for i in range(0, 7, rows)]
    assert same(whole, Batch(*map(torch.cat, zip(*pieces, strict=True))))


def test_a_batch_goes_to_a_device_as_a_whole():
    batch = packed(TEXT, batch=2, length=3, seed=0)(0).to("meta")
    assert {part.device.type for part in batch} == {"meta"}
