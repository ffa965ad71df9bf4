"""Chapter 01's stop: a small Llama learns from the text that comes with Python."""

import lzma
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import typer
from matplotlib.figure import Figure

from minids import accounting
from minids.cli.progress import shown
from minids.cli.runs import scaled
from minids.cli.samples import bits_of_unseen, openings, quoted, samples
from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study.widgets import png
from minids.text.batches import Batch, packed, stream
from minids.text.corpus import Corpus, real_text
from minids.text.tokenizer import default_tokenizer
from minids.train.loop import fit
from minids.train.losses import bits_per_byte
from minids.train.schedule import multi_step

SECONDS = 20.0  # a slow machine takes fewer steps, not more time


def visit(folder: Path) -> list[Path]:
    """Train the toy with a progress bar, show what it writes before and after, draw the loss."""
    on, tokenizer, corpus = scaled(), default_tokenizer(), real_text("prose")
    rows, length = on.pick(smoke=2, laptop=16, gpu=64), on.pick(smoke=32, laptop=128, gpu=256)
    config = replace(preset("toy-llama"), context=256)
    model = Transformer(config, seed=0).to(on.device)
    tokens = stream(tokenizer, [corpus.train])
    per_byte = len(tokens) / len(corpus.train.encode())
    batches = packed(tokens, batch=rows, length=length, seed=0)
    n = accounting.parameters(config).total / 1e6
    typer.echo(f"{n:.1f} M parameters and the manual of Python: {corpus}.\n")

    prompts = openings(corpus.held_out, n=2)
    before = samples(model, tokenizer, prompts)
    count = affordable(Transformer(config, seed=0).to(on.device), batches, on.products)
    count = on.pick(smoke=min(count, 3), laptop=min(count, 400), gpu=min(count, 2000))
    steps = fit(model, batches, steps=count, schedule=multi_step(count), products=on.products)
    losses = [s.loss for s in shown(steps, total=count, tokens_per_byte=per_byte)]

    for (prompt, first), (_, then) in zip(before, samples(model, tokenizer, prompts), strict=True):
        typer.echo(f"\nbefore\n{quoted(prompt, first)}\nafter\n{quoted(prompt, then)}")
    bits, xz = bits_of_unseen(model, tokenizer, corpus.held_out, length=length), xz_bits(corpus)
    typer.echo(
        f"\nText that it has not seen costs it {bits:.2f} bits per byte after {count} steps; "
        f"xz, having read the same text, needs {xz:.2f}."
    )
    path = folder / "01_llama.png"
    path.write_bytes(png(curve([bits_per_byte(loss, per_byte) for loss in losses], xz), dpi=120))
    return [path]


def affordable(
    model: Transformer, batches: Callable[[int], Batch], products: Products, tries: int = 4
) -> int:
    """Return how many steps fit into the time of this stop, at least three; `model` is spoilt."""
    start = 0.0
    for step in fit(model, batches, steps=tries, products=products):
        if step.i == 0:
            start = time.monotonic()  # the first step also warms up
    return max(3, int(SECONDS / ((time.monotonic() - start) / (tries - 1))))


def xz_bits(corpus: Corpus) -> float:
    """Return the bits per byte that xz adds for the held-out text after the text to learn from."""
    train, both = (t.encode() for t in (corpus.train, corpus.train + corpus.held_out))
    added = len(lzma.compress(both)) - len(lzma.compress(train))
    return 8 * added / (len(both) - len(train))


def curve(bits: Sequence[float], xz: float) -> Figure:
    """Draw bits per byte over the steps, and xz's as a dashed line."""
    figure = Figure(figsize=(7.0, 4.0))
    axes = figure.subplots()
    axes.plot(range(1, len(bits) + 1), bits, color="#0072B2", label="toy-llama, text it reads")
    axes.axhline(xz, color="#D55E00", linestyle="--", label="xz, text it has not read")
    axes.set_xlabel("steps")
    axes.set_ylabel("bits per byte")
    axes.set_title("A small Llama learns from the manual of Python")
    axes.legend()
    axes.grid(alpha=0.3)
    return figure
