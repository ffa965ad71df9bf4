"""Answers to 11.price, right and wrong: what consistency costs, in standard errors."""

import statistics

import torch

STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306}
"""The multiple by degrees of freedom, as `minids.study.noise.multiple` computes it."""


def _reach(lost, deviation=statistics.stdev):
    return STUDENT[len(lost) - 1] * deviation(lost) / len(lost) ** 0.5


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
        "inside": bool(lost.mean().abs() * n**0.5 <= STUDENT[n - 1] * lost.std(correction=1)),
    }


def price_with_sign(alone, rewarded):
    return price(rewarded, alone)


def price_by_mean(alone, rewarded):
    found = price(alone, rewarded)
    return {**found, "positive": len(alone) if found["mean"] > 0 else 0}


def price_by_population(alone, rewarded):
    return _price(alone, rewarded, lambda lost: _reach(lost, statistics.pstdev))


def price_two_errors(alone, rewarded):
    return _price(alone, rewarded, lambda lost: 2 * _reach(lost) / STUDENT[len(lost) - 1])


def price_of_one_run(alone, rewarded):
    return _price(alone, rewarded, lambda lost: _reach(lost) * len(lost) ** 0.5)


def price_noise_of_alone(alone, rewarded):
    return _price(alone, rewarded, lambda _: _reach(alone))


def price_one_sided(alone, rewarded):
    found = price(alone, rewarded)
    return {**found, "inside": found["inside"] or found["mean"] < 0}


def price_of_three_seeds(alone, rewarded):
    return _price(alone, rewarded, lambda lost: _reach(lost) * STUDENT[2] / STUDENT[len(lost) - 1])


def price_of_the_two_examples(alone, rewarded):
    def reach(lost):
        return (4.3 if len(lost) == 3 else 2.8) * statistics.stdev(lost) / len(lost) ** 0.5

    return _price(alone, rewarded, reach)


def price_counting_draws(alone, rewarded):
    lost = [a - b for a, b in zip(alone, rewarded, strict=True)]
    return {**price(alone, rewarded), "positive": sum(x >= 0 for x in lost)}


def price_of_nothing(alone, rewarded):
    return {"mean": 0.0, "positive": 0, "inside": True}


def price_in_errors(alone, rewarded):
    """The mean in standard errors, which divides by them."""
    found = price(alone, rewarded)
    lost = [a - b for a, b in zip(alone, rewarded, strict=True)]
    error = statistics.stdev(lost) / len(lost) ** 0.5
    return {**found, "inside": abs(found["mean"]) / error <= STUDENT[len(lost) - 1]}


def price_outside(alone, rewarded):
    found = price(alone, rewarded)
    return {**found, "inside": not found["inside"]}


RIGHT = [price, price_by_tensors, price_in_errors]

WRONG = [
    ("sign", price_with_sign, "alone minus rewarded"),
    ("positive if the mean is", price_by_mean, "Not whether the mean is"),
    ("population deviation", price_by_population, "not pstdev"),
    ("two standard errors", price_two_errors, "4.30 and not 2"),
    ("always three seeds", price_of_three_seeds, "depends on the number of seeds"),
    ("the examples of the text alone", price_of_the_two_examples, "are two examples"),
    ("a draw is a loss", price_counting_draws, "loses nothing"),
    ("outside for inside", price_outside, "at most what chance reaches"),
    ("noise of one run", price_of_one_run, "the root of n"),
    ("noise of the baseline", price_noise_of_alone, "not that of `alone`"),
    ("one-sided", price_one_sided, "compare its size"),
    ("all zero", price_of_nothing, "averaged over the seeds"),
]
