"""Orders are written as the papers draw them, and hold each chunk exactly once."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minids.systems.schedules import (
    Chunk,
    dualpipe,
    gpipe,
    one_f_one_b,
    stage_of,
    write,
    zb1p,
)


def words(order) -> str:
    """The order as text, micro-batches with their numbers."""
    return " ".join("&".join(f"{c.work}{c.micro}" for c in slot) for slot in order)


def test_words_take_the_next_micro_batch_of_their_kind_and_way():
    order = write((2, "F0 F1"), (1, "I1 F0&B1 W"), (1, "B0"))
    assert order[:4] == [(Chunk("F", i, way),) for i in (0, 1) for way in (0, 1)]
    assert order[4:] == [
        (Chunk("I", 0, 1),),
        (Chunk("F", 2, 0), Chunk("B", 1, 1)),
        (Chunk("W", 0, 1),),
        (Chunk("B", 0, 0),),
    ]


def test_the_oldest_weights_are_taken_first():
    assert words(write((3, "I0"), (3, "W"))) == "I0 I1 I2 W0 W1 W2"


def test_gpipe_and_1f1b_of_three_stages_as_drawn_in_the_papers():
    assert words(gpipe(2, 3)[1]) == "F0 F1 F2 B0 B1 B2"
    assert [words(order) for order in one_f_one_b(3, 4)] == [
        "F0 F1 F2 B0 F3 B1 B2 B3",
        "F0 F1 B0 F2 B1 F3 B2 B3",
        "F0 B0 F1 B1 F2 B2 F3 B3",
    ]


def test_zb1p_keeps_back_as_many_weights_as_there_are_stages_before():
    assert [words(order) for order in zb1p(3, 4)] == [
        "F0 F1 F2 I0 W0 F3 I1 W1 I2 W2 I3 W3",
        "F0 F1 I0 F2 I1 W0 F3 I2 W1 I3 W2 W3",
        "F0 I0 F1 I1 F2 I2 W0 F3 I3 W1 W2 W3",
    ]


def test_the_first_device_of_dualpipe_as_published_for_8_stages_and_20_micro_batches():
    """Device 0 in the figure of the public implementation; the other way's numbers follow from
    its last device.
    """
    assert words(dualpipe(8, 20)[0]) == (
        "F0 F1 F2 F3 F4 F5 F6 F0 I0 W0 F1 I1 W1 F2 I2 W2 F3 "
        "F7&B3 F4&B0 F8&B4 F5&B1 F9&B5 F6&B2 B6 F7&B3 B7 F8&B4 B8 F9&B5 "
        "B9 I6 W6 I7 W7 I8 W8 I9 W9"
    )


ORDERS = {"gpipe": gpipe, "1f1b": one_f_one_b, "zb1p": zb1p, "dualpipe": dualpipe}


@pytest.mark.parametrize("name", ORDERS)
@given(stages=st.integers(1, 9), more=st.integers(0, 12))
@settings(max_examples=25, deadline=None)
def test_every_stage_runs_every_micro_batch_once_each_way(name, stages, more):
    if name == "dualpipe":
        stages, more = 2 * (stages // 2 + 1), 2 * more
    micros = more + (2 * stages if name == "dualpipe" else stages)
    orders = ORDERS[name](stages, micros)
    ways = 2 if name == "dualpipe" else 1
    ran: Counter = Counter()
    for device, order in enumerate(orders):
        for chunk in (c for slot in order for c in slot):
            at = chunk.micro, chunk.way, stage_of(device, chunk.way, stages)
            for half in {"B": "IW"}.get(chunk.work, chunk.work):
                ran[half, *at] += 1
    every = {
        (work, micro, way, stage)
        for work in "FIW"
        for micro in range(micros // ways)
        for way in range(ways)
        for stage in range(stages)
    }
    assert set(ran) == every
    assert set(ran.values()) == {1}


@given(half=st.integers(1, 8), more=st.integers(0, 10))
@settings(max_examples=25, deadline=None)
def test_dualpipe_is_its_own_mirror_image(half, more):
    orders = dualpipe(2 * half, 4 * half + 2 * more)
    turned = [[tuple(c._replace(way=1 - c.way) for c in s) for s in o] for o in orders[::-1]]
    assert turned == orders


@given(half=st.integers(1, 8), more=st.integers(0, 10))
@settings(max_examples=25, deadline=None)
def test_a_pair_is_one_chunk_forward_and_one_backward_of_opposite_ways(half, more):
    for order in dualpipe(2 * half, 4 * half + 2 * more):
        for slot in order:
            if len(slot) == 2:
                assert [c.work for c in slot] == ["F", "B"]
                assert slot[0].way != slot[1].way


def test_the_middle_devices_run_one_pair_less_than_their_place_would_give_them():
    pairs = [sum(len(slot) == 2 for slot in order) for order in dualpipe(8, 20)]
    assert pairs == [9, 10, 11, 11, 11, 11, 10, 9]
    together = dualpipe(8, 20, overlap_first=True)
    assert [sum(len(s) == 2 for s in order) for order in together] == [9, 10, 11, 12, 12, 11, 10, 9]


@pytest.mark.parametrize(
    ("order", "stages", "micros", "says"),
    [
        (gpipe, 0, 4, "1 or more"),
        (one_f_one_b, 4, 0, "1 or more"),
        (zb1p, 0, 1, "1 or more"),
        (dualpipe, 0, 0, "1 or more"),
        (zb1p, 4, 3, "as many micro-batches as stages"),
        (dualpipe, 3, 8, "even number of stages"),
        (dualpipe, 4, 9, "even number of micro-batches"),
        (dualpipe, 4, 6, "two for each stage"),
    ],
)
def test_what_a_schedule_cannot_do_is_refused(order, stages, micros, says):
    with pytest.raises(ValueError, match=says):
        order(stages, micros)
