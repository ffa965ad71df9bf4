"""What importing costs: ours beside torch's and transformers'."""

import statistics
import subprocess
import sys

from minids.study.bench import Row, in_turns


def measure(repeats: int = 5) -> list[Row]:
    """Return the seconds that our imports cost, beside those of torch and of transformers."""
    ours = "import minids.model.transformer, minids.decode.sample"
    actions = {
        "torch": lambda: _import("import torch"),
        "ours": lambda: _import(ours),
        "counting": lambda: _import("import minids.config, minids.presets, minids.accounting"),
        "python": lambda: _import(""),
        "peer": lambda: _import("import transformers.models.llama.modeling_llama"),
    }
    s = {name: statistics.median(v) for name, v in in_turns(actions, repeats).items()}

    def row(name: str, ours: float, peer: float | None) -> Row:
        return Row(name, ours, peer, "s", peer / ours if peer else None, None, 0.0)

    return [
        row("import the model and sampling", s["ours"] - s["python"], s["peer"] - s["python"]),
        row("... above torch's own import", s["ours"] - s["torch"], s["peer"] - s["torch"]),
        row("import config and accounting", s["counting"] - s["python"], None),
    ]


def _import(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
