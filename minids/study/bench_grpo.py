"""Speed of GRPO: our rollouts and updates, beside TRL's `GRPOTrainer` on the same Llama.

512 rollouts of up to 14 tokens (32 questions x 16) and two updates: a step. Both sides begin with
the same weights, sample at temperature 1, stop at the same token, get rewards from the same
rule, and use no KL term. The peer runs in fp32 as it comes.
"""

import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from minids import accounting
from minids.config import GQAConfig, ModelConfig
from minids.decode.sample import generate
from minids.huggingface import to_hf
from minids.model.products import Products, fastest, products
from minids.model.transformer import Transformer
from minids.rl.grpo import Settings, grpo
from minids.rl.rewards import Weighed
from minids.rl.variants import GRPO
from minids.study.bench import Row, gemm_rate, speed, spread
from minids.text.alphabet import alphabet
from minids.text.arithmetic import Problem, problems
from minids.text.lessons import asked
from minids.weights import to_hf_weights

PROMPTS, GROUP, NEW = 32, 16, 14
LLAMA = ModelConfig(
    name="bench-zero", vocab=80, dim=128, n_layers=2, hidden=192, context=64, init_std=0.05,
    attention=GQAConfig(n_heads=4, n_kv_heads=4, head_dim=32),
)  # fmt: skip
SETTINGS = Settings(
    prompts=PROMPTS, group=GROUP, max_new=NEW, minibatches=2, lr=1e-5,
    variant=replace(GRPO, kl_weight=0.0),
)  # fmt: skip


def digits(_problem: Problem | None, response: str) -> float:
    """Return the share of digits in a response: a reward that every text gets."""
    return sum(letter.isdecimal() for letter in response) / max(1, len(response))


def measure(repeats: int = 9) -> list[Row]:
    """Return rollout speed, and steps of GRPO in fp32 and bf16 beside TRL's where installed."""
    return [_rollouts(repeats), *_steps(repeats)]


def _rollouts(repeats: int) -> Row:
    """Tokens written per second, all rows to the end: no stop token."""
    model, kind = Transformer(LLAMA), fastest(exact=True)
    prompts = [alphabet().encode(asked(p), special=True) for p in _asked()]

    def write() -> None:
        with products(kind):
            generate(model, prompts, NEW, each=GROUP)

    seconds = [_timed(write) for _ in range(repeats + 2)][2:]
    n = PROMPTS * GROUP * NEW
    at_best = 2 * accounting.activated(LLAMA, "head only") * n / gemm_rate(kind)
    return speed(f"rollouts, 0.3 M, 512 at once, fp32 ({kind})", n, seconds, None, at_best)


def _steps(repeats: int) -> list[Row]:
    kinds: dict[str, Products] = {"fp32": fastest(exact=True), "bf16": "bf16"}
    ours: dict[str, Iterator[Any]] = {
        name: _ours(kind, repeats + 2) for name, kind in kinds.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*ours, "peer")}

    def turn() -> None:
        for name, steps in ours.items():
            seconds[name].append(_timed(lambda steps=steps: next(steps)))  # type: ignore[misc]

    peer = _peer(repeats + 2, turn)
    if peer is None:
        for _ in range(repeats + 2):
            turn()
    else:
        seconds["peer"] = peer
    theirs = statistics.median(peer[2:]) if peer else None
    rows = []
    for name, kind in kinds.items():
        middle = statistics.median(seconds[name][2:])
        rows.append(
            Row(
                f"GRPO step, 512 rollouts, 2 updates, {name} ({kind})",
                middle,
                theirs,
                "s",
                theirs / middle if theirs else None,
                _flops() / gemm_rate(kind) / middle,
                spread(seconds[name][2:]),
            )
        )
    return rows


def _flops() -> float:
    """Products of a step: writing reads every token once, learning costs three forward passes."""
    n = PROMPTS * GROUP * (NEW + len(alphabet().encode(asked(_asked()[0]), special=True)))
    return 2 * accounting.activated(LLAMA, "head only") * n * (1 + 3)


def _ours(kind: Products, steps: int) -> Iterator[Any]:
    rules = {"digits": Weighed(digits, 1.0)}
    ask = problems("add-2", seed=0)
    return grpo(
        Transformer(LLAMA), ask, alphabet(), rules, steps=steps, settings=SETTINGS, kind=kind
    )


def _peer(steps: int, turn: Callable[[], None]) -> list[float] | None:
    """Seconds of each step of TRL's trainer, calling `turn` between them; None without TRL."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from datasets import Dataset  # type: ignore[import-not-found]
            from datasets.table import InMemoryTable  # type: ignore[import-not-found]
            from tokenizers import Tokenizer as Words
            from tokenizers import models, pre_tokenizers
            from transformers import (
                LlamaConfig,
                LlamaForCausalLM,
                PreTrainedTokenizerFast,
                TrainerCallback,
            )
            from trl import GRPOConfig, GRPOTrainer
    except ImportError:
        return None
    a = alphabet()
    words = Words(models.WordLevel({t: i for i, t in enumerate(a.tokens)}, unk_token="<|pad|>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    reads = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<|pad|>", eos_token="<|end|>", padding_side="left"
    )
    fields = {k: v for k, v in to_hf(LLAMA).items() if k != "model_type"}
    model = LlamaForCausalLM(LlamaConfig(**fields))
    model.load_state_dict(to_hf_weights(Transformer(LLAMA)))
    model.generation_config.eos_token_id = a.id("<|end|>")
    model.generation_config.pad_token_id = a.id("<|pad|>")
    prompts = [
        " ".join(a.decode([i]) for i in a.encode(asked(p), special=True)) for p in _asked(64)
    ]
    seconds: list[float] = []

    class Clock(TrainerCallback):
        began = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % 2 == 0:
                turn()
                self.began = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % 2 == 0:
                seconds.append(time.perf_counter() - self.began)

    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = GRPOTrainer(
                model=model,
                processing_class=reads,
                reward_funcs=lambda completions, **_: [digits(None, c) for c in completions],
                train_dataset=Dataset(
                    InMemoryTable.from_pydict({"prompt": prompts}), fingerprint="bench"
                ),
                callbacks=[Clock()],
                args=GRPOConfig(
                    output_dir=folder, max_steps=2 * steps, per_device_train_batch_size=256,
                    steps_per_generation=2, num_generations=GROUP, max_completion_length=NEW,
                    beta=0.0, temperature=1.0, learning_rate=1e-5, loss_type="grpo",
                    save_strategy="no", logging_strategy="no", report_to="none", use_cpu=True,
                    bf16=False, fp16=False, gradient_checkpointing=False, disable_tqdm=True,
                    max_grad_norm=1.0, seed=0,
                ),
            )  # fmt: skip
            trainer.train()
    finally:
        logging.disable(logging.NOTSET)
    return seconds


def _asked(n: int = PROMPTS) -> list[Problem]:
    ask = problems("add-2", seed=0)
    return [ask(i) for i in range(n)]


def _timed(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
