"""Right answers and planted mistakes of chapter 01, and the four broken models of its museum."""

import math

import torch
from einops import rearrange
from torch import nn

from minids.check.ch01 import PREDICTED
from minids.model.attention import attend
from minids.model.rope import rotate_halves

# The bug museum: what makes a model, or its batches, wrong while it still trains.


def copied(batch):
    """Targets that are the tokens themselves: the shift is missing."""
    return batch._replace(targets=batch.tokens)


class SeesTheFuture(nn.Module):
    """Attention whose mask hides nothing."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, x, rotary, cache=None, mask=None):
        t = x.shape[1]
        everything = torch.ones(1, 1, t, t, dtype=torch.bool, device=x.device)
        return self.attention(x, rotary, cache, everything)


class TurnsValues(nn.Module):
    """Attention that turns the values by their position, too."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, x, rotary, cache=None, mask=None):
        a = self.attention
        q, k, v = (
            rotate_halves(rearrange(part, "b t (h d) -> b h t d", d=a.head_dim), rotary)
            for part in a.qkv(x).split(a.widths, dim=-1)
        )
        return a.out(rearrange(attend(q, k, v, a.scale, mask), "b h t d -> b t (h d)"))


class NormOverBatch(nn.Module):
    """A norm that takes its mean over the batch instead of over the vector."""

    def __init__(self, norm):
        super().__init__()
        self.weight, self.eps = norm.weight, norm.eps

    def forward(self, x):
        mean_square = x.square().mean((0, 1), keepdim=True)
        return x * torch.rsqrt(mean_square + self.eps) * self.weight


# 01.rms_norm


def rms_norm(x, gain, eps):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * gain


def rms_norm_by_dot_product(x, gain, eps):
    return gain * x * torch.rsqrt(torch.einsum("...d,...d->...", x, x) / len(gain) + eps)[..., None]


def rms_norm_of_torch(x, gain, eps):
    return nn.functional.rms_norm(x, gain.shape, gain, eps)


def rms_norm_in_double(x, gain, eps):
    wide = x.double()
    root = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).pow(2) / x.shape[-1] + eps
    return (wide * root.pow(-0.5) * gain).to(x.dtype)


def norm_of_the_sum(x, gain, eps):
    return x / (x.square().sum(-1, keepdim=True) + eps).sqrt() * gain


def norm_without_root(x, gain, eps):
    return x / (x.square().mean(-1, keepdim=True) + eps) * gain


def norm_over_tokens(x, gain, eps):
    return x / (x.square().mean(list(range(x.dim() - 1)), keepdim=True) + eps).sqrt() * gain


def layer_norm(x, gain, eps):
    x = x - x.mean(-1, keepdim=True)
    return rms_norm(x, gain, eps)


def norm_by_variance(x, gain, eps):
    return x / (x.var(-1, correction=0, keepdim=True) + eps).sqrt() * gain


def norm_without_gain(x, gain, eps):
    return rms_norm(x, torch.ones_like(gain), eps)


def norm_with_one_plus_gain(x, gain, eps):
    return rms_norm(x, 1 + gain, eps)


def norm_with_gain_added(x, gain, eps):
    return rms_norm(x, torch.ones_like(gain), eps) + gain - 1


def norm_eps_outside(x, gain, eps):
    return x / (x.square().mean(-1, keepdim=True).sqrt() + eps) * gain


def norm_without_eps(x, gain, eps):
    return rms_norm(x, gain, 0.0)


def norm_detached(x, gain, eps):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps).detach() * gain


# 01.bpe_merge


def merge(piece, ranks):
    tokens = [piece[i : i + 1] for i in range(len(piece))]
    while True:
        known = [i for i in range(len(tokens) - 1) if tokens[i] + tokens[i + 1] in ranks]
        if not known:
            return [ranks[token] for token in tokens]
        best = min(known, key=lambda i: ranks[tokens[i] + tokens[i + 1]])
        tokens[best : best + 2] = [tokens[best] + tokens[best + 1]]


def merge_by_rank(piece, ranks, tokens=None):
    tokens = [bytes([byte]) for byte in piece] if tokens is None else tokens
    for token in sorted(ranks, key=ranks.get):
        for i in range(len(tokens) - 1):
            if tokens[i] + tokens[i + 1] == token:
                return merge_by_rank(piece, ranks, [*tokens[:i], token, *tokens[i + 2 :]])
    return [ranks[token] for token in tokens]


def merge_each_rank_once(piece, ranks):
    tokens = [bytes([byte]) for byte in piece]
    for token in sorted(ranks, key=ranks.get):
        i = 0
        while i < len(tokens) - 1:
            if tokens[i] + tokens[i + 1] == token:
                tokens[i : i + 2] = [token]
            i += 1
    return [ranks[token] for token in tokens]


def _merged(piece, ranks, choose, once=False):
    tokens = [piece[i : i + 1] for i in range(len(piece))]
    while True:
        known = [i for i in range(len(tokens) - 1) if tokens[i] + tokens[i + 1] in ranks]
        if not known:
            return tokens
        best = choose(known, lambda i: ranks[tokens[i] + tokens[i + 1]])
        tokens[best : best + 2] = [tokens[best] + tokens[best + 1]]
        if once:
            return tokens


def merge_from_the_left(piece, ranks):
    return [ranks[token] for token in _merged(piece, ranks, lambda known, rank: known[0])]


def merge_newest_first(piece, ranks):
    return [
        ranks[token] for token in _merged(piece, ranks, lambda known, rank: max(known, key=rank))
    ]


def merge_longest_first(piece, ranks):
    names = {rank: token for token, rank in ranks.items()}

    def longest(known, rank):
        return max(known, key=lambda i: (len(names[rank(i)]), -rank(i)))

    return [ranks[token] for token in _merged(piece, ranks, longest)]


def merge_once(piece, ranks):
    chosen = _merged(piece, ranks, lambda known, rank: min(known, key=rank), once=True)
    return [ranks[token] for token in chosen]


def merge_from_the_right(piece, ranks):
    def last(known, rank):
        return min(known, key=lambda i: (rank(i), -i))

    return [ranks[token] for token in _merged(piece, ranks, last)]


def merge_to_bytes(piece, ranks):
    return _merged(piece, ranks, lambda known, rank: min(known, key=rank))


def longest_first(piece, ranks):
    out = []
    while piece:
        longest = max((piece[:n] for n in range(1, len(piece) + 1) if piece[:n] in ranks), key=len)
        out.append(ranks[longest])
        piece = piece[len(longest) :]
    return out


def bytes_alone(piece, ranks):
    return list(piece)


def merge_never_empty(piece, ranks):
    return merge(piece, ranks) or [0]


# 01.rope


def _pairs(x, cos, sin):
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)


def _angles(x, positions, theta):
    d = x.shape[-1]
    return positions[:, None] * theta ** (-torch.arange(0, d, 2) / d)


def rope(x, positions, theta):
    angles = _angles(x, positions, theta)
    return _pairs(x, angles.cos(), angles.sin())


def rope_as_complex_numbers(x, positions, theta):
    angles = _angles(x, positions, theta)
    turn = torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turn).flatten(-2)


def rope_by_matrices(x, positions, theta):
    angles, pairs = _angles(x, positions, theta), torch.arange(0, x.shape[-1], 2)
    turn = x.new_zeros(len(positions), x.shape[-1], x.shape[-1])
    turn[:, pairs, pairs], turn[:, pairs, pairs + 1] = angles.cos(), -angles.sin()
    turn[:, pairs + 1, pairs], turn[:, pairs + 1, pairs + 1] = angles.sin(), angles.cos()
    return torch.einsum("tij,...tj->...ti", turn, x)


def rope_number_by_number(x, positions, theta):
    out = torch.empty_like(x)
    for i in range(0, x.shape[-1], 2):
        angle = positions * theta ** (-i / x.shape[-1])
        out[..., i] = x[..., i] * angle.cos() - x[..., i + 1] * angle.sin()
        out[..., i + 1] = x[..., i] * angle.sin() + x[..., i + 1] * angle.cos()
    return out


def rope_in_halves(x, positions, theta):
    angles = _angles(x, positions, theta)
    (a, b), cos, sin = x.chunk(2, dim=-1), angles.cos(), angles.sin()
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def rope_joined(x, positions, theta):
    angles = _angles(x, positions, theta)
    a, b, cos, sin = x[..., 0::2], x[..., 1::2], angles.cos(), angles.sin()
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def rope_backwards(x, positions, theta):
    return rope(x, -positions, theta)


def rope_without_minus(x, positions, theta):
    angles = _angles(x, positions, theta)
    a, b = x[..., 0::2], x[..., 1::2]
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([a * cos + b * sin, a * sin + b * cos], dim=-1).flatten(-2)


def rope_with_half_the_exponent(x, positions, theta):
    angles = positions[:, None] * theta ** (-torch.arange(x.shape[-1] // 2) / x.shape[-1])
    return _pairs(x, angles.cos(), angles.sin())


def rope_slowest_first(x, positions, theta):
    angles = _angles(x, positions, theta).flip(-1)
    return _pairs(x, angles.cos(), angles.sin())


def rope_with_its_own_base(x, positions, theta):
    return rope(x, positions, 10_000.0)


def rope_counting_from_zero(x, positions, theta):
    own = torch.arange(x.shape[-2]) if bool(positions.any()) else positions
    return rope(x, own, theta)


def rope_in_degrees(x, positions, theta):
    return rope(x, positions * math.pi / 180, theta)


def rope_one_speed(x, positions, theta):
    angles = positions[:, None].float().expand(-1, x.shape[-1] // 2)
    return _pairs(x, angles.cos(), angles.sin())


def rope_from_one(x, positions, theta):
    return rope(x, positions + 1, theta)


# 01.next_token


def next_token(logits, tokens, counts):
    logp = logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
    return -logp[counts[:, 1:]].mean()


def next_token_by_cross_entropy(logits, tokens, counts):
    targets = torch.where(counts, tokens, -100)[:, 1:].flatten()
    return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), targets)


def next_token_word_by_word(logits, tokens, counts):
    losses = []
    for row, words, count in zip(logits, tokens, counts, strict=True):
        for t in range(1, len(words)):
            if count[t]:
                losses.append(row[t - 1].logsumexp(-1) - row[t - 1, words[t]])
    return torch.stack(losses).mean()


def next_token_with_one_hot(logits, tokens, counts):
    wanted = nn.functional.one_hot(tokens[:, 1:], logits.shape[-1]) * counts[:, 1:, None]
    return -(wanted * logits[:, :-1].log_softmax(-1)).sum() / counts[:, 1:].sum()


def this_token(logits, tokens, counts):
    logp = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    return -logp[counts].mean()


def previous_token(logits, tokens, counts):
    logp = logits[:, 1:].log_softmax(-1).gather(-1, tokens[:, :-1, None])[..., 0]
    return -logp[counts[:, :-1]].mean()


def _surprise(logits, tokens):
    return -logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]


def counts_not_shifted(logits, tokens, counts):
    return _surprise(logits, tokens)[counts[:, :-1]].mean()


def mean_of_rows(logits, tokens, counts):
    kept, surprise = counts[:, 1:], _surprise(logits, tokens)
    rows = surprise.where(kept, 0.0).sum(-1) / kept.sum(-1).clamp(min=1)
    return rows[kept.any(-1)].mean()


def mean_over_everything(logits, tokens, counts):
    return _surprise(logits, tokens).where(counts[:, 1:], 0.0).mean()


def everything_counts(logits, tokens, counts):
    return _surprise(logits, tokens).mean()


def in_bits(logits, tokens, counts):
    return next_token(logits, tokens, counts) / math.log(2)


def summed(logits, tokens, counts):
    return _surprise(logits, tokens)[counts[:, 1:]].sum()


def sign_forgotten(logits, tokens, counts):
    return -next_token(logits, tokens, counts)


def log_of_softmax(logits, tokens, counts):
    p = logits[:, :-1].softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
    return -p.log()[counts[:, 1:]].mean()


def as_a_number(logits, tokens, counts):
    return next_token(logits, tokens, counts).detach()


def first_token_counted(logits, tokens, counts):
    return _surprise(logits, tokens)[counts[:, 1:]].sum() / counts.sum()


def shifted_across_rows(logits, tokens, counts):
    logp = logits.flatten(0, 1)[:-1].log_softmax(-1)
    surprise = -logp.gather(-1, tokens.flatten()[1:, None])[..., 0]
    return surprise[counts.flatten()[1:]].mean()


# 01.predict

NUMBERS = {name: value for name, (value, _) in PREDICTED.items()} | {
    "because": "Who knows nothing loses 11.54 nats: a first loss far below has seen answers."
}
ROUNDED = {name: float(f"{value:.4g}") for name, (value, _) in PREDICTED.items()} | {
    "because": "ln of the vocabulary, 11.5, is what a guess costs; less is a leak of targets."
}

# 01.bigram


def bigram(train, held_out, vocab, alpha):
    counts = torch.full((vocab, vocab), alpha, dtype=torch.float64)
    one = torch.ones(len(train) - 1, dtype=torch.float64)
    counts.index_put_((train[:-1], train[1:]), one, accumulate=True)
    p = counts / counts.sum(1, keepdim=True)
    return float(-p[held_out[:-1], held_out[1:]].log().mean())


def bigram_with_dictionaries(train, held_out, vocab, alpha):
    pairs, before = {}, {}
    train, held_out = train.tolist(), held_out.tolist()
    for a, b in zip(train, train[1:], strict=False):
        pairs[a, b], before[a] = pairs.get((a, b), 0) + 1, before.get(a, 0) + 1
    each = [
        math.log(before.get(a, 0) + alpha * vocab) - math.log(pairs.get((a, b), 0) + alpha)
        for a, b in zip(held_out, held_out[1:], strict=False)
    ]
    return sum(each) / len(each)


def _counted(train, vocab):
    counts = torch.zeros(vocab, vocab, dtype=torch.float64)
    one = torch.ones(len(train) - 1, dtype=torch.float64)
    return counts.index_put_((train[:-1], train[1:]), one, accumulate=True)


def _surprise_of(p, held_out):
    return -p[held_out[:-1], held_out[1:]].log()


def pairs_turned_round(train, held_out, vocab, alpha):
    counts = _counted(train, vocab).T + alpha
    return float(_surprise_of(counts / counts.sum(1, keepdim=True), held_out).mean())


def joint_probability(train, held_out, vocab, alpha):
    counts = _counted(train, vocab) + alpha / vocab
    return float(_surprise_of(counts * vocab / counts.sum(), held_out).mean())


def unigram(train, held_out, vocab, alpha):
    counts = _counted(train, vocab).sum(0) + alpha
    return float(-(counts / counts.sum())[held_out[1:]].log().mean())


def cheats(train, held_out, vocab, alpha):
    return bigram(torch.cat([train, held_out]), held_out, vocab, alpha)


def bigram_in_bits(train, held_out, vocab, alpha):
    return bigram(train, held_out, vocab, alpha) / math.log(2)


def bigram_summed(train, held_out, vocab, alpha):
    return bigram(train, held_out, vocab, alpha) * (len(held_out) - 1)


def alpha_once(train, held_out, vocab, alpha):
    counts = _counted(train, vocab)
    p = (counts + alpha) / (counts.sum(1, keepdim=True) + alpha)
    return float(_surprise_of(p, held_out).mean()) if len(train) > 1 else math.log(vocab)


def always_one_for_alpha(train, held_out, vocab, alpha):
    return bigram(train, held_out, vocab, alpha if alpha < 1e-3 else 1.0)


def without_the_last_pair(train, held_out, vocab, alpha):
    return bigram(train, held_out[:-1], vocab, alpha)


def divided_by_sums_of_other_rows(train, held_out, vocab, alpha):
    counts = _counted(train, vocab) + alpha
    return float(_surprise_of(counts / counts.sum(1), held_out).mean())


def last_token_has_a_follower(train, held_out, vocab, alpha):
    before = torch.bincount(train, minlength=vocab)[:, None]
    p = (_counted(train, vocab) + alpha) / (before + alpha * vocab)
    return float(_surprise_of(p, held_out).mean())


def mean_over_the_tokens(train, held_out, vocab, alpha):
    return bigram_summed(train, held_out, vocab, alpha) / len(held_out)


def vocabulary_of_the_texts(train, held_out, vocab, alpha):
    return bigram(train, held_out, int(torch.cat([train, held_out]).max()) + 1, alpha)


def nothing_smoothed(train, held_out, vocab, alpha):
    counts = _counted(train, vocab)
    p = (counts / counts.sum(1, keepdim=True)).nan_to_num(0.0)
    return float(_surprise_of(p, held_out).mean())


RIGHT = {
    "01.rms_norm": [rms_norm, rms_norm_by_dot_product, rms_norm_of_torch, rms_norm_in_double],
    "01.bpe_merge": [merge, merge_by_rank],
    "01.rope": [rope, rope_as_complex_numbers, rope_by_matrices, rope_number_by_number],
    "01.next_token": [
        next_token,
        next_token_by_cross_entropy,
        next_token_word_by_word,
        next_token_with_one_hot,
    ],
    "01.predict": [NUMBERS, ROUNDED],
    "01.bigram": [bigram, bigram_with_dictionaries],
}

WRONG = {
    "01.rms_norm": [
        ("statistic over the tokens", norm_over_tokens, "over the last axis alone"),
        ("sum of squares", norm_of_the_sum, "the MEAN of the SQUARES"),
        ("no root", norm_without_root, "divide by the root"),
        ("variance", norm_by_variance, "numbers themselves"),
        ("mean subtracted", layer_norm, "subtracting the mean first"),
        ("no gain", norm_without_gain, "multiplied by its own gain"),
        ("one plus gain", norm_with_one_plus_gain, "gain of 1"),
        ("gain added", norm_with_gain_added, "multiply, do not add"),
        ("eps outside the root", norm_eps_outside, "under the root"),
        ("no eps", norm_without_eps, "under the root"),
        ("norm detached", norm_detached, "no detach"),
    ],
    "01.bpe_merge": [
        ("tokens instead of ranks", merge_to_bytes, "return the ranks"),
        ("no merges", bytes_alone, "join neighbours"),
        ("one merge", merge_once, "look again, in a loop"),
        ("each rank once", merge_each_rank_once, "look at all ranks again"),
        ("from the left", merge_from_the_left, "not that of the text"),
        ("newest first", merge_newest_first, "not that of the text"),
        ("longest token first, then rank", merge_longest_first, "nor of the lengths"),
        ("longest match", longest_first, "taking the longest token"),
        ("from the right", merge_from_the_right, "the left one goes first"),
        ("a token for nothing", merge_never_empty, "has no tokens"),
    ],
    "01.rope": [
        ("positions from one", rope_from_one, "at position 0 nothing turns"),
        ("halves", rope_in_halves, "neighbours are a pair"),
        ("joined, not stacked", rope_joined, "stack and flatten, not cat"),
        ("no minus", rope_without_minus, "one minus sign"),
        ("backwards", rope_backwards, "becomes (cos p, sin p)"),
        ("positions ignored", rope_counting_from_zero, "Positions are an argument"),
        ("degrees", rope_in_degrees, "one radian per position"),
        ("half the exponent", rope_with_half_the_exponent, "almost -1"),
        ("slowest first", rope_slowest_first, "one radian per position"),
        ("a base of its own", rope_with_its_own_base, "theta is an argument"),
        ("one speed for all", rope_one_speed, "the exponent goes"),
    ],
    "01.next_token": [
        ("bits", in_bits, "natural logarithm"),
        ("sum", summed, "the mean of"),
        ("sign", sign_forgotten, "-ln(probability"),
        ("no shift", this_token, "place t predicts token t + 1"),
        ("shift the other way", previous_token, "place t predicts token t + 1"),
        ("mask ignored", everything_counts, "counts[:, 1:]"),
        ("mask not shifted", counts_not_shifted, "shift counts together"),
        ("mean of rows", mean_of_rows, "no mean of means"),
        ("mean over everything", mean_over_everything, "number of targets that count"),
        ("first token counted", first_token_counted, "nothing comes before it"),
        ("shifted across rows", shifted_across_rows, "cut each row before you count"),
        ("log of softmax", log_of_softmax, "never takes log(0)"),
        ("detached", as_a_number, "no detach"),
    ],
    "01.predict": [
        ("one left out", {"first loss": 11.5}, "the dictionary has no"),
        ("text", NUMBERS | {"length": "64"}, "the answer is a number"),
        ("loss in bits", NUMBERS | {"first loss": 16.64}, "ln(vocab), in nats"),
        ("length 1", NUMBERS | {"length": 1}, "the length is its root"),
        ("bits per token", NUMBERS | {"bits per byte": 4.328}, "bytes that a token stands for"),
        ("nats per byte", NUMBERS | {"bits per byte": 0.75}, "divide by ln 2"),
        ("two feed-forward matrices", NUMBERS | {"block": 157_294_592}, "three of the feed-"),
        ("norms forgotten, GQA counted", NUMBERS | {"block": 164_626_432}, "four square matrices"),
        ("rate rises", NUMBERS | {"learning rate": 2.371}, "rate falls with the budget"),
        ("batch falls", NUMBERS | {"batch": 0.1044}, "the batch grows"),
        (
            "no number",
            NUMBERS | {"because": "A first loss that is far too low has seen the answer."},
            "say how large",
        ),
        ("no words", NUMBERS | {"because": "11.54"}, "write a sentence"),
    ],
    "01.bigram": [
        ("bits", bigram_in_bits, "natural logarithm"),
        ("sum", bigram_summed, "not a sum"),
        ("divided by the tokens", mean_over_the_tokens, "one less than the tokens"),
        ("vocabulary of the texts", vocabulary_of_the_texts, "if some tokens never occur"),
        ("no smoothing", nothing_smoothed, "alpha goes into every place"),
        ("unigram", unigram, "Condition on the token before"),
        ("pairs turned round", pairs_turned_round, "after token i comes i + 1"),
        ("looks at the test", cheats, "looking at the test"),
        ("joint probability", joint_probability, "alpha included"),
        ("alpha once", alpha_once, "alpha * vocab"),
        ("sums of other rows", divided_by_sums_of_other_rows, "keepdim=True"),
        ("the last token followed", last_token_has_a_follower, "has no follower there"),
        ("alpha always 1", always_one_for_alpha, "alpha is an argument"),
        ("last pair left out", without_the_last_pair, "no pair is left out"),
    ],
}
