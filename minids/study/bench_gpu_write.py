"""How many tokens GRPO's toy writes in a second, with many answers to each prompt, on a GPU."""

import statistics

import torch

from minids.model.products import fastest
from minids.model.transformer import Transformer
from minids.rl.rollouts import roll_out
from minids.rl.zero import Recipe, questions
from minids.study.bench import Row, in_turns, spread
from minids.text.alphabet import alphabet


def writing(
    device: torch.device, *, prompts: int = 256, repeats: int = 5, recipe: Recipe | None = None
) -> Row:
    """Return the tokens per second that GRPO's toy writes, with 16 answers to each prompt."""
    recipe = recipe or Recipe()
    model = Transformer(recipe.config).to(device)
    asked, group = questions(recipe, prompts), recipe.settings.group
    tokens: list[int] = []

    def write() -> None:
        scored = roll_out(
            model, asked, alphabet(), recipe.rewards, group=group, kind=fastest(device),
            max_new=recipe.settings.max_new, generator=torch.Generator(device).manual_seed(0),
        )  # fmt: skip
        tokens.append(int(scored.learnt.mask.sum()))

    seconds = in_turns({"write": write}, repeats)["write"]
    rate = tokens[-1] / statistics.median(seconds)
    name = f"GRPO, {prompts} x {group} answers written and scored"
    return Row(name, rate, None, "tokens/s", None, None, spread(seconds))
