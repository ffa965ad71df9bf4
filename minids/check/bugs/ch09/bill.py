"""Answers to 09.bill, right and wrong: hours and dollars of a training run."""


def dollars(tokens, khours_per_trillion, extra_khours, per_hour):
    return (tokens / 1e12 * khours_per_trillion + extra_khours) * 1000 * per_hour


def dollars_in_steps(tokens, khours_per_trillion, extra_khours, per_hour):
    hours = 1000 * extra_khours
    hours += tokens * khours_per_trillion / 1e9
    return per_hour * hours


def dollars_and_cents(tokens, khours_per_trillion, extra_khours, per_hour):
    return round(dollars(tokens, khours_per_trillion, extra_khours, per_hour), 2)


def dollars_pre_training_only(tokens, khours_per_trillion, extra_khours, per_hour):
    return tokens / 1e12 * khours_per_trillion * 1000 * per_hour


def dollars_without_thousands(tokens, khours_per_trillion, extra_khours, per_hour):
    return (tokens / 1e12 * khours_per_trillion + extra_khours) * per_hour


def dollars_of_single_tokens(tokens, khours_per_trillion, extra_khours, per_hour):
    return (tokens * khours_per_trillion + extra_khours) * 1000 * per_hour


def dollars_extra_for_each_trillion(tokens, khours_per_trillion, extra_khours, per_hour):
    return tokens / 1e12 * (khours_per_trillion + extra_khours) * 1000 * per_hour


def dollars_at_two(tokens, khours_per_trillion, extra_khours, per_hour):
    return dollars(tokens, khours_per_trillion, extra_khours, 2.0)


def dollars_hours_only(tokens, khours_per_trillion, extra_khours, per_hour):
    return dollars(tokens, khours_per_trillion, extra_khours, 1.0)


def dollars_for_pre_training_alone(tokens, khours_per_trillion, extra_khours, per_hour):
    """The hours of the other stages are counted, and nobody is paid for them."""
    return (tokens / 1e12 * khours_per_trillion * per_hour + extra_khours) * 1000


RIGHT = [dollars, dollars_in_steps, dollars_and_cents]

WRONG = [
    ("forgets the other stages", dollars_pre_training_only, "extra_khours"),
    ("takes K for one", dollars_without_thousands, "1000"),
    ("counts single tokens", dollars_of_single_tokens, "trillion"),
    ("extra for each trillion", dollars_extra_for_each_trillion, "once"),
    ("other stages for nothing", dollars_for_pre_training_alone, "add all hours up first"),
    ("always two dollars", dollars_at_two, "per_hour"),
    ("hours for dollars", dollars_hours_only, "per_hour"),
]
