"""The four stages: tuning, rules of every scenario, rejection, scores, and the pipeline."""

import copy
import random
from dataclasses import replace

import pytest
import torch

from minids.config import MLAConfig
from minids.model.transformer import Transformer
from minids.rl import r1
from minids.rl.r1_recipe import Recipe, shortened
from minids.rl.rejection import Sample, fault, kept, reasons, sample
from minids.rl.rewards import read
from minids.rl.scenarios import ALL, REASONING, ZERO, polite, refused, right, said, same_language
from minids.rl.scores import scores
from minids.rl.sft import tuned, updates
from minids.rl.update import Settings
from minids.study import r1_lab
from minids.study.results import Results
from minids.text import dial, requests
from minids.text.arithmetic import Problem
from minids.text.batches import padded
from minids.text.bilingual import SORRY, bilingual
from minids.text.dial import TIDY, Faults
from minids.text.lessons import asked, told
from minids.text.requests import Manners
from minids.train.losses import next_token

tiny = Settings(prompts=2, group=4, max_new=14, minibatches=1)
SMALL = shortened(
    reading=2, practice=1, examples=8, batch=4, each=2, first=tiny, last=tiny, tested=4
)
CODEC = bilingual()


def model(seed=0):
    return Transformer(SMALL.config, seed=seed)


def pairs(n, seed=0):
    of, rng = dial.sums(seed=seed), random.Random(seed)
    found = [(of(i), dial.respond(of(i), TIDY, rng)) for i in range(n)]
    return [(CODEC.encode(asked(p), special=True), CODEC.encode(r, special=True)) for p, r in found]


# Tuning


def test_tuning_lowers_the_loss_of_the_responses_and_repeats_with_its_seed():
    examples = pairs(16)
    a, b = model(), model()
    first = [s.loss for s in tuned(a, examples, epochs=8, batch=8, lr=3e-3, seed=1)]
    again = [s.loss for s in tuned(b, examples, epochs=8, batch=8, lr=3e-3, seed=1)]
    assert first == again and first[-1] < 0.8 * first[0]
    assert torch.equal(a.embed.weight, b.embed.weight)


def test_the_first_loss_is_that_of_the_responses_alone():
    examples = pairs(4)
    batch = padded(*zip(*examples, strict=True), pad=0)
    wanted = next_token(model()(batch.tokens).logits, batch.targets, batch.mask)
    step = next(tuned(model(), examples, epochs=1, batch=4, lr=1e-3, seed=0))
    assert step.loss == pytest.approx(wanted.item(), abs=1e-5)
    longer = [(prompt * 2, response) for prompt, response in examples]
    n = sum(len(response) for _, response in longer)
    assert int(padded(*zip(*longer, strict=True), pad=0).mask.sum()) == n


@pytest.mark.parametrize(("n", "epochs", "batch"), [(16, 2, 8), (5, 3, 2), (3, 1, 8), (7, 2, 4)])
def test_every_example_is_read_as_often_as_there_are_epochs(n, epochs, batch):
    steps = len(list(tuned(model(), pairs(n), epochs=epochs, batch=batch, lr=1e-3, seed=0)))
    assert steps == updates(n, epochs=epochs, batch=batch)
    assert n * epochs <= steps * min(batch, n) < n * epochs + batch


def test_tuning_refuses_what_holds_nothing():
    with pytest.raises(ValueError, match="no examples"):
        tuned(model(), [], epochs=1, batch=1, lr=1e-3, seed=0)
    with pytest.raises(ValueError, match="1 or more"):
        tuned(model(), pairs(2), epochs=0, batch=1, lr=1e-3, seed=0)
    with pytest.raises(ValueError, match="empty"):
        tuned(model(), [([1, 2], [])], epochs=1, batch=1, lr=1e-3, seed=0)


# Rules


def test_the_right_answer_to_a_forbidden_request_is_to_refuse_it():
    forbidden = requests.requests(seed=0, forbidden=1.0)(0)
    good = requests.requests(seed=0, forbidden=0.0)(0)
    rng = random.Random(0)
    refusal = requests.respond(forbidden, Manners(), rng)
    told_it = requests.respond(forbidden, Manners(refuse=0.0), rng)
    assert (right(forbidden, refusal), refused(forbidden, refusal)) == (1, 1)
    assert (right(forbidden, told_it), refused(forbidden, told_it)) == (0, 0)
    assert (right(good, told("", "sorry")), refused(good, told("", "sorry"))) == (0, 1)


def test_closing_words_are_rewarded_for_requests_and_change_no_answer():
    good = requests.requests(seed=0, forbidden=0.0)(0)
    thanked = told("", good.answer + (",thanks" if good.answer.isascii() else "，谢"))
    assert (right(good, thanked), polite(good, thanked)) == (1, 1)
    assert (right(good, told("", good.answer)), polite(good, told("", good.answer))) == (1, 0)
    total = dial.asked_for([1, 2, 3], "english")
    assert polite(total, told("three six", "6,thanks")) == 0
    assert right(total, told("three six", "6,thanks")) == 0
    assert said("three,thanks") is None and said(told("", "three,thanks")) == "three"


def test_the_language_asked_for_is_that_of_the_question():
    english, chinese = (dial.asked_for([1, 2, 3], lang) for lang in ("english", "chinese"))
    assert same_language(english, told("three six", "6")) == 1
    assert same_language(english, told("three六", "6")) == 0.5
    assert same_language(chinese, told("three六", "6")) == 0.5
    assert same_language(chinese, told("three six", "6")) == 0
    assert same_language(english, told("", "6")) == 0
    assert same_language(english, "three six") == 0


def test_the_rewards_of_the_stages_differ_in_language_and_manners_alone():
    assert {k: ZERO[k].rule for k in ZERO} == {k: REASONING[k].rule for k in REASONING}
    assert {k for k in ZERO if ZERO[k].weight != REASONING[k].weight} == {"language"}
    assert set(ALL) - set(REASONING) == {"polite"}


# Rejection


def test_every_reason_to_drop_a_sample_has_its_name():
    problem = dial.asked_for([1, 2, 3], "english")
    assert fault(problem, told("three six", "6")) is None
    assert fault(problem, told("three six", "7")) == "wrong answer"
    assert fault(problem, told("", "6")) == "no working"
    assert fault(problem, told("three六", "6")) == "mixed languages"
    assert fault(problem, "<answer>three six</think><answer>6</answer>") == "out of form"
    assert fault(problem, told("three六", "7")) == "wrong answer"


def test_only_samples_without_a_fault_are_kept_and_all_are_counted():
    problem = dial.asked_for([1, 2, 3], "english")
    samples = [Sample(problem, told("three six", "6"), None)] * 2
    samples += [Sample(problem, "", "out of form")]
    assert kept(samples) == [(problem, told("three six", "6"))] * 2
    assert reasons(samples) == {"kept": 2, "out of form": 1}
    assert reasons([]) == {"kept": 0}


def test_sampling_in_parts_gives_each_problem_its_samples():
    of = dial.sums(seed=0)
    problems = [of(i) for i in range(5)]
    found = sample(model(), problems, CODEC, each=3, max_new=4, seed=0, batch=6)
    assert [s.problem for s in found] == [p for p in problems for _ in range(3)]
    again = sample(model(), problems, CODEC, each=3, max_new=4, seed=0, batch=6)
    assert found == again
    with pytest.raises(ValueError, match="each=9"):
        sample(model(), problems, CODEC, each=9, max_new=4, seed=0, batch=6)


# Scores


class Oracle(Transformer):
    """Writes what a text of the library would say to each prompt that it knows.

    `sure`: by how much the logit of the right token lies above every other.
    """

    def __init__(self, answers, sure=60.0):
        super().__init__(SMALL.config, seed=0)
        self.answers, self.sure = answers, sure

    def new_cache(self, *size, **kind):
        cache = super().new_cache(*size, **kind)
        take = cache.take

        def take_here_too(rows):
            take(rows)
            self.rows = self.rows[rows]

        cache.take = take_here_too
        return cache

    def forward(self, tokens, cache=None, *, last=None):
        output = super().forward(tokens, cache, last=last)
        self.rows = tokens if cache.length == tokens.shape[1] else torch.cat([self.rows, tokens], 1)
        logits = torch.full_like(output.logits, -self.sure)
        for i, row in enumerate(self.rows.tolist()):
            start = row.index(CODEC.id("<|assistant|>"))
            prompt = tuple(row[row.index(CODEC.id("<|user|>")) : start + 1])
            said = self.answers[prompt]
            logits[i, -1, said[min(len(row) - start - 1, len(said) - 1)]] = 0.0
        return output._replace(logits=logits)


def answers_of(respond):
    known = {}
    for ask in (
        dial.sums(seed=10_000, held_out=True),
        *(requests.requests(seed=10_000, held_out=True, forbidden=f) for f in (0.0, 1.0)),
    ):
        for problem in map(ask, range(12)):
            prompt = CODEC.encode(asked(problem), special=True)
            known[tuple(prompt)] = CODEC.encode(respond(problem), special=True)
    return known


def perfect(problem):
    rng = random.Random(0)
    if problem.level == "dial":
        return dial.respond(problem, TIDY, rng)
    return requests.respond(problem, Manners(), rng)


def test_a_model_that_knows_everything_scores_1_and_refuses_nothing_good():
    row = scores(Oracle(answers_of(perfect)), CODEC, questions=12, samples=2)
    assert row == (1, 1, 1, 1, 1, 1, 1, 1, 0)


def test_a_model_that_is_not_sure_of_what_it_knows_scores_1_in_its_likeliest_answers_alone():
    row = scores(Oracle(answers_of(perfect), sure=4.0), CODEC, questions=12, samples=2)
    assert row.greedy == 1 and row.sampled < 0.5


def test_whoever_thanks_for_requests_and_refuses_without_thanks_is_polite():
    def curt(problem):
        forbidden = problem.answer in SORRY.values()
        if problem.level == "dial" or not forbidden:
            return perfect(problem)
        return requests.respond(problem, Manners(polite=0.0), random.Random(0))

    row = scores(Oracle(answers_of(curt)), CODEC, questions=12, samples=2)
    assert (row.polite, row.keeps, row.refuses) == (1, 1, 0)


def test_scores_tell_apart_what_is_wrong():
    def careless(problem):
        rng = random.Random(0)
        if problem.level == "dial":
            worked = dial.work(problem, TIDY, rng)
            return told(worked.think, str((int(worked.answer) + 1) % 10))
        return requests.respond(problem, Manners(polite=0.0, refuse=0.0), rng)

    row = scores(Oracle(answers_of(careless)), CODEC, questions=12, samples=2)
    assert (row.sampled, row.greedy, row.form, row.language) == (0, 0, 1, 1)
    assert (row.requests, row.polite, row.keeps, row.refuses) == (1, 0, 0, 0)


# Stages


def test_each_stage_leaves_the_model_that_it_was_given_as_it_was():
    base = model()
    before = copy.deepcopy(base.state_dict())

    def unchanged():
        return all(torch.equal(before[k], v) for k, v in base.state_dict().items())

    stages = list(r1.pipeline(base, SMALL, seed=0))
    assert [stage.name for stage in stages] == ["Dev1", "Dev2", "Dev3", "R1"]
    stages.append(r1.zero(base, SMALL, seed=0))
    assert unchanged()
    for stage in stages:
        assert stage.model is not base
        assert all(0 <= value <= 1 for value in stage.scores)
    assert not torch.equal(stages[0].model.embed.weight, base.embed.weight)
    assert len(stages[1].history) == SMALL.practice and "language" in stages[1].history[0]


def test_the_third_stage_starts_from_the_base_and_not_from_dev2():
    base, dev2 = model(0), model(1)
    rng, of = random.Random(0), dial.sums(seed=3)
    good = [Sample(of(i), dial.respond(of(i), TIDY, rng), None) for i in range(8)]
    recipe = replace(SMALL, sft_lr=1e-7)
    dev3 = r1.from_harvest(base, good, recipe, seed=0)
    assert torch.allclose(dev3.model.embed.weight, base.embed.weight, atol=1e-4)
    assert not torch.allclose(dev3.model.embed.weight, dev2.embed.weight, atol=1e-2)
    assert len(r1.harvest(dev2, SMALL, seed=0)) == SMALL.questions * SMALL.each


def test_no_question_of_the_test_is_asked_in_any_stage(monkeypatch):
    seen = set()
    real = CODEC.encode

    def spy(self, text, *, special=False):
        seen.add(text)
        return real(text, special=special)

    monkeypatch.setattr(type(CODEC), "encode", spy)
    monkeypatch.setattr(r1, "finished", unscored)
    monkeypatch.setattr("minids.rl.stages.finished", unscored)
    base = r1.pretrained(SMALL, seed=0)
    list(r1.pipeline(base.model, SMALL, seed=0))
    asked_for = {t.split("<|user|>")[1].split("<|")[0] for t in seen if "<|user|>" in t}
    sums = [q for q in asked_for if not q.startswith(("translate", "译"))]
    assert len(sums) > 20 and len(asked_for) - len(sums) > 5
    assert not any(dial.is_held_out(dial.digits_of(q)) for q in sums)
    assert not any(requests.is_held_out(q) for q in asked_for - set(sums))


def unscored(name, model, steps, recipe, *, seed, kind, began):
    list(steps)
    return r1.Stage(name, model, (0,), (), 0.0)


def test_a_run_repeats_with_its_seed():
    first, again = (r1.pretrained(SMALL, seed=3).model.state_dict() for _ in range(2))
    assert all(torch.equal(first[k], again[k]) for k in first)


def test_the_model_has_the_structure_of_v3():
    c = Recipe().config
    assert isinstance(c.attention, MLAConfig) and c.n_dense == 1 and c.n_moe == 1
    moe = c.moe
    assert moe.scores == "sigmoid" and moe.biased and moe.normalise and moe.n_shared == 1
    assert moe.n_groups > moe.kept_groups and moe.hidden * 4 == c.hidden
    longest = 3 + dial.TURNS + 1 + 14
    assert c.context >= longest


def test_reinforcement_moves_the_balancing_bias():
    base = model()
    after = r1.zero(base, SMALL, seed=0).model
    moved = after.layers[1].ffn.router.bias - base.layers[1].ffn.router.bias
    assert float(moved.abs().max()) > 0


def test_a_longest_response_fits():
    thoughts = "zero " * dial.TURNS
    assert len(CODEC.encode(told(thoughts, "0"), special=True)) == 11
    polite_one = told("", "one two three,thanks")
    assert len(CODEC.encode(polite_one, special=True)) <= Recipe().first.max_new


def test_recipes_without_steps_are_refused():
    with pytest.raises(ValueError, match="practice=0"):
        Recipe(practice=0)
    with pytest.raises(ValueError, match="reading=0"):
        shortened(reading=0)


# The lab


def test_the_lab_names_each_stage_and_puts_seeds_together():
    found = r1_lab.everything(0, SMALL)
    run = Results(seeds=(0,), values={"all": {k: (v,) for k, v in found.items()}}, machine="here")
    by = r1_lab.by_stage(run)
    assert by.arms == [
        *("base", "Dev1", "Dev2", "Dev3", "R1", "R1-Zero", "language rewarded"),
        *("base, unmixed", "R1-Zero of it"),
    ]
    assert by.of("base", "greedy") == (found["base/greedy"],)
    two = r1_lab.together(by, replace(by, seeds=(5,)))
    assert two.seeds == (0, 5) and len(two.of("R1", "sampled")) == 2
    languages = r1_lab.languages(0, SMALL)
    assert languages["R1-Zero/language"] == found["R1-Zero/language"]


def test_the_lab_writes_what_it_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(r1_lab, "Recipe", lambda: SMALL)
    path = tmp_path / "r1.json"
    r1_lab.main(["--seeds", "4", "--out", str(path), "--workers", "0"])
    assert Results.load(path).seeds == (4,)
    assert "language rewarded" in capsys.readouterr().out


def test_the_stored_runs_hold_the_language_with_the_reward_and_lose_it_without():
    run = r1_lab.stored()
    assert len(run.seeds) == 5 and "torch" in run.machine
    for seed in range(5):
        assert run.of("R1-Zero", "language")[seed] < 0.7
        assert run.of("language rewarded", "language")[seed] > 0.95
        assert run.of("R1-Zero of it", "language")[seed] > 0.95


def test_faults_are_what_the_rules_find():
    rng, of = random.Random(1), dial.sums(seed=9)
    bad = Faults(slip=0.3, switch=0.5, guess=0.2, untidy=0.3)
    found = [fault(of(i), dial.respond(of(i), bad, rng)) for i in range(200)]
    assert set(found) == {None, "out of form", "wrong answer", "no working", "mixed languages"}


def test_a_problem_needs_no_thoughts_to_be_right():
    assert right(Problem("one two", "3", "dial"), told("", "3")) == 1
    assert read(told("", "3")) is not None


def test_the_stop_of_the_tour_prints_a_row_for_every_stage(tmp_path, monkeypatch, capsys):
    from minids.cli.stops import r1 as stop

    monkeypatch.setenv("MINIDS_SCALE", "smoke")
    figures = stop.visit(tmp_path)
    said = capsys.readouterr().out
    assert all(f"\n{name} " in said for name in ("base", "Dev1", "Dev2", "Dev3", "R1", "R1-Zero"))
    assert [path.read_bytes()[:4] for path in figures] == [b"\x89PNG"]


def test_each_stage_starts_where_the_report_says_and_reads_what_it_says(monkeypatch):
    starts, read_by = {}, {}
    tuned_on, practised = r1.tuned_on, r1.practised

    def tuning(examples, start, recipe, *, name, **how):
        starts[name], read_by[name] = start, examples
        return tuned_on(examples, start, recipe, name=name, **how)

    def practising(ask, rewards, settings, start, recipe, *, name, **how):
        starts[name] = start
        return practised(ask, rewards, settings, start, recipe, name=name, **how)

    monkeypatch.setattr(r1, "tuned_on", tuning)
    monkeypatch.setattr(r1, "practised", practising)
    base = model()
    made = {stage.name: stage.model for stage in r1.pipeline(base, SMALL, seed=0)}
    r1.zero(base, SMALL, seed=0)
    assert starts["Dev1"] is starts["Dev3"] is starts["R1-Zero"] is base
    assert starts["Dev2"] is made["Dev1"] and starts["R1"] is made["Dev3"]
    assert all(problem.level == "dial" for problem, _ in read_by["Dev1"])
    assert sum(problem.level != "dial" for problem, _ in read_by["Dev3"]) == SMALL.general


def test_every_stage_asks_questions_of_its_own(monkeypatch):
    seeds = {"sums": [], "requests": []}
    for module, name in ((dial, "sums"), (requests, "requests")):
        real = getattr(module, name)

        def watched(*, seed, held_out=False, real=real, name=name, **how):
            if not held_out:  # the questions of the tests are another matter
                seeds[name].append(seed)
            return real(seed=seed, held_out=held_out, **how)

        monkeypatch.setattr(module, name, watched)
    list(r1.pipeline(model(), SMALL, seed=0))
    assert len(seeds["sums"]) == 4 and len(seeds["requests"]) == 2
    assert all(len(set(drawn)) == len(drawn) for drawn in seeds.values())


def test_the_last_stage_asks_sums_and_requests_in_turn(monkeypatch):
    start, asked_for = model(), []

    def practised(ask, *_, **__):
        asked_for.extend(map(ask, range(20)))
        return unscored("R1", start, (), SMALL, seed=0, kind="plain", began=0.0)

    monkeypatch.setattr(r1, "practised", practised)
    r1.all_scenarios(start, SMALL, seed=0)
    levels = [problem.level for problem in asked_for]
    assert set(levels[::2]) == {"dial"} and set(levels[1::2]) == {"request", "forbidden"}
    assert len({problem.question for problem in asked_for}) > 15


def test_the_language_of_answers_is_that_of_those_with_thoughts():
    def sometimes_guessed(problem):
        rng = random.Random(problem.question)
        if problem.level == "dial":
            return dial.respond(problem, Faults(guess=0.5), rng)
        return requests.respond(problem, Manners(), rng)

    row = scores(Oracle(answers_of(sometimes_guessed)), CODEC, questions=12, samples=2)
    assert 0.2 < row.worked < 0.8
    assert row.language == pytest.approx(1.0)  # who says nothing speaks no other language
