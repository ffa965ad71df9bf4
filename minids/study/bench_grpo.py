"""Speed of GRPO: our rollouts and updates, beside TRL's `GRPOTrainer` on the same Llama.

512 rollouts of up to 14 tokens (32 questions x 16) and two updates: a step. Both sides begin with
the same weights, sample at temperature 1, stop at the same token, get rewards from the same rule,
and use no KL term. Ours runs as `minids grpo` does, which keeps memory between steps; the peer in
fp32, as it comes. Where there is a compiler, both are measured through it, too.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from minids import accounting
from minids.config import GQAConfig, ModelConfig
from minids.decode.sample import generate
from minids.model.products import Products, fastest, products
from minids.model.transformer import Transformer
from minids.rl.grpo import Settings, grpo
from minids.rl.rewards import Weighed
from minids.rl.variants import GRPO
from minids.study import bench_trl
from minids.study.bench import Row, gemm_rate, speed, spread
from minids.study.scale import keep_memory, threads
from minids.text.alphabet import alphabet
from minids.text.arithmetic import Problem, problems
from minids.text.lessons import asked
from minids.train.compiled import compiled, no_compiler

PROMPTS, GROUP, NEW = 32, 16, 14
LLAMA = ModelConfig(
    name="bench-zero", vocab=80, dim=128, n_layers=2, hidden=192, context=64, init_std=0.05,
    attention=GQAConfig(n_heads=4, n_kv_heads=4, head_dim=32),
)  # fmt: skip
SETTINGS = Settings(
    prompts=PROMPTS, group=GROUP, max_new=NEW, minibatches=2, lr=1e-5,
    variant=replace(GRPO, kl_weight=0.0),
)  # fmt: skip
WARM_UP = 3
"""Steps that are not counted: compiled programs, ours and the peer's, are ready after two."""


class Way(NamedTuple):
    """One way to take a step of ours, and whether it and its peer are compiled."""

    title: str
    kind: Products
    compiled: bool


def measure(repeats: int = 9) -> list[Row]:
    """Return rollout speed, and steps of GRPO in fp32 and bf16 beside TRL's where installed."""
    keep_memory()
    torch.set_num_threads(threads())
    return [_rollouts(repeats), *_steps(repeats)]


def _rollouts(repeats: int) -> Row:
    """Tokens written per second, all rows to the end: no stop token."""
    model, kind = Transformer(LLAMA), fastest(exact=True)
    prompts = [alphabet().encode(asked(p), special=True) for p in _asked()]

    def write() -> None:
        with products(kind):
            generate(model, prompts, NEW, each=GROUP)

    seconds = [_timed(write) for _ in range(repeats + WARM_UP)][WARM_UP:]
    n = PROMPTS * GROUP * NEW
    at_best = 2 * accounting.activated(LLAMA, "head only") * n / gemm_rate(kind)
    return speed(f"rollouts, 0.3 M, 512 at once, fp32 ({kind})", n, seconds, None, at_best)


def _steps(repeats: int) -> list[Row]:
    exact, total = fastest(exact=True), repeats + WARM_UP
    kinds: dict[str, Products] = {"fp32": exact, "bf16": "bf16"}
    ways = [Way(f"{name} ({kind})", kind, False) for name, kind in kinds.items()]
    if no_compiler("cpu") is None:
        ways += [Way(f"{name} compiled", kind, True) for name, kind in kinds.items()]
    rates = {kind: gemm_rate(kind) for kind in kinds.values()}
    peers = _peers({way.compiled for way in ways}, total)
    ours = {way: _ours(way, total) for way in ways}
    seconds: dict[Way, list[float]] = {way: [] for way in ways}
    theirs: dict[bool, list[float]] = {kind: [] for kind in peers}
    for _ in range(total):
        for way, steps in ours.items():
            seconds[way].append(_timed(lambda steps=steps: next(steps)))  # type: ignore[misc]
        for kind, peer in peers.items():
            theirs[kind].append(peer.step())
    return [
        _row(way, seconds[way][WARM_UP:], theirs.get(way.compiled, [])[WARM_UP:], rates[way.kind])
        for way in ways
    ]


def _row(way: Way, seconds: list[float], theirs: list[float], rate: float) -> Row:
    middle, peer = statistics.median(seconds), statistics.median(theirs) if theirs else None
    return Row(
        f"GRPO, 512 rollouts, 2 updates, {way.title}",
        middle,
        peer,
        "s",
        peer / middle if peer else None,
        _flops() / rate / middle,
        spread(seconds),
    )


def _flops() -> float:
    """Products of a step: writing reads every token once, learning costs three forward passes."""
    n = PROMPTS * GROUP * (NEW + len(alphabet().encode(asked(_asked()[0]), special=True)))
    return 2 * accounting.activated(LLAMA, "head only") * n * (1 + 3)


def _ours(way: Way, steps: int) -> Iterator[Any]:
    rules = {"digits": Weighed(lambda _, response: bench_trl.digits(response), 1.0)}
    ask, model = problems("add-2", seed=0), Transformer(LLAMA)
    learner = compiled(model, dynamic=True) if way.compiled else model
    return grpo(learner, ask, alphabet(), rules, steps=steps, settings=SETTINGS, kind=way.kind)


def _peers(kinds: set[bool], steps: int) -> dict[bool, bench_trl.Elsewhere]:
    """TRL's trainer, plain and compiled, each in its process; none where it is not installed."""
    if not bench_trl.installed():
        return {}
    a, asks = alphabet(), _asked(2 * PROMPTS)
    prompts = [" ".join(a.decode([i]) for i in a.encode(asked(p), special=True)) for p in asks]
    return {
        kind: bench_trl.Elsewhere(
            bench_trl.train, bench_trl.Work(LLAMA, prompts, SETTINGS, steps, kind)
        )
        for kind in sorted(kinds)
    }


def _asked(n: int = PROMPTS) -> list[Problem]:
    ask = problems("add-2", seed=0)
    return [ask(i) for i in range(n)]


def _timed(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
