"""Multi-token prediction: who sees what, what it weighs, what it leaves alone, and its loss."""

from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch.nn import functional as F

from minids import accounting, checkpoint
from minids.config import GQAConfig, ModelConfig
from minids.decode.speculative import speculate
from minids.model import mtp
from minids.model.layers import init_weights, rms_norm_written_out
from minids.model.mtp import MTP, Module, main_weights, swap_order
from minids.model.rope import Rotary
from minids.model.transformer import Transformer
from minids.names import Source, sources
from minids.presets import preset, shrink
from minids.text.batches import Batch, padded
from minids.train.gradients import add_gradients
from minids.train.loop import fit
from minids.train.mtp import V3_WEIGHTS, fit_mtp, mtp_loss, mtp_losses
from minids.train.update import adamw
from minids.weights import mtp_weights, to_hf_weights

KINDS = ("deepseek-llm-7b", "deepseek-llm-67b", "deepseek-v2-lite", "deepseek-v3")


def tiny(name="deepseek-v3", depth=2, seed=0, order="report", **changes):
    """A small model with modules, its weights large enough for a mistake to show; in float64."""
    small = shrink(preset(name), dim=32, n_heads=4, n_layers=2, n_routed=8, vocab=23, context=48)
    model = MTP(Transformer(replace(small, mtp_depth=depth, **changes)), order=order)
    init_weights(model, 0.3, torch.Generator().manual_seed(seed))
    for i, norm in enumerate(m for m in model.modules() if type(m).__name__ == "RMSNorm"):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5, torch.Generator().manual_seed(i))
    return model.double().eval()


def text(b=2, t=12, seed=1):
    tokens = torch.randint(23, (b, t + 1), generator=torch.Generator().manual_seed(seed))
    return tokens[:, :-1], tokens[:, 1:]


def batch(b=2, t=12, seed=1):
    tokens, targets = text(b, t, seed)
    return Batch(tokens, targets, torch.ones_like(tokens, dtype=torch.bool))


# --- what a module weighs, and where


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("depth", [1, 3])
def test_modules_weigh_what_accounting_says(name, depth):
    model = tiny(name, depth)
    counted = accounting.parameters(model.c)
    assert sum(p.numel() for p in model.depths.parameters()) == counted.mtp
    assert sum(p.numel() for p in model.main.parameters()) == counted.total


def test_the_module_of_v3_weighs_11_610_billion():
    with torch.device("meta"):
        module = Module(preset("deepseek-v3"))
    assert sum(p.numel() for p in module.parameters()) == 11_610_067_968


def test_embedding_and_head_are_the_models_own():
    model = tiny(depth=1)
    names = {name for name, _ in model.depths.named_parameters()}
    assert not any("embed." in name or "head" in name for name in names)
    tokens, targets = text()
    before = model.ahead(model(tokens).hidden, targets)[0].logits
    with torch.no_grad():
        model.main.head.weight.mul_(2)
    torch.testing.assert_close(model.ahead(model(tokens).hidden, targets)[0].logits, 2 * before)


def test_a_model_without_depth_has_no_modules():
    with pytest.raises(ValueError, match="mtp_depth=0: build the model from replace"):
        MTP(Transformer(shrink(preset("deepseek-llm-7b"), dim=32, n_heads=4)))


def test_a_model_on_the_meta_device_gets_modules_without_memory():
    with torch.device("meta"):
        model = MTP(Transformer(preset("deepseek-v3")))
    assert all(p.is_meta for p in model.parameters())


# --- two ways to one answer


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("order", ["report", "released"])
def test_the_module_is_its_formula(name, order):
    model = tiny(name, 2, order=order)
    tokens, targets = text()
    out = model(tokens)
    hidden = out.hidden
    for k, found in enumerate(model.ahead(hidden, targets), 1):
        module, n = model.depths[k - 1], 12 - k
        embedded = F.embedding(targets[:, k - 1 : 11], model.main.embed.weight)
        left = rms_norm_written_out(hidden[:, :n], module.hidden_norm.weight, model.c.norm_eps)
        right = rms_norm_written_out(embedded, module.embedding_norm.weight, model.c.norm_eps)
        d = model.c.dim
        m = module.merge.weight
        first, second = (left, right) if order == "report" else (right, left)
        x = first @ m[:, :d].T + second @ m[:, d:].T
        x, _ = module.block(x, Rotary(model.main.cos[:n], model.main.sin[:n]))
        hidden = rms_norm_written_out(x, module.norm.weight, model.c.norm_eps)
        torch.testing.assert_close(found.hidden, hidden, atol=1e-10, rtol=0)
        torch.testing.assert_close(found.logits, hidden @ model.main.head.weight.T)
        assert len(found.routings) == (model.c.moe is not None)


def test_one_order_becomes_the_other_by_exchanging_halves():
    tokens, targets = text()
    one, other = tiny(order="report"), tiny(order="released")
    hidden = one(tokens).hidden
    wanted = one.ahead(hidden, targets)[1].logits
    assert (other.ahead(hidden, targets)[1].logits - wanted).abs().max() > 0.1
    with torch.no_grad():
        for module in other.depths:
            module.merge.weight.copy_(swap_order(module.merge.weight))
    torch.testing.assert_close(other.ahead(hidden, targets)[1].logits, wanted)
    weight = one.depths[0].merge.weight
    assert torch.equal(swap_order(swap_order(weight)), weight)
    with pytest.raises(Exception, match="'report'"):
        Module(one.c, "paper")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", KINDS)
def test_a_module_read_in_steps_gives_what_one_pass_gives(name):
    model = tiny(name, 1)
    tokens, targets = text(t=10)
    hidden = model(tokens).hidden
    whole = model.ahead(hidden, targets)[0].hidden
    cache, module, main = model.new_cache(2, 16)[0], model.depths[0], model.main
    parts = []
    for a, b in ((0, 4), (4, 5), (5, 9)):
        turn = Rotary(main.cos[a:b], main.sin[a:b])
        parts.append(module(hidden[:, a:b], main.embed(targets[:, a:b]), turn, cache)[0])
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-10, rtol=0)
    cache.rewind(4)
    turn = Rotary(main.cos[4:9], main.sin[4:9])
    again, _ = module(hidden[:, 4:9], main.embed(targets[:, 4:9]), turn, cache)
    torch.testing.assert_close(again, whole[:, 4:], atol=1e-10, rtol=0)


# --- who sees what


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("at", [3, 7, 11])
def test_module_k_sees_k_tokens_more_than_the_model_and_no_more(name, at):
    model = tiny(name, 2)
    tokens, targets = text()
    whole = torch.cat([tokens, targets[:, -1:]], 1)
    changed = whole.clone()
    changed[:, at] = (changed[:, at] + 1) % 23
    both = [model.ahead(model(x[:, :-1]).hidden, x[:, 1:]) for x in (whole, changed)]
    for k, (before, after) in enumerate(zip(*both, strict=True), 1):
        moved = (before.logits - after.logits).abs().amax(-1).amax(0) > 1e-9
        first = at - k
        assert not moved[:first].any()
        if first < len(moved):
            assert moved[first]


def test_depth_k_has_t_minus_k_places():
    model = tiny(depth=3)
    tokens, targets = text(t=5)
    assert [o.logits.shape[1] for o in model.ahead(model(tokens).hidden, targets)] == [4, 3, 2]
    with pytest.raises(ValueError, match="3 modules look 4 tokens ahead, and the rows have 3"):
        model.ahead(model(tokens[:, :3]).hidden, targets[:, :3])


def test_a_row_alone_gives_what_it_gives_in_a_batch():
    model = tiny("deepseek-llm-67b")
    tokens, targets = text(b=3)
    together = model.ahead(model(tokens).hidden, targets)[1].logits
    alone = model.ahead(model(tokens[1:2]).hidden, targets[1:2])[1].logits
    torch.testing.assert_close(alone[0], together[1], atol=1e-10, rtol=0)


# --- discardable


@pytest.mark.parametrize("name", KINDS)
def test_the_models_own_outputs_are_bit_equal_with_and_without_modules(name):
    c = replace(shrink(preset(name), dim=32, n_heads=4, vocab=23, context=48), mtp_depth=2)
    alone, model = Transformer(c, seed=4), MTP(Transformer(c, seed=4), seed=9)
    tokens, _ = text()
    assert torch.equal(alone(tokens).logits, model(tokens).logits)
    fresh = Transformer(c, seed=5)
    fresh.load_state_dict(main_weights(model.state_dict()))
    assert torch.equal(fresh(tokens).logits, alone(tokens).logits)


def test_the_last_places_alone_are_those_of_the_model():
    model, (tokens, _) = tiny(), text()
    torch.testing.assert_close(model(tokens, last=2).logits, model(tokens).logits[:, -2:])


def test_a_checkpoint_holds_the_modules_and_the_optimizer_trains_them(tmp_path):
    model = tiny(depth=1).float()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    list(fit_mtp(model, lambda i: batch(seed=i), steps=2, lr=1e-2))
    moved = [k for k, v in model.state_dict().items() if not torch.equal(v, before[k])]
    weights = [k for k, p in model.named_parameters()]
    assert set(weights) <= set(moved)
    checkpoint.save(tmp_path, model, step=2)
    loaded = checkpoint.load(tmp_path)
    again = MTP(Transformer(loaded.config), seed=77)
    again.load_state_dict(loaded.weights)
    tokens, targets = text()
    wanted = model.ahead(model(tokens).hidden, targets)[0].logits
    assert torch.equal(again.ahead(again(tokens).hidden, targets)[0].logits, wanted)


# --- the loss


def test_the_loss_is_the_mean_surprise_k_plus_one_tokens_ahead():
    model, data = tiny("deepseek-llm-7b", 2), batch()
    outputs = model.ahead(model(data.tokens).hidden, data.targets)
    for k, (output, loss) in enumerate(zip(outputs, mtp_losses(outputs, data), strict=True), 1):
        logp = output.logits.log_softmax(-1)
        surprise = 0.0
        for b in range(2):
            for i in range(12 - k):
                surprise -= logp[b, i, data.targets[b, i + k]].item()
        assert loss.item() == pytest.approx(surprise / 24)


def test_only_targets_that_count_weigh():
    model = tiny("deepseek-llm-7b", 1)
    data = padded([[1, 2, 3], [4]], [[5, 6, 7, 8], [9, 10]], pad=0)
    output = model.ahead(model(data.tokens).hidden, data.targets)[0]
    logp = output.logits.log_softmax(-1)
    # Row 0: place 1 predicts the 5, up to place 4 with the 8. Row 1: place 0 predicts the 10.
    places = [(0, 1, 5), (0, 2, 6), (0, 3, 7), (0, 4, 8), (1, 0, 10)]
    wanted = sum(-logp[b, i, target].item() for b, i, target in places)
    counting = int(data.mask.sum())
    assert counting == 6  # the 9 counts for the model and is too near for the module
    assert mtp_losses([output], data)[0].item() == pytest.approx(wanted / counting)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(parts):
    data = padded([[1, 2, 3], [4], [5, 6], [7]], [[5, 6, 7, 8], [9, 10], [1, 2], [3] * 6], pad=0)
    found = []
    for n in (1, parts):
        model = tiny("deepseek-llm-7b", 2)
        terms = add_gradients(model, data, accumulate=n, extra_losses=mtp_loss(0.3)).terms
        found.append((terms, [p.grad for p in model.parameters()]))
    assert list(found[0][0]) == ["loss", "mtp_1", "mtp_2"]
    for name, value in found[0][0].items():
        assert found[1][0][name].item() == pytest.approx(value.item())
    for whole, cut in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(whole, cut, atol=1e-7, rtol=1e-5)


def test_the_weight_is_shared_by_the_depths_and_zero_teaches_the_modules_nothing():
    data = batch()
    model = tiny("deepseek-llm-7b", 2)
    outputs = model(data.tokens)
    each = mtp_losses(model.ahead(outputs.hidden, data.targets), data)
    terms = mtp_loss(0.3)(model, outputs, data)
    assert [x.item() for x in terms.values()] == pytest.approx([0.15 * x.item() for x in each])
    add_gradients(model, data, extra_losses=mtp_loss(0.0))
    assert all(p.grad is None or not p.grad.any() for p in model.depths.parameters())
    with pytest.raises(ValueError, match=r"weight=-1: V3 takes 0\.3"):
        mtp_loss(-1)


def test_without_modules_the_loss_says_which_model_it_wants():
    main = Transformer(tiny("deepseek-llm-7b", 1).c)
    with pytest.raises(TypeError, match=r"Transformer has none: train MTP\(model\)"):
        list(fit(main, lambda i: batch(), steps=1, extra_losses=mtp_loss(0.3)))


def test_a_compiled_model_has_the_same_loss():
    model, data = tiny("deepseek-llm-7b", 2), batch()
    output = model(data.tokens)
    plain = mtp_loss(0.3)(model, output, data)
    assert mtp_loss(0.3)(torch.compile(model, backend="eager"), output, data) == plain


def test_the_weight_falls_from_0_3_to_0_1_after_two_thirds_of_the_run():
    model = tiny("deepseek-llm-7b", 1).float()
    steps = list(fit_mtp(model, lambda i: batch(seed=i), steps=37, lr=0.0, weight_decay=0.0))
    assert [s.i for s in steps] == list(range(37))
    fresh = tiny("deepseek-llm-7b", 1).float()
    for step in (steps[0], steps[24], steps[25], steps[36]):
        data = batch(seed=step.i)
        loss = mtp_losses(fresh.ahead(fresh(data.tokens).hidden, data.targets), data)[0]
        assert step.parts["mtp_1"] / loss.item() == pytest.approx(0.3 if step.i < 25 else 0.1)
    assert V3_WEIGHTS[0][0] == pytest.approx(0.6757, abs=1e-4)


@pytest.mark.parametrize("weights", [(), ((0.5, 0.3),), ((1.0, 0.3), (0.5, 0.1)), ((2.0, 0.3),),
                                     ((-0.5, 0.3), (1.0, 0.1))])  # fmt: skip
def test_phases_that_do_not_fill_the_run_are_refused(weights):
    with pytest.raises(ValueError, match="shares that rise to 1"):
        fit_mtp(tiny("deepseek-llm-7b", 1), lambda i: batch(), steps=4, weights=weights)


def test_a_phase_ends_at_the_nearest_step():
    steps = list(fit_mtp(tiny("deepseek-llm-7b", 1).float(), lambda i: batch(), steps=10, lr=0.0))
    first = steps[0].parts["mtp_1"]  # 10 of 14.8 T tokens are 6.8 of 10 steps
    fall = [step.parts["mtp_1"] / first for step in steps]
    assert fall == pytest.approx([1.0] * 7 + [1 / 3] * 3)


@pytest.mark.parametrize(
    "given",
    [{}, {"betas": (0.5, 0.6)}, {"weight_decay": 5.0}, {"lr": 0.03}, {"clip": 0.01}],
    ids=str,
)
def test_phases_are_one_run_like_any_other(given):
    runs = []
    given = {"steps": 6} | given
    for make in (
        lambda m: fit_mtp(m, lambda i: batch(seed=i), weights=((0.5, 0.3), (1.0, 0.3)), **given),
        lambda m: fit(m, lambda i: batch(seed=i), extra_losses=mtp_loss(0.3), **given),
    ):
        model = tiny("deepseek-llm-7b", 1).float()
        runs.append([(s.loss, s.grad_norm) for s in make(model)])
    assert runs[0] == runs[1]


@pytest.mark.parametrize("stop", [0, 2, 4, 6])
def test_a_run_goes_on_where_it_stopped_in_its_phase(stop):
    def run(model, optimizer, **given):
        phases = ((0.5, 0.3), (0.5, 9.0), (1.0, 0.1))
        options = {"steps": 6, "weights": phases, "optimizer": optimizer} | given
        return fit_mtp(model, lambda i: batch(seed=i), **options)

    whole = [model := tiny("deepseek-llm-7b", 1).float(), adamw(model)]
    parts = [model := tiny("deepseek-llm-7b", 1).float(), adamw(model)]
    expected = [(s.i, s.loss, s.grad_norm) for s in run(*whole)]
    first = list(islice(run(*parts), stop))
    found = [(s.i, s.loss, s.grad_norm) for s in [*first, *run(*parts, start=stop)]]
    assert found == expected
    with pytest.raises(ValueError, match="start=7 must lie between 0 and steps=6"):
        run(*parts, start=7)


def test_modules_keep_sums_in_full_precision_where_products_are_narrow():
    model = tiny("deepseek-v3", 2).float()
    tokens, targets = text()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        hidden = model(tokens).hidden
        ahead = model.ahead(hidden, targets)
        written = speculate(model.main, model, [[1, 2], [3]], 6)
    assert {hidden.dtype, *(depth.hidden.dtype for depth in ahead)} == {torch.float32}
    assert [len(row) for row in written.answers] == [6, 6]


def test_modules_learn_to_look_ahead_and_the_gradient_reaches_the_model():
    data = batch(b=4, seed=3)
    model = tiny("deepseek-llm-7b", 2).float()
    steps = list(fit_mtp(model, lambda i: data, steps=60, lr=1e-2, weights=((1.0, 0.3),)))
    assert steps[-1].parts["mtp_2"] < 0.3 * steps[0].parts["mtp_2"]
    fresh = tiny("deepseek-llm-7b", 1)
    out = fresh(data.tokens)
    sum(mtp_losses(fresh.ahead(out.hidden, data.targets), data)).backward()
    assert fresh.main.layers[0].attention.qkv.weight.grad.abs().max() > 0


# --- published names


def test_the_published_layer_of_a_module_loads_by_the_names_of_any_other_layer():
    """The embedding comes first in released weights; the block has the names of layer n_layers."""
    model = tiny(depth=1, order="released", n_dense=1)
    c, module = model.c, model.depths[0]
    deeper = replace(c, n_layers=c.n_layers + 1, mtp_depth=0)
    stand_in = Transformer(deeper).double()
    stand_in.layers[-1].load_state_dict(module.block.state_dict())
    published = to_hf_weights(stand_in)
    at = f"model.layers.{c.n_layers}."
    published |= {
        f"{at}enorm.weight": module.embedding_norm.weight,
        f"{at}hnorm.weight": module.hidden_norm.weight,
        f"{at}eh_proj.weight": module.merge.weight,
        f"{at}shared_head.norm.weight": module.norm.weight,
    }
    found = mtp_weights(published, c)[0]
    table = {
        name: source
        for name, source in sources(deeper).items()
        if name.startswith(f"layers.{c.n_layers}.")
    }
    loaded = {
        "embedding_norm.weight": found["enorm.weight"],
        "hidden_norm.weight": found["hnorm.weight"],
        "merge.weight": found["eh_proj.weight"],
        "norm.weight": found["shared_head.norm.weight"],
    }
    for name, source in table.items():
        rows = [
            torch.cat([found[x.removeprefix(at)] for x in one.names])
            for one in ([source] if isinstance(source, Source) else source.each)
        ]
        ours = "block." + name.removeprefix(f"layers.{c.n_layers}.")
        loaded[ours] = rows[0] if isinstance(source, Source) else torch.stack(rows)
    fresh = Module(c, "released").double()
    fresh.load_state_dict(loaded)
    for ours, theirs in zip(fresh.parameters(), module.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_modules_of_all_attention_and_feed_forward_kinds_exist():
    kinds = {
        (type(Module(tiny(name, 1).c).block.attention), type(Module(tiny(name, 1).c).block.ffn))
        for name in KINDS
    }
    assert len(kinds) >= 2
    c = ModelConfig(
        name="mix", vocab=11, dim=12, n_layers=1, hidden=16, context=16, mtp_depth=1,
        attention=GQAConfig(n_heads=3, n_kv_heads=1, head_dim=4), moe=preset("toy-v3").moe,
    )  # fmt: skip
    assert type(mtp.Module(c).block.ffn).__name__ == "MoE"


def test_a_part_in_which_nothing_counts_adds_nothing():
    model = MTP(Transformer(preset("toy-v3"), seed=0))
    tokens = torch.randint(64, (2, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True], [False]]).expand(2, 11)
    batch = Batch(tokens[:, :-1], tokens[:, 1:], mask)
    found = [
        add_gradients(model, batch, accumulate=n, extra_losses=mtp_loss(0.3)).terms["mtp_1"]
        for n in (1, 2)
    ]
    torch.testing.assert_close(*found)
    assert float(found[0]) > 0


def test_modules_have_the_type_of_the_model_they_stand_behind():
    small = replace(shrink(preset("deepseek-v3"), dim=32, n_heads=4, n_layers=2), mtp_depth=1)
    model = MTP(Transformer(small).double())
    assert {p.dtype for p in model.depths.parameters()} == {torch.float64}
