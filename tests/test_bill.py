"""The bill is the report's, and the work it paid for is what DeepSeek measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minids import accounting, bill
from minids.presets import preset
from minids.study import tables

V3 = preset("deepseek-v3")
CAUSAL, WHOLE = 2048, 4096  # keys that the mean token of 4096 meets: half of the matrix, or all


def published(table: str, key: str, value: str) -> dict:
    return {row[key]: row[value] for row in tables.read(table)}


def test_v3s_bill_is_table_1():
    said = published("cost", "stage", "h800_khours")
    assert [hours / 1e3 for hours in bill.V3] == pytest.approx(
        [said["pre-training"], said["context extension"], said["post-training"]]
    )
    assert bill.V3.hours == pytest.approx(2788e3)
    assert bill.V3.dollars() == pytest.approx(5.576e6)


def test_a_trillion_tokens_take_2048_cards_3_7_days():
    assert round(bill.days(180e3, 2048), 1) == tables.figure("v3_days_per_trillion")


def test_training_flops_per_token_are_those_that_deepseek_publishes():
    for row in tables.read("training_flops"):
        if str(row["model"]).startswith("deepseek"):
            ours = accounting.flops_per_token(preset(row["model"]), CAUSAL) / 1e9
            assert round(ours) == row["gflops_per_token"]


@pytest.mark.parametrize(("context", "name"), [(CAUSAL, "causal half"), (WHOLE, "whole")])
def test_the_hours_imply_the_utilisation_that_deepseek_measured(context, name):
    said = published("utilisation", "what", "value")
    name = name if name == "causal half" else "whole attention matrix"
    flops = accounting.training_flops(V3, 14.8e12, context)
    hours = bill.V3.pre_training
    assert 100 * bill.mfu(flops, hours) == pytest.approx(said[f"MFU, {name}"], abs=0.2)
    rate = flops / hours / 3600 / 1e12
    assert rate == pytest.approx(said[f"rate, {name}"], abs=2)
    assert said[f"rate, {name}"] / said[f"MFU, {name}"] * 1e14 == pytest.approx(
        bill.H800_BF16, rel=2e-3
    )


def test_a_step_of_15360_sequences_takes_as_long_as_the_tokens_per_day_say():
    step = published("step", "part", "seconds")["step"]
    per_day = published("utilisation", "what", "value")["tokens per day"] * 1e9
    assert 15_360 * 4096 * 86_400 / step == pytest.approx(per_day, rel=1e-3)


def test_parts_of_a_step_add_up():
    parts = published("step", "part", "seconds")
    whole = parts.pop("step")
    assert sum(parts.values()) == pytest.approx(whole, abs=0.03)


def test_utilisation_and_hours_are_inverse():
    assert bill.gpu_hours(1e24, bill.mfu(1e24, 5e5)) == pytest.approx(5e5)


def test_the_dense_twin_activates_all_that_it_has():
    twin = bill.dense(V3)
    assert accounting.activated(twin, "both tables") == accounting.parameters(twin).total
    assert accounting.parameters(twin) == accounting.parameters(V3)
    ratio = accounting.flops_per_token(twin, CAUSAL) / accounting.flops_per_token(V3, CAUSAL)
    assert ratio == pytest.approx(16.18, abs=0.01)
    assert bill.dense(preset("deepseek-llm-7b")) == preset("deepseek-llm-7b")


def test_counting_all_parameters_gives_a_utilisation_that_nobody_can_have():
    flops = accounting.training_flops(bill.dense(V3), 14.8e12, CAUSAL)
    assert bill.mfu(flops, bill.V3.pre_training) > 6


def test_five_sixths_of_v3s_work_is_in_fp8():
    """By hand: what is not is the scores, the head and the router, forward and backward."""
    scores = 61 * 128 * (192 + 128) * CAUSAL
    head, router = 129_280 * 7168, 58 * 256 * 7168
    other = 6 * (scores + head + router) / accounting.flops_per_token(V3, CAUSAL)
    assert bill.fp8_share(V3, CAUSAL) == pytest.approx(1 - other)
    assert 0.85 < bill.fp8_share(V3, CAUSAL) < 0.86
    shares = [bill.fp8_share(V3, n) for n in (0, 4096, 131_072)]
    assert shares == sorted(shares, reverse=True)


@given(st.floats(0, 1))
def test_a_mixture_is_never_faster_than_fp8_nor_slower_than_bf16(share):
    peak = bill.mixed_peak(share)
    assert bill.H800_BF16 * (1 - 1e-9) <= peak <= bill.H800_FP8 * (1 + 1e-9)


def test_times_of_a_mixture_add_up_and_not_rates():
    """Half of the work three times as fast: a half and a sixth of the time, so 1.5 times."""
    assert bill.mixed_peak(0.5, 1.0, 3.0) == pytest.approx(1.5)


def test_r1s_bill_is_cards_times_hours():
    rows = {row["part"]: row for row in tables.read("r1_cost")}
    for part in ("R1-Zero", "R1"):
        row = rows[part]
        assert round(row["gpus"] * row["hours"] / 1e3) == row["h800_khours"]
    assert sum(row["h800_khours"] for row in list(rows.values())[:-1]) == 147
    assert bill.Bill(147e3).dollars() == 294_000


def test_what_makes_no_sense_is_refused():
    for call in (
        lambda: bill.days(1.0, 0),
        lambda: bill.mfu(1.0, 0.0),
        lambda: bill.gpu_hours(1.0, 1.5),
        lambda: bill.mixed_peak(1.2),
    ):
        with pytest.raises(ValueError):
            call()
