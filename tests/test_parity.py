"""Our models compute what Hugging Face's classes compute, on tiny random fp32 weights.

Every field of their configs is set here: the defaults are full-size models. Weights are large
enough for an error to show, gains are not 1, biases are not 0.
"""

from dataclasses import replace

import pytest
import torch

from minids.checkpoint import with_weights
from minids.config import (
    ConfigError,
    GQAConfig,
    Llama3RopeConfig,
    MLAConfig,
    ModelConfig,
    MoEConfig,
    YarnConfig,
)
from minids.hf_scaling import read_scaling, write_scaling
from minids.huggingface import from_hf, to_hf
from minids.model.rope import frequencies, softmax_factor
from minids.presets import preset
from minids.weights import from_hf_weights, to_hf_weights

transformers = pytest.importorskip("transformers", reason="parity needs transformers")

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
YARN = YarnConfig(factor=40.0, original=8, beta_fast=32.0, beta_slow=1.0, mscale=1.0)


# ---- the same model, twice


def rope_parameters(c):
    s, out = c.rope_scaling, {"rope_theta": c.rope_theta, "rope_type": "default"}
    if isinstance(s, YarnConfig):
        out |= {"rope_type": "yarn", "factor": s.factor, "beta_fast": s.beta_fast}
        out |= {"beta_slow": s.beta_slow, "mscale": s.mscale, "mscale_all_dim": s.mscale}
        out |= {"original_max_position_embeddings": s.original}
    if isinstance(s, Llama3RopeConfig):
        out |= {"rope_type": "llama3", "factor": s.factor, "low_freq_factor": s.low_freq}
        out |= {"high_freq_factor": s.high_freq, "original_max_position_embeddings": s.original}
    return out


def common(c):
    return {
        "vocab_size": c.vocab,
        "hidden_size": c.dim,
        "intermediate_size": c.hidden,
        "num_hidden_layers": c.n_layers,
        "num_attention_heads": c.attention.n_heads,
        "max_position_embeddings": c.context,
        "rms_norm_eps": c.norm_eps,
        "tie_word_embeddings": c.tied,
        "rope_parameters": rope_parameters(c),
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "use_cache": True,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }


def grouped_query_config(c):
    heads = {"num_key_value_heads": c.attention.n_kv_heads, "head_dim": c.attention.head_dim}
    if c.attention.qkv_bias:
        return transformers.Qwen2Config(**common(c), **heads, use_sliding_window=False)
    return transformers.LlamaConfig(**common(c), **heads, attention_bias=False, mlp_bias=False)


def latent_config(c, version, **more):
    a, m = c.attention, c.moe or MoEConfig(n_routed=4, n_shared=1, top_k=2, hidden=4)
    fields = common(c) | {
        "num_key_value_heads": a.n_heads,
        "attention_bias": False,
        "kv_lora_rank": a.kv_rank,
        "q_lora_rank": a.q_rank,
        "qk_nope_head_dim": a.nope_dim,
        "qk_rope_head_dim": a.rope_dim,
        "v_head_dim": a.value_dim,
        "first_k_dense_replace": c.n_layers if c.moe is None else c.n_dense,
        "n_routed_experts": m.n_routed,
        "n_shared_experts": m.n_shared,
        "num_experts_per_tok": m.top_k,
        "moe_intermediate_size": m.hidden,
        "n_group": m.n_groups,
        "topk_group": m.kept_groups,
        "norm_topk_prob": m.normalise,
        "routed_scaling_factor": m.scale,
    }
    if version == 2:
        method = "group_limited_greedy" if m.n_groups > 1 else "greedy"
        return transformers.DeepseekV2Config(**fields, topk_method=method, mlp_bias=False, **more)
    fields |= {"rope_interleave": True, "num_nextn_predict_layers": c.mtp_depth} | more
    return transformers.DeepseekV3Config(**fields)


def randomise(model, seed=0, std=0.2):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.uniform_(0.5, 1.5, generator=g)
            else:
                p.normal_(0, std, generator=g)
        for name, b in model.named_buffers():
            if "correction_bias" in name:  # large and of both signs: it must decide choices
                b.normal_(0, 0.5, generator=g)
    return model.eval()


def theirs(c, version=None, **more):
    """A random Hugging Face model of config `c`."""
    config = latent_config(c, version, **more) if version else grouped_query_config(c)
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    kind = {
        "llama": transformers.LlamaForCausalLM,
        "qwen2": transformers.Qwen2ForCausalLM,
        "deepseek_v2": transformers.DeepseekV2ForCausalLM,
        "deepseek_v3": transformers.DeepseekV3ForCausalLM,
    }[config.model_type]
    return randomise(kind(config))


def ours_from(model, c):
    return with_weights(c, from_hf_weights(model.state_dict(), c))


def tokens(c, b=2, t=9, seed=1):
    return torch.randint(c.vocab, (b, t), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def assert_same(model, c, t=9):
    """Equal logits in one pass and token by token with both caches; returns ours."""
    mine, ids = ours_from(model, c), tokens(c, t=t)
    want = model(ids).logits
    assert want.std() > 0.5, "logits too small for an error to show"
    torch.testing.assert_close(mine(ids).logits, want, **CLOSE)
    past, cache = transformers.DynamicCache(config=model.config), mine.new_cache(2, t)
    for i, j in [(0, 3), *((i, i + 1) for i in range(3, t))]:
        step = model(ids[:, i:j], past_key_values=past, use_cache=True).logits
        torch.testing.assert_close(mine(ids[:, i:j], cache).logits, step, **CLOSE)
        torch.testing.assert_close(step, want[:, i:j], **CLOSE)
    return mine


@torch.no_grad()
def assert_both_ways(model, c):
    """Weights survive the way to us and back, one expert at a time and fused, bit for bit."""
    mine, state = ours_from(model, c), model.state_dict()
    back = to_hf_weights(mine, fused_experts=True)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    apart = from_hf_weights(to_hf_weights(mine), c)
    assert all(torch.equal(apart[name], x) for name, x in mine.state_dict().items())
    # ... and a model of ours, drawn by us, means the same to them.
    fresh = randomise(mine, seed=7)
    model.load_state_dict(to_hf_weights(fresh, fused_experts=True))
    torch.testing.assert_close(model(tokens(c)).logits, fresh(tokens(c)).logits, **CLOSE)


# ---- Llama and Qwen2: DeepSeek LLM, the distilled models


LLAMA = ModelConfig(
    name="llama",
    vocab=31,
    dim=24,
    n_layers=3,
    hidden=40,
    attention=GQAConfig(n_heads=4, n_kv_heads=4, head_dim=8),
    context=64,
    norm_eps=1e-5,
)


def grouped(n_kv_heads, **changes):
    a = replace(LLAMA.attention, n_kv_heads=n_kv_heads, **changes)
    return replace(LLAMA, attention=a)


GROUPED = {
    "MHA": grouped(4),
    "GQA": grouped(2),
    "MQA": grouped(1),
    "heads wider than the model": grouped(2, head_dim=10),
    "tied": replace(grouped(2), tied=True),
    "Qwen2 biases": grouped(2, qkv_bias=True, head_dim=6),
    "Qwen2 tied": replace(grouped(1, qkv_bias=True, head_dim=6), tied=True),
    "other theta": replace(grouped(2), rope_theta=500.0),
    "Llama 3 scaling": replace(
        grouped(2),
        rope_theta=50.0,
        rope_scaling=Llama3RopeConfig(factor=8.0, original=16, low_freq=1.0, high_freq=4.0),
    ),
}


@pytest.mark.parametrize("c", GROUPED.values(), ids=GROUPED.keys())
def test_llama_and_qwen2_give_the_same_logits_and_take_the_same_weights(c):
    model = theirs(c)
    assert_same(model, c)
    assert_both_ways(model, c)


def test_every_llama_3_frequency_regime_takes_part():
    # Pairs left alone, interpolated and divided: a test without all three would miss a branch.
    c = GROUPED["Llama 3 scaling"]
    plain = 50.0 ** (-torch.arange(0, 8, 2) / 8)
    turns = c.rope_scaling.original * plain / (2 * torch.pi)
    assert turns.max() > 2 and turns.min() < 1 and ((turns > 1) & (turns < 4)).any()


# ---- DeepSeek-V2 and V3


def latent(dim=20, **widths):
    a = {
        "n_heads": 3,
        "kv_rank": 10,
        "q_rank": None,
        "nope_dim": 6,
        "rope_dim": 4,
        "value_dim": 5,
    } | widths
    return ModelConfig(
        name="latent",
        vocab=29,
        dim=dim * a["n_heads"],
        n_layers=2,
        hidden=36,
        attention=MLAConfig(**a),
        context=64,
        rope_theta=100.0,
    )


SHAPES = {
    "no query latent": latent(),
    "query latent": latent(q_rank=7),
    "wide values": latent(q_rank=9, value_dim=14),
    "one head": latent(n_heads=1, nope_dim=2, kv_rank=6),
    "wide latent": latent(kv_rank=34, q_rank=12, rope_dim=8, nope_dim=8, value_dim=8),
}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("scaling", [None, 0.707, 1.0], ids=["plain", "yarn 0.707", "yarn 1.0"])
@pytest.mark.parametrize("shape", SHAPES)
def test_latent_attention_gives_the_same_logits(shape, scaling, version):
    yarn = None if scaling is None else replace(YARN, mscale=scaling)
    c = replace(SHAPES[shape], rope_scaling=yarn, context=320)  # 320 = 40 x 8
    assert_same(theirs(c, version), c)


@pytest.mark.parametrize("version", [2, 3])
def test_latent_weights_go_both_ways(version):
    c = SHAPES["query latent"]
    assert_both_ways(theirs(c, version), c)


def test_yarn_with_deepseeks_own_numbers_gives_the_same_frequencies_and_scores():
    a = {"n_heads": 2, "nope_dim": 8, "rope_dim": 64, "value_dim": 8}
    c = replace(latent(**a), rope_theta=10_000.0, rope_scaling=replace(YARN, original=4096))
    c = replace(c, context=163_840)
    assert_same(theirs(c, 3), c)


@pytest.mark.parametrize("without", ["softmax factor", "frequencies"])
def test_leaving_out_half_of_yarn_shows(without):
    c = replace(SHAPES["query latent"], rope_scaling=YARN, context=320)
    model = theirs(c, 3)
    mine, plain = ours_from(model, c), ours_from(model, replace(c, rope_scaling=None))
    ids = tokens(c)
    if without == "frequencies":
        mine.cos, mine.sin = plain.cos, plain.sin
    else:
        for layer in mine.layers:
            layer.attention.scale /= 1.8739
    with torch.no_grad():
        difference = (mine(ids).logits - model(ids).logits).abs().amax((0, 2))
    assert difference[0] < 1e-5, "at position 0 there is nothing to turn or to weigh"
    assert difference[3:].min() > 0.03


def test_the_rotary_layout_is_adjacent_pairs_and_not_halves():
    # The same weights with rope_interleave=False are another model ...
    c = SHAPES["query latent"]
    pairs, halves = theirs(c, 3), theirs(c, 3, rope_interleave=False)
    ids = tokens(c)
    with torch.no_grad():
        want = ours_from(pairs, c)(ids).logits
        assert (halves(ids).logits - want).abs().max() > 0.1
        # ... and the same one once its rotary rows are sorted: evens first, then odds.
        a = c.attention
        order = torch.cat([torch.arange(0, a.rope_dim, 2), torch.arange(1, a.rope_dim, 2)])
        for layer in halves.model.layers:
            at = layer.self_attn
            kv = at.kv_a_proj_with_mqa.weight
            kv[a.kv_rank :] = kv[a.kv_rank :][order]
            q = at.q_b_proj.weight.view(a.n_heads, -1, a.q_rank)
            q[:, a.nope_dim :] = q[:, a.nope_dim :][:, order]
        torch.testing.assert_close(halves(ids).logits, want, **CLOSE)


# ---- experts


V2_EXPERTS = MoEConfig(n_routed=8, n_shared=2, top_k=3, hidden=12, scale=1.5)
V3_EXPERTS = MoEConfig(
    n_routed=8,
    n_shared=1,
    top_k=3,
    hidden=12,
    scores="sigmoid",
    normalise=True,
    scale=2.5,
    n_groups=4,
    kept_groups=2,
    group_score="top2",
    biased=True,
)
MIXTURES = {
    "greedy": (2, V2_EXPERTS),
    "group_limited_greedy": (2, replace(V2_EXPERTS, n_groups=4, kept_groups=2)),
    "noaux_tc": (3, V3_EXPERTS),
    "noaux_tc, not normalised": (3, replace(V3_EXPERTS, normalise=False, scale=1.0)),
    "noaux_tc, one group": (3, replace(V3_EXPERTS, n_groups=1, kept_groups=1)),
}


@pytest.mark.parametrize("method", MIXTURES)
def test_experts_give_the_same_logits_and_take_the_same_weights(method):
    version, moe = MIXTURES[method]
    c = replace(SHAPES["query latent"], moe=moe, n_dense=1, n_layers=3)
    model = theirs(c, version)
    mine = assert_same(model, c)
    assert isinstance(mine(tokens(c)).routings[1].experts, torch.Tensor)
    assert_both_ways(model, c)


@pytest.mark.parametrize("push", [-0.6, -5.0])
def test_negative_biases_close_groups_and_not_their_best_experts(push):
    # A closed group scored 0 in older code: above every open expert, once biases are negative.
    c = replace(SHAPES["query latent"], moe=V3_EXPERTS, n_layers=2)
    model = theirs(c, 3)
    for name, bias in model.named_buffers():
        if "correction_bias" in name:
            bias.mul_(0.1).add_(push)
    mine = assert_same(model, c)
    for routing in mine(tokens(c)).routings:
        groups = routing.experts // 2
        assert max(len(row.unique()) for row in groups) == 2


def test_the_bias_decides_choices_in_these_models():
    c = replace(SHAPES["query latent"], moe=V3_EXPERTS, n_layers=2)
    mine, ids = ours_from(theirs(c, 3), c), tokens(c)
    with_bias = mine(ids).routings[0].experts.sort().values
    mine.layers[0].ffn.router.bias.zero_()
    assert (mine(ids).routings[0].experts.sort().values != with_bias).any(-1).float().mean() > 0.3


# ---- what a file says and leaves out


CLASSES = {
    "llama": "LlamaConfig",
    "mistral": "MistralConfig",
    "qwen2": "Qwen2Config",
    "deepseek_v2": "DeepseekV2Config",
    "deepseek_v3": "DeepseekV3Config",
}


@pytest.mark.parametrize("kind", CLASSES)
def test_what_a_file_leaves_out_is_what_its_class_takes(kind):
    class_ = getattr(transformers, CLASSES[kind])()
    toy = "toy-v3" if "deepseek" in kind else "toy-llama"
    source = to_hf(preset(toy)) | {"model_type": kind}
    if kind == "deepseek_v2":
        for field in ("topk_method", "scoring_func", "norm_topk_prob", "routed_scaling_factor"):
            del source[field]
        del source["n_group"], source["topk_group"]
    for field in ("rms_norm_eps", "rope_theta", "tie_word_embeddings"):
        del source[field]
    c = from_hf(source)
    assert c.norm_eps == class_.rms_norm_eps
    assert c.rope_theta == class_.rope_parameters["rope_theta"]
    assert c.tied == class_.tie_word_embeddings
    if kind == "deepseek_v2":
        assert (c.moe.normalise, c.moe.scale) == (class_.norm_topk_prob, 1.0)
        assert class_.routed_scaling_factor == 1.0 and c.moe.scores == "softmax"


@torch.no_grad()
@pytest.mark.parametrize(
    "c",
    [
        grouped(2),
        replace(grouped(2), rope_scaling=replace(YARN, mscale=0.5), context=320),
        grouped(2, qkv_bias=True),
        replace(SHAPES["query latent"], n_layers=5),  # the class has experts from layer 3 on
        replace(SHAPES["query latent"], rope_scaling=replace(YARN, mscale=0.707), context=320),
        replace(SHAPES["query latent"], rope_scaling=replace(YARN, mscale=0.0), context=320),
        replace(
            SHAPES["query latent"],
            moe=replace(V2_EXPERTS, scale=2),
            n_dense=1,
            rope_theta=100,
            rope_scaling=replace(YARN, factor=40, mscale=1),
            context=320,
            init_std=0,
        ),
        replace(SHAPES["query latent"], moe=V2_EXPERTS, n_dense=1),
        replace(SHAPES["query latent"], moe=V3_EXPERTS, n_dense=1, tied=True),
    ],
    ids=[
        "llama",
        "slope",
        "qwen2",
        "dense latent",
        "latent yarn",
        "not sharpened",
        "whole",
        "v2",
        "v3",
    ],
)
def test_a_written_config_builds_the_same_model_there(c):
    fields = to_hf(c)
    config = transformers.AutoConfig.for_model(fields.pop("model_type"), **fields)
    config._experts_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    model.load_state_dict(to_hf_weights(ours_from(randomise(model), c), fused_experts=True))
    assert_same(model, c)


# ---- context extension, field by field


YARN_FIELDS = {"factor": 40.0, "original_max_position_embeddings": 8}


def their_yarn(fields):
    """The frequencies and the factor on queries and keys that transformers takes from a field."""
    rope = {"rope_type": "yarn", "rope_theta": 10_000.0} | fields
    c = transformers.LlamaConfig(
        hidden_size=64,
        num_attention_heads=2,
        head_dim=32,
        max_position_embeddings=int(8 * fields["factor"]),
        rope_parameters=rope,
    )
    return transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS["yarn"](c, torch.device("cpu"))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"attention_factor": 1.2},
        {"attention_factor": 1.2, "mscale": 0.5},
        {"mscale": 0.7},
        {"mscale": 0.7, "mscale_all_dim": 0.7},
        {"mscale": 0.0, "mscale_all_dim": 0.0},
        {"beta_fast": 4.0},
        {"beta_slow": 0.25},
        {"factor": 1.0},
        {"factor": 1.0, "attention_factor": 1.0},
    ],
    ids=str,
)
def test_fields_of_yarn_mean_for_grouped_queries_what_they_mean_there(more):
    fields = YARN_FIELDS | more
    turns, factor = their_yarn(fields)
    read = read_scaling(fields | {"type": "yarn"}, latent=False)
    again = read_scaling(write_scaling(read, latent=False), latent=False)
    for found in (read, again):
        assert softmax_factor(found) == pytest.approx(factor**2)
        torch.testing.assert_close(frequencies(32, 10_000.0, found), turns, **CLOSE)


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"mscale": 0.7, "mscale_all_dim": 0.7, "attention_factor": 1.2}, "attention_factor=1.2"),
        ({"mscale": 0.0, "mscale_all_dim": 0.0}, "mscale=0 means two things"),
        ({"mscale": 0.7, "mscale_all_dim": 0.8}, "mscale=0.7 and mscale_all_dim=0.8"),
        ({}, "mscale=None and mscale_all_dim=None"),
    ],
)
def test_fields_of_yarn_that_sharpen_a_part_of_latent_attention_are_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        read_scaling(YARN_FIELDS | {"type": "yarn"} | wrong, latent=True)


def test_a_slope_goes_to_a_file_and_comes_back_exactly():
    for slope in (0.0, 0.1, 0.7, 0.707, 1.0, 1.3):
        c = YarnConfig(factor=40.0, original=8, beta_fast=5.0, beta_slow=0.5, mscale=slope)
        for latent in (False, True):
            assert read_scaling(write_scaling(c, latent=latent), latent=latent) == c


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"mscale": 0.7, "mscale_all_dim": 0.8}, "mscale=0.7 differs from mscale_all_dim=0.8"),
        ({"factor": 1.0, "attention_factor": 1.2}, "attention_factor=1.2 without an extension"),
        ({"factor": "40"}, "factor='40' must be a number"),
    ],
)
def test_fields_of_yarn_that_contradict_each_other_are_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        read_scaling(YARN_FIELDS | {"type": "yarn"} | wrong, latent=False)
