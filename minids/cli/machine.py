"""What `minids doctor` looks at without training: Python, torch, memory, files, the kernel."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from minids.cli.finding import Finding
from minids.cli.loading import load_torch

GB = 1e9


def python() -> Finding:
    """Return which Python runs; pip has refused to install into one that is too old."""
    says = f"{'.'.join(map(str, sys.version_info[:3]))}, {sys.executable}"
    if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        return Finding("note", f"{says}; set PYTHONUTF8=1, or Chinese text may not print")
    return Finding("ok", says)


def packages() -> Finding:
    """Return whether all that the package needs can be imported."""
    names = "numpy einops jaxtyping tiktoken safetensors matplotlib tqdm"
    for name in names.split():
        import_module(name)
    return Finding("ok", ", ".join(f"{name} {version(name)}" for name in names.split()))


def torch_version() -> Finding:
    """Return torch's version, and whether it is new enough."""
    load_torch()
    import torch

    number = tuple(int(n) for n in torch.__version__.split("+")[0].split(".")[:2])
    if number < (2, 8):
        return Finding("broken", f"{torch.__version__}: the course needs 2.8 or newer")
    return Finding("ok", torch.__version__)


def threads() -> Finding:
    """Return how many threads torch uses, and whether they help: on a busy machine they do not."""
    import torch

    many, cores = torch.get_num_threads(), os.cpu_count() or 1
    says = f"torch uses {many} of {cores} cores"
    if many == 1:
        return Finding("ok", says)
    try:
        torch.set_num_threads(1)
        alone = _seconds_of_products()
        torch.set_num_threads(many)
        together = _seconds_of_products()
    finally:
        torch.set_num_threads(many)
    says += f", {alone / together:.1f} times the speed of one"
    if together > 1.3 * alone:
        return Finding("note", f"{says}: the machine is busy; set OMP_NUM_THREADS=1")
    return Finding("ok", says)


def _seconds_of_products(n: int = 512, tries: int = 7) -> float:
    """The quickest of a few runs of ten matrix products."""
    import torch

    x, best = torch.ones(n, n), float("inf")
    for _ in range(tries):
        start = time.perf_counter()
        for _ in range(10):
            x @ x
        best = min(best, time.perf_counter() - start)
    return best


def memory() -> Finding:
    """Return how much memory there is, as far as this system says."""
    if find_spec("psutil"):
        import psutil

        free, total = psutil.virtual_memory().available, psutil.virtual_memory().total
    elif hasattr(os, "sysconf"):
        page = os.sysconf("SC_PAGE_SIZE")
        total = free = page * os.sysconf("SC_PHYS_PAGES")
    else:
        return Finding("note", "unknown here; the chapters need about 2 GB")
    limit = Path("/sys/fs/cgroup/memory.max")  # of the container this runs in, if any
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        total, free = min(total, int(text)), min(free, int(text))
    says = f"{free / GB:.1f} GB free of {total / GB:.1f}"
    if free < 2 * GB:
        return Finding("note", f"{says}: the chapters need about 2 GB; close something")
    return Finding("ok", says)


def disk() -> Finding:
    """Return how much disk is free here."""
    free = shutil.disk_usage(Path.cwd()).free
    if free < 0.1 * GB:
        return Finding("broken", f"{free / GB:.2f} GB free here: nothing could be saved")
    if free < GB:
        return Finding("note", f"{free / GB:.2f} GB free here: the chapters need about 1 GB")
    return Finding("ok", f"{free / GB:.0f} GB free here")


def folder() -> Finding:
    """Return whether files can be written here."""
    with tempfile.NamedTemporaryFile(dir=Path.cwd()) as file:
        file.write(b"minids")
    return Finding("ok", f"{Path.cwd()} can be written to")


def data() -> Finding:
    """Return whether every shipped config, table and vocabulary can be read."""
    from minids.presets import PRESETS, preset
    from minids.study import tables
    from minids.text.tokenizer import default_tokenizer

    for name in PRESETS:
        preset(name)
    for name in tables.names():
        tables.read(name)
    tokenizer = default_tokenizer()  # compares the file with its sha256
    text = "DeepSeek 深度求索"
    if tokenizer.decode(tokenizer.encode(text)) != text:
        return Finding("broken", "the vocabulary does not give back the text it was given")
    tables_ = len(tables.names())
    return Finding("ok", f"{len(PRESETS)} models, {tables_} tables, {tokenizer.vocab} tokens")


def kernel() -> Finding:
    """Start the kernel that notebooks use, and return whether it is this Python."""
    if find_spec("ipykernel") is None or find_spec("jupyterlab") is None:
        return Finding("note", "no JupyterLab; for the notebooks: pip install -e '.[notebooks]'")
    runs = _python_of_kernel()
    if Path(runs).resolve() != Path(sys.executable).resolve():
        repair = "python -m ipykernel install --sys-prefix"
        return Finding("broken", f"the kernel 'python3' runs {runs}; repair it with: {repair}")
    return Finding("ok", f"JupyterLab {version('jupyterlab')}, kernel answers")


def _python_of_kernel() -> str:
    """Start the kernel named python3, as a notebook does, and return which Python it runs."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(
        kernel_name="python3", startup_timeout=60, stderr=subprocess.DEVNULL
    )
    try:
        code = {"python": "__import__('sys').executable"}
        reply = client.execute_interactive("", user_expressions=code, silent=True, timeout=30)
        said: str = reply["content"]["user_expressions"]["python"]["data"]["text/plain"]
        return said.strip("'")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
