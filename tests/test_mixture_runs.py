"""Chapter 03's run: it learns, it keeps what it made, and it can be taken apart."""

import math

import pytest
import torch

from minids.model.transformer import Transformer
from minids.presets import DATA
from minids.study import mixture_runs as runs
from minids.study import mixtures as m
from minids.study.results import Results


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("kept"))
    arm = "1 + 7 of 63"
    return folder, runs.run(seed=0, arm=arm, steps=4, marks=2, n=8, keep=folder)


def test_a_run_returns_every_number_that_the_chapter_draws(small):
    _, found = small
    assert {"loss", *runs.PROBES, "after 0", "after 2", "after 4", "by chance"} <= set(found)
    assert found["loss"] < math.log(len(m.letters()))
    assert all(math.isfinite(x) for x in found.values())


def test_the_kept_model_is_the_one_that_was_measured(small):
    folder, found = small
    model = runs.kept(folder, "1 + 7 of 63", 0)
    assert m.examine(model, m.controlled(), n=8).loss == pytest.approx(found["loss"], abs=1e-5)


def test_a_seed_repeats_and_another_one_differs():
    a, b, c = (runs.run(seed=s, arm="top-1 of 8", steps=1, n=4)["loss"] for s in (1, 1, 2))
    assert a == b != c


def test_what_does_not_apply_is_nan_and_the_names_are_the_same_for_all_arms(small):
    dense = runs.run(seed=0, arm="dense, active size", steps=4, marks=2, n=8)
    assert set(dense) == set(small[1])
    assert all(math.isnan(dense[name]) for name in (*runs.PROBES, "after 0", "MaxVio"))


def test_probes_add_nothing_to_a_model_whose_experts_return_nothing():
    model = Transformer(m.toy("1 + 7 of 63"))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("down") or name.endswith("shared.down.weight"):
                weight.zero_()
    added = runs.taken_apart(model, m.controlled(), 2)
    assert all(abs(x) < 1e-6 for x in added.values())


def test_the_stored_runs_show_what_the_chapter_says_about_them():
    six = Results.load(DATA / "results" / "mixtures.json")
    order = ("dense, active size", "top-1 of 8", "top-2 of 16", "dense, total size")
    means = [six.mean(arm) for arm in order]
    assert len(six.seeds) == 6
    assert means == sorted(means, reverse=True)
    assert all(six.difference(arm).inside for arm in ("8 of 64", "1 + 7 of 63"))
    off, fewer = (six.of("1 + 7 of 63", name) for name in ("shared off", "one routed fewer"))
    assert all(a > 10 * b for a, b in zip(off, fewer, strict=True))


def test_widths_are_those_of_the_models():
    for arm in m.ARMS:
        c = m.toy(arm)
        if c.moe is not None:
            assert runs.active(arm) == (c.moe.top_k + c.moe.n_shared) * c.moe.hidden
            assert runs.total(arm) == (c.moe.n_routed + c.moe.n_shared) * c.moe.hidden
        else:
            assert runs.active(arm) == runs.total(arm) == c.hidden
