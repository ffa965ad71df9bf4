"""What a trained model makes of text that it has not read, and what it writes itself."""

import torch
import typer

from minids.cli.runs import Run
from minids.decode.sample import generate
from minids.model.transformer import Transformer
from minids.text.batches import stream, windows
from minids.text.tokenizer import Tokenizer
from minids.train.loop import evaluate
from minids.train.losses import bits_per_byte


def tell(run: Run, model: Transformer) -> None:
    """Say how well the model of a run reads what it has not seen, and how it goes on."""
    unseen, plan = run.corpus.held_out, run.plan
    bits = bits_of_unseen(model, run.tokenizer, unseen, length=plan.length, at_once=plan.batch)
    typer.echo(f"text that it has not seen costs it {bits:.3f} bits per byte")
    for prompt, answer in samples(model, run.tokenizer, openings(unseen)):
        typer.echo("\n" + quoted(prompt, answer))


def bits_of_unseen(
    model: Transformer,
    tokenizer: Tokenizer,
    text: str,
    *,
    length: int,
    rows: int = 64,
    at_once: int = 64,
) -> float:
    """Return the bits per byte that a text costs the model, from up to `rows` pieces of it.

    It reads `at_once` of them at a time.
    """
    tokens = stream(tokenizer, [text])
    length = min(length, len(tokens) - 1)
    rows = min(rows, max(1, (len(tokens) - 1) // length))
    loss = evaluate(model, windows(tokens, length=length, n=rows).pieces(at_once))
    return bits_per_byte(loss, len(tokens) / len(text.encode()))


def openings(text: str, n: int = 3, size: int = 40) -> list[str]:
    """Return the first `size` characters of `n` places spread over a text, from a line's start."""
    found = []
    for i in range(n):
        start = text.find("\n", i * len(text) // n) + 1
        found.append(text[start : start + size] or text[:size])
    return found


def quoted(prompt: str, answer: str) -> str:
    """Return a sample behind a bar at the margin; the prompt is bold where the terminal can."""
    lines = (typer.style(prompt, bold=True) + answer).rstrip().split("\n")
    return "\n".join(f"  | {line}" for line in lines)


def samples(
    model: Transformer,
    tokenizer: Tokenizer,
    prompts: list[str],
    *,
    tokens: int = 60,
    temperature: float = 0.8,
    seed: int = 0,
) -> list[tuple[str, str]]:
    """Return what the model writes after each prompt: pairs of prompt and continuation.

    A head may be wider than the vocabulary; what stands for no token is left out.
    """
    device = model.embed.weight.device
    room = model.c.context // 2
    ids = [tokenizer.encode(prompt)[-room:] for prompt in prompts]
    written = generate(
        model,
        ids,
        min(tokens, room),
        temperature=temperature,
        stop=tokenizer.id("<|end|>"),
        pad=tokenizer.id("<|pad|>"),
        generator=torch.Generator(device).manual_seed(seed),
    )
    answers = [[t for t in answer if t < tokenizer.vocab] for answer in written.answers()]
    return [
        (prompt, tokenizer.decode(answer).removesuffix("<|end|>"))
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
