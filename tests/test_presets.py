"""Published configs, read and written back; toys keep the structure of the real thing."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from minids.config import ConfigError, GQAConfig, MLAConfig, YarnConfig
from minids.huggingface import from_hf, to_hf
from minids.presets import DATA, PRESETS, preset, shrink

V3 = json.loads((DATA / "configs" / "deepseek-v3.json").read_text())
V2 = json.loads((DATA / "configs" / "deepseek-v2.json").read_text())
LLAMA = json.loads((DATA / "configs" / "deepseek-llm-7b-base.json").read_text())


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_the_way_to_hugging_face_and_back(name):
    c = preset(name)
    assert replace(from_hf(to_hf(c), name=name), init_std=c.init_std) == c


@pytest.mark.parametrize("name", [n for n in PRESETS if not n.startswith("toy")])
def test_what_is_written_agrees_with_the_published_file(name):
    published = next(
        source
        for path in (DATA / "configs").glob("*.json")
        if from_hf(source := json.loads(path.read_text()), name=name) == preset(name)
    )
    written = to_hf(preset(name))
    shape = set(written) & set(published) - {"initializer_range", "rope_scaling", "model_type"}
    assert len(shape) >= 8
    assert {f: written[f] for f in shape} == {f: published[f] for f in shape}


def test_every_published_file_is_a_preset():
    assert len(list((DATA / "configs").glob("*.json"))) == sum("toy" not in n for n in PRESETS)


def test_v3_is_what_the_report_says():
    c = preset("deepseek-v3")
    assert (c.n_layers, c.dim, c.n_dense, c.mtp_depth) == (61, 7168, 3, 1)
    assert (c.moe.n_routed, c.moe.top_k, c.moe.n_shared, c.moe.hidden) == (256, 8, 1, 2048)
    assert (c.moe.n_groups, c.moe.kept_groups, c.moe.scale) == (8, 4, 2.5)
    assert c.moe.biased and c.moe.normalise and c.moe.scores == "sigmoid"
    assert c.rope_scaling == YarnConfig(factor=40, original=4096, mscale=1.0)


def test_r1_has_the_shape_of_v3():
    assert replace(preset("deepseek-r1"), name="deepseek-v3") == preset("deepseek-v3")


@pytest.mark.parametrize(
    "change, says",
    [
        ({"hiden_size": 5}, "unknown fields: hiden_size"),
        ({"hidden_act": "gelu"}, "hidden_act='gelu'"),
        ({"moe_layer_freq": 2}, "moe_layer_freq=2"),
        ({"topk_method": "best"}, "topk_method='best'"),
        ({"topk_method": "greedy"}, "ignores groups, but n_group=8"),
        ({"num_key_value_heads": 8}, "contradicts kv_lora_rank"),
        ({"n_routed_experts": None}, "n_shared_experts is set without n_routed_experts"),
        ({"kv_lora_rank": None}, "set without kv_lora_rank"),
        (
            {"rope_scaling": V3["rope_scaling"] | {"mscale": 0.7}},
            "DeepSeek.s models give one value for both",
        ),
        ({"rope_scaling": {"type": "dynamic", "factor": 2}}, "'dynamic' is not supported"),
        ({"attention_bias": True}, "attention_bias=True"),
        ({"mlp_bias": True}, "mlp_bias=True"),
        ({"rope_interleave": False}, "adjacent pairs here"),
        ({"scoring_func": "softmax"}, "scoring_func='softmax'"),
        ({"norm_topk_prob": "false"}, "norm_topk_prob='false' must be true or false"),
        ({"routed_scaling_factor": 0}, "routed_scaling_factor=0 must be a number above 0"),
        ({"intermediate_size": None}, "intermediate_size is missing"),
    ],
)
def test_a_wrong_field_is_refused_by_name(change, says):
    with pytest.raises(ConfigError, match=says):
        from_hf(V3 | change)


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ("moe_layer_freq hidden_act model_type scoring_func topk_method", ([0, 1], {"a": 1})),
        ("rope_theta rms_norm_eps", (None, "x", [1], 10**310)),
        ("routed_scaling_factor n_group hidden_size kv_lora_rank", ("x", [1], 10**310)),
        ("rope_scaling rope_parameters quantization_config layer_types", ("x", 1)),
        ("hidden_size num_attention_heads", (None, 0)),
        ("tie_word_embeddings", (None, 0, "false")),
        ("num_nextn_predict_layers first_k_dense_replace num_experts_per_tok", (None,)),
        ("moe_intermediate_size", (None,)),
        ("rms_norm_eps rope_theta", (0, -1e-6)),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_the_name_of_its_field(fields, values):
    for change in ({field: value} for field in fields.split() for value in values):
        with pytest.raises(ConfigError, match=next(iter(change))):
            from_hf(V3 | change)


@pytest.mark.parametrize("value", ["x", [1], True, 10**310], ids=["text", "list", "true", "huge"])
@pytest.mark.parametrize("field", ["factor", "attention_factor", "mscale", "beta_fast"])
def test_a_wrong_number_within_the_scaling_is_refused_by_name(field, value):
    scaling = {"type": "yarn", "factor": 2, "original_max_position_embeddings": 8}
    with pytest.raises(ConfigError, match=rf"rope_scaling.{field}=.* must be a number"):
        from_hf(LLAMA | {"rope_scaling": scaling | {field: value}})
    llama3 = scaling | {"type": "llama3", "low_freq_factor": 1}
    with pytest.raises(ConfigError, match="rope_scaling.high_freq_factor=None"):
        from_hf(LLAMA | {"rope_scaling": llama3})


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}
THETA = {"rope_theta": 5e4}


@pytest.mark.parametrize(
    "fields",
    [
        {"rope_theta": 5e4, "rope_scaling": YARN},
        {"rope_scaling": YARN | THETA},
        {"rope_parameters": YARN | THETA},
        {"rope_theta": None, "rope_parameters": YARN | THETA},
        {"rope_theta": 50_000, "rope_scaling": None, "rope_parameters": YARN | THETA},
        {"rope_scaling": {"type": "yarn"} | YARN, "rope_parameters": YARN | THETA},
    ],
)
def test_theta_and_scaling_are_found_wherever_a_file_says_them(fields):
    bare = {k: v for k, v in LLAMA.items() if k not in ("rope_theta", "rope_scaling")}
    c = from_hf(bare | fields)
    assert (c.rope_theta, c.rope_scaling) == (5e4, YarnConfig(factor=4.0, original=512))
    assert from_hf(bare | {"rope_parameters": THETA}).rope_scaling is None


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"rope_scaling": YARN | {"rope_theta": 1e6}}, "rope_scaling.rope_theta=1.*theta=5"),
        ({"rope_parameters": YARN | {"rope_theta": 1e6}}, "rope_parameters.rope_theta=1.*theta=5"),
        ({"rope_scaling": YARN, "rope_parameters": YARN | {"factor": 8.0}}, "rope_scaling=.* and"),
        ({"rope_scaling": YARN | {"type": "llama3"}}, "type='llama3' and rope_type='yarn'"),
        ({"rope_parameters": {"rope_theta": "x"}}, "rope_parameters.rope_theta='x' must be"),
    ],
)
def test_two_thetas_or_scalings_in_one_file_are_refused(fields, says):
    with pytest.raises(ConfigError, match=says):
        from_hf(LLAMA | {"rope_scaling": None} | THETA | fields)


@pytest.mark.parametrize("field", ["hidden_size", "vocab_size", "num_hidden_layers"])
def test_a_missing_field_is_named(field):
    with pytest.raises(ConfigError, match=f"{field} is missing"):
        from_hf({k: v for k, v in V3.items() if k != field})


@pytest.mark.parametrize(
    ("source", "field"),
    [
        (V3, "q_lora_rank"),
        (V3, "n_shared_experts"),
        (V2, "q_lora_rank"),
        (V2, "n_shared_experts"),
        (LLAMA | {"model_type": "mistral", "sliding_window": None}, "num_key_value_heads"),
    ],
)
def test_a_field_is_needed_where_its_class_takes_what_nobody_would_guess(source, field):
    from_hf(source)
    with pytest.raises(ConfigError, match=f"{field} is missing"):
        from_hf({k: v for k, v in source.items() if k != field})


def test_v2s_class_divides_no_weights_by_their_sum():
    with pytest.raises(ConfigError, match="norm_topk_prob=True is not supported"):
        from_hf(V2 | {"norm_topk_prob": True})


def test_fields_that_say_what_is_built_anyway_change_nothing():
    said = {"mlp_bias": False, "rope_interleave": True, "moe_layer_freq": 1, "head_dim": 64}
    assert from_hf(V3 | said) == from_hf(V3)


def test_fields_that_start_with_an_underscore_are_comments():
    assert from_hf(LLAMA | {"_note": 3}) == from_hf(LLAMA)


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(ConfigError, match="deepseek-v3"):
        preset("deepseek-v9")


def test_a_toy_keeps_the_structure_of_the_real_model():
    real, toy = preset("deepseek-v3"), shrink(preset("deepseek-v3"), dim=96)
    a, r = toy.attention, real.attention
    assert isinstance(a, MLAConfig) and isinstance(r, MLAConfig)
    assert a.kv_rank / a.value_dim == r.kv_rank / r.value_dim == 4
    assert a.rope_dim / a.nope_dim == r.rope_dim / r.nope_dim == 0.5
    assert a.q_rank / a.value_dim == r.q_rank / r.value_dim == 12
    assert toy.rope_scaling is None and real.rope_scaling is not None
    for same in ("scores", "normalise", "scale", "group_score", "biased", "n_shared", "n_groups"):
        assert getattr(toy.moe, same) == getattr(real.moe, same)
    assert toy.moe.kept_groups / toy.moe.n_groups == real.moe.kept_groups / real.moe.n_groups
    assert toy.mtp_depth == real.mtp_depth
    assert toy.n_dense == 1 and toy.n_moe == 3  # three dense layers of four would leave one


def test_a_toy_of_67b_shares_each_key_among_eight_queries():
    a = shrink(preset("deepseek-llm-67b"), dim=64).attention
    assert isinstance(a, GQAConfig)
    assert a.n_heads // a.n_kv_heads == 8


@pytest.mark.parametrize("n_heads", [1, 6, 20, 25, 32])
@pytest.mark.parametrize("name", ["deepseek-llm-67b", "r1-distill-qwen-1.5b"])
def test_any_number_of_heads_shrinks_to_a_valid_toy(name, n_heads):
    assert shrink(preset(name), dim=96, n_heads=n_heads).attention.n_heads == n_heads


@pytest.mark.parametrize("n_routed", [1, 4, 6, 7, 10, 16, 64])
@pytest.mark.parametrize("name", ["deepseek-moe-16b", "deepseek-v2", "deepseek-v3"])
def test_any_number_of_experts_shrinks_to_a_valid_toy(name, n_routed):
    toy = shrink(preset(name), dim=48, n_routed=n_routed)
    assert toy.moe.n_routed == n_routed


def test_configs_and_accounting_come_without_torch():
    names = "minids.config, minids.presets, minids.accounting"
    code = f"import sys, {names}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
