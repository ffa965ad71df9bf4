"""Save a run of several processes, each its own part, and go on with another number of them.

The parts are safetensors files that know their place in the whole (torch.distributed.checkpoint);
durable.py sees to it that all of them are there or none. What is no tensor lies in the seal, as
JSON, so nothing is pickled. `resume` also takes what one process saved, and one process can take
what several saved.

Left out: saving while the run goes on; machines that share no file system.
"""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed.checkpoint
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load as load_parts
from torch.distributed.checkpoint.state_dict_saver import save as save_parts
from torch.distributed.tensor import DTensor

from minids import checkpoint, durable
from minids.config import ModelConfig
from minids.durable import CheckpointError
from minids.model.transformer import Transformer
from minids.plain import decode, encode
from minids.train.expert_parallel import cut
from minids.train.parallel import spread
from minids.train.update import adamw
from minids.train.world import World

Optimizer = torch.optim.Optimizer


class Found(NamedTuple):
    """A checkpoint but for its weights: what has to be known before a model is built."""

    path: Path
    config: ModelConfig
    step: int
    extra: Any
    processes: int | None  # that saved it, each its part; None if one saved the whole
    moments: bool  # whether it holds the state of an optimizer


def save(
    folder: str | Path,
    model: nn.Module,
    optimizer: Optimizer,
    *,
    world: World,
    step: int,
    extra: Any = None,
    keep: int = 2,
) -> Path:
    """Write checkpoint `step` of a spread model into `folder`, and return where it lies.

    All processes must call it, each writes its part; the first one seals and prunes. `extra` may
    hold what checkpoint.save takes, but no tensors: ValueError. If one fails, OSError in all.
    """
    if keep < 1 or step < 0:
        raise ValueError(f"keep={keep} must be at least 1 and step={step} at least 0")
    later = world.told_by_first(lambda: [s for s in checkpoint.steps(folder) if s > step])
    if later:
        raise CheckpointError(
            f"{folder} already holds step {later[-1]}, later than the step {step} to be saved. "
            "Go on from there, or save to another folder"
        )
    tensors, lost = _tensors(model, optimizer), dict[str, Tensor]()
    noted = {"format": checkpoint.SHARDED, "step": step, "processes": world.size}
    noted |= {"config": encode(model.c, "config", {}), "extra": encode(extra, "extra", lost)}
    if lost:
        raise ValueError(f"extra holds tensors ({', '.join(lost)}): write them as lists here")
    noted["moments"] = bool(optimizer.state)
    began, path, problem = False, Path(), None

    def fill(where: Path) -> dict[str, Any]:
        nonlocal began
        began = True
        _write(tensors, world.told(where))
        return noted

    try:
        if world.leads:
            path = durable.publish(Path(folder), step, fill, keep)
        else:
            where = world.told(Path())
            if where != Path():
                _write(tensors, where)
    except OSError as error:
        problem = error
        if world.leads and not began:
            world.told(Path())  # the others wait for a place to write to, and there is none
    path, problem = world.told((path, problem))
    if problem is not None:
        raise problem
    return path


def look(folder: str | Path, world: World, *, step: int | None = None) -> Found:
    """Return the latest checkpoint in `folder`, or the one of `step`, of either kind.

    The first process compares every file with its hash, and tells the others. A missing or
    damaged one raises a CheckpointError in all of them.
    """
    found: Found | CheckpointError | None = None
    if world.leads:
        try:
            found = _look(Path(folder), step)
        except CheckpointError as error:
            found = error
    found = world.told(found)
    if isinstance(found, Found):
        return found
    raise CheckpointError(str(found))


def resume(found: Found, world: World, *, lr: float) -> tuple[Transformer, Optimizer]:
    """Return the model of a checkpoint, spread over `world`, and its AdamW, ready to go on."""
    if found.processes is not None:
        model = spread(Transformer(found.config), world)
        optimizer = adamw(model, lr=lr)
        restore(found, model, optimizer)
        return model, optimizer
    saved = checkpoint.load(found.path.parent, step=found.step)
    model = spread(checkpoint.build(saved), world)
    optimizer = adamw(model, lr=lr)
    if saved.optimizer_state is not None:
        optimizer.load_state_dict(_cut_state(saved.optimizer_state, optimizer))
    return model, optimizer


def restore(found: Found, model: nn.Module, optimizer: Optimizer) -> None:
    """Read what several processes saved into a model and its optimizer, in place.

    Each process reads what it needs, whatever the number of those that wrote.
    """
    if found.moments:
        _make_room(optimizer)
    tensors = _tensors(model, optimizer)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")  # alone, on purpose
        load_parts(tensors, storage_reader=_storage("Reader")(str(found.path)))


def _look(folder: Path, step: int | None) -> Found:
    complete = durable.complete(folder)
    path = complete.get(max(complete, default=-1) if step is None else step)
    noted = {} if path is None else durable.check(path)
    if path is not None and noted.get("format") == checkpoint.SHARDED:
        config, extra = (decode(noted[name], {}) for name in ("config", "extra"))
        return Found(path, config, noted["step"], extra, noted["processes"], noted["moments"])
    saved = checkpoint.load(folder, step=step)  # which also says what is missing
    moments = saved.optimizer_state is not None
    return Found(complete[saved.step], saved.config, saved.step, saved.extra, None, moments)


def _write(tensors: dict[str, Tensor], where: Path) -> None:
    try:
        save_parts(tensors, storage_writer=_storage("Writer")(str(where), save_distributed=True))
    except CheckpointException as error:  # no Exception to Python; one for each process that failed
        failed = "; ".join(f"process {rank}: {e[0]}" for rank, e in error.failures.items())
        raise OSError(f"{where} could not be written by {failed}") from None


def _storage(what: str) -> Any:
    """torch's reader or writer of safetensors files that know their place in the whole."""
    found = getattr(torch.distributed.checkpoint, f"HuggingFaceStorage{what}", None)
    if found is None:
        raise OSError(
            f"torch {torch.__version__} cannot keep a checkpoint in parts: update torch, or give "
            "every process all weights with world.split(1)"
        )
    return found


def _tensors(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Every tensor of a run by name: the very ones, so that what is read into them is there."""
    once = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}  # tied: one
    found = {f"weights.{name}": w for name, w in model.state_dict().items() if name in once}
    for name, weight in model.named_parameters():
        for key, value in optimizer.state.get(weight, {}).items():
            found[f"optimizer.{key}.{name}"] = value
    return found


def _make_room(optimizer: Optimizer) -> None:
    """Let AdamW make its state, as it does in its first step; weights are read after it."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.grad = torch.zeros_like(weight)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _cut_state(state: dict[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """The state that one process saved, as one of several needs it: moments cut like weights."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    cut_up = {
        i: {
            key: cut(value.to(weights[i].device), weights[i].device_mesh)
            if isinstance(weights[i], DTensor) and value.shape == weights[i].shape
            else value
            for key, value in entries.items()
        }
        for i, entries in state["state"].items()
    }
    return {**state, "state": cut_up}
