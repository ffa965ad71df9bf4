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
from typing import Any, Literal, NamedTuple

import torch
from tqdm.auto import tqdm

from minids import accounting
from minids.config import GQAConfig, ModelConfig, MoEConfig
from minids.model.transformer import Transformer
from minids.presets import DATA
from minids.study.mixtures import balanced
from minids.study.pretrain import Text, held_out_loss, tokenized
from minids.study.results import machine
from minids.text.batches import packed
from minids.text.corpus import Corpus, own_text, real_text
from minids.text.tokenizer import default_tokenizer
from minids.train.loop import fit
from minids.train.schedule import multi_step

ARMS = {
    "dense, active size": None,
    "coarse: 2 of 16": (16, 2, 0),
    "fine-grained: 8 of 64": (64, 8, 0),
    "fine-grained and shared: 7 of 63 + 1": (63, 7, 1),
}
"""Routed experts, chosen ones and shared ones; the pieces of every mixture sum to one width."""


class Size(NamedTuple):
    """How large the models are and how long they learn."""

    dim: int
    n_layers: int
    total: int  # width of all experts of a layer together; a token meets an eighth of it
    context: int
    batch: int
    steps: int
    lr: float
    n_chars: int | None  # of each kind of text; None: all


SIZES = {
    "gpu": Size(768, 12, 6144, 512, 64, 3000, 6e-4, None),
    "smoke": Size(32, 2, 512, 32, 4, 4, 1e-3, 40_000),
}


def model_of(arm: str, size: Size, vocab: int) -> ModelConfig:
    """Return the config of an arm; all of them activate the same width of feed-forward."""
    if arm not in ARMS:
        raise ValueError(f"there is no arm {arm!r}; there are: {', '.join(ARMS)}")
    cut, moe, heads = ARMS[arm], None, max(2, size.dim // 64)
    if cut is not None:
        routed, top_k, shared = cut
        moe = MoEConfig(
            n_routed=routed, top_k=top_k, n_shared=shared, hidden=size.total // (routed + shared)
        )
    return ModelConfig(
        name=arm,
        vocab=vocab,
        dim=size.dim,
        n_layers=size.n_layers,
        hidden=size.total // 8,
        attention=GQAConfig(n_heads=heads, n_kv_heads=heads, head_dim=size.dim // heads),
        moe=moe,
        context=size.context,
        init_std=0.5 * size.dim**-0.5,
    )


def corpus(size: Size, text: Path | None) -> Corpus:
    """Return the file `text`, or prose and code that every Python carries."""
    if text is not None:
        return own_text(text)
    parts = [real_text(kind, n_chars=size.n_chars) for kind in ("prose", "code")]
    return Corpus("".join(p.train for p in parts), "".join(p.held_out for p in parts))


def train(
    arm: str, seed: int, size: Size, text: Text, device: torch.device, marks: int = 10
) -> dict[str, Any]:
    """Return the row of one run: its size and its held-out losses, in nats per token."""
    c = model_of(arm, size, text.vocab)
    model, kind = Transformer(c, seed=seed).to(device), _products(device)
    counted, rows, seconds = accounting.parameters(c), 512, 0.0
    drops = ((0.8, 0.316), (0.9, 0.1))
    steps = fit(
        model,
        packed(text.train, batch=size.batch, length=size.context, seed=seed),
        steps=size.steps,
        lr=size.lr,
        schedule=multi_step(size.steps, warmup=max(1, size.steps // 50), drops=drops),
        extra_losses=balanced(0.01),
        products=kind,
    )
    when = {round(size.steps * i / marks) for i in range(1, marks + 1)} | {size.steps}
    losses: dict[int, float] = {}
    for step in tqdm(steps, total=size.steps, desc=f"{arm}, seed {seed}", leave=False):
        seconds += step.seconds
        if step.i + 1 in when:
            n = min(rows, (len(text.held_out) - 1) // size.context)
            losses[step.i + 1] = held_out_loss(model, text, rows=n, products=kind)
    return {
        "arm": arm,
        "seed": seed,
        "loss": losses[size.steps],
        "lowest": min(losses.values()),
        "by_step": losses,
        "bits_per_byte": text.bits_per_byte(min(losses.values())),
        "parameters": counted.total,
        "activated": accounting.activated(c),
        "tokens": size.steps * size.batch * size.context,
        "seconds": seconds,
    }


def _products(device: torch.device) -> Literal["bf16", "plain"]:
    return "bf16" if device.type == "cuda" else "plain"


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
