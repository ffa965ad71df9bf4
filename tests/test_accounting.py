"""Counting from a config agrees with building the model, and with doing it by hand."""

import subprocess
import sys
from dataclasses import replace
from inspect import unwrap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minids import accounting
from minids.config import GQAConfig, MLAConfig, ModelConfig, MoEConfig
from minids.huggingface import to_hf
from minids.presets import PRESETS, preset

# Small enough for a sheet of paper, and no two widths alike.
LLAMA = ModelConfig(
    name="paper-llama",
    vocab=11,
    dim=6,
    n_layers=2,
    hidden=5,
    attention=GQAConfig(n_heads=3, n_kv_heads=1, head_dim=4),
    context=16,
)
MLA = MLAConfig(n_heads=2, kv_rank=3, q_rank=5, nope_dim=4, rope_dim=2, value_dim=7)
MOE = MoEConfig(n_routed=6, n_shared=2, top_k=3, hidden=9)
V3ISH = replace(LLAMA, n_layers=3, attention=MLA, moe=MOE, n_dense=1, mtp_depth=1)


def built(config: ModelConfig) -> torch.nn.Module:
    from minids.model.transformer import Transformer

    with torch.device("meta"):
        return Transformer(config)


def size(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_a_llama_counted_on_paper():
    p = accounting.parameters(LLAMA)
    assert p.embedding == p.head == 66
    assert p.attention == 2 * (6 * 12 + 6 * 4 + 6 * 4 + 12 * 6)
    assert p.dense == 2 * (3 * 6 * 5)
    assert p.norms == 2 * (6 + 6) + 6
    assert (p.routed, p.shared, p.router, p.mtp) == (0, 0, 0, 0)
    assert p.total == 66 + 66 + 384 + 180 + 30


def test_a_small_v3_counted_on_paper():
    p = accounting.parameters(V3ISH)
    attention = 6 * 5 + 5 * 2 * (4 + 2) + 6 * (3 + 2) + 3 * 2 * (4 + 7) + 2 * 7 * 6
    assert p.attention == 3 * attention
    assert p.dense == 3 * 6 * 5
    assert p.routed == 2 * 6 * (3 * 6 * 9)
    assert p.shared == 2 * 2 * (3 * 6 * 9)
    assert p.router == 2 * 6 * 6
    assert p.norms == 3 * (6 + 6 + 5 + 3) + 6
    layer = attention + (6 + 2) * (3 * 6 * 9) + 6 * 6 + (6 + 6 + 5 + 3)
    assert p.mtp == layer + 12 * 6 + 3 * 6


def test_the_mtp_module_stays_outside_the_total():
    without = replace(V3ISH, mtp_depth=0)
    assert accounting.parameters(V3ISH).total == accounting.parameters(without).total
    twice = accounting.parameters(replace(V3ISH, mtp_depth=2)).mtp
    assert twice == 2 * accounting.parameters(V3ISH).mtp > 0


def test_tying_removes_exactly_one_table():
    tied = replace(LLAMA, tied=True)
    assert accounting.parameters(LLAMA).total - accounting.parameters(tied).total == 11 * 6
    assert accounting.activated(tied, "both tables") == accounting.activated(tied, "head only")


def test_a_dense_model_activates_everything_it_has():
    total = accounting.parameters(LLAMA).total
    assert accounting.activated(LLAMA, "both tables") == total
    assert accounting.activated(LLAMA, "head only") == total - 66
    assert accounting.activated(LLAMA, "no table") == total - 132


@settings(max_examples=30, deadline=None)
@given(top_k=st.integers(1, 5))
def test_one_more_expert_per_token_activates_one_more_expert_per_layer(top_k: int):
    def active(k: int) -> int:
        return accounting.activated(replace(V3ISH, moe=replace(MOE, top_k=k)))

    assert active(top_k + 1) - active(top_k) == 2 * accounting.swiglu_parameters(6, 9)
    more = replace(V3ISH, moe=replace(MOE, top_k=top_k))
    assert accounting.parameters(more) == accounting.parameters(V3ISH)


def test_an_unknown_convention_is_refused_by_name():
    with pytest.raises(ValueError, match="'neither' is not one of both tables"):
        unwrap(accounting.activated)(LLAMA, "neither")  # past the type check of the test suite


@pytest.mark.parametrize("name", PRESETS)
def test_counting_equals_building_our_own_model(name: str):
    config = preset(name)
    assert accounting.parameters(config).total == size(built(config))


def test_counting_equals_building_a_mixture_with_every_width_different():
    assert accounting.parameters(V3ISH).total == size(built(V3ISH))
    no_query_latent = replace(V3ISH, attention=replace(MLA, q_rank=None), tied=True)
    assert accounting.parameters(no_query_latent).total == size(built(no_query_latent))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("deepseek-llm-7b", "Llama"),
        ("deepseek-llm-67b", "Llama"),
        ("r1-distill-llama-8b", "Llama"),
        ("r1-distill-qwen-1.5b", "Qwen2"),
        ("r1-distill-qwen-7b", "Qwen2"),
        ("deepseek-v2-lite", "DeepseekV2"),
        ("deepseek-v2", "DeepseekV2"),
        ("deepseek-v3", "DeepseekV3"),
    ],
)
def test_counting_equals_building_with_transformers(name: str, kind: str):
    import transformers

    config = preset(name)
    fields = {k: v for k, v in to_hf(config).items() if k not in ("model_type", "rope_scaling")}
    hf = getattr(transformers, f"{kind}Config")(**fields)
    with torch.device("meta"):
        model = getattr(transformers, f"{kind}ForCausalLM")(hf)
    assert accounting.parameters(config).total == size(model)


# Cache


def test_the_cache_is_a_key_and_a_value_per_key_head_and_layer():
    assert accounting.cache_elements(LLAMA) == 2 * 1 * 4 * 2
    assert accounting.mha_cache_elements(LLAMA) == 3 * accounting.cache_elements(LLAMA)
    assert accounting.cache_bytes(LLAMA) == 32
    assert accounting.cache_bytes(LLAMA, bits=6) == 12


def test_the_latent_cache_does_not_know_how_many_heads_there_are():
    many = replace(V3ISH, attention=replace(MLA, n_heads=64))
    assert accounting.cache_elements(many) == accounting.cache_elements(V3ISH) == (3 + 2) * 3
    assert accounting.mha_cache_elements(many) == 32 * accounting.mha_cache_elements(V3ISH)


# FLOPs


def test_flops_on_paper():
    matrices = 384 + 180 + 66
    scores_and_values = 2 * 3 * (2 * 4)
    assert accounting.flops_per_token(LLAMA, 0, "prefill") == 2 * matrices
    assert accounting.flops_per_token(LLAMA, 10, "prefill") == 2 * (matrices + 480)
    assert scores_and_values * 10 == 480


def test_training_is_three_forward_passes():
    for config in (LLAMA, V3ISH):
        forward = accounting.flops_per_token(config, 100, "prefill")
        assert accounting.flops_per_token(config, 100, "train") == 3 * forward
        assert accounting.training_flops(config, 7, context=100) == 21 * forward


@pytest.mark.parametrize("name", ["toy-llama", "toy-v3"])
@pytest.mark.parametrize("context", [1, 40, 400])
def test_one_step_of_decoding_takes_the_flops_that_pytorch_counts(name: str, context: int):
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from minids.model.transformer import Transformer

    model = Transformer(preset(name))
    cache = model.new_cache(1, context)
    counter = FlopCounterMode(display=False)
    with torch.no_grad():
        if context > 1:
            model(torch.zeros(1, context - 1, dtype=torch.long), cache)
        with counter, sdpa_kernel(SDPBackend.MATH):  # the only kernel it counts on a CPU
            model(torch.zeros(1, 1, dtype=torch.long), cache, last=1)
    ours = accounting.flops_per_token(model.c, context, "decode")
    c = model.c
    # MLA mixes latent and rotary key in one product and drops the second part again.
    unused = 0 if isinstance(c.attention, GQAConfig) else c.attention.n_heads * c.attention.rope_dim
    assert ours <= counter.get_total_flops() <= ours + 2 * context * c.n_layers * unused


def test_absorbed_decoding_costs_more_than_mha_and_far_less_than_expanding():
    v3 = preset("deepseek-v3")
    slope = {
        how: accounting.flops_per_token(v3, 2, "decode", how)
        - accounting.flops_per_token(v3, 1, "decode", how)
        for how in ("absorbed", "expanded")
    }
    assert slope["absorbed"] == 61 * 2 * 128 * (576 + 512)
    assert slope["expanded"] == 61 * 2 * 128 * (192 + 128 + 512 * 256)
    start = {how: accounting.flops_per_token(v3, 0, "decode", how) for how in slope}
    assert start["absorbed"] == start["expanded"]


def test_grouped_queries_save_cache_and_not_flops():
    grouped, full = LLAMA.attention, replace(LLAMA.attention, n_kv_heads=3)  # type: ignore[arg-type]
    per_key = [
        accounting.flops_per_token(replace(LLAMA, attention=a), 50, "decode")
        - accounting.flops_per_token(replace(LLAMA, attention=a), 0, "decode")
        for a in (grouped, full)
    ]
    assert per_key[0] == per_key[1]


def test_deepseek_llms_formula_is_flops_per_token_for_the_shapes_it_assumes():
    ideal = replace(
        LLAMA, dim=12, hidden=32, attention=GQAConfig(n_heads=3, n_kv_heads=3, head_dim=4)
    )
    head = 6 * ideal.vocab * ideal.dim
    ours = accounting.flops_per_token(ideal, 40) - head
    assert ours == accounting.model_scale(ideal.n_layers, ideal.dim, 40)


def test_bad_questions_about_flops_are_refused():
    with pytest.raises(ValueError, match="context=-1"):
        accounting.flops_per_token(LLAMA, -1)
    with pytest.raises(ValueError, match="'guess' is not one of train"):
        unwrap(accounting.flops_per_token)(LLAMA, 1, "guess")
    with pytest.raises(ValueError, match="budget=0"):
        accounting.scaling_laws(0)


def test_more_compute_means_a_lower_rate_and_more_of_everything_else():
    small, large = accounting.scaling_laws(1e18), accounting.scaling_laws(1e20)
    assert large.lr < small.lr
    assert large.batch > small.batch and large.scale > small.scale and large.tokens > small.tokens


def test_configs_and_counting_import_fast_and_without_torch():
    code = (
        "import sys, time; t = time.perf_counter(); import minids.config, minids.accounting; "
        "print(time.perf_counter() - t, 'torch' in sys.modules)"
    )
    runs = [subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(3)]
    seconds, torch_loaded = zip(*(run.split() for run in runs), strict=True)
    assert set(torch_loaded) == {"False"}
    assert min(map(float, seconds)) < 0.15


@pytest.mark.parametrize("mode", ["train", "prefill", "decode"])
def test_a_bias_is_no_matrix_product_and_costs_no_flops(mode):
    c = preset("r1-distill-qwen-1.5b")
    plain = replace(c, attention=replace(c.attention, qkv_bias=False))
    assert accounting.parameters(c).total > accounting.parameters(plain).total
    assert accounting.flops_per_token(c, 100, mode) == accounting.flops_per_token(plain, 100, mode)
