"""The bench of a GPU, at sizes of a toy on the CPU: what it measures, and when it refuses."""

import pytest
import torch
from pretend_cuda import pretend_cuda
from typer.testing import CliRunner

from minids import accounting
from minids.cli import app
from minids.model.transformer import Transformer
from minids.rl.zero import Recipe
from minids.study import bench_gpu, bench_gpu_decode, bench_gpu_write
from minids.study.bench_gpu import Size, v3
from minids.study.device_memory import Usage

CPU = torch.device("cpu")
TOY = Size(layers=2, dim=64, n_heads=4, vocab=64, context=8)


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def training(c=None, **changes):
    [row] = bench_gpu.training(
        c or v3(TOY), CPU, **{"batch": 2, "repeats": 2, "size": 64} | changes
    )
    return row


def test_without_a_gpu_the_command_says_so_in_one_sentence_and_measures_nothing(no_cuda):
    ran = CliRunner().invoke(app, ["bench", "gpu", "--save"])
    assert ran.exit_code == 2
    assert ran.stderr == "minids: the bench 'gpu' needs a CUDA device, and torch sees none here\n"


@pytest.mark.parametrize(("layers", "experts"), [(18, 0), (12, 16)])
def test_the_models_have_a_billion_parameters_and_the_structure_of_v3(layers, experts):
    c = v3(Size(layers=layers), experts)
    assert 0.9e9 < accounting.parameters(c).total < 1.2e9
    assert c.attention.kv_rank == 512 and c.attention.rope_dim == 64
    assert (c.moe is None) == (experts == 0) and c.mtp_depth == 0


@pytest.mark.parametrize("experts", [0, 4])
def test_a_training_step_is_measured_beside_the_peer(experts):
    pytest.importorskip("transformers", reason="the peer is Hugging Face's")
    row = training(v3(TOY, experts))
    assert row.ours > 0 and row.peer > 0 and row.unit == "tokens/s"
    assert row.ratio == pytest.approx(row.ours / row.peer) and row.limit > 0
    assert row.name.endswith("2 x 8, bf16, eager")


def test_a_compiled_step_is_taken_only_where_it_is_faster(monkeypatch):
    monkeypatch.setattr(bench_gpu, "peer", lambda *_: None)
    taken = {"eager": [0.2] * 3, "compiled": [0.1] * 3}
    monkeypatch.setattr(bench_gpu, "in_turns", lambda steps, n: {k: taken[k] for k in steps})
    monkeypatch.setattr(bench_gpu, "gemm_rate", lambda *_: 1e9)
    assert training(compiler=lambda model: model).name.endswith("compiled")
    taken["compiled"] = [0.3] * 3
    assert training(compiler=lambda model: model).name.endswith("eager")


def test_a_compiler_that_fails_leaves_the_eager_step(monkeypatch, capsys):
    def broken(model):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(bench_gpu, "peer", lambda *_: None)
    assert training(compiler=broken).name.endswith("eager")
    assert "compiling failed" in capsys.readouterr().err


def test_a_peer_that_does_not_fit_is_left_out():
    def too_large():
        raise torch.OutOfMemoryError("no room")

    assert bench_gpu.beside(too_large, v3(TOY), 1, CPU) is None


def test_the_batch_is_halved_until_its_rows_fit_into_free_memory(monkeypatch):
    told = iter([Usage(held=100, peak=900, free=0, total=0), Usage(100, 150, 0, 0)])
    monkeypatch.setattr(bench_gpu, "usage", lambda device: next(told))
    monkeypatch.setattr(bench_gpu, "free", lambda device: 300)
    asked = []
    rows = bench_gpu.fitting(lambda n: asked.append(n) or (lambda: None), 16, CPU)
    assert asked == [1]  # measured with one row: 50 bytes of it are its own
    assert rows == 2  # 100 of 300 bytes; 4 rows would take more than half


def test_decoding_measures_both_ways_to_attend_and_counts_the_cache():
    c = v3(TOY)
    torchs, products, cache = bench_gpu_decode.decoding(c, CPU, batch=2, repeats=2, megabytes=1)
    assert torchs.name == "MLA decode 2 x 7, torch's attention" and torchs.ours > 0
    assert products.name == "MLA decode 2 x 7, two products" and products.limit > 0
    assert cache.ours == pytest.approx(2 * 8 * 2 * (c.attention.cached_width * 2) / 1e9)
    assert cache.peer > cache.ours and cache.ratio is None and cache.name.endswith("the peer, fits")


def test_mha_as_wide_does_not_fit_into_an_h200():
    c = v3(Size(context=32_769))
    row = bench_gpu_decode._without_latents(c, 64, 141e9)
    assert row.ours < 50 and row.peer > 141 and row.name.endswith("does not fit")


@torch.inference_mode()
def test_a_measured_step_leaves_the_cache_as_it_was():
    c = v3(TOY)
    model = Transformer(c).eval()
    torch.manual_seed(0)
    cache = bench_gpu_decode.filled(model, 2, 7)
    before = cache.layers[0].kept.clone()

    def step():
        logits = model(torch.ones(2, 1, dtype=torch.long), cache, last=1).logits
        cache.rewind(7)
        return logits

    plain = step()
    assert plain.std() > 1e-3
    torch.testing.assert_close(bench_gpu_decode.with_few(step, 0)(), plain)
    torch.testing.assert_close(cache.layers[0].kept[:, :7], before[:, :7])


def test_written_tokens_are_those_of_the_answers_alone():
    few = Recipe(dim=16, hidden=16, n_layers=1)
    row = bench_gpu_write.writing(CPU, prompts=2, repeats=2, recipe=few)
    assert row.unit == "tokens/s" and row.ours > 0 and "2 x 16" in row.name


@pytest.mark.parametrize("experts", [0, 4])
def test_nothing_of_it_forgets_the_device(experts, monkeypatch):
    monkeypatch.setattr(bench_gpu, "peer", lambda *_: None)
    monkeypatch.setattr(bench_gpu_decode, "graphed", lambda step, device: step)
    with pretend_cuda():
        device = bench_gpu.require()
        c = v3(TOY, experts)
        [row] = bench_gpu.training(c, device, batch=2, repeats=2, size=64)
        *_, cache = bench_gpu_decode.decoding(c, device, batch=2, repeats=2, megabytes=1)
        assert row.ours > 0 and cache.ours > 0
        if not experts:  # which the model that writes has none of
            few = Recipe(dim=16)
            assert bench_gpu_write.writing(device, prompts=1, repeats=2, recipe=few).ours > 0


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_a_decode_step_is_one_graph_and_writes_the_same():
    device, c = torch.device("cuda"), v3(TOY)
    with device, torch.inference_mode():
        model = Transformer(c, seed=None).to(torch.bfloat16).eval()
        cache = bench_gpu_decode.filled(model, 2, 7)
        token, out = torch.ones(2, 1, dtype=torch.long), torch.zeros(2, 1, c.vocab).bfloat16()

        def step():
            out.copy_(model(token, cache, last=1).logits)
            cache.rewind(7)

        step()
        plain = out.clone()
        out.zero_()
        bench_gpu_decode.graphed(step, device)()
        torch.cuda.synchronize()
    torch.testing.assert_close(out, plain)
