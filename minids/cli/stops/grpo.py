"""Chapter 10's stop: a toy that adds badly teaches itself to add, from right and wrong alone."""

from dataclasses import replace
from pathlib import Path

import typer
from tqdm.auto import tqdm

from minids.cli.progress import interval
from minids.cli.runs import scaled
from minids.rl.exam import Exam, exam
from minids.rl.zero import Recipe, newborn, practise, questions, read_lessons
from minids.study import viz_grpo
from minids.study.widgets import png
from minids.text.alphabet import alphabet


def visit(folder: Path) -> list[Path]:
    """Let a base model read, then practise, with a bar each; print both exams, draw the run."""
    on, whole = scaled(), Recipe()
    recipe = replace(
        whole,
        reading=on.pick(smoke=2, laptop=1000, gpu=whole.reading),
        practice=on.pick(smoke=2, laptop=55, gpu=whole.practice),
    )
    model = newborn(recipe, seed=0).to(on.device)
    asked = questions(recipe, on.pick(smoke=4, laptop=64))

    def examined() -> Exam:
        new = recipe.settings.max_new
        return exam(model, asked, alphabet(), max_new=new, kind=on.products)

    lessons = read_lessons(model, recipe, seed=0, kind=on.products)
    for _ in tqdm(lessons, total=recipe.reading, desc="reading", mininterval=interval()):
        pass
    before, steps = examined(), []
    practice = practise(model, recipe, seed=0, kind=on.products)
    for step in tqdm(practice, total=recipe.practice, desc="practice", mininterval=interval()):
        steps.append(step.parts)
    after = examined()
    typer.echo(
        "\nOf the answers to sums that it never saw, right (sampled, greedy) and with working:"
    )
    shares = {
        "sampled": (before.pass_at_1, after.pass_at_1),
        "greedy": (before.greedy, after.greedy),
        "worked": (before.worked, after.worked),
    }
    for name, (was, became) in shares.items():
        typer.echo(f"  {name:8} {was:4.0%} before practice, {became:4.0%} after")
    path = folder / "10_grpo.png"
    path.write_bytes(png(viz_grpo.practice(steps, "R1-Zero in miniature"), dpi=120))
    return [path]
