"""How fast we are: beside what people would use instead, and beside what the machine can do.

Everything in one table is measured in one run, in turns, so that a busy moment hits all alike.
"""

import json
import statistics
import time
from collections.abc import Callable, Hashable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, TypeVar

import torch

from minids.model.products import Products, linear, products
from minids.study.provenance import version_of

K = TypeVar("K", bound=Hashable)


class Row(NamedTuple):
    """One measurement. `ratio` is ours over the peer in speed: above 1 we are faster.

    Where the unit is "slope", `ours` is how steeply seconds grow, the peer is what counting
    operations expects, and `spread` is in the same unit (growth.py): no speeds, so no ratio.
    """

    name: str
    ours: float  # median
    peer: float | None  # median; None where the peer is not installed
    unit: str
    ratio: float | None
    limit: float | None  # share of what the machine could do, 0 to 1
    spread: float  # half the distance between the quartiles of ours, over the median


def speed(name: str, n: float, ours: list[float], peer: list[float] | None, at_best: float) -> Row:
    """Return the row of `n` tokens by the seconds of ours and of a peer, None without one.

    `at_best` are the seconds that the machine's limit takes.
    """
    middle, theirs = statistics.median(ours), statistics.median(peer) if peer else None
    return Row(
        name,
        n / middle,
        n / theirs if theirs else None,
        "tokens/s",
        theirs / middle if theirs else None,
        at_best / middle,
        spread(ours),
    )


def in_turns(actions: dict[K, Callable[[], Any]], repeats: int) -> dict[K, list[float]]:
    """Return the seconds of each action, `repeats` times each, taking turns after two warm-ups."""
    for action in actions.values():
        action()
        action()
    seconds: dict[K, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def spread(seconds: list[float]) -> float:
    """Return half the distance between the quartiles, as a share of the median."""
    low, middle, high = statistics.quantiles(seconds, n=4)
    return (high - low) / 2 / middle


def gemm_rate(kind: Products, size: int = 1024) -> float:
    """Return the FLOPs per second of one large square product, the best of ten."""
    x, w = torch.randn(size, size), torch.randn(size, size)

    def run() -> None:
        with products(kind), torch.no_grad():
            linear(x, w)

    return 2 * size**3 / min(in_turns({"gemm": run}, 10)["gemm"])


BENCHES = {
    "train": "bench_train",
    "decode": "bench_decode",
    "moe": "bench_moe",
    "mla": "bench_mla",
    "grpo": "bench_grpo",
    "growth": "growth",
    "import": "bench_import",
    "gpu": "bench_gpu",
}
"""What can be measured here, and the file whose function `measure` does it."""

PEERS = ("transformers", "trl")
"""Whose code the peers are: versions are stored beside the rows."""


def bench(what: str) -> list[Row]:
    """Return the rows of one bench; `BENCHES` lists the names."""
    if what not in BENCHES:
        raise ValueError(f"there is no bench {what!r}; there are: {', '.join(BENCHES)}")
    return import_module(f"minids.study.{BENCHES[what]}").measure()


def table(rows: list[Row]) -> str:
    """Return the rows as text; a dash where there is nothing to compare with."""

    def cell(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    lines = [
        f"{'':44} {'ours':>10} {'peer':>10} {'unit':9} {'ratio':>6} {'limit':>6} {'spread':>6}"
    ]
    for r in rows:
        big = ",.0f" if r.ours > 100 else ".3f"
        lines.append(
            f"{r.name:44} {cell(r.ours, big):>10} {cell(r.peer, big):>10} {r.unit:9} "
            f"{cell(r.ratio, '.2f'):>6} {cell(r.limit, '.0%'):>6} {_spread(r):>6}"
        )
    return "\n".join(lines)


def _spread(r: Row) -> str:
    return format(r.spread, ".3f" if r.unit == "slope" else ".0%")


def as_json(
    what: str,
    rows: Sequence[Row],
    where: dict[str, Any],
    points: Sequence[dict[str, Any]] = (),
) -> str:
    """Return a bench as JSON: its rows, and what they were measured on.

    `where` is the provenance; threads and the versions of peers (None: not installed) are added.
    `points` are what the rows were computed from, where a figure draws them.
    """
    whole = {
        "bench": what,
        **where,
        "threads": torch.get_num_threads(),
        "peers": {name: version_of(name) for name in PEERS},
        "rows": [r._asdict() for r in rows],
        **({"points": list(points)} if points else {}),
    }
    return json.dumps(whole, indent=1)
