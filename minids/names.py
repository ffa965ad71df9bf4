"""Where Hugging Face keeps each of our tensors.

Rows of matrices that one product serves are kept together here (q, k and v; gate and up; the
experts of a layer) and apart on disk. Everything else is the same tensor under another name.
Names and shapes: transformers 5, classes Llama, Qwen2, DeepseekV2 and DeepseekV3.
"""

from typing import NamedTuple

from minids.config import GQAConfig, ModelConfig


class Source(NamedTuple):
    """Where the rows of one of our tensors lie: under one name, or under several, top first."""

    names: tuple[str, ...]
    rows: tuple[int, ...] = ()  # how many under each name, if there are several


class Stack(NamedTuple):
    """Where a layer's experts lie: in one tensor (in memory) or in one for each (on disk)."""

    fused: str
    each: tuple[Source, ...]


Table = dict[str, Source | Stack]


def sources(c: ModelConfig) -> Table:
    """Return for each of our tensors where Hugging Face keeps it; a tied head is kept nowhere."""
    table: Table = {
        "embed.weight": Source(("model.embed_tokens.weight",)),
        "norm.weight": Source(("model.norm.weight",)),
        **({} if c.tied else {"head.weight": Source(("lm_head.weight",))}),
    }
    for i in range(c.n_layers):
        at, ours = f"model.layers.{i}.", f"layers.{i}."
        table[f"{ours}attention_norm.weight"] = Source((f"{at}input_layernorm.weight",))
        table[f"{ours}ffn_norm.weight"] = Source((f"{at}post_attention_layernorm.weight",))
        table |= _attention(c, f"{ours}attention.", f"{at}self_attn.")
        if c.is_moe(i):
            table |= _experts(c, f"{ours}ffn.", f"{at}mlp.")
        else:
            table |= _swiglu(c.hidden, f"{ours}ffn.", f"{at}mlp.")
    return table


def _attention(c: ModelConfig, ours: str, at: str) -> Table:
    a = c.attention
    names = {"out": "o_proj"}
    table: Table = {}
    if isinstance(a, GQAConfig):
        rows = tuple(n * a.head_dim for n in (a.n_heads, a.n_kv_heads, a.n_kv_heads))
        for kind in ("weight", "bias") if a.qkv_bias else ("weight",):
            parts = tuple(f"{at}{x}_proj.{kind}" for x in "qkv")
            table[f"{ours}qkv.{kind}"] = Source(parts, rows)
    else:
        names |= {"kv_down": "kv_a_proj_with_mqa", "kv_norm": "kv_a_layernorm"}
        names |= {"kv_up": "kv_b_proj", "q_up": "q_proj" if a.q_rank is None else "q_b_proj"}
        if a.q_rank is not None:
            names |= {"q_down": "q_a_proj", "q_norm": "q_a_layernorm"}
    for name, theirs in names.items():
        table[f"{ours}{name}.weight"] = Source((f"{at}{theirs}.weight",))
    return table


def _swiglu(hidden: int, ours: str, at: str) -> dict[str, Source]:
    gate_up = (f"{at}gate_proj.weight", f"{at}up_proj.weight")
    return {
        f"{ours}gate_up.weight": Source(gate_up, (hidden, hidden)),
        f"{ours}down.weight": Source((f"{at}down_proj.weight",)),
    }


def _experts(c: ModelConfig, ours: str, at: str) -> Table:
    m = c.moe
    assert m is not None
    table: Table = {f"{ours}router.weight": Source((f"{at}gate.weight",))}
    if m.biased:
        table[f"{ours}router.bias"] = Source((f"{at}gate.e_score_correction_bias",))
    if m.n_shared:
        table |= _swiglu(m.n_shared * m.hidden, f"{ours}shared.", f"{at}shared_experts.")
    each = [_swiglu(m.hidden, "", f"{at}experts.{e}.") for e in range(m.n_routed)]
    for part in ("gate_up", "down"):
        one_by_one = tuple(expert[f"{part}.weight"] for expert in each)
        table[f"{ours}experts.{part}"] = Stack(f"{at}experts.{part}_proj", one_by_one)
    return table
