"""Right answers and planted mistakes of chapter 10. Three of them hang in its bug museum."""

import itertools
import math
import re

import torch

EPS = 1e-4

# 10.advantage


def advantage(r):
    return (r - r.mean(-1, keepdim=True)) / (r.std(-1, correction=0, keepdim=True) + EPS)


def advantage_by_moments(r):
    mean = r.mean(-1, keepdim=True)
    variance = ((r - mean) ** 2).mean(-1, keepdim=True)
    return (r - mean) / (variance.sqrt() + EPS)


def advantage_group_by_group(r):
    rows = [(row - row.mean()) / (row.std(correction=0) + EPS) for row in r]
    return torch.stack(rows)


def advantage_by_expectations(r):
    mean, square = r.mean(-1, keepdim=True), r.double().square().mean(-1, keepdim=True)
    deviation = (square - mean.double().square()).clamp(min=0).sqrt()
    return ((r - mean) / (deviation + EPS)).to(r.dtype)


def advantage_of_batch(r):
    return (r - r.mean()) / (r.std(correction=0) + EPS)


def advantage_of_columns(r):
    return (r - r.mean(0)) / (r.std(0, correction=0) + EPS)


def advantage_with_sample_deviation(r):
    return (r - r.mean(-1, keepdim=True)) / (r.std(-1, keepdim=True) + EPS)


def advantage_centred_only(r):
    return r - r.mean(-1, keepdim=True)


def advantage_over_variance(r):
    return (r - r.mean(-1, keepdim=True)) / (r.var(-1, correction=0, keepdim=True) + EPS)


def advantage_over_range(r):
    spread = r.amax(-1, keepdim=True) - r.amin(-1, keepdim=True)
    return (r - r.mean(-1, keepdim=True)) / (spread + EPS)


def advantage_over_distance(r):
    left = r - r.mean(-1, keepdim=True)
    return left / (left.abs().mean(-1, keepdim=True) + EPS)


def advantage_not_centred(r):
    return r / (r.std(-1, correction=0, keepdim=True) + EPS)


def advantage_without_eps(r):
    return (r - r.mean(-1, keepdim=True)) / r.std(-1, correction=0, keepdim=True)


def advantage_batch_deviation(r):
    """Centred by group, divided by the deviation of everything: trains, and weighs groups anew."""
    return (r - r.mean(-1, keepdim=True)) / (r.std(correction=0) + EPS)


# 10.loss: every mistake is one change of this


def loss(logp, old, advantages, mask, eps):
    ratio = (logp - old).where(mask, 0).exp()
    a = advantages[:, None]
    gain = torch.minimum(a * ratio, a * ratio.clamp(1 - eps, 1 + eps))
    return -(gain.where(mask, 0).sum(-1) / mask.sum(-1)).mean()


def loss_in_a_loop(logp, old, advantages, mask, eps):
    total = 0
    for row in range(len(logp)):
        ratio = torch.exp(logp[row][mask[row]] - old[row][mask[row]])
        a = advantages[row]
        bounded = torch.clamp(ratio, 1 - eps, 1 + eps)
        total = total + torch.stack([a * ratio, a * bounded]).amin(0).mean()
    return -total / len(logp)


def loss_by_cases(logp, old, advantages, mask, eps):
    a, ratio = advantages[:, None], (logp - old).masked_fill(~mask, 0).exp()
    gain = torch.where(a > 0, a * ratio.clamp(max=1 + eps), a * ratio.clamp(min=1 - eps))
    share = mask / mask.sum(-1, keepdim=True)
    return -torch.einsum("nt,nt->n", gain, share).mean()


def loss_as_a_larger_cost(logp, old, advantages, mask, eps):
    ratio = torch.where(mask, logp - old, 0).exp()
    cost = -advantages[:, None] * torch.stack([ratio, ratio.clamp(1 - eps, 1 + eps)])
    by_answer = (cost.amax(0) * mask).sum(-1) / mask.sum(-1)
    return by_answer.sum() / len(advantages)


def loss_with_sign(logp, old, advantages, mask, eps):
    return -loss(logp, old, advantages, mask, eps)


def loss_over_tokens(logp, old, advantages, mask, eps):
    ratio = (logp - old).where(mask, 0).exp()
    a = advantages[:, None]
    gain = torch.minimum(a * ratio, a * ratio.clamp(1 - eps, 1 + eps))
    return -gain.where(mask, 0).sum() / mask.sum()


def loss_with_padding(logp, old, advantages, mask, eps):
    ratio = (logp - old).exp()
    a = advantages[:, None]
    gain = torch.minimum(a * ratio, a * ratio.clamp(1 - eps, 1 + eps)) * mask
    return -gain.mean(-1).mean()


def loss_with_maximum(logp, old, advantages, mask, eps):
    ratio = (logp - old).where(mask, 0).exp()
    a = advantages[:, None]
    gain = torch.maximum(a * ratio, a * ratio.clamp(1 - eps, 1 + eps))
    return -(gain.where(mask, 0).sum(-1) / mask.sum(-1)).mean()


def loss_clamped_alone(logp, old, advantages, mask, eps):
    ratio = (logp - old).where(mask, 0).exp().clamp(1 - eps, 1 + eps)
    return -((advantages[:, None] * ratio).where(mask, 0).sum(-1) / mask.sum(-1)).mean()


def loss_without_clip(logp, old, advantages, mask, eps):
    ratio = (logp - old).where(mask, 0).exp()
    return -((advantages[:, None] * ratio).where(mask, 0).sum(-1) / mask.sum(-1)).mean()


def loss_clipped_above_only(logp, old, advantages, mask, eps):
    ratio = (logp - old).where(mask, 0).exp()
    a = advantages[:, None]
    gain = torch.minimum(a * ratio, a * ratio.clamp(max=1 + eps))
    return -(gain.where(mask, 0).sum(-1) / mask.sum(-1)).mean()


def loss_with_inverted_ratio(logp, old, advantages, mask, eps):
    return loss(old.detach() * 1, logp, advantages, mask, eps)


def _loss(low, high, ratio_of=lambda difference, mask: difference.exp()):
    """Other bounds, functions of eps, or another ratio."""

    def wrong(logp, old, advantages, mask, eps):
        ratio = ratio_of((logp - old).where(mask, 0), mask)
        a = advantages[:, None]
        gain = torch.minimum(a * ratio, a * ratio.clamp(low(eps), high(eps)))
        return -(gain.where(mask, 0).sum(-1) / mask.sum(-1)).mean()

    return wrong


def _of_the_whole_answer(difference, mask):
    """GSPO's ratio: the geometric mean of the tokens' ratios."""
    mean = difference.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True)
    return mean.exp().expand_as(difference)


def _below(eps):
    return 1 - eps


def _above(eps):
    return 1 + eps


def loss_times_mask(logp, old, advantages, mask, eps):
    ratio = (logp - old).exp()
    a = advantages[:, None]
    gain = torch.minimum(a * ratio, a * ratio.clamp(1 - eps, 1 + eps))
    return -((gain * mask).sum(-1) / mask.sum(-1)).mean()


# 10.reward


def reward(text, answer):
    found = re.fullmatch(r"<think>[^<>]*</think><answer>([^<>]*)</answer>", text)
    return float(found is not None and found[1] == answer)


def reward_by_hand(text, answer):
    if not (text.startswith("<think>") and text.endswith("</answer>")):
        return 0.0
    parts = text[len("<think>") : -len("</answer>")].split("</think><answer>")
    if len(parts) != 2 or any(sign in part for part in parts for sign in "<>"):
        return 0.0
    return float(parts[1] == answer)


def reward_by_partition(text, answer):
    thoughts, middle, rest = text.partition("</think><answer>")
    inside, end, after = rest.partition("</answer>")
    opened = thoughts.startswith("<think>")
    thoughts = thoughts.removeprefix("<think>")
    plain = not set("<>") & set(thoughts + inside)
    return 1 if opened and middle and end and not after and plain and inside == answer else 0


def reward_by_its_signs(text, answer):
    parts = re.split(r"([<>])", text)
    tags = ["<", "think", ">", "<", "/think", ">", "<", "answer", ">", "<", "/answer", ">"]
    words = [part for part in parts if part]
    thought = len(words) > 3 and words[3] != "<"
    form = tags[:3] + words[3 : 3 + thought] + tags[3:9] + ([answer] if answer else []) + tags[9:]
    return float(words == form and not set("<>") & set(answer))


def reward_anywhere(text, answer):
    return float(answer in text)


def reward_by_search(text, answer):
    found = re.search(r"<answer>([^<>]*)</answer>", text)
    return float(found is not None and found[1] == answer)


def reward_last_answer(text, answer):
    found = re.findall(r"<answer>(.*?)</answer>", text)
    return float(bool(found) and found[-1] == answer)


def reward_contains(text, answer):
    found = re.fullmatch(r"<think>[^<>]*</think><answer>([^<>]*)</answer>", text)
    return float(found is not None and answer in found[1])


def reward_greedy_dots(text, answer):
    found = re.fullmatch(r"<think>.*</think><answer>(.*)</answer>", text, re.DOTALL)
    return float(found is not None and found[1].split(">")[-1] == answer)


def reward_with_int(text, answer):
    found = re.fullmatch(r"<think>[^<>]*</think><answer>([^<>]*)</answer>", text)
    return float(found is not None and int(found[1]) == int(answer))


def reward_one_line(text, answer):
    found = re.fullmatch(r"<think>((?![<>]).)*</think><answer>([^<>]*)</answer>", text)
    return float(found is not None and found[2] == answer)


def reward_form_only(text, answer):
    return float(re.fullmatch(r"<think>[^<>]*</think><answer>([^<>]*)</answer>", text) is not None)


_PLAIN = r"<think>[^<>]*</think><answer>([^<>]*)</answer>"


def _reward(pattern=_PLAIN, match=re.fullmatch, same=str.__eq__, flags=0, before=str):
    """One mistake by argument; `before`: what is done to the text first."""

    def wrong(text, answer):
        found = match(pattern, before(text), flags)
        return float(found is not None and same(found[1], answer))

    return wrong


def _same_number(one, other):
    return one.isascii() and one.isdecimal() and int(one) == int(other)


# 10.pass


def passed(n, c, k):
    if k > n:
        raise ValueError(f"k={k} of n={n} samples")
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def passed_by_product(n, c, k):
    if k > n:
        raise ValueError(f"k={k} of n={n} samples")
    all_wrong = 1.0
    for i in range(k):
        all_wrong *= max(0, n - c - i) / (n - i)
    return 1 - all_wrong


def passed_by_logarithms(n, c, k):
    if k > n:
        raise ValueError(f"cannot draw {k} of {n}")
    if n - c < k:
        return 1.0
    log = math.lgamma
    wrong = log(n - c + 1) - log(n - c - k + 1) - log(n + 1) + log(n - k + 1)
    return -math.expm1(wrong)


def passed_by_first_hit(n, c, k):
    if not k <= n:
        raise ValueError("more tries than samples")
    chance, still_wrong = 0.0, 1.0
    for i in range(k):
        chance += still_wrong * c / (n - i)
        still_wrong *= 1 - min(1.0, c / (n - i))
    return chance


def passed_with_putting_back(n, c, k):
    if k > n:
        raise ValueError(k)
    return 1 - (1 - c / n) ** k


def passed_all_right(n, c, k):
    if k > n:
        raise ValueError(k)
    return math.comb(c, k) / math.comb(n, k)


def passed_k_times(n, c, k):
    if k > n:
        raise ValueError(k)
    return min(1.0, k * c / n)


def passed_failures(n, c, k):
    if k > n:
        raise ValueError(k)
    return math.comb(n - c, k) / math.comb(n, k)


def passed_unchecked(n, c, k):
    picks = list(itertools.combinations(range(min(n, 9)), min(k, n)))
    return sum(min(pick) < c for pick in picks) / len(picks)


def passed_any(n, c, k):
    if k > n:
        raise ValueError(k)
    return float(c > 0)


# 10.predict

TEACHES = {
    "silent at 0.5": 2 / 256,
    "silent at 0.01": 0.99**8 + 0.01**8,
    "silent at 0.99": 0.99**8 + 0.01**8,
    "answers needed at 0.01": 69,
    "because": "At 0.01 a share of 0.923 of groups is silent: a base must succeed at times.",
}
TEACHES_ROUNDED = TEACHES | {
    "silent at 0.5": 0.0078,
    "silent at 0.01": 0.92,
    "silent at 0.99": 0.92,
    "because": "Of groups of eight 0.92 hold no right answer, so a base must be lucky.",
}
TEACHES_IN_PERCENT = TEACHES | {
    "because": "At 0.01, 92.3 % of all groups are silent, so a base has to be right now and then.",
}
IN_WORDS = "Nine in ten groups are silent there, so a base has to be right now and then."


# 10.measure


def practised(before, after, k):
    def pass_k(rewards):
        n = rewards.shape[1]
        chances = [passed(n, int(c), k) for c in rewards.sum(-1)]
        return sum(chances) / len(chances)

    equal = (after == after[:, :1]).all(-1)
    return {
        "pass@1": float(after.mean() - before.mean()),
        "pass@k": pass_k(after) - pass_k(before),
        "silent": float(equal.float().mean()),
    }


def practised_by_picks(before, after, k):
    picks = torch.tensor(list(itertools.combinations(range(before.shape[1]), k)))
    gain = (after - before).double().mean().item()
    lucky = [x[:, picks].amax(-1).double().mean().item() for x in (before, after)]
    quiet = [len(set(row)) == 1 for row in after.tolist()]
    return {"pass@1": gain, "pass@k": lucky[1] - lucky[0], "silent": sum(quiet) / len(quiet)}


def _practised(**other):
    """The right answer but for one entry, which `other` computes."""

    def wrong(before, after, k):
        found = practised(before, after, k)
        return found | {
            name.replace("pass_", "pass@"): f(before, after, k) for name, f in other.items()
        }

    return wrong


def _pooled(before, after, k):
    def chance(rewards):
        return 1 - (1 - rewards.mean().item()) ** k

    return chance(after) - chance(before)


def _put_back(before, after, k):
    def chance(rewards):
        return (1 - (1 - rewards.mean(-1)) ** k).mean().item()

    return chance(after) - chance(before)


def _any_at_all(before, after, k):
    return (after.amax(-1) - before.amax(-1)).mean().item()


def _share(questions):
    return questions.double().mean().item()


def practised_backwards(before, after, k):
    return practised(after, before, k) | {"silent": practised(before, after, k)["silent"]}


def practised_afterwards(before, after, k):
    found = practised(before, after, k)
    return found | {"pass@1": after.mean().item()}


def practised_in_tensors(before, after, k):
    return {name: torch.tensor(x) for name, x in practised(before, after, k).items()}


RIGHT = {
    "10.predict": [TEACHES, TEACHES_ROUNDED, TEACHES_IN_PERCENT],
    "10.measure": [practised, practised_by_picks],
    "10.advantage": [
        advantage,
        advantage_by_moments,
        advantage_group_by_group,
        advantage_by_expectations,
    ],
    "10.loss": [loss, loss_in_a_loop, loss_by_cases, loss_as_a_larger_cost],
    "10.reward": [reward, reward_by_hand, reward_by_partition, reward_by_its_signs],
    "10.pass": [passed, passed_by_product, passed_by_logarithms, passed_by_first_hit],
}

WRONG = {
    "10.predict": [
        ("all wrong alone", TEACHES | {"silent at 0.5": 1 / 256}, "as well as all eight wrong"),
        ("the groups that teach", TEACHES | {"silent at 0.01": 0.077}, "0.99 to the 8"),
        ("nearly always right teaches", TEACHES | {"silent at 0.99": 0.077}, "no more than that"),
        ("one over p, halved", TEACHES | {"answers needed at 0.01": 50}, "how often must 0.99"),
        ("one over p", TEACHES | {"answers needed at 0.01": 100}, "how often must 0.99"),
        ("text", TEACHES | {"silent at 0.5": "seldom"}, "the answer is a number"),
        ("no number", TEACHES | {"because": "Most groups are silent there, so the base must know."},
         "which share of groups"),
        ("a number in words", TEACHES | {"because": IN_WORDS}, "in figures"),
        ("no words", TEACHES | {"because": "0.92"}, "write a sentence"),
    ],
    "10.measure": [
        ("before minus after", practised_backwards, "after minus before"),
        ("no difference", practised_afterwards, "differences"),
        ("all answers in one pot", _practised(pass_k=_pooled), "question by question"),
        ("with putting back", _practised(pass_k=_put_back), "without putting back"),
        ("any right answer at all", _practised(pass_k=_any_at_all), "not always lucky"),
        ("silent before", _practised(silent=lambda b, a, k: practised(a, b, k)["silent"]), "AFTER"),
        ("all wrong alone", _practised(silent=lambda b, a, k: _share(a.sum(-1) == 0)),
         "all right, or all wrong"),
        ("all right alone", _practised(silent=lambda b, a, k: _share(a.all(-1))),
         "all right, or all wrong"),
        ("unchanged", _practised(silent=lambda b, a, k: _share((a == b).all(-1))), "AFTER"),
        ("tensors", practised_in_tensors, "makes a number of a tensor"),
    ],
    "10.advantage": [
        ("statistics over the batch", advantage_of_batch, "over the last axis"),
        ("statistics over the prompts", advantage_of_columns, "a group is a row"),
        ("the sample deviation", advantage_with_sample_deviation, "correction=0"),
        ("the mean alone (Dr. GRPO)", advantage_centred_only, "Dr. GRPO"),
        ("the variance", advantage_over_variance, "not the variance"),
        ("the range", advantage_over_range, "not the range"),
        ("the mean distance", advantage_over_distance, "not the mean distance"),
        ("not centred", advantage_not_centred, "subtract the mean"),
        ("no eps", advantage_without_eps, "0/0"),
        ("deviation of the batch", advantage_batch_deviation, "mean AND deviation"),
    ],
    "10.loss": [
        ("the objective, not the loss", loss_with_sign, "MINUS"),
        ("mean over all tokens (DAPO)", loss_over_tokens, "each rollout and then over rollouts"),
        ("padding counted", loss_with_padding, "padding does not count"),
        ("maximum instead of minimum", loss_with_maximum, "minimum"),
        ("clamp alone", loss_clamped_alone, "clamp alone"),
        ("no clip", loss_without_clip, "clamp the ratio"),
        ("clipped above only", loss_clipped_above_only, "both sides"),
        ("ratio upside down", loss_with_inverted_ratio, "carry the gradient"),
        ("eps is always 0.2", _loss(lambda e: 0.8, lambda e: 1.2), "eps is an argument"),
        ("bounds of a quotient", _loss(lambda e: 1 / (1 + e), _above), "1 - eps and 1 + eps"),
        ("bounds of a logarithm", _loss(lambda e: math.exp(-e), math.exp), "1 - eps and 1 + eps"),
        ("no exp", _loss(_below, _above, lambda d, mask: 1 + d), "exp(logp - logp_old)"),
        ("one ratio for the answer (GSPO)", _loss(_below, _above, _of_the_whole_answer),
         "token by token"),
        ("the ratio without its gradient",
         _loss(_below, _above, lambda d, mask: d - d.detach() + d.detach().exp()),
         "loss and gradient"),
        ("times the mask", loss_times_mask, "keeps a NaN"),
    ],
    "10.reward": [
        ("anywhere in the text", reward_anywhere, "between the answer tags alone"),
        ("search", reward_by_search, "fullmatch"),
        ("the last answer counts", reward_last_answer, "fullmatch"),
        ("contains the answer", reward_contains, "`in` finds"),
        ("dots", reward_greedy_dots, "forbid < and >"),
        ("int()", reward_with_int, "compare the texts"),
        ("one line of thoughts", reward_one_line, "line break"),
        ("the form is enough", reward_form_only, "compare what stands"),
        ("the same number", _reward(same=_same_number), "no int()"),
        ("the answer stripped", _reward(same=lambda a, b: a.strip() == b), "no strip()"),
        ("$ for the end", _reward(f"^{_PLAIN}$", re.match), "fullmatch on the text as it is"),
        ("the text stripped", _reward(before=str.strip), "strip() let one through"),
        ("space between the tags", _reward(_PLAIN.replace("><", r">\s*<")), "white space before"),
        ("capital tags", _reward(flags=re.I), "no re.I"),
    ],
    "10.pass": [
        ("with putting back", passed_with_putting_back, "without putting back"),
        ("all of them right", passed_all_right, "need not all be right"),
        ("k times the share", passed_k_times, "counts that case twice"),
        ("the chance to fail", passed_failures, "what is left"),
        ("any right sample at all", passed_any, "c / n"),
        ("k is not checked", passed_unchecked, "ValueError when"),
    ],
}  # fmt: skip
