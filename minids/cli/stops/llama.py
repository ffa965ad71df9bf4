"""Chapter 01's stop: a small Llama learns from the text that comes with Python."""

import lzma
import time
from pathlib import Path

import typer

from minids import accounting
from minids.cli.progress import openings, quoted, samples, shown
from minids.model.products import fastest
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study.scale import Scale
from minids.study.viz_llama import learning_curve
from minids.study.widgets import png
from minids.text.batches import packed, stream
from minids.text.corpus import real_text
from minids.text.tokenizer import default_tokenizer
from minids.train.loop import Step, fit
from minids.train.losses import bits_per_byte
from minids.train.schedule import multi_step

SECONDS = 75.0  # a slow machine learns less, and does not take longer


def visit(folder: Path) -> list[Path]:
    """Train the toy with a progress bar, show what it writes before and after, draw the loss."""
    on, tokenizer = Scale.auto(), default_tokenizer()
    corpus = real_text("prose")
    tokens = stream(tokenizer, [corpus.train])
    per_byte = len(tokens) / len(corpus.train.encode())
    model = Transformer(preset("toy-llama"), seed=0).to(on.device)
    prompts = openings(corpus.held_out, n=2)
    n = accounting.parameters(model.c).total / 1e6
    typer.echo(f"{n:.1f} M parameters, and the manual of Python: {corpus}.\n")
    before = samples(model, tokenizer, prompts)

    count = on.pick(smoke=3, laptop=400, gpu=2000)
    rows, length = on.pick(smoke=2, laptop=16, gpu=64), on.pick(smoke=32, laptop=128, gpu=256)
    steps = fit(
        model,
        packed(tokens, batch=rows, length=length, seed=0),
        steps=count,
        schedule=multi_step(count),
        products=fastest(on.device),
    )
    taken: list[Step] = []
    end = time.monotonic() + SECONDS
    for step in shown(steps, total=count, tokens_per_byte=per_byte):
        taken.append(step)
        if time.monotonic() > end:
            break

    for (prompt, first), (_, then) in zip(before, samples(model, tokenizer, prompts), strict=True):
        typer.echo(f"\nbefore\n{quoted(prompt, first)}\nafter\n{quoted(prompt, then)}")
    bits = [bits_per_byte(step.loss, per_byte) for step in taken]
    text = corpus.train.encode()
    packed_ = 8 * len(lzma.compress(text)) / len(text)
    typer.echo(f"\n{bits[0]:.2f} -> {bits[-1]:.2f} bits per byte; xz needs {packed_:.2f}")
    path = folder / "01_llama.png"
    path.write_bytes(png(learning_curve(bits), dpi=120))
    return [path]
