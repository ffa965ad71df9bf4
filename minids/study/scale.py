"""The one dial of every chapter: how large its experiments are, and on what they run.

    scale = Scale.auto()                              # MINIDS_SCALE=smoke, laptop or gpu decides
    steps = scale.pick(smoke=4, laptop=300, gpu=3000)

smoke runs everything in seconds, to see that it runs; its numbers mean nothing. laptop is what the
chapters were written for: two cores, no GPU. gpu is the same chapter on a CUDA device.

A GPU has a size, too: `scale.fit` halves what does not fit into the memory that is free.

Left out: several GPUs, Intel and AMD devices other than through torch's "cuda".
"""

import ctypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeVar, get_args

import torch

from minids.config import GQAConfig, ModelConfig
from minids.model.products import Products, fastest
from minids.model.transformer import Transformer
from minids.study import device_memory
from minids.study.workers import cores as available_cores

Kind = Literal["smoke", "laptop", "gpu"]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large, on what, and how products of matrices are taken (see model/products.py)."""

    kind: Kind
    device: torch.device
    products: Products = "plain"

    @staticmethod
    def auto(environment: Mapping[str, str] = os.environ) -> "Scale":
        """Return the scale that MINIDS_SCALE names; without it gpu if there is CUDA, else laptop.

        Also asks the C library to keep memory between steps (see `keep_memory`).
        A laptop runs on an Apple GPU only if a forward pass there agrees with the CPU's, and in
        bf16 only if a measurement (0.2 s, once a process) says that it pays. smoke is always
        float32 on the CPU. ValueError for another name, or for gpu without CUDA.
        """
        keep_memory()
        kind = environment.get("MINIDS_SCALE") or ("gpu" if torch.cuda.is_available() else "laptop")
        if kind not in get_args(Kind):
            raise ValueError(
                f"MINIDS_SCALE={kind!r} is no scale: take one of {', '.join(get_args(Kind))}"
            )
        if kind == "smoke":
            return Scale(kind="smoke", device=torch.device("cpu"))
        if kind == "gpu":
            if not torch.cuda.is_available():
                raise ValueError("scale gpu needs a CUDA device, and torch sees none: take laptop")
            return Scale(kind="gpu", device=torch.device("cuda"), products=fastest("cuda"))
        device = torch.device("mps" if mps_agrees() else "cpu")
        return Scale(
            kind="laptop", device=device, products=fastest(device, exact=device.type == "mps")
        )

    def pick(self, *, smoke: T, laptop: T, gpu: T | None = None) -> T:
        """Return the value for this scale; a gpu that gets none takes the laptop's."""
        values = {"smoke": smoke, "laptop": laptop, "gpu": laptop if gpu is None else gpu}
        return values[self.kind]

    @property
    def memory(self) -> float:
        """Bytes that are free on the device now; infinite on a CPU, where nothing is shrunk."""
        return device_memory.free(self.device)

    def fit(self, sizes: Sequence[int], bytes_each: float) -> tuple[int, ...]:
        """Return batches or contexts, all halved until the largest fits into free memory.

        `bytes_each` is what a row, or a token, takes at its worst moment. See
        `device_memory.within`, which also says what it refuses.
        """
        return device_memory.within(sizes, bytes_each, self.memory)

    def __str__(self) -> str:
        """Say it in one line, for the top of a chapter."""
        return f"{self.kind}: {self.device}, {self.products} products"


@cache
def mps_agrees() -> bool:
    """Return whether there is an Apple GPU whose forward pass is the CPU's, to 0.001."""
    return torch.backends.mps.is_available() and agrees(torch.device("mps"))


def agrees(device: torch.device, tolerance: float = 1e-3) -> bool:
    """Return whether a small model gives on `device` the logits it gives on the CPU."""
    heads = GQAConfig(n_heads=4, n_kv_heads=2, head_dim=8)
    config = ModelConfig(
        name="probe", vocab=64, dim=32, n_layers=2, hidden=64, attention=heads, context=16,
        init_std=0.2,
    )  # fmt: skip
    tokens = torch.arange(32).view(2, 16)
    with torch.no_grad():
        expected = Transformer(config, seed=0)(tokens).logits
        try:
            found = Transformer(config, seed=0).to(device)(tokens.to(device)).logits.cpu()
        except (RuntimeError, NotImplementedError):  # the device lacks an operation
            return False
    return bool((found - expected).abs().max() < tolerance)


def threads(
    environment: Mapping[str, str] = os.environ,
    *,
    cores: int | None = None,
    load: float | None = None,
) -> int:
    """Return how many threads torch should use: all cores of a quiet machine, one of a busy one.

    Measured on two cores, 4 layers of width 128, 32 x 128 tokens: alone, two threads train 1.85
    times as fast as one; beside other work they wait for each other, up to 20 times as slow.
    OMP_NUM_THREADS decides where it is set. `load` is the number of programs that ran in the last
    minute, this one included.
    """
    if environment.get("OMP_NUM_THREADS", "").isdecimal():
        return max(1, int(environment["OMP_NUM_THREADS"]))
    cores = cores or available_cores()
    load = os.getloadavg()[0] if load is None and hasattr(os, "getloadavg") else load or 0.0
    return 1 if load > cores / 2 + 1 else cores


def keep_memory() -> bool:
    """Ask the C library to keep freed memory for the next step; return whether it does.

    Without it glibc gives tensors of some megabytes back and gets them anew, page by page, in
    every step: a seventh of a toy's step, measured. It costs a tenth more memory. Other systems
    than Linux have other libraries and return False.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None:
        return False
    m_trim_threshold, m_mmap_threshold = -1, -3
    return bool(mallopt(m_mmap_threshold, 1 << 30) and mallopt(m_trim_threshold, 2**31 - 1))
