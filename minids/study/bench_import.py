"""What importing costs: ours beside torch's and transformers'."""

import statistics
import subprocess
import sys

from minids.study.bench import Row, in_turns


def measure(repeats: int = 5) -> list[Row]:
    """Return the seconds that our imports cost, beside those of torch and of transformers.

    What is taken off is taken off in every turn, before the median.
    """
    ours = "import minids.model.transformer, minids.decode.sample"
    actions = {
        "torch": lambda: _import("import torch"),
        "ours": lambda: _import(ours),
        "counting": lambda: _import("import minids.config, minids.presets, minids.accounting"),
        "python": lambda: _import(""),
        "peer": lambda: _import("import transformers.models.llama.modeling_llama"),
    }
    seconds = in_turns(actions, repeats)

    def above(name: str, floor: str) -> float:
        pairs = zip(seconds[name], seconds[floor], strict=True)
        return statistics.median(a - b for a, b in pairs)

    def row(name: str, ours: float, peer: float | None) -> Row:
        ratio = peer / ours if peer and ours > 0 else None  # none where noise is larger than cost
        return Row(name, ours, peer, "s", ratio, None, 0.0)

    return [
        row("import the model and sampling", above("ours", "python"), above("peer", "python")),
        row("... above torch's own import", above("ours", "torch"), above("peer", "torch")),
        row("import config and accounting", above("counting", "python"), None),
    ]


def _import(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
