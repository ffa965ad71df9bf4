"""Experts in Hugging Face's `config.json`: their sizes, and how a token chooses some."""

from typing import Any

from minids.config import ConfigError, MoEConfig
from minids.hf_fields import Fields

# topk_method -> (how a group is scored, whether a balancing bias takes part)
_CHOICES = {
    "greedy": ("max", False),
    "group_limited_greedy": ("max", False),
    "noaux_tc": ("top2", True),
}


def read_experts(read: Fields) -> MoEConfig | None:
    """Return the experts that a config describes; None for a model without.

    ConfigError where one field contradicts another, or lacks another that it needs.
    """
    names = "n_routed_experts n_shared_experts num_experts_per_tok moe_intermediate_size n_group"
    names += " topk_group topk_method scoring_func norm_topk_prob routed_scaling_factor"
    fields = {f: read.get(f, None) for f in names.split()}
    if not fields["n_routed_experts"]:
        given = [f for f in ("n_shared_experts", "num_experts_per_tok") if fields[f]]
        if given:
            raise ConfigError(f"{given[0]} is set without n_routed_experts")
        return None
    method = fields["topk_method"] or "greedy"
    if method not in list(_CHOICES):
        raise ConfigError(f"topk_method={method!r} is not one of {', '.join(_CHOICES)}")
    n_groups, kept = fields["n_group"] or 1, fields["topk_group"] or 1
    if method == "greedy" and n_groups > 1:
        raise ConfigError(f"topk_method='greedy' ignores groups, but n_group={n_groups}")
    group_score, biased = _CHOICES[method]
    if biased:  # its class implies others than a plain router
        for field in ("norm_topk_prob", "routed_scaling_factor", "n_group", "topk_group"):
            read.need(field)
    model_type = read.get("model_type", None)
    if model_type == "deepseek_v3":
        read.expect("scoring_func", {"sigmoid"}, "this class knows no other")
        read.need("first_k_dense_replace")  # this class takes 3, the others none
    if model_type == "deepseek_v2":
        read.expect("norm_topk_prob", {False, None}, "this class never divides by the sum")
    if model_type in ("deepseek_v2", "deepseek_v3"):
        read.said("n_shared_experts")  # these classes take 2 and 1
    normalise = fields["norm_topk_prob"]
    if normalise not in (None, False, True):
        raise ConfigError(f"norm_topk_prob={normalise!r} must be true or false")
    hidden = fields["moe_intermediate_size"]
    relative = read.get("relative_expert_size", None)
    if hidden is None and relative:  # the 2B validation model: a quarter of SwiGLU's 8/3 d
        hidden = int(read.need("hidden_size") * 8 / 3 * relative)
    return MoEConfig(
        n_routed=fields["n_routed_experts"],
        n_shared=fields["n_shared_experts"] or 0,
        top_k=read.need("num_experts_per_tok"),
        hidden=hidden or read.need("moe_intermediate_size"),
        scores=fields["scoring_func"] or ("sigmoid" if biased else "softmax"),
        normalise=bool(normalise),
        scale=1.0 if (s := fields["routed_scaling_factor"]) is None else float(s),
        n_groups=n_groups,
        kept_groups=kept,
        group_score=group_score,  # type: ignore[arg-type]
        biased=biased,
    )


def write_experts(m: MoEConfig) -> dict[str, Any]:
    """Return the fields that `read_experts` reads as `m`."""
    greedy = "group_limited_greedy" if m.n_groups > 1 else "greedy"
    return {
        "n_routed_experts": m.n_routed,
        "n_shared_experts": m.n_shared,
        "num_experts_per_tok": m.top_k,
        "moe_intermediate_size": m.hidden,
        "scoring_func": m.scores,
        "norm_topk_prob": m.normalise,
        "routed_scaling_factor": float(m.scale),
        "n_group": m.n_groups,
        "topk_group": m.kept_groups,
        "topk_method": "noaux_tc" if m.biased else greedy,
    }
