"""TRL's `GRPOTrainer` as a peer, in a process of its own: a step whenever it is asked for one.

There memory is as TRL leaves it, which our own settings would change, and threads wait in peace.
"""

import contextlib
import io
import logging
import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from minids.config import ModelConfig
from minids.huggingface import to_hf
from minids.model.transformer import Transformer
from minids.rl.grpo import Settings
from minids.text.alphabet import alphabet
from minids.weights import to_hf_weights


class Work(NamedTuple):
    """What the trainer is to do: the weights are those of a new model of this config."""

    model: ModelConfig
    prompts: list[str]  # as text; one step asks `settings.prompts` of them
    settings: Settings
    steps: int
    compiled: bool  # whether torch compiles the model


class Elsewhere:
    """Steps in another process, which runs `work(ask, tell, *given)`, taken one at a time.

    `ask()` waits until a step is wanted, `tell(seconds)` says how long it took.
    """

    def __init__(self, work: Callable[..., None], *given: Any) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._here, there = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(there, work, *given), daemon=True)
        self._process.start()
        there.close()

    def step(self) -> float:
        """Take one step and return its seconds; RuntimeError where the process has ended."""
        try:
            self._here.send(None)
            return float(self._here.recv())
        except (EOFError, OSError):
            self._process.join()
            raise RuntimeError(
                f"the peer's process ended with {self._process.exitcode} before its last step; "
                "what it said is above"
            ) from None


def _serve(there: Connection, work: Callable[..., None], *given: Any) -> None:
    """Do the work, with what it prints kept out of the table or JSON that the bench prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        work(there.recv, there.send, *given)


def installed() -> bool:
    """Return whether TRL and what it needs here can be imported."""
    return all(find_spec(name) for name in ("trl", "datasets", "transformers", "tokenizers"))


def train(ask: Callable[[], Any], tell: Callable[[float], None], work: Work) -> None:
    """Take all steps with `GRPOTrainer`: sample, reward, `minibatches` updates each."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        _trainer(ask, tell, work, folder).train()


def digits(response: str) -> float:
    """Return the share of digits in a response: a reward that every text gets."""
    return sum(letter.isdecimal() for letter in response) / max(1, len(response))


def _trainer(ask: Callable[[], Any], tell: Callable[[float], None], work: Work, folder: str) -> Any:
    from datasets import Dataset  # type: ignore[import-not-found]
    from datasets.table import InMemoryTable  # type: ignore[import-not-found]
    from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    s, updates = work.settings, work.settings.minibatches
    fields = {k: v for k, v in to_hf(work.model).items() if k != "model_type"}
    model = LlamaForCausalLM(LlamaConfig(**fields))
    model.load_state_dict(to_hf_weights(Transformer(work.model)))
    model.generation_config.eos_token_id = alphabet().id("<|end|>")
    model.generation_config.pad_token_id = alphabet().id("<|pad|>")

    class Clock(TrainerCallback):
        began = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % updates == 0:
                ask()
                self.began = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % updates == 0:
                tell(time.perf_counter() - self.began)

    return GRPOTrainer(
        model=model,
        processing_class=_words(),
        reward_funcs=lambda completions, **_: [digits(c) for c in completions],
        train_dataset=Dataset(
            InMemoryTable.from_pydict({"prompt": work.prompts}), fingerprint="bench"
        ),
        callbacks=[Clock()],
        args=GRPOConfig(
            output_dir=folder, max_steps=updates * work.steps,
            per_device_train_batch_size=s.prompts * s.group // updates,
            steps_per_generation=updates, num_generations=s.group,
            max_completion_length=s.max_new, beta=s.variant.kl_weight,
            temperature=s.temperature, learning_rate=s.lr, max_grad_norm=s.grad_clip,
            loss_type="grpo", torch_compile=work.compiled, save_strategy="no",
            logging_strategy="no", report_to="none", use_cpu=True, bf16=False, fp16=False,
            gradient_checkpointing=False, disable_tqdm=True, seed=0,
        ),
    )  # fmt: skip


def _words() -> Any:
    """Our alphabet as a tokenizer of `transformers`: words between spaces."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = {token: i for i, token in enumerate(alphabet().tokens)}
    words = Tokenizer(models.WordLevel(known, unk_token="<|pad|>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<|pad|>", eos_token="<|end|>", padding_side="left"
    )
