"""Caches own their length, can be rewound, and say when they are full."""

import pytest
import torch

from minids.model.cache import Cache, KVCache, LatentCache


def kv(new, batch=2, value=1.0, **kind):
    return torch.full((batch, 3, new, 4), value, **kind)


def latent(new, **kind):
    return torch.ones(2, new, 5, **kind), torch.ones(2, new, 6, **kind)


def test_appending_returns_everything_so_far_old_tokens_first():
    cache = KVCache(2, 5, 3, 4)
    cache.append(kv(2, value=1.0), kv(2, value=-1.0))
    k, v = cache.append(kv(1, value=2.0), kv(1, value=-2.0))
    assert k[0, 0, :, 0].tolist() == [1, 1, 2]
    assert v[0, 0, :, 0].tolist() == [-1, -1, -2]
    assert cache.length == 3


def test_a_full_cache_says_how_long_it_should_have_been():
    cache = KVCache(2, 3, 3, 4)
    cache.append(kv(2), kv(2))
    with pytest.raises(ValueError, match="max_len >= 4"):
        cache.append(kv(2), kv(2))
    assert cache.length == 2


def test_rows_can_be_repeated_left_out_and_moved():
    pair, one = KVCache(2, 3, 3, 4), LatentCache(2, 3, 5, 6)
    rows = torch.tensor([1.0, 2.0])
    pair.append(kv(1) * rows[:, None, None, None], -kv(1) * rows[:, None, None, None])
    one.append(*(x * rows[:, None, None] for x in latent(1)))
    cache = Cache([pair], torch.tensor([0, 7]))
    for holder in (cache, one):
        holder.take(torch.tensor([1, 0, 1]))
    assert pair.keys[:, 0, 0, 0].tolist() == [2, 1, 2]
    assert pair.values[:, 0, 0, 0].tolist() == [-2, -1, -2]
    assert one.joint[:, 0, 0].tolist() == [2, 1, 2]
    assert cache.pad.tolist() == [7, 0, 7] and cache.length == 1


def test_gradients_flow_back_into_every_token_that_is_held():
    """Two tokens of one row serve three rows, and a third token is joined to them."""
    pair, one = KVCache(1, 3, 3, 4), LatentCache(1, 3, 5, 6)
    first = [torch.ones(1, 3, 2, 4, requires_grad=True), torch.ones(1, 2, 5, requires_grad=True)]
    pair.append(first[0], first[0])
    one.append(first[1], torch.ones(1, 2, 6))
    for cache in (pair, one):
        cache.take(torch.tensor([0, 0, 0]))
    keys, _ = pair.append(kv(1, batch=3), kv(1, batch=3))
    latents = one.append(torch.ones(3, 1, 5), torch.ones(3, 1, 6))[..., :5]
    assert keys.shape[2] == latents.shape[1] == pair.length == 3
    (keys.square().sum() + latents.square().sum()).backward()
    assert all((tokens.grad == 2 * 3).all() for tokens in first)
    with pytest.raises(ValueError, match="max_len >= 4"):
        pair.append(kv(1, batch=3), kv(1, batch=3))


def test_rewinding_forgets_and_makes_room():
    cache = LatentCache(2, 3, 5, 6)
    cache.append(*latent(3))
    cache.rewind(1)
    a, b = latent(1)
    joint = cache.append(2 * a, b)
    latents, keys = joint.split(cache.widths, -1)
    assert latents[0, :, 0].tolist() == [1, 2]
    assert torch.equal(keys[:, 1:], b)


@pytest.mark.parametrize("length", [-1, 4])
def test_rewinding_into_the_future_is_refused(length):
    cache = LatentCache(2, 9, 5, 6)
    cache.append(*latent(3))
    with pytest.raises(ValueError, match="has 3 tokens"):
        cache.rewind(length)


def test_bytes_are_those_of_the_tokens_held():
    cache = LatentCache(2, 9, 5, 6, dtype=torch.bfloat16)
    cache.append(*latent(4, dtype=torch.bfloat16))
    assert cache.nbytes == 2 * 4 * (5 + 6) * 2
    both = KVCache(2, 9, 3, 4)
    both.append(kv(4), kv(4))
    assert both.nbytes == 2 * 4 * (3 * 4 * 2) * 4
    assert Cache([both, both]).nbytes == 2 * both.nbytes


def test_a_dtype_or_batch_that_does_not_match_is_refused_by_name():
    cache = KVCache(2, 9, 3, 4)
    with pytest.raises(ValueError, match=r"float32 on cpu, the new tokens are torch.float64"):
        cache.append(kv(1, dtype=torch.float64), kv(1, dtype=torch.float64))
    with pytest.raises(ValueError, match="built for a batch of 2, got 1"):
        cache.append(kv(1, batch=1), kv(1, batch=1))
    with pytest.raises(ValueError, match="on cpu, the new tokens are torch.float32 on meta"):
        cache.append(kv(1, device="meta"), kv(1, device="meta"))


def test_what_was_read_keeps_its_gradient_when_more_is_appended():
    cache, x = KVCache(1, 4, 3, 4), torch.ones(1, 3, 2, 4, requires_grad=True)
    before, _ = cache.append(x, x)
    read = before.square().sum()
    after, _ = cache.append(2 * x, 2 * x)
    (read + after.square().sum()).backward()
    assert (x.grad == 2 + 2 + 8).all()
