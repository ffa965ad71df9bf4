"""Answers to 11.stages, right and wrong: four stages in the right order."""

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


def stages_with_two_tunings(base, cold, general, tune, practise, answer):
    found = stages(base, cold, general, tune, practise, lambda model: [])
    kept = [text for text, fault in answer(found["Dev2"]) if fault is None]
    dev3 = tune(tune(base, kept), general)
    return found | {"Dev3": dev3, "R1": practise(dev3, [*RULES, "manners"])}


RIGHT = [stages, stages_in_a_dictionary]

WRONG = [
    ("R1-Zero: no cold start", stages_without_cold_start, "Without it you have R1-Zero"),
    ("Dev2 from the base", _staged(dev2_from="base"), "goes on from the tuned model"),
    ("no reward for language", _staged(rules=["accuracy", "form"]), "three rules"),
    ("Dev1 answers", _staged(asks="Dev1"), "the best reasoner"),
    ("Dev3 from Dev2", _staged(dev3_from="Dev2"), "its weights do not"),
    ("Dev3 tuned twice", stages_with_two_tunings, "one tuning reads both"),
    ("everything kept", _staged(every=True), "whose fault is None"),
    ("no requests", _staged(extra=False), "kept + general"),
    ("R1 from Dev2", _staged(last_from="Dev2"), "starts from Dev3"),
    ("no manners", _staged(manners=False), "rewards all four"),
]
