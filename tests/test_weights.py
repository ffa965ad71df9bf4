"""Real folders of weights are read exactly, and what does not fit is refused by name."""

import json
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from minids.config import GQAConfig, MLAConfig, ModelConfig, MoEConfig
from minids.huggingface import to_hf
from minids.model.fp8_formats import SQUARE, dequantise
from minids.model.transformer import Transformer
from minids.names import Source, Stack, sources
from minids.presets import PRESETS, preset
from minids.weights import (
    WeightsError,
    from_hf_weights,
    load_pretrained,
    mtp_weights,
    to_hf_weights,
)

V3 = ModelConfig(
    name="v3",
    vocab=29,
    dim=16,
    n_layers=3,
    hidden=20,
    attention=MLAConfig(n_heads=2, kv_rank=6, q_rank=7, nope_dim=4, rope_dim=2, value_dim=5),
    moe=MoEConfig(
        n_routed=4,
        n_shared=1,
        top_k=2,
        hidden=8,
        scores="sigmoid",
        normalise=True,
        scale=2.5,
        n_groups=2,
        kept_groups=1,
        group_score="top2",
        biased=True,
    ),
    n_dense=1,
    context=32,
    mtp_depth=1,
    init_std=0.2,
)
QWEN = ModelConfig(
    name="qwen",
    vocab=29,
    dim=16,
    n_layers=2,
    hidden=20,
    attention=GQAConfig(n_heads=4, n_kv_heads=2, head_dim=4, qkv_bias=True),
    context=32,
    tied=True,
    init_std=0.2,
)
FP8 = torch.float8_e4m3fn


def model_of(c):
    model = Transformer(c)
    for name, buffer in model.named_buffers():
        if name.endswith("bias"):
            buffer.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    return model.eval()


def write(folder, weights, c, shards=1):
    """A folder as Hugging Face lays it out, in one file or in several with an index."""
    (folder / "config.json").write_text(json.dumps(to_hf(c)))
    weights = {name: x.clone() for name, x in weights.items()}
    if shards == 1:
        save_file(weights, folder / "model.safetensors")
        return
    weight_map = {}
    for i, names in enumerate([list(weights)[i::shards] for i in range(shards)]):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        save_file({name: weights[name] for name in names}, folder / file)
        weight_map |= dict.fromkeys(names, file)
    index = json.dumps({"metadata": {}, "weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(index)


def an_mtp_layer(c):
    at = f"model.layers.{c.n_layers}."
    names = "enorm.weight", "hnorm.weight", "eh_proj.weight", "self_attn.o_proj.weight"
    return {at + name: torch.ones(2, i + 1) for i, name in enumerate(names)}


# ---- folders


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("c", [V3, QWEN], ids=lambda c: c.name)
def test_a_folder_becomes_the_model_it_describes(tmp_path, c, shards):
    model = model_of(c)
    write(tmp_path, to_hf_weights(model), c, shards)
    again = load_pretrained(tmp_path, name=c.name)
    assert again.c == replace(c, init_std=again.c.init_std) and not again.training
    for name, x in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], x), name
    tokens = torch.arange(9)[None]
    assert torch.equal(again(tokens).logits, model(tokens).logits)


def test_a_copy_in_a_file_that_the_index_does_not_name_is_left_over(tmp_path):
    model, name = model_of(QWEN), "model.embed_tokens.weight"
    write(tmp_path, to_hf_weights(model), QWEN, shards=3)
    listed = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    for file in set(listed.values()) - {listed[name]}:
        path = tmp_path / file
        save_file(load_file(path) | {name: torch.zeros(QWEN.vocab, QWEN.dim)}, path)
    assert torch.equal(load_pretrained(tmp_path).embed.weight, model.embed.weight)


def test_weights_are_converted_but_the_bias_of_the_experts_stays_exact(tmp_path):
    model = model_of(V3)
    write(tmp_path, to_hf_weights(model), V3)
    half = load_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.embed.weight.dtype == torch.bfloat16
    assert torch.equal(half.layers[1].ffn.router.bias, model.layers[1].ffn.router.bias)


def test_a_tied_head_is_one_tensor_with_or_without_a_copy_on_disk(tmp_path):
    weights = to_hf_weights(model_of(QWEN))
    for name, drop in (("with", []), ("without", ["lm_head.weight"])):
        folder = tmp_path / name
        folder.mkdir()
        write(folder, {k: v for k, v in weights.items() if k not in drop}, QWEN)
        model = load_pretrained(folder)
        assert model.head.weight is model.embed.weight


def test_what_transformers_saves_is_read(tmp_path):
    transformers = pytest.importorskip("transformers", reason="parity needs transformers")
    import test_parity

    c = replace(test_parity.SHAPES["query latent"], moe=V3.moe, n_dense=1, n_layers=3)
    c = replace(c, rope_scaling=test_parity.YARN, context=320)
    model = test_parity.theirs(c, 3)
    model.save_pretrained(tmp_path, max_shard_size="20kB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    ids = test_parity.tokens(c)
    with torch.no_grad():
        want = model(ids).logits
        torch.testing.assert_close(load_pretrained(tmp_path)(ids).logits, want, atol=1e-5, rtol=0)
    assert transformers.__version__ >= "5"


def test_a_compiled_model_gives_the_weights_of_the_model_that_it_is():
    model = model_of(QWEN)
    compiled = torch.compile(model, backend="eager")
    assert to_hf_weights(compiled).keys() == to_hf_weights(model).keys()


def test_a_folder_that_lacks_something_says_what(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json is missing"):
        load_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(to_hf(QWEN)))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"lacks \*\.safetensors.*a pickle runs code"):
        load_pretrained(tmp_path)
    write(tmp_path, to_hf_weights(model_of(QWEN)), QWEN, shards=3)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="lacks model-00002-of-00003.safetensors"):
        load_pretrained(tmp_path)


def test_a_config_that_cannot_be_read_is_named(tmp_path):
    write(tmp_path, to_hf_weights(model_of(QWEN)), QWEN)
    path = tmp_path / "config.json"
    whole = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + whole)  # as some editors mark UTF-8
    assert load_pretrained(tmp_path).c.dim == QWEN.dim

    def changed(**fields):
        return json.dumps(to_hf(QWEN) | fields).encode()

    for content, why in (
        (whole[:-20], "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (changed(quantization_config="fp8"), "quantization_config='fp8' must be fields"),
        (changed(num_attention_heads=0, head_dim=None), "num_attention_heads=0"),
        (changed(rope_theta="x"), "rope_theta='x' must be a number"),
        (changed(hidden_size=float("nan")), "hidden_size=nan must be a whole number"),
        (b"\xff\xfe", "is not JSON"),
        (b"[1]", "holds a list, not fields"),
        (b"{}", ": hidden_size is missing"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*{why}"):
            load_pretrained(tmp_path)


@pytest.mark.parametrize("left", [0, 5, 200, -1])
def test_a_file_of_tensors_that_was_cut_off_is_named(tmp_path, left):
    write(tmp_path, to_hf_weights(model_of(QWEN)), QWEN)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(WeightsError, match=f"{re.escape(str(path))} cannot be read as safetensors"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}']
)
def test_an_index_that_cannot_be_read_is_named(tmp_path, content):
    write(tmp_path, to_hf_weights(model_of(QWEN)), QWEN, shards=2)
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        load_pretrained(tmp_path)


# ---- what does not fit


def test_missing_tensors_are_named():
    weights = to_hf_weights(model_of(V3))
    del weights["model.layers.2.mlp.experts.3.up_proj.weight"]
    del weights["model.layers.1.mlp.gate.e_score_correction_bias"]
    both = r"2 tensors are missing for v3: .*layers\.1.*correction_bias, .*experts\.3\.up_proj"
    with pytest.raises(WeightsError, match=both):
        from_hf_weights(weights, V3)


def test_unknown_tensors_are_named():
    weights = to_hf_weights(model_of(V3)) | {"model.layers.0.self_attn.q_proj.bias": torch.ones(2)}
    with pytest.raises(WeightsError, match=r"1 tensors are unknown for v3: .*q_proj\.bias\. Do"):
        from_hf_weights(weights, V3)
    stray = {"model.layers.0.mlp.router.weight_scale_inv": torch.ones(1, 1)}
    with pytest.raises(WeightsError, match=r"1 tensors are unknown .*router\.weight_scale_inv"):
        from_hf_weights(to_hf_weights(model_of(V3)) | stray, V3)


def test_a_folder_without_a_name_of_its_own_gives_the_model_its_real_one(tmp_path, monkeypatch):
    folder = tmp_path / "a-model"
    folder.mkdir()
    write(folder, to_hf_weights(model_of(QWEN)), QWEN)
    monkeypatch.chdir(folder)
    assert load_pretrained(".").c.name == "a-model"


def test_misshaped_tensors_are_named():
    weights = to_hf_weights(model_of(QWEN))
    weights["model.layers.1.self_attn.k_proj.bias"] = torch.ones(9)
    says = r"layers\.1\.self_attn\.k_proj\.bias has the shape \(9,\), the config says \(8,\)"
    with pytest.raises(WeightsError, match=says):
        from_hf_weights(weights, QWEN)


def test_a_long_list_of_names_is_cut_short():
    with pytest.raises(WeightsError, match="26 tensors are missing .* and others. Do") as caught:
        from_hf_weights({}, QWEN)
    assert len(str(caught.value)) < 400


def test_frequencies_stored_by_old_versions_are_passed_over():
    weights = to_hf_weights(model_of(QWEN))
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    from_hf_weights(weights, QWEN)


# ---- the MTP layer


def test_the_mtp_layer_is_passed_over_and_can_be_had_by_itself():
    weights = to_hf_weights(model_of(V3)) | an_mtp_layer(V3)
    assert from_hf_weights(weights, V3).keys() == model_of(V3).state_dict().keys()
    (module,) = mtp_weights(weights, V3)
    assert module["eh_proj.weight"].shape == (2, 3) and len(module) == 4


def test_a_layer_too_many_is_no_mtp_layer_unless_the_config_says_so():
    weights = to_hf_weights(model_of(V3)) | an_mtp_layer(V3)
    with pytest.raises(WeightsError, match=r"4 tensors are unknown .*layers\.3\.eh_proj"):
        from_hf_weights(weights, replace(V3, mtp_depth=0))


# ---- FP8


def test_a_block_on_paper():
    weight = torch.tensor([[0.5, -448.0]]).to(FP8)
    got = dequantise(weight, torch.tensor([[0.25]]), SQUARE)
    assert got.tolist() == [[0.125, -112.0]] and got.dtype == torch.float32


@pytest.mark.parametrize("shape", [(256, 128), (130, 300), (1, 129), (128, 128)])
def test_every_number_is_multiplied_by_the_scale_of_its_block(shape):
    g = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=g).to(FP8)
    scale = torch.rand(-(-shape[0] // 128), -(-shape[1] // 128), generator=g)
    got = dequantise(weight, scale, SQUARE)
    for i, j in [(0, 0), (shape[0] - 1, shape[1] - 1), (shape[0] // 2, shape[1] // 3)]:
        assert got[i, j] == weight[i, j].float() * scale[i // 128, j // 128]
    for i in range(scale.shape[0]):  # and all of them, block by block
        for j in range(scale.shape[1]):
            block = slice(128 * i, 128 * i + 128), slice(128 * j, 128 * j + 128)
            assert torch.equal(got[block], weight[block].float() * scale[i, j])


def test_scales_that_do_not_fit_are_refused():
    weights, name = to_hf_weights(model_of(V3)), "model.layers.0.self_attn.o_proj.weight"
    weights[name] = weights[name].to(FP8)
    weights[f"{name}_scale_inv"] = torch.ones(2, 1)
    with pytest.raises(WeightsError, match=rf"{name}: scales \(2, 1\) do not fit"):
        from_hf_weights(weights, V3)


def test_fp8_folders_give_the_numbers_times_their_scales(tmp_path):
    weights = to_hf_weights(model_of(V3))
    want = dict(weights)
    for name in [n for n in weights if n.endswith("proj.weight")]:  # as in V3: linear layers only
        scale = torch.full((1, 1), float(weights[name].abs().max() / 448))
        weights[name] = (weights[name] / scale).to(FP8)
        weights[f"{name}_scale_inv"] = scale
        want[name] = weights[name].float() * scale
    write(tmp_path, weights, V3)
    got = to_hf_weights(load_pretrained(tmp_path))
    assert got.keys() == want.keys() and all(torch.equal(got[n], want[n]) for n in want)


# ---- the table of names


@pytest.mark.parametrize("name", PRESETS)
def test_every_tensor_of_a_published_model_has_a_place_and_no_place_is_used_twice(name):
    c = replace(preset(name), context=16)
    with torch.device("meta"):
        state = Transformer(c).state_dict()
    table = sources(c)
    assert table.keys() | ({"head.weight"} if c.tied else set()) == state.keys()
    places = []
    for ours, source in table.items():
        one_by_one = source.each if isinstance(source, Stack) else (source,)
        places += [place for one in one_by_one for place in one.names]
        if isinstance(source, Source) and source.rows:
            assert sum(source.rows) == state[ours].shape[0]
    assert len(places) == len(set(places))
