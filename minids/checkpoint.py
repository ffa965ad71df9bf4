"""Save a run so that it can go on where it stopped, whatever happens while it is being saved.

A checkpoint is a folder `step-000123`: weights, state of the optimizer and whatever else the run
needs, as safetensors and one JSON file. Nothing is pickled, so loading runs no code. The latest
checkpoint is the one of the highest step; `durable.py` sees to it that it is complete.

Left out: models split over several processes; train/sharded_checkpoint.py saves those.
"""

import errno
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from minids import durable
from minids.config import ModelConfig
from minids.durable import CheckpointError
from minids.model.rope import frequencies, rotary
from minids.model.transformer import Transformer, uncompiled
from minids.plain import decode, encode

FORMAT = 1
SHARDED = 2
"""The format of train/sharded_checkpoint.py, whose folders may stand beside these."""

PARTS = "weights", "optimizer", "extra"


class Checkpoint(NamedTuple):
    """What was saved: all that a run needs to go on."""

    config: ModelConfig
    weights: dict[str, Tensor]
    optimizer_state: dict[str, Any] | None  # for optimizer.load_state_dict
    step: int
    extra: Any


def save(
    folder: str | Path,
    model: nn.Module,
    *,
    step: int,
    optimizer: torch.optim.Optimizer | None = None,
    extra: Any = None,
    keep: int = 2,
) -> Path:
    """Write checkpoint `step` of `model` into `folder`, and return where it lies.

    The config is read from `model.c`. `extra` may hold numbers, strings, lists, tuples, dicts and
    tensors: states of random generators, for example. The `keep` latest checkpoints stay; older
    ones go once the new one is complete. A kill or a full disk costs the new checkpoint and no
    older one; OSError then says which one is left.
    """
    folder = Path(folder)
    if keep < 1 or step < 0:
        raise ValueError(f"keep={keep} must be at least 1 and step={step} at least 0")
    later = [s for s in steps(folder) if s > step]
    if later:
        raise CheckpointError(
            f"{folder} already holds step {later[-1]}, later than the step {step} to be saved. "
            "Go on from there, or save to another folder"
        )
    state = None if optimizer is None else optimizer.state_dict()
    weights = uncompiled(model).state_dict()
    noted: dict[str, Any] = {"format": FORMAT, "step": step}
    noted["config"] = encode(model.c, "config", {})
    tensors: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    for part, value in zip(PARTS, (weights, state, extra), strict=True):
        noted[part] = encode(value, part, tensors[part])

    def fill(where: Path) -> dict[str, Any]:
        for part in PARTS:
            _write(where / f"{part}.safetensors", tensors[part])
        return noted

    return durable.publish(folder, step, fill, keep)


def load(folder: str | Path, *, step: int | None = None) -> Checkpoint:
    """Return the latest checkpoint in `folder`, or the one of `step`, bit for bit, on the CPU.

    A damaged or missing file raises a CheckpointError that names the file and what to do.
    """
    folder = Path(folder)
    found = durable.complete(folder)
    wanted = max(found, default=None) if step is None else step
    if wanted not in found:
        if (folder / durable.SEAL).exists():
            raise CheckpointError(f"{folder} is one checkpoint: give the folder around it")
        have = f"steps {', '.join(map(str, found))}" if found else "no complete checkpoint"
        raise CheckpointError(
            f"{folder} holds {have}"
            + ("" if step is None else f", not step {step}")
            + ". Check the folder, or start a new run"
        )
    path = found[wanted]
    noted = durable.check(path)
    if noted["format"] == SHARDED:
        raise CheckpointError(
            f"{path} was saved by several processes, each its part: read it with "
            "minids.train.sharded_checkpoint, or go on with `minids train --resume`"
        )
    if noted["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {noted['format']}, and this version of minids reads {FORMAT}: "
            "install the version that wrote it"
        )
    weights, state, extra = (
        decode(noted[part], _tensors(path / f"{part}.safetensors")) for part in PARTS
    )
    return Checkpoint(decode(noted["config"], {}), weights, state, noted["step"], extra)


def _tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, copied: laid out in memory as in the file, some products round
    otherwise, and a resumed run would not go on bit for bit.
    """
    return {name: tensor.clone() for name, tensor in load_file(path).items()}


def build(checkpoint: Checkpoint) -> Transformer:
    """Return the model of a checkpoint, with the very weights that were saved.

    ValueError for those of an `MTP`, whose main model is in `mtp.main_weights(weights)`.
    """
    if any(name.startswith("main.") for name in checkpoint.weights):
        raise ValueError(
            "these are weights of a model with prediction modules: load them into an MTP, or give "
            "mtp.main_weights(weights) to `with_weights`"
        )
    return with_weights(checkpoint.config, checkpoint.weights)


def with_weights(c: ModelConfig, weights: Mapping[str, Tensor]) -> Transformer:
    """Return a Transformer that owns `weights`: none are drawn first, so size costs no time."""
    with torch.device("meta"):
        model = Transformer(c)
    model.load_state_dict(weights, assign=True)
    if c.tied:
        model.head.weight = model.embed.weight
    turns = frequencies(c.attention.rotary_width, c.rope_theta, c.rope_scaling)
    model.cos, model.sin = rotary(turns, torch.arange(c.context))
    return model


def steps(folder: str | Path) -> list[int]:
    """Return the steps of the complete checkpoints in `folder`, oldest first."""
    return list(durable.complete(Path(folder)))


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    try:
        save_file(_alone(tensors), path)
    except SafetensorError as error:  # how safetensors reports a full disk, too
        code = re.search(r"os error (\d+)", str(error))
        raise OSError(int(code[1]) if code else errno.EIO, f"{path.name}: {error}") from error


def _alone(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, no two in one storage, as safetensors wants them."""
    out: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        # A file has no lazy conjugates and signs: what is stored are the numbers themselves.
        tensor = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
        where = tensor.untyped_storage().data_ptr()
        out[name] = tensor.clone() if where in taken else tensor
        taken.add(where)
    return out
