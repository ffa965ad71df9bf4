"""How large the runs of chapter 12 are: teacher, student, lessons, practice, exam."""

from dataclasses import dataclass, field, replace

from minids.config import GQAConfig, ModelConfig
from minids.rl.grpo import Settings
from minids.rl.zero import Recipe


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How large everything is. The defaults are the runs that are stored with the course."""

    recipe: Recipe = field(default_factory=lambda: Recipe(reading=800, practice=30))
    reading: int = 400  # steps of the student's base
    dim: int = 48
    tokens: int = 160_000  # of responses, that each kind of distillation learns from
    batch: int = 32
    lr: float = 2e-3
    practice: int = 72  # steps of RL: about as many FLOPs as verified lessons, see distill_cost
    settings: Settings = field(default_factory=lambda: Settings(prompts=16, group=16, max_new=32))
    judged: bool = True  # False: all answers pass, for a teacher of a few steps that is never right
    problems: int = 128  # of the exam
    samples: int = 16

    @property
    def student(self) -> ModelConfig:
        """A dense model with two key heads for four query heads."""
        return replace(
            self.recipe.config,
            name="toy-student",
            dim=self.dim,
            hidden=3 * self.dim,
            attention=GQAConfig(n_heads=4, n_kv_heads=2, head_dim=self.dim // 4),
        )


def large() -> Plan:
    """Return the plan with twice the lessons and the practice, in larger batches: for a GPU."""
    usual = Plan()
    return replace(
        usual,
        recipe=replace(usual.recipe, settings=replace(usual.recipe.settings, prompts=32)),
        tokens=2 * usual.tokens,
        batch=2 * usual.batch,
        settings=replace(usual.settings, prompts=32),
        problems=256,
    )


def tiny() -> Plan:
    """Return a plan of seconds, to see that everything runs; its numbers mean nothing."""
    few = Settings(prompts=2, group=4, max_new=32)
    return Plan(
        recipe=Recipe(reading=12, batch=8, practice=2, settings=few),
        settings=few,
        reading=8,
        tokens=600,
        batch=8,
        practice=1,
        judged=False,
        problems=8,
        samples=2,
    )
