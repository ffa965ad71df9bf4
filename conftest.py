"""For every test, the notebooks included: no network, checked signatures, honest notebook runs.

The import hook has to stand before anything imports minids: it makes jaxtyping and beartype check
calls of the package (tests/typecheck.py says which). Kernels of notebooks are other processes, and
run without it.

A machine with a GPU may have neither beartype nor Jupyter. The tests marked "cuda" run there all
the same, without checked signatures and notebooks.
"""

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

TESTS = Path(__file__).parent / "tests"
OFFLINE = str(TESTS / "offline")

sys.path[:0] = [str(TESTS), OFFLINE]
if find_spec("beartype"):
    import typecheck

    typecheck.install()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup() -> None:
        typecheck.begin()


import no_network  # noqa: E402

no_network.install()
# Kernels and other children read this: sitecustomize.py in that folder shuts their network, too.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [OFFLINE, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
)
os.environ["MINIDS_PROGRESS"] = "off"

pytest_plugins = ["notebook_cells"] if find_spec("nbval") else []


@pytest.fixture
def double_by_default() -> Iterator[None]:
    """Tensors of no other dtype are float64, as a notebook may have it, until the test ends."""
    import torch

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
