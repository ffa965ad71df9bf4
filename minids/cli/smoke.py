"""What `minids doctor` tries: the same model on processor and device, and five seconds of training.

Devices have been silently wrong (Apple's, with some versions of torch), so a model's answers on
the device are compared with the processor's before anybody trains on it.
"""

import math
import time
from typing import TYPE_CHECKING

from minids.cli.finding import Finding
from minids.presets import preset, shrink

if TYPE_CHECKING:
    import torch

SECONDS = 5.0


def device() -> Finding:
    """Return which device there is, and whether it computes what the processor computes."""
    import torch

    here = torch.accelerator.current_accelerator(check_available=True)
    if here is None:
        return Finding("ok", "no GPU: everything runs on the processor")
    worst = max(_disagreement(name, here) for name in ("toy-llama", "toy-v3"))
    if not worst < 1e-2:
        return Finding(
            "broken",
            f"{here}: logits differ from the processor's by {worst:.1%}; do not train on it: "
            "set MINIDS_SCALE=laptop",
        )
    return Finding("ok", f"{here}, agrees with the processor to {worst:.0e}")


def _disagreement(name: str, device: "torch.device") -> float:
    """Largest difference of the logits on the device, over the largest logit on the processor."""
    import torch

    from minids.model.transformer import Transformer

    model = Transformer(preset(name), seed=0)
    tokens = torch.arange(64)[None] % model.c.vocab
    with torch.no_grad():
        ours = model(tokens).logits
        theirs = model.to(device)(tokens.to(device)).logits.cpu()
    return ((ours - theirs).abs().max() / ours.abs().max()).item()


def training() -> Finding:
    """Train a tiny model on a synthetic text for five seconds, and return whether it learns."""
    import torch

    from minids.model.transformer import Transformer
    from minids.study.scale import threads
    from minids.text.batches import packed
    from minids.text.domains import domain
    from minids.train.loop import fit

    torch.set_num_threads(threads())  # one, where the machine is busy with something else
    shape = {"dim": 64, "n_heads": 4, "n_layers": 2, "vocab": 256, "context": 64}
    model = Transformer(shrink(preset("deepseek-llm-7b"), **shape), seed=0)
    text = torch.tensor(list(domain("stories", seed=0, n_chars=50_000).encode()))
    batches = packed(text, batch=8, length=64, seed=0)
    losses, start = [], time.monotonic()
    for step in fit(model, batches, steps=400, lr=3e-3, warmup=10):
        losses.append(step.loss)
        if time.monotonic() - start > SECONDS:
            break
    seconds, last = time.monotonic() - start, losses[-10:]
    first, now = losses[0], sum(last) / len(last)
    speed = len(losses) * 8 * 64 / seconds
    says = f"loss {first:.2f} -> {now:.2f} in {len(losses)} steps, {speed:,.0f} tokens/s"
    if len(losses) < 30:
        return Finding("note", f"{says}: this is very slow; is something else running?")
    # Before training every byte is as likely as any other: ln 256 = 5.55 nats.
    if abs(first - math.log(256)) > 0.5 or not now < 3.5:
        return Finding("broken", f"{says}: it should start near 5.5 and fall below 3.5")
    return Finding("ok", says)
