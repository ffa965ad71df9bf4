"""Coarse, fine-grained and shared experts at a size where the paper's order can appear, on a GPU.

    python -m minids.study.segmentation --seeds 3 --scale gpu

trains four models of 12 layers and width 768 on real text: dense, top-2 of 16, 8 of 64, and 7 of 63
beside a shared one. All of them meet as many parameters a token, and the three mixtures own as
many: 0.2 billion. Each finished run is a row in `data/results/segmentation.json`, with the machine
and the settings; started again, the command goes on with the runs that are missing.

The text that Python carries is small for this size, so the lowest held-out loss on the way is
reported beside the last: a model that has begun to learn it by heart shows in their difference.
`--text` takes a larger file. `--scale smoke` is the same command in seconds, on a CPU; its numbers
mean nothing.

Left out: several GPUs, going on in the middle of a run, downstream tasks.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch

from minids.presets import DATA
from minids.study.pretrain import tokenized
from minids.study.results import machine
from minids.study.segmentation_arms import ARMS, SIZES, corpus, train
from minids.text.tokenizer import default_tokenizer


def run(seeds: int, scale: str, text: Path | None = None, out: Path | None = None) -> Path:
    """Train what is missing of all arms and seeds, and return the file of rows.

    Runs take turns by seed, so that a stopped command leaves whole comparisons. ValueError
    without CUDA, unless `scale` is smoke, and for a file that holds runs of other settings.
    """
    if scale not in SIZES:
        raise ValueError(f"there is no scale {scale!r}; there are: {', '.join(SIZES)}")
    if scale != "smoke" and not torch.cuda.is_available():
        raise ValueError(
            "these models take hours on a CPU, and torch sees no CUDA device: run this on a "
            "machine with a GPU, or try the command with --scale smoke"
        )
    size = SIZES[scale]
    read = tokenized(corpus(size, text), default_tokenizer())
    name = "segmentation.json" if scale == "gpu" else f"segmentation_{scale}.json"
    out = out or DATA / "results" / name
    noted = {"scale": scale, **size._asdict(), "text": str(text.name) if text else "python"}
    noted |= {"train_tokens": len(read.train), "held_out_tokens": len(read.held_out)}
    rows = _resume(out, noted)
    device = torch.device("cpu" if scale == "smoke" else "cuda")
    done = {(row["arm"], row["seed"]) for row in rows}
    for arm, seed in ((arm, seed) for seed in range(seeds) for arm in ARMS):
        if (arm, seed) not in done:
            rows.append(train(arm, seed, size, read, device))
            _write(out, noted, rows, device)
    return out


def _resume(out: Path, noted: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not out.exists():
        return []
    found = json.loads(out.read_text(encoding="utf-8"))
    if found["settings"] != noted:
        raise ValueError(
            f"{out} holds runs of other settings or another text: move it away, or give --out"
        )
    rows: list[dict[str, Any]] = found["rows"]
    return rows


def _write(out: Path, noted: Mapping[str, Any], rows: Sequence[Any], device: torch.device) -> None:
    """Write all rows in one move: a kill leaves the rows of before."""
    on = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    page = {
        "machine": f"{machine()}, {on}",
        "date": date.today().isoformat(),
        "command": f"python -m minids.study.segmentation --scale {noted['scale']}",
        "settings": noted,
        "rows": rows,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_suffix(".draft")
    draft.write_text(json.dumps(page, indent=1) + "\n", encoding="utf-8")
    draft.replace(out)


def table(path: Path) -> str:
    """Return the rows of a file as text, mean over the seeds, dense first."""
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    lines = [f"{'':38} {'total':>8} {'active':>8} {'lowest loss':>12} {'last':>8} {'seeds':>6}"]
    for arm in ARMS:
        mine = [row for row in rows if row["arm"] == arm]
        if mine:
            low, last = (sum(r[key] for r in mine) / len(mine) for key in ("lowest", "loss"))
            total, active = (f"{mine[0][key] / 1e6:.1f} M" for key in ("parameters", "activated"))
            lines.append(f"{arm:38} {total:>8} {active:>8} {low:12.4f} {last:8.4f} {len(mine):6}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, train, print the table."""
    parser = argparse.ArgumentParser(prog="python -m minids.study.segmentation")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each arm")
    parser.add_argument("--scale", choices=tuple(SIZES), default="gpu")
    parser.add_argument("--text", type=Path, help="a file of your own, in place of Python's text")
    parser.add_argument("--out", type=Path, help="the file of results")
    given = parser.parse_args(arguments)
    try:
        print(table(run(given.seeds, given.scale, given.text, given.out)))
    except ValueError as error:
        sys.exit(f"segmentation: {error}")


if __name__ == "__main__":
    main()
