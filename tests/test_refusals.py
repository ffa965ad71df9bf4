"""What would have come out wrong without a word is refused by name."""

import math
from dataclasses import replace

import pytest
import torch

from minids.checkpoint import CheckpointError
from minids.config import ConfigError, GQAConfig
from minids.decode.sample import generate
from minids.decode.speculative import speculate
from minids.huggingface import from_hf, to_hf
from minids.model.fp8_formats import quantise
from minids.model.layers import RMSNorm
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.rl.grpo import grpo
from minids.rl.rewards import Weighed
from minids.rl.update import Settings
from minids.rl.variants import DAPO
from minids.rl.zero import Recipe, newborn
from minids.study.results import Results
from minids.systems.dispatch import expected_destinations
from minids.text.alphabet import alphabet
from minids.text.arithmetic import Problem
from minids.train import sharded_checkpoint
from minids.train.update import adamw
from minids.train.world import World
from minids.weights import WeightsError, from_hf_weights, to_hf_weights


@pytest.mark.parametrize("temperature", [math.nan, 1e-45, math.inf, -1.0])
def test_a_temperature_that_is_none(temperature):
    model = Transformer(preset("toy-llama"))
    with pytest.raises(ValueError, match="temperature"):
        generate(model, [[1, 2]], 2, temperature=temperature)
    with pytest.raises(ValueError, match="temperature"):
        speculate(model, None, [[1, 2]], 2, temperature=temperature)


def test_coded_numbers_without_their_scales():
    c = replace(preset("toy-llama"), dim=128)
    weights = dict(to_hf_weights(Transformer(c)))
    name = "model.layers.0.self_attn.o_proj.weight"
    stored = quantise(weights[name], (128, 128))
    for coded in (stored.numbers, weights[name].to(torch.int32)):
        with pytest.raises(WeightsError, match=f"{name}_scale_inv is missing"):
            from_hf_weights(weights | {name: coded}, c)
    scale = {f"{name}_scale_inv": stored.scale}
    read = from_hf_weights(weights | {name: stored.numbers} | scale, c, dtype=torch.float32)
    assert torch.allclose(
        read["layers.0.attention.out.weight"], weights[name], rtol=0.07, atol=1e-4
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sliding_window": 4}, "sliding_window=4"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "not cut to a window"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantization_config"),
        (
            {"quantization_config": {"quant_method": "fp8", "weight_block_size": [64, 64]}},
            "only FP8 in blocks of 128 x 128",
        ),
        (
            {
                "rope_scaling": {
                    "type": "yarn",
                    "factor": 2,
                    "original_max_position_embeddings": 8,
                    "truncate": 1,
                }
            },
            "truncate",
        ),
    ],
)
def test_a_config_of_what_is_not_built(change, says):
    with pytest.raises(ConfigError, match=says):
        from_hf(to_hf(preset("toy-llama")) | change)
    assert from_hf(to_hf(preset("toy-llama")) | {"sliding_window": 10**6})


def test_a_window_that_a_file_leaves_to_its_class():
    """Mistral's class cuts attention to 4096 tokens unless the file says null."""
    mistral = to_hf(preset("toy-llama")) | {"model_type": "mistral"}
    assert from_hf(mistral | {"max_position_embeddings": 4096})
    long = mistral | {"max_position_embeddings": 8192}
    assert from_hf(long | {"sliding_window": None})
    with pytest.raises(ConfigError, match="sliding_window=4096"):
        from_hf(long)
    with pytest.raises(ConfigError, match="sliding_window=4096"):  # it never looks at this field
        from_hf(long | {"layer_types": ["full_attention"] * 4})
    qwen = long | {"model_type": "qwen2", "sliding_window": 4096}
    assert from_hf(qwen) == from_hf(qwen | {"use_sliding_window": False})
    with pytest.raises(ConfigError, match="sliding_window=4096"):
        from_hf(qwen | {"use_sliding_window": True})


def test_experts_behind_queries_with_a_bias_have_no_class():
    c = preset("toy-v3")
    biased = GQAConfig(n_heads=4, n_kv_heads=2, head_dim=8, qkv_bias=True)
    with pytest.raises(ConfigError, match="no class for experts behind queries with a bias"):
        to_hf(replace(c, attention=biased))


@pytest.mark.parametrize(("biased", "score"), [(False, "top2"), (True, "max")])
def test_a_score_of_groups_that_a_file_cannot_say(biased, score):
    c = preset("deepseek-moe-16b")
    grouped = replace(c.moe, n_groups=4, kept_groups=2, biased=biased, group_score=score)
    with pytest.raises(ConfigError, match=f"no field for group_score='{score}'"):
        to_hf(replace(c, moe=grouped))
    plain = replace(c, moe=replace(grouped, n_groups=1, kept_groups=1))
    assert from_hf(to_hf(plain)).moe.biased == biased


def test_a_scale_beside_numbers_that_have_none():
    c = replace(preset("toy-llama"), dim=128)
    weights = dict(to_hf_weights(Transformer(c)))
    wide, narrow = "model.layers.0.self_attn.o_proj.weight", "model.norm.weight"
    scale = quantise(weights[wide], (128, 128)).scale
    with pytest.raises(WeightsError, match=f"{wide} holds torch.float32 .* only matrices in FP8"):
        from_hf_weights(weights | {f"{wide}_scale_inv": scale}, c)
    coded = weights[narrow].to(torch.float8_e4m3fn)
    with pytest.raises(WeightsError, match=f"{narrow} holds torch.float8.* only matrices in FP8"):
        from_hf_weights(weights | {narrow: coded, f"{narrow}_scale_inv": scale}, c)


def test_a_v3_file_says_how_many_layers_are_dense():
    source = to_hf(preset("toy-v3"))
    assert source.pop("first_k_dense_replace") >= 0
    with pytest.raises(ConfigError, match="first_k_dense_replace"):
        from_hf(source)


def test_a_router_that_no_class_computes():
    c = preset("toy-v3")
    with pytest.raises(ConfigError, match="no class for this router"):
        to_hf(replace(c, moe=replace(c.moe, scores="softmax")))


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_saving_an_earlier_step_beside_later_ones(tmp_path):
    model = Transformer(preset("toy-llama"))
    optimizer = adamw(model)
    sharded_checkpoint.save(tmp_path, model, optimizer, world=World.alone(), step=20)
    with pytest.raises(CheckpointError, match="already holds step 20"):
        sharded_checkpoint.save(tmp_path, model, optimizer, world=World.alone(), step=5)


def test_experts_that_do_not_split():
    with pytest.raises(ValueError, match="do not split"):
        expected_destinations(10, 4, 3)
    with pytest.raises(ValueError, match="top_k=9: a token chooses 0 to 8 of 8"):
        expected_destinations(8, 4, 9)


def test_a_run_of_nan_is_neither_inside_a_band_nor_outside():
    lost = (math.nan,) * 3
    values = {"base": {"loss": (1.0, 1.1, 0.9)}, "diverged": {"loss": lost}}
    results = Results(seeds=(0, 1, 2), machine="", values=values)
    assert results.difference("diverged").verdict == "not known: 3 of 3 are no numbers"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_norm_in_few_bits_is_that_of_fp32_with_gradients_and_without(dtype):
    x = (30 * torch.randn(4, 512, generator=torch.Generator().manual_seed(0))).to(dtype)
    norm = RMSNorm(512).to(dtype)
    exact = RMSNorm(512)(x.float())
    with torch.no_grad():
        without = norm(x)
    for found in (norm(x).detach(), without):
        assert (found.float() - exact).abs().max() < 0.03


def test_dapo_with_fewer_answers_left_than_minibatches():
    def ask(i):
        return Problem("1+2", "3", "add-1") if i == 0 else Problem("3+4", "7", "add-1")

    def rule(problem, text):
        return float(problem.question == "1+2" and len(text) % 2)

    settings = Settings(variant=DAPO, prompts=8, group=4, max_new=6, minibatches=8)
    model = newborn(replace(Recipe(), dim=32, hidden=64), seed=0)
    steps = grpo(model, ask, alphabet(), {"r": Weighed(rule, 1.0)}, steps=1, settings=settings)
    assert all(math.isfinite(step.loss) for step in steps)
