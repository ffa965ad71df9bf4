"""A model through torch's compiler: the same weights, and one pass over memory in place of many.

It pays where many steps of one shape follow: the first waits for about half a minute. It rounds
otherwise, so a run is compiled from its first step to its last, or not at all.
"""

import os
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)

PROGRAMS = 64
"""How many torch may write before it gives up: texts grow, and some passes have gradients."""


def compiled(model: M, *, dynamic: bool | None = None) -> M:
    """Return `model` as torch compiles it when it is called: a wrapper around the same weights.

    `dynamic=True` writes programs for any shape from the start, as rollouts need them, whose
    texts grow. ValueError says what is missing for it on this machine.
    """
    device = next(model.parameters()).device
    if missing := no_compiler(device):
        raise ValueError(missing)
    import torch._dynamo.config as settings  # the compiler itself, which takes a second to load

    settings.recompile_limit = max(settings.recompile_limit, PROGRAMS)
    return cast(M, torch.compile(model, dynamic=dynamic))


def no_compiler(device: torch.device | str) -> str | None:
    """Return what torch's compiler lacks on this machine, as a sentence; None if it can work."""
    other = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    needed = os.environ.get("CXX") or other
    if shutil.which(needed) is None:
        return f"torch compiles models with {needed}, which is not installed here"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "torch compiles models against Python.h, which is missing: install python3-dev"
    if torch.device(device).type == "cuda" and find_spec("triton") is None:
        return "torch compiles models for a GPU with triton, which is not installed here"
    return None
