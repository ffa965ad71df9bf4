"""The widths of attention, a part of a model's config: heads of keys and values, or one latent.

The rest of the code takes both from `config.py`.
"""

from dataclasses import dataclass

from minids.fields import require, require_one_of, require_whole


@dataclass(frozen=True, kw_only=True)
class GQAConfig:
    """Widths of grouped-query attention. One key head per query head is MHA, a single one is MQA.

    here          paper   config.json           meaning
    n_heads       n_h     num_attention_heads   query heads
    n_kv_heads    n_g     num_key_value_heads   key and value heads; each serves n_h / n_g queries
    head_dim      d_h     head_dim              width of one head
    qkv_bias              (qwen2 has one)       whether q, k and v have a bias
    """

    n_heads: int
    n_kv_heads: int
    head_dim: int
    qkv_bias: bool = False

    def __post_init__(self) -> None:
        require_whole(self, 1, "n_heads", "n_kv_heads", "head_dim")
        require_one_of(self, "qkv_bias", False, True)
        require(
            self.n_heads % self.n_kv_heads == 0,
            f"n_kv_heads={self.n_kv_heads} does not divide n_heads={self.n_heads}: "
            "each key head must serve equally many query heads",
        )
        require(self.head_dim % 2 == 0, f"RoPE turns pairs: head_dim={self.head_dim} must be even")

    @property
    def cached_width(self) -> int:
        """Numbers kept per token and layer: a key and a value for every key head."""
        return 2 * self.n_kv_heads * self.head_dim

    @property
    def rotary_width(self) -> int:
        """Numbers of a query or key head that RoPE turns: all of them."""
        return self.head_dim


@dataclass(frozen=True, kw_only=True)
class MLAConfig:
    """Widths of multi-head latent attention (DeepSeek-V2, section 2.1).

    here        paper    config.json          meaning
    n_heads     n_h      num_attention_heads
    kv_rank     d_c      kv_lora_rank         width of the latent kept in the cache
    q_rank      d_c'     q_lora_rank          width of the query latent; None: no query latent
    nope_dim    d_h      qk_nope_head_dim     per head, the part of q and k that ignores position
    rope_dim    d_h^R    qk_rope_head_dim     per head, the part of q and k that RoPE turns
    value_dim   d_h      v_head_dim           per head
    """

    n_heads: int
    kv_rank: int
    q_rank: int | None
    nope_dim: int
    rope_dim: int
    value_dim: int

    def __post_init__(self) -> None:
        require_whole(self, 1, "n_heads", "kv_rank", "nope_dim", "value_dim")
        require_whole(self, 0, "rope_dim")
        require(self.rope_dim % 2 == 0, f"RoPE turns pairs: rope_dim={self.rope_dim} must be even")
        require(
            self.q_rank != 0, "q_rank=0 is no width: write None for a model without query latent"
        )
        if self.q_rank is not None:
            require_whole(self, 1, "q_rank")

    @property
    def cached_width(self) -> int:
        """Numbers kept per token and layer: one latent and one rotary key, shared by all heads."""
        return self.kv_rank + self.rope_dim

    @property
    def rotary_width(self) -> int:
        """Numbers of a query or key head that RoPE turns: the decoupled part alone."""
        return self.rope_dim
