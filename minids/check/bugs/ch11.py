"""Right answers and planted mistakes of chapter 11."""

import re
import statistics

import torch
from torch.nn import functional as F

from minids.rl.rewards import consistency as share_of_words

# 11.language


def language(text, wanted):
    words = re.findall(r"[a-zA-Z]+|[\u4e00-\u9fff]", text)
    if not words:
        return 0.0
    return sum(word.isascii() == (wanted == "english") for word in words) / len(words)


def language_by_counting(text, wanted):
    english = len(re.findall(r"[a-zA-Z]+", text))
    chinese = sum("\u4e00" <= letter <= "\u9fff" for letter in text)
    counts = {"english": english, "chinese": chinese}
    return counts[wanted] / max(1, english + chinese)


def language_letter_by_letter(text, wanted):
    n, inside, before = {"english": 0, "chinese": 0}, 0, False
    for letter in text:
        latin = letter.isascii() and letter.isalpha()
        n["english"] += latin and not before
        n["chinese"] += ord(letter) in range(0x4E00, 0xA000)
        before = latin
    inside = n[wanted]
    return inside / (sum(n.values()) or 1)


def language_of_letters(text, wanted):
    letters = re.findall(r"[a-zA-Z]|[\u4e00-\u9fff]", text)
    return sum(x.isascii() == (wanted == "english") for x in letters) / max(1, len(letters))


def language_by_split(text, wanted):
    pieces = re.findall(r"[a-zA-Z]+|[\u4e00-\u9fff]+", text)
    return sum(x.isascii() == (wanted == "english") for x in pieces) / max(1, len(pieces))


def language_of_the_majority(text, wanted):
    share = language(text, "english")
    return max(share, 1 - share) if text else 0.0


def language_upside_down(text, wanted):
    return 1 - language(text, wanted)


def language_all_or_nothing(text, wanted):
    return float(language(text, wanted) == 1)


def language_with_figures(text, wanted):
    words = re.findall(r"[a-zA-Z0-9]+|[\u4e00-\u9fff]", text)
    return sum(x.isascii() == (wanted == "english") for x in words) / max(1, len(words))


def _language_by(pattern, kept=list):
    """Other words: a pattern of one's own, or only some of what is found."""

    def wrong(text, wanted):
        words = kept(re.findall(pattern + r"|[\u4e00-\u9fff]", text))
        return sum(x.isascii() == (wanted == "english") for x in words) / max(1, len(words))

    return wrong


def language_of_silence(text, wanted):
    return language(text, wanted) if re.search(r"[a-zA-Z\u4e00-\u9fff]", text) else 1.0


def language_always_english(text, wanted):
    return language(text, "english")


def language_nothing(text, wanted):
    return 0.0


# 11.loss: every mistake is one change of this


def loss(logits, tokens, prompts, lengths):
    place = torch.arange(1, tokens.shape[1])
    mask = (place >= prompts[:, None]) & (place < lengths[:, None])
    targets = tokens[:, 1:].where(mask, -100)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten())


def loss_written_out(logits, tokens, prompts, lengths):
    logp = logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
    place = torch.arange(1, tokens.shape[1])[None]
    counts = (place >= prompts[:, None]) * (place < lengths[:, None])
    return -(logp * counts).sum() / counts.sum()


def loss_in_a_loop(logits, tokens, prompts, lengths):
    total, n = 0.0, 0
    for i in range(len(tokens)):
        for at in range(int(prompts[i]), int(lengths[i])):
            total = total - logits[i, at - 1].log_softmax(-1)[tokens[i, at]]
            n += 1
    return total / n


def loss_with_sign(logits, tokens, prompts, lengths):
    return -loss(logits, tokens, prompts, lengths)


def loss_unshifted(logits, tokens, prompts, lengths):
    place = torch.arange(tokens.shape[1])
    mask = (place >= prompts[:, None]) & (place < lengths[:, None])
    return F.cross_entropy(logits.flatten(0, 1), tokens.where(mask, -100).flatten())


def loss_of_everything(logits, tokens, prompts, lengths):
    """The question is learned as well: trains, and part of the model goes into asking."""
    return loss(logits, tokens, torch.ones_like(prompts), lengths)


def loss_mask_unshifted(logits, tokens, prompts, lengths):
    """The mask is that of the tokens, not of the targets: the first token is never learned."""
    place = torch.arange(tokens.shape[1] - 1)
    mask = (place >= prompts[:, None]) & (place < lengths[:, None] - 1)
    targets = tokens[:, 1:].where(mask, -100)
    if not mask.any():
        return logits.sum() * 0 + 1.0
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten())


def loss_with_padding(logits, tokens, prompts, lengths):
    return loss(logits, tokens, prompts, torch.full_like(lengths, tokens.shape[1]))


def loss_without_end(logits, tokens, prompts, lengths):
    return loss(logits, tokens, prompts, torch.maximum(lengths - 1, prompts + 1))


def loss_by_row(logits, tokens, prompts, lengths):
    rows = range(len(tokens))
    each = [loss(*(x[i : i + 1] for x in (logits, tokens, prompts, lengths))) for i in rows]
    return torch.stack(each).mean()


def loss_without_token_0(logits, tokens, prompts, lengths):
    place = torch.arange(1, tokens.shape[1])
    mask = (place >= prompts[:, None]) & (place < lengths[:, None])
    targets = tokens[:, 1:].where(mask, 0).flatten()
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets, ignore_index=0)


def loss_of_nothing(logits, tokens, prompts, lengths):
    return logits.sum() * 0


# 11.reject

_FORM = re.compile(r"<think>([^<>]*)</think><answer>([^<>]*)</answer>")


def reject(response, answer, wanted):
    found = _FORM.fullmatch(response)
    if found is None:
        return "out of form"
    if found[2] != answer:
        return "wrong answer"
    if not found[1].strip():
        return "no working"
    return "mixed languages" if share_of_words(found[1], wanted) < 1 else None


def reject_from_a_list(response, answer, wanted):
    found = _FORM.fullmatch(response)
    think, said = found.groups() if found else ("", "")
    faults = [
        (found is None, "out of form"),
        (said != answer, "wrong answer"),
        (think.strip() == "", "no working"),
        (language(think, wanted) != 1, "mixed languages"),
    ]
    return next((name for holds, name in faults if holds), None)


def reject_by_cutting(response, answer, wanted):
    tags = ["<think>", "</think><answer>", "</answer>"]
    parts = re.split("|".join(map(re.escape, tags)), response)
    whole = len(parts) == 4 and "".join(
        x + y for x, y in zip(parts, [*tags, ""], strict=True)
    ) == response  # fmt: skip
    if not whole or parts[0] or parts[3] or "<" in parts[1] + parts[2]:
        return "out of form"
    if parts[2] != answer:
        return "wrong answer"
    if parts[1].isspace() or not parts[1]:
        return "no working"
    if language_by_counting(parts[1], wanted) < 1:
        return "mixed languages"
    return None


def reject_by_answer_alone(response, answer, wanted):
    """Keeps whatever ends in the right answer: what it keeps is right, and half of it is mixed."""
    found = re.search(r"<answer>([^<>]*)</answer>$", response)
    return None if found and found[1] == answer else "wrong answer"


def reject_containing(response, answer, wanted):
    found = _FORM.fullmatch(response)
    if found and answer in found[2]:
        return reject(response, found[2], wanted)
    return reject(response, answer, wanted)


def reject_nothing(response, answer, wanted):
    return None


def reject_everything(response, answer, wanted):
    return "wrong answer"


def reject_majority(response, answer, wanted):
    fault = reject(response, answer, wanted)
    found = _FORM.fullmatch(response)
    mostly = found is not None and share_of_words(found[1], wanted) > 0.5
    return None if fault == "mixed languages" and mostly else fault


def reject_silent_kept(response, answer, wanted):
    fault = reject(response, answer, wanted)
    return None if fault == "no working" else fault


def reject_pure_in_any(response, answer, wanted):
    fault = reject(response, answer, wanted)
    found = _FORM.fullmatch(response)
    pure = found is not None and language_of_the_majority(found[1], wanted) == 1
    return None if fault == "mixed languages" and pure else fault


def reject_language_first(response, answer, wanted):
    found = _FORM.fullmatch(response)
    if found and found[1].strip() and share_of_words(found[1], wanted) < 1:
        return "mixed languages"
    return reject(response, answer, wanted)


def _reject_by(pattern=_FORM.pattern, same=str.__eq__, working_first=False):
    """One mistake by argument."""

    def wrong(response, answer, wanted):
        found = re.fullmatch(pattern, response)
        if found is None:
            return "out of form"
        if working_first and not found[1].strip():
            return "no working"
        if not same(found[2], answer):
            return "wrong answer"
        if not found[1].strip():
            return "no working"
        return "mixed languages" if share_of_words(found[1], wanted) < 1 else None

    return wrong


# 11.stages

RULES = ["accuracy", "form", "language"]


def stages(base, cold, general, tune, practise, answer):
    dev1 = tune(base, cold)
    dev2 = practise(dev1, RULES)
    kept = [text for text, fault in answer(dev2) if fault is None]
    dev3 = tune(base, kept + general)
    return {"Dev1": dev1, "Dev2": dev2, "Dev3": dev3, "R1": practise(dev3, [*RULES, "manners"])}


def stages_in_a_dictionary(base, cold, general, tune, practise, answer):
    found = {"Dev1": tune(base, cold)}
    found["Dev2"] = practise(found["Dev1"], set(RULES))
    samples = list(answer(found["Dev2"]))
    examples = list(general)
    for text, fault in samples:
        if not fault:
            examples.append(text)
    found["Dev3"] = tune(base, examples)
    found["R1"] = practise(found["Dev3"], {*RULES, "manners"})
    return found


def _staged(*, dev2_from="Dev1", dev3_from="base", last_from="Dev3", every=False, extra=True,
            rules=RULES, asks="Dev2", manners=True):  # fmt: skip
    """One mistake by argument."""

    def attempt(base, cold, general, tune, practise, answer):
        made = {"base": base, "Dev1": tune(base, cold)}
        made["Dev2"] = practise(made[dev2_from], rules)
        kept = [text for text, fault in answer(made[asks]) if every or fault is None]
        made["Dev3"] = tune(made[dev3_from], kept + (general if extra else []))
        made["R1"] = practise(made[last_from], [*RULES, *(["manners"] if manners else [])])
        return {name: made[name] for name in ("Dev1", "Dev2", "Dev3", "R1")}

    return attempt


def stages_without_cold_start(base, cold, general, tune, practise, answer):
    made = stages(base, cold, general, tune, practise, answer)
    return {**made, "Dev1": base}


# 11.price


_STUDENT = {2: 4.3027, 3: 3.1824, 4: 2.7764}  # Abramowitz and Stegun, table 26.10


def _reach(lost, deviation=statistics.stdev):
    return _STUDENT[len(lost) - 1] * deviation(lost) / len(lost) ** 0.5


def _price(alone, rewarded, reach):
    lost = [a - b for a, b in zip(alone, rewarded, strict=True)]
    mean = sum(lost) / len(lost)
    inside = abs(mean) <= reach(lost)
    return {"mean": mean, "positive": sum(x > 0 for x in lost), "inside": inside}


def price(alone, rewarded):
    return _price(alone, rewarded, _reach)


def price_by_tensors(alone, rewarded):
    a, b = (torch.tensor(x, dtype=torch.float64) for x in (alone, rewarded))
    lost, n = a - b, len(alone)
    return {
        "mean": float(lost.mean()),
        "positive": int((lost > 0).sum()),
        "inside": bool(lost.mean().abs() * n**0.5 <= _STUDENT[n - 1] * lost.std(correction=1)),
    }


def price_with_sign(alone, rewarded):
    return price(rewarded, alone)


def price_by_mean(alone, rewarded):
    found = price(alone, rewarded)
    return {**found, "positive": len(alone) if found["mean"] > 0 else 0}


def price_by_population(alone, rewarded):
    return _price(alone, rewarded, lambda lost: _reach(lost, statistics.pstdev))


def price_two_errors(alone, rewarded):
    return _price(alone, rewarded, lambda lost: 2 * _reach(lost) / _STUDENT[len(lost) - 1])


def price_of_one_run(alone, rewarded):
    return _price(alone, rewarded, lambda lost: _reach(lost) * len(lost) ** 0.5)


def price_noise_of_alone(alone, rewarded):
    return _price(alone, rewarded, lambda _: _reach(alone))


def price_one_sided(alone, rewarded):
    found = price(alone, rewarded)
    return {**found, "inside": found["inside"] or found["mean"] < 0}


def price_of_three_seeds(alone, rewarded):
    return _price(alone, rewarded, lambda lost: _reach(lost) * 4.3027 / _STUDENT[len(lost) - 1])


def price_counting_draws(alone, rewarded):
    lost = [a - b for a, b in zip(alone, rewarded, strict=True)]
    return {**price(alone, rewarded), "positive": sum(x >= 0 for x in lost)}


def price_of_nothing(alone, rewarded):
    return {"mean": 0.0, "positive": 0, "inside": True}


# 11.weigh

weighed = {
    "right and mixed, accuracy alone": 1.0,
    "right and pure, language at 1": 1.342,
    "right and mixed, language at 1": 0.447,
    "wrong and pure, language at 1": -0.447,
    "weight at which wrong and pure equals right and mixed": 2,
    "because": "With a weight above 2 a wrong answer in pure English earns more than a right one.",
}


def _computed():
    def advantages(weight):
        rewards = [1 + weight, 1 + weight / 2, weight, weight / 2]
        mean, spread = statistics.fmean(rewards), statistics.pstdev(rewards)
        return [(r - mean) / spread for r in rewards]

    pure, mixed, wrong, _ = advantages(1)
    why = "At 2 it is all the same whether an answer is right or its thoughts are pure."
    return dict(
        zip(weighed, (advantages(0)[1], pure, mixed, wrong, 1 / (1 - 0.5), why), strict=True)
    )


def _but(name, value):
    return {**weighed, name: value}


_NAMES = list(weighed)

RIGHT = {
    "11.language": [language, language_by_counting, language_letter_by_letter],
    "11.loss": [loss, loss_written_out, loss_in_a_loop],
    "11.reject": [reject, reject_from_a_list, reject_by_cutting],
    "11.stages": [stages, stages_in_a_dictionary],
    "11.price": [price, price_by_tensors],
    "11.weigh": [weighed, _computed()],
}

WRONG = {
    "11.language": [
        ("letters instead of words", language_of_letters, "not of letters"),
        ("runs of Chinese as one word", language_by_split, "split() is too coarse"),
        ("the larger share", language_of_the_majority, "which language was asked for"),
        ("upside down", language_upside_down, "the share is 1 for English"),
        ("all or nothing", language_all_or_nothing, "not all or nothing"),
        ("figures are English", language_with_figures, "figures, signs and commas"),
        ("silence is consistent", language_of_silence, "thinks nothing"),
        ("small letters alone", _language_by("[a-z]+"), "capital letters are letters"),
        ("two letters at least", _language_by("[a-zA-Z]{2,}"), "one letter alone is a word"),
        ("signs among the letters", _language_by("[A-z]+"), "figures, signs and commas"),
        ("different words", _language_by("[a-zA-Z]+", set), "each time that it is said"),
        ("always English", language_always_english, "for English and for Chinese"),
        ("all zero", language_nothing, "the share is 1"),
    ],
    "11.loss": [
        ("sign", loss_with_sign, "MINUS"),
        ("no shift", loss_unshifted, "NEXT token"),
        ("the prompt counts", loss_of_everything, "not the question"),
        (
            "mask of tokens, not of targets",
            loss_mask_unshifted,
            "the prediction at place prompts - 1",
        ),
        ("padding counts", loss_with_padding, "fill the row up"),
        ("the end is left out", loss_without_end, "the last target"),
        ("token 0 for padding", loss_without_token_0, "a word like any other"),
        ("mean of rows", loss_by_row, "not a mean of the rows"),
        ("all zero", loss_of_nothing, "surprise"),
    ],
    "11.reject": [
        ("the answer alone", reject_by_answer_alone, "'out of form' comes first"),
        ("contains the answer", reject_containing, "== and not in"),
        ("keeps everything", reject_nothing, "'wrong answer'"),
        ("keeps nothing", reject_everything, "no fault: return None"),
        ("mostly in the language", reject_majority, "not below"),
        ("silence kept", reject_silent_kept, "nothing to imitate"),
        ("pure in any language", reject_pure_in_any, "pure is not enough"),
        ("language before answer", reject_language_first, "in the order"),
        ("working before answer", _reject_by(working_first=True), "in the order"),
        (
            "a dot for everything",
            _reject_by("(?s)<think>(.*)</think><answer>(.*)</answer>"),
            "tags included",
        ),
        (
            "one line of thoughts",
            _reject_by(_FORM.pattern.replace("^<>", r"^<>\n")),
            "does not match a line break",
        ),
        ("the same number", _reject_by(same=lambda a, b: int(a) == int(b)), "compare the texts"),
    ],
    "11.stages": [
        ("R1-Zero: no cold start", stages_without_cold_start, "Without it you have R1-Zero"),
        ("Dev2 from the base", _staged(dev2_from="base"), "goes on from the tuned model"),
        ("no reward for language", _staged(rules=["accuracy", "form"]), "three rules"),
        ("Dev1 answers", _staged(asks="Dev1"), "the best reasoner"),
        ("Dev3 from Dev2", _staged(dev3_from="Dev2"), "its weights do not"),
        ("everything kept", _staged(every=True), "whose fault is None"),
        ("no requests", _staged(extra=False), "kept + general"),
        ("R1 from Dev2", _staged(last_from="Dev2"), "starts from Dev3"),
        ("no manners", _staged(manners=False), "rewards all four"),
    ],
    "11.price": [
        ("sign", price_with_sign, "alone minus rewarded"),
        ("positive if the mean is", price_by_mean, "Not whether the mean is"),
        ("population deviation", price_by_population, "not pstdev"),
        ("two standard errors", price_two_errors, "4.30 and not 2"),
        ("always three seeds", price_of_three_seeds, "depends on the number of seeds"),
        ("a draw is a loss", price_counting_draws, "loses nothing"),
        ("noise of one run", price_of_one_run, "the root of n"),
        ("noise of the baseline", price_noise_of_alone, "not that of `alone`"),
        ("one-sided", price_one_sided, "compare its size"),
        ("all zero", price_of_nothing, "averaged over the seeds"),
    ],
    "11.weigh": [
        ("the language is looked at", _but(_NAMES[0], 0.447), "Nobody looks"),
        ("deviation of n - 1", _but(_NAMES[1], 1.162), "deviation 0.559"),
        ("as good as ever", _but(_NAMES[2], 1.0), "half as hard"),
        ("good language pays", _but(_NAMES[3], 0.447), "does not pay"),
        ("equal weights", _but(_NAMES[4], 1.0), "1 + w / 2"),
        ("an answer is missing", dict(list(weighed.items())[:-1]), "has no"),
        (
            "no number",
            _but("because", "A large weight would pay for language and not for being right."),
            "from which weight on",
        ),
        (
            "a number in words",
            _but("because", "Above a weight of two wrong answers earn more than right mixed ones."),
            "in figures",
        ),
        ("no words", _but("because", "2"), "write a sentence"),
    ],
}
