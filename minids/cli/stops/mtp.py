"""Chapter 07's stop: what V3's module weighs, and what a round of drafting costs by depth."""

from pathlib import Path

import typer

from minids import accounting
from minids.cli.runs import scaled
from minids.presets import preset
from minids.study import mtp_speed, viz_mtp
from minids.study.widgets import png


def visit(folder: Path) -> list[Path]:
    """Count V3's module, time a round for models of several depths, draw what drafting brings."""
    v3 = preset("deepseek-v3")
    p, share = accounting.parameters(v3), mtp_speed.share_of_a_module(v3)
    low, high = (mtp_speed.speed_up([a], 1 + share) for a in (0.85, 0.9))
    typer.echo(
        f"DeepSeek-V3: {p.total / 1e9:.0f} B, and a module of {p.mtp / 1e9:.1f} B that guesses the "
        f"token after the next.\nFor one token it adds {share:.1%} to the weights that are read. "
        "If 85 to 90 % of its guesses are right,\nwriting is "
        f"{low:.2f} to {high:.2f} times as fast (the report measured 1.8).\n"
    )
    depths = scaled().pick(smoke=[1, 2], laptop=[1, 2, 4, 8, 12])
    repeats = scaled().pick(smoke=1, laptop=5)
    device = str(scaled().device)
    costs = {n: mtp_speed.cost_of_a_round(n, repeats=repeats, device=device) for n in depths}
    for n, cost in costs.items():
        typer.echo(
            f"{n:3} layers: a round costs {cost:.2f} plain steps, and pays if "
            f"{cost - 1:.0%} of the drafts are right"
        )
    arms = {f"{n} layers": cost for n, cost in costs.items() if n in (depths[0], 2, depths[-1])}
    points = {arm: [(1.85, mtp_speed.speed_up([0.85], cost))] for arm, cost in arms.items()}
    path = folder / "07_mtp.png"
    path.write_bytes(png(viz_mtp.speed(points, arms), dpi=120))
    return [path]
