"""What `minids bench WHAT --save` keeps, and the table that README makes of it.

Every bench has a file `data/results/bench/WHAT.json`; a new measurement replaces the old one.
"""

import json
from pathlib import Path
from typing import Any

from minids.course import files

FOLDER = Path("data") / "results" / "bench"
FIGURE = Path("docs") / "growth.png"

TITLES = {
    "train": "training a dense toy; peer: `LlamaForCausalLM`, compiled where ours is",
    "moe": "experts, and training the V3 toy; peer as named, or `DeepseekV3ForCausalLM`",
    "mla": "latent attention; peer: `DeepseekV3Attention`",
    "decode": "a cached decode step; peer: `DeepseekV3ForCausalLM`, or as named",
    "grpo": "GRPO; peer: TRL's `GRPOTrainer`, compiled where ours is",
    "import": "importing; peer: Llama of `transformers`",
    "gpu": "on a GPU; peer: `DeepseekV3ForCausalLM`, not compiled",
    "growth": "slope of seconds over size; peer: the slope of the operations counted",
    "course": "the whole course",
}
"""What a reader has to know of a bench: what it measures, and who the peer is."""


def store(root: Path, what: str, text: str, figure: bytes | None = None) -> list[Path]:
    """Write a bench, after its figure where it has one, each in one step; return the paths."""
    written = []
    if figure is not None:
        files.write_bytes(root / FIGURE, figure)
        written.append(root / FIGURE)
    path = root / FOLDER / f"{what}.json"
    files.write(path, text.rstrip("\n") + "\n")
    return [*written, path]


def stored(root: Path) -> dict[str, dict[str, Any]]:
    """Return what was kept, by name of the bench, in the order of the table."""
    found = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((root / FOLDER).glob("*.json"))
    }
    order = [name for name in TITLES if name in found]
    return {name: found[name] for name in [*order, *(n for n in found if n not in order)]}


def table(root: Path) -> str:
    """Return all benches as one table in Markdown, the figure, and on what they were measured."""
    known = stored(root)
    if not known:
        return "Nothing measured yet."
    lines = ["| measured | ours | peer | unit | ratio | of the limit |"]
    lines.append("| --- | ---: | ---: | --- | ---: | ---: |")
    for name, bench in known.items():
        lines.append(f"| **{TITLES.get(name, name)}** | | | | | |")
        rows = bench["rows"][-1:] if name == "course" else bench["rows"]
        lines += [_line(row) for row in rows]
    if "growth" in known and (root / FIGURE).exists():
        lines += ["", f"![{_alt(known['growth']['rows'])}]({FIGURE.as_posix()})"]
    return "\n".join([*lines, "", *_where(known)])


def _line(row: dict[str, Any]) -> str:
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
    limit = "-" if row["limit"] is None else f"{row['limit']:.0%}"
    numbers = (_number(row[side], row["unit"]) for side in ("ours", "peer"))
    return f"| {row['name']} | {' | '.join(numbers)} | {row['unit']} | {ratio} | {limit} |"


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "slope":
        return f"{value:.2f}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _alt(rows: list[dict[str, Any]]) -> str:
    said = [f"{row['name']}: {row['ours']:.2f}, counted {row['peer']:.2f}" for row in rows]
    return f"Tokens per second of a training step, with slopes. {'; '.join(said)}"


def _where(known: dict[str, dict[str, Any]]) -> list[str]:
    """A sentence for each machine, day and commit, with its benches if there are several."""
    by_place: dict[str, list[str]] = {}
    for name, bench in known.items():
        peers = [f"{peer} {version}" for peer, version in bench["peers"].items() if version]
        commit = f", commit {bench['commit'][:7]}" if bench["commit"] else ""
        changed = " with changes" if bench["changed"] else ""
        threads = f"{bench['threads']} thread{'s' if bench['threads'] > 1 else ''}"
        place = ", ".join([bench["machine"], *peers, threads, bench["date"]]) + commit + changed
        by_place.setdefault(place, []).append(name)
    if len(by_place) == 1:
        return [f"Medians; measured by `minids bench` on {next(iter(by_place))}."]
    lines = [f"- {', '.join(names)}: {place}." for place, names in by_place.items()]
    return ["Medians; measured by `minids bench` on", "", *lines]
