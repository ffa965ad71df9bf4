"""What a model is, as plain data: the same type describes DeepSeek-V3 and a toy.

Nothing here imports torch, so a config of 671 billion parameters costs nothing to build,
to compare or to count. `presets.py` has the published models and shrinks them to toys,
`huggingface.py` reads and writes `config.json`, `accounting.py` counts.
"""

from dataclasses import dataclass
from typing import Literal

from minids.attention_config import GQAConfig as GQAConfig
from minids.attention_config import MLAConfig as MLAConfig
from minids.fields import ConfigError as ConfigError
from minids.fields import require, require_number, require_one_of, require_whole


@dataclass(frozen=True, kw_only=True)
class MoEConfig:
    """Experts of one DeepSeekMoE layer.

    here          paper     config.json             meaning
    n_routed      N_r       n_routed_experts        experts that the router chooses from
    n_shared      N_s       n_shared_experts        experts that see every token
    top_k         K_r       num_experts_per_tok     routed experts per token
    hidden                  moe_intermediate_size   width of a single expert
    scores                  scoring_func            softmax over the experts, or a sigmoid for each
    normalise               norm_topk_prob          whether the chosen weights are made to sum to 1
    scale                   routed_scaling_factor   factor on the weights of the routed experts
    n_groups      D         n_group                 groups (devices, nodes) the experts live on
    kept_groups   M         topk_group              groups that one token may visit
    group_score             topk_method             worth of a group: its best or two best experts
    biased        b_i       topk_method noaux_tc    whether a balancing bias takes part in choosing
    """

    n_routed: int
    n_shared: int
    top_k: int
    hidden: int
    scores: Literal["softmax", "sigmoid"] = "softmax"
    normalise: bool = False
    scale: float = 1.0
    n_groups: int = 1
    kept_groups: int = 1
    group_score: Literal["max", "top2"] = "max"
    biased: bool = False

    def __post_init__(self) -> None:
        require_whole(self, 1, "n_routed", "top_k", "hidden", "n_groups", "kept_groups")
        require_whole(self, 0, "n_shared")
        require_number(self, "scale")
        require_one_of(self, "scores", "softmax", "sigmoid")
        require_one_of(self, "group_score", "max", "top2")
        require_one_of(self, "normalise", False, True)
        require_one_of(self, "biased", False, True)
        require(
            self.n_routed % self.n_groups == 0,
            f"n_routed={self.n_routed} experts do not split into n_groups={self.n_groups}",
        )
        require(
            self.kept_groups <= self.n_groups,
            f"kept_groups={self.kept_groups} must lie between 1 and n_groups={self.n_groups}",
        )
        reachable = self.n_routed // self.n_groups * self.kept_groups
        require(
            self.top_k <= reachable,
            f"top_k={self.top_k}, but {self.kept_groups} of {self.n_groups} groups "
            f"hold {reachable} experts",
        )
        require(
            self.n_groups == 1 or self.group_score == "max" or self.n_routed >= 2 * self.n_groups,
            f"group_score='top2' needs two experts in a group; n_routed={self.n_routed} in "
            f"n_groups={self.n_groups} gives one",
        )


@dataclass(frozen=True, kw_only=True)
class YarnConfig:
    """Context extension by YaRN (arXiv 2309.00071; DeepSeek-V2 3.1.4, DeepSeek-V3 4.3).

    here               config.json                        meaning
    factor        s    factor                             new context / original context
    original           original_max_position_embeddings   context before the extension
    beta_fast     beta beta_fast                          rotations above which a pair is left alone
    beta_slow     alpha beta_slow                         rotations below which it is interpolated
    mscale             mscale = mscale_all_dim            slope of the softmax temperature in ln s
    """

    factor: float
    original: int
    beta_fast: float = 32
    beta_slow: float = 1
    mscale: float = 1.0

    def __post_init__(self) -> None:
        require_whole(self, 1, "original")
        require_number(self, "factor", "beta_fast", "beta_slow")
        require_number(self, "mscale", zero=True)


@dataclass(frozen=True, kw_only=True)
class Llama3RopeConfig:
    """Context extension of Llama 3.1, needed to read the distilled Llama models."""

    factor: float
    original: int
    low_freq: float = 1.0
    high_freq: float = 4.0

    def __post_init__(self) -> None:
        require_whole(self, 1, "original")
        require_number(self, "factor", "low_freq", "high_freq")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One decoder-only transformer.

    here        paper   config.json               meaning
    vocab       V       vocab_size
    dim         d       hidden_size               width of the residual stream
    n_layers    L       num_hidden_layers
    hidden              intermediate_size         width of a dense feed-forward
    attention           (see GQAConfig, MLAConfig)
    moe                 (see MoEConfig)           None: every feed-forward is dense
    n_dense             first_k_dense_replace     first layers that stay dense in a MoE model
    context             max_position_embeddings   positions that the model can be asked about
    rope_theta          rope_theta                base of the rotary wavelengths
    rope_scaling        rope_scaling              None: positions are used as they are
    mtp_depth   D       num_nextn_predict_layers  multi-token prediction modules
    tied                tie_word_embeddings       one table for embedding and head
    norm_eps            rms_norm_eps
    init_std            (papers: 0.006)           standard deviation of the initial weights
    """

    name: str
    vocab: int
    dim: int
    n_layers: int
    hidden: int
    attention: GQAConfig | MLAConfig
    moe: MoEConfig | None = None
    n_dense: int = 0
    context: int
    rope_theta: float = 10_000.0
    rope_scaling: YarnConfig | Llama3RopeConfig | None = None
    mtp_depth: int = 0
    tied: bool = False
    norm_eps: float = 1e-6
    init_std: float = 0.006

    def __post_init__(self) -> None:
        require_whole(self, 1, "vocab", "dim", "n_layers", "hidden", "context")
        require_whole(self, 0, "n_dense", "mtp_depth")
        require_number(self, "rope_theta", "norm_eps")
        require_number(self, "init_std", zero=True)
        require_one_of(self, "tied", False, True)
        require(
            self.n_dense <= self.n_layers,
            f"n_dense={self.n_dense} must lie between 0 and n_layers={self.n_layers}",
        )
        require(
            self.moe is not None or self.n_dense == 0,
            f"n_dense={self.n_dense} counts the dense layers of a MoE model, but moe is None",
        )

    def is_moe(self, layer: int) -> bool:
        """Whether the feed-forward of `layer` (counted from 0) is a mixture of experts."""
        return self.moe is not None and layer >= self.n_dense

    @property
    def n_moe(self) -> int:
        """Number of layers with experts."""
        return 0 if self.moe is None else self.n_layers - self.n_dense
