"""How R1's toy is set up: the model, what it reads, and how long each stage takes.

The model has the structure of DeepSeek-V3, made small: latent attention, a dense first layer, then
fine-grained experts of which one is shared and two of eight are routed, in groups, with sigmoid
scores and a balancing bias that keeps moving during reinforcement.
"""

from dataclasses import dataclass, field, replace

from minids.config import MLAConfig, ModelConfig, MoEConfig
from minids.rl.update import Settings
from minids.text.bilingual import bilingual
from minids.text.library import Library
from minids.text.requests import Manners

LONGEST = 14
"""Tokens of the longest response; a tidy working has 11."""


def _practice(lr: float, prompts: int = 16) -> Settings:
    return Settings(prompts=prompts, group=16, max_new=LONGEST, minibatches=2, lr=lr)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One run from nothing to R1. The defaults are the toy that was measured.

    here        DeepSeek-R1                meaning
    reading                                steps of the base
    traces      thousands                  workings of the cold start
    practice    R1-Zero: 10,400 steps      steps of each reinforcement
    questions                              asked for the harvest, `each` times
    general     about 200,000              requests that are tuned on beside the harvest
    manners                                of these: as mixed as what people write
    epochs      2 to 3                     of both tunings
    tested                                 held-out sums that each stage is asked
    """

    library: Library = field(default_factory=Library)
    reading: int = 450
    reading_lr: float = 4e-3
    batch: int = 48
    traces: int = 1000
    questions: int = 1000
    each: int = 4
    general: int = 800
    manners: Manners = field(default_factory=lambda: Manners(polite=0.6, refuse=0.6))
    epochs: int = 2
    sft_batch: int = 64
    sft_lr: float = 1e-3
    practice: int = 50
    first: Settings = field(default_factory=lambda: _practice(1.2e-3))
    last: Settings = field(default_factory=lambda: _practice(1e-3))
    tested: int = 192

    def __post_init__(self) -> None:
        for name in (
            "reading",
            "traces",
            "questions",
            "each",
            "general",
            "epochs",
            "practice",
            "tested",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be 1 or more")

    @property
    def config(self) -> ModelConfig:
        """The model; its rotary wavelengths suit texts of 30 tokens."""
        return ModelConfig(
            name="toy-r1",
            vocab=bilingual().vocab,
            dim=64,
            n_layers=2,
            hidden=128,
            attention=MLAConfig(
                n_heads=8, kv_rank=32, q_rank=None, nope_dim=8, rope_dim=8, value_dim=16
            ),
            moe=MoEConfig(
                n_routed=8,
                n_shared=1,
                top_k=2,
                hidden=32,
                scores="sigmoid",
                normalise=True,
                n_groups=4,
                kept_groups=2,
                group_score="top2",
                biased=True,
            ),
            n_dense=1,
            context=48,
            rope_theta=100.0,
            init_std=0.1,
        )


def shortened(
    *,
    reading: int = 450,
    practice: int = 50,
    examples: int = 1000,
    prompts: int = 16,
    **changes: object,
) -> Recipe:
    """Return the recipe with shorter stages; `examples` is the size of each set that is tuned on.

    `prompts` are the questions of a step of practice: more of them keep a GPU busy.
    Other fields of `Recipe` may be given by name.
    """
    stages = {
        "traces": examples,
        "questions": examples,
        "general": max(1, examples * 4 // 5),
        "first": _practice(1.2e-3, prompts),
        "last": _practice(1e-3, prompts),
    }
    return replace(Recipe(), reading=reading, practice=practice, **stages | changes)  # type: ignore[arg-type]
