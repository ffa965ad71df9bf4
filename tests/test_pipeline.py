"""The simulator keeps the rules of a pipeline, and finds the bubbles of DeepSeek-V3's Table 2."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minids.study import tables
from minids.systems.pipeline import (
    Times,
    bubble_1f1b,
    bubble_dualpipe,
    bubble_zb1p,
    simulate,
    waits_for,
)
from minids.systems.schedules import (
    Chunk,
    dualpipe,
    gpipe,
    one_f_one_b,
    stage_of,
    write,
    zb1p,
)

EQUAL = Times(forward=1, backward=2, weights=1)
WAYS = {"gpipe": gpipe, "1f1b": one_f_one_b, "zb1p": zb1p, "dualpipe": dualpipe}


@st.composite
def chunk_times(draw, *, weights_at_most="inputs") -> Times:
    """Whole numbers, so that sums are exact; W is no longer than I, and than F where said."""
    f, i = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    w = draw(st.integers(1, min(f, i) if weights_at_most == "forward" else i))
    pair = draw(st.integers(max(f, i + w), f + i + w))
    return Times(forward=f, backward=i + w, weights=w, overlapped=pair)


@st.composite
def runs(draw):
    """Any schedule that fits, with any times: what `made` needs."""
    name = draw(st.sampled_from(sorted(WAYS)))
    stages, more = draw(st.integers(1, 7)), draw(st.integers(0, 8))
    if name == "dualpipe":
        stages, more = 2 * ((stages + 1) // 2), 2 * more + stages + stages % 2
    return name, stages, stages + more, draw(chunk_times())


def made(run):
    """The orders and the times of a run (built outside: beartype must not draw in a strategy)."""
    name, stages, micros, times = run
    return WAYS[name](stages, micros), times


# --- the rules


@given(runs())
@settings(max_examples=30, deadline=None)
def test_no_device_does_two_things_at_once(run):
    timeline = simulate(*made(run))
    for device in range(timeline.n_devices):
        slots = timeline.of(device)
        assert all(a.end <= b.start for a, b in zip(slots, slots[1:], strict=False))


@given(runs())
@settings(max_examples=30, deadline=None)
def test_every_chunk_waits_for_what_it_needs(run):
    """Written out anew: forward goes down the stages, gradients come up, weights come last."""
    timeline = simulate(*made(run))
    n = timeline.n_devices
    when = {}
    for r in timeline.ran:
        for c in r.slot:
            when[c.work, c.micro, c.way, stage_of(r.device, c.way, n)] = r.start, r.end
    for (work, micro, way, stage), (start, _) in when.items():
        before = []
        if work == "F" and stage > 0:
            before = ["F", stage - 1]
        elif work in "BI":
            assert when["F", micro, way, stage][1] <= start
            if stage < n - 1:
                kind = "B" if ("B", micro, way, stage + 1) in when else "I"
                before = [kind, stage + 1]
        elif work == "W":
            before = ["I", stage]
        if before:
            assert when[before[0], micro, way, before[1]][1] <= start


@given(runs())
@settings(max_examples=30, deadline=None)
def test_work_is_conserved_and_nobody_idles_less_than_nothing(run):
    orders, times = made(run)
    timeline = simulate(orders, times)
    for device, order in enumerate(orders):
        assert timeline.busy[device] == sum(times.of(slot) for slot in order)
    assert all(idle >= 0 for idle in timeline.idle)
    assert timeline.bubble == timeline.end - min(timeline.busy)
    assert len(timeline.ran) == sum(map(len, orders))


@given(runs())
@settings(max_examples=30, deadline=None)
def test_a_device_starts_as_soon_as_it_is_free_and_may(run):
    """No slot could have begun earlier: it begins at 0, or where something that it needs ends."""
    timeline = simulate(*made(run))
    n = timeline.n_devices
    ends = {}
    for r in timeline.ran:
        for c in r.slot:
            what = "gradient" if c.work in "BI" else c.work
            ends[what, c.micro, c.way, stage_of(r.device, c.way, n)] = r.end
    for device in range(n):
        free = 0
        for r in timeline.of(device):
            needs = [
                ends[need] for c in r.slot for need in waits_for(c, stage_of(device, c.way, n), n)
            ]
            assert r.start == max([free, *needs])
            free = r.end


@given(runs(), st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_twice_as_slow_is_twice_as_long(run, factor):
    orders, t = made(run)
    slow = Times(
        forward=factor * t.forward,
        backward=factor * t.backward,
        weights=factor * t.weights,
        overlapped=factor * t.pair,
    )
    assert simulate(orders, slow).end == factor * simulate(orders, t).end


@given(runs())
@settings(max_examples=40, deadline=None)
def test_all_activations_are_freed_in_the_end_and_none_before_it_was_taken(run):
    timeline = simulate(*made(run))
    for device in range(timeline.n_devices):
        counts = [held for _, held in timeline.held(device)]
        assert counts[-1] == 0 and min(counts) >= 0


# --- the bubbles of Table 2


@pytest.mark.parametrize("stages", [1, 2, 3, 5, 8, 12])
@pytest.mark.parametrize("micros", [1, 2, 5, 12, 17])
def test_gpipe_and_1f1b_idle_exactly_as_long_as_the_formula_says(stages, micros):
    for f, b, w in ((1, 2, 1), (3, 5, 2), (2, 7, 3)):
        times = Times(forward=f, backward=b, weights=w)
        for orders in (gpipe(stages, micros), one_f_one_b(stages, micros)):
            assert simulate(orders, times).idle == stages * [bubble_1f1b(stages, times)]


@pytest.mark.parametrize("stages", [1, 2, 3, 5, 8, 12])
@pytest.mark.parametrize("more", [0, 1, 7])
def test_zb1p_idles_exactly_as_long_as_the_formula_says(stages, more):
    for f, b, w in ((1, 2, 1), (3, 5, 2), (4, 7, 1)):
        times = Times(forward=f, backward=b, weights=w)
        timeline = simulate(zb1p(stages, stages + more), times)
        assert timeline.idle == stages * [bubble_zb1p(stages, times)]


@given(st.integers(1, 10), st.integers(0, 10), chunk_times(weights_at_most="forward"))
@settings(max_examples=30, deadline=None)
def test_both_formulas_hold_for_any_times_with_short_weights(stages, more, times):
    micros = stages + more
    assert simulate(one_f_one_b(stages, micros), times).bubble == bubble_1f1b(stages, times)
    assert simulate(zb1p(stages, micros), times).bubble == bubble_zb1p(stages, times)


@given(st.integers(1, 10), st.integers(0, 10), chunk_times())
@settings(max_examples=30, deadline=None)
def test_zb1ps_formula_supposes_that_weights_take_no_longer_than_forward(stages, more, t):
    """With W > F the filling is too coarse: the bubble stays at (PP - 1) I, above the formula."""
    bubble = simulate(zb1p(stages, stages + more), t).bubble
    assert bubble == (stages - 1) * (t.inputs + max(t.forward - t.weights, 0))
    assert bubble >= bubble_zb1p(stages, t)


@pytest.mark.parametrize(
    ("orders", "times", "formula", "longer"),
    [
        (zb1p(4, 8), Times(forward=10, backward=16, weights=10), bubble_zb1p, 12),
        (
            dualpipe(4, 8, overlap_first=True),
            Times(forward=7, backward=21, weights=12, overlapped=26),
            bubble_dualpipe,
            3,
        ),
    ],
)
def test_both_formulas_suppose_that_weights_take_no_longer_than_inputs(
    orders, times, formula, longer
):
    assert simulate(orders, times).bubble == formula(4, times) + longer


@given(st.integers(1, 8), st.integers(0, 8), chunk_times())
@settings(max_examples=30, deadline=None)
def test_dualpipes_middle_devices_idle_as_the_report_says_if_forward_is_no_longer(half, more, t):
    """Exact for any F <= B - W; where F is longer, F stands in the place of B - W."""
    stages = 2 * half
    orders = dualpipe(stages, 4 * half + 2 * more, overlap_first=True)
    timeline = simulate(orders, t)
    longer = (half - 1) * max(t.forward - t.inputs, 0)
    assert timeline.bubble == bubble_dualpipe(stages, t) + longer
    assert timeline.idle[half - 1] == timeline.idle[half] == timeline.bubble


@given(st.integers(1, 8), st.integers(0, 8), chunk_times())
@settings(max_examples=30, deadline=None)
def test_the_public_order_saves_at_most_one_forward_chunk_more(half, more, t):
    stages, micros = 2 * half, 4 * half + 2 * more
    together = simulate(dualpipe(stages, micros, overlap_first=True), t).bubble
    apart = simulate(dualpipe(stages, micros), t).bubble
    saved = (half - 1) * max(t.inputs - t.forward, 0)
    assert together - apart == min(t.forward, saved)


@given(st.integers(1, 8), st.integers(0, 8), chunk_times())
@settings(max_examples=40, deadline=None)
def test_devices_further_out_overlap_less_so_they_work_more_and_idle_less(half, more, t):
    timeline = simulate(dualpipe(2 * half, 4 * half + 2 * more), t)
    gain = t.forward + t.backward - t.pair
    outer = [timeline.bubble - gain * max(half - 2 - d, 0) for d in range(half)]
    assert timeline.idle == outer + outer[::-1]


def test_the_public_figure_of_8_stages_and_20_micro_batches_ends_after_66_cells():
    """F and halves of B one cell, B two, F&B three: 60 cells of work and 6 of bubble."""
    timeline = simulate(dualpipe(8, 20), EQUAL)
    assert (timeline.end, timeline.bubble) == (66, 6)
    assert timeline.busy == 8 * [60]
    assert [run.start for run in timeline.of(3)][:2] == [3, 4]


def test_table_2_is_what_the_formulas_say():
    said = {row["schedule"]: row["bubble"] for row in tables.read("pipeline")}
    numbers = {"PP": 8, "F": 3, "B": 5, "W": 2, "F&B": 7}
    times = Times(forward=3, backward=5, weights=2, overlapped=7)
    ours = {"1F1B": bubble_1f1b, "ZB1P": bubble_zb1p, "DualPipe": bubble_dualpipe}
    for name, formula in ours.items():
        text = str(said[name]).replace("F&B", "7").replace("2W", "2*W").replace("3W", "3*W")
        text = text.replace(")(", ")*(")
        assert formula(8, times) == eval(text, {}, numbers)


# --- memory


@given(st.integers(1, 10), st.integers(0, 10), chunk_times(weights_at_most="forward"))
@settings(max_examples=30, deadline=None)
def test_peaks_are_those_of_table_2(stages, more, times):
    micros = stages + more
    assert simulate(gpipe(stages, micros), times).peaks == stages * [micros]
    assert simulate(one_f_one_b(stages, micros), times).peaks == list(range(stages, 0, -1))
    assert simulate(zb1p(stages, micros), times).peaks == stages * [stages]


@given(st.integers(1, 8), st.integers(0, 10), chunk_times(weights_at_most="forward"))
@settings(max_examples=30, deadline=None)
def test_every_device_of_dualpipe_holds_one_micro_batch_more_than_there_are_stages(half, more, t):
    timeline = simulate(dualpipe(2 * half, 4 * half + 2 * more), t)
    assert timeline.peaks == 2 * half * [2 * half + 1]


# --- on paper


def test_two_stages_and_two_micro_batches_by_hand():
    timeline = simulate(one_f_one_b(2, 2), EQUAL)
    first = [(r.start, r.end, r.slot[0].work, r.slot[0].micro) for r in timeline.of(0)]
    assert first == [(0, 1, "F", 0), (1, 2, "F", 1), (4, 6, "B", 0), (7, 9, "B", 1)]
    second = [(r.start, r.end, r.slot[0].work, r.slot[0].micro) for r in timeline.of(1)]
    assert second == [(1, 2, "F", 0), (2, 4, "B", 0), (4, 5, "F", 1), (5, 7, "B", 1)]
    assert timeline.idle == [3, 3]
    assert timeline.held(0) == [(0, 1), (1, 2), (6, 1), (9, 0)]


def test_one_device_never_waits():
    for orders in (gpipe(1, 5), one_f_one_b(1, 5), zb1p(1, 5)):
        assert simulate(orders, EQUAL).end == 15
        assert simulate(orders, EQUAL).bubble == 0


def test_without_order_of_forward_before_backward_1f1b_would_be_gpipe():
    """The idea removed: doing all forward first takes as long and holds every micro-batch."""
    plain, mixed = simulate(gpipe(4, 9), EQUAL), simulate(one_f_one_b(4, 9), EQUAL)
    assert plain.end == mixed.end
    assert (max(plain.peaks), max(mixed.peaks)) == (9, 4)


def test_without_splitting_backward_the_bubble_of_zb1p_is_that_of_1f1b():
    nearly = Times(forward=1, backward=2, weights=Fraction(1, 10**9))
    assert simulate(zb1p(4, 8), nearly).bubble == pytest.approx(
        float(simulate(one_f_one_b(4, 8), nearly).bubble), abs=1e-8
    )


def test_fractions_stay_exact():
    third = Times(forward=Fraction(1, 3), backward=Fraction(2, 3), weights=Fraction(1, 7))
    assert simulate(zb1p(7, 9), third).bubble == 6 * (1 - Fraction(2, 7))


def test_orders_that_wait_for_each_other_are_refused():
    crossed = [write((1, "F0 B0")), [(Chunk("B", 0),), (Chunk("F", 0),)]]
    with pytest.raises(ValueError, match=r"device 0 waits for ever: Chunk\(work='B'"):
        simulate(crossed, EQUAL)
    too_soon = [[(Chunk(work, 0),) for work in "FWI"]]
    with pytest.raises(ValueError, match=r"device 0 waits for ever: Chunk\(work='W'"):
        simulate(too_soon, EQUAL)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"forward": 0, "backward": 2, "weights": 1}, "chunks take time"),
        ({"forward": 1, "backward": 2, "weights": 2}, "less than the whole backward"),
        ({"forward": 1, "backward": 2, "weights": 0}, "chunks take time"),
        ({"forward": 3, "backward": 2, "weights": 1, "overlapped": 2}, "at least 3"),
    ],
)
def test_impossible_times_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Times(**wrong)
