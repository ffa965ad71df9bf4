"""What a measurement ran on, with what, when, and at which commit: beside every stored number."""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import minids
from minids.study.results import machine

PACKAGES = ("torch", "numpy", "triton")


def provenance(root: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return machine, device, versions, date and commit, ready for JSON.

    `root` is the folder whose commit counts; a copy without a repository is told it by
    MINIDS_COMMIT. What is not there is None: a driver on a CPU, a commit that nobody knows.
    `changed` says that files differ from the commit, as far as git knows.
    """
    known = _said(["git", "rev-parse", "HEAD"], root) if (root / ".git").exists() else None
    changed = known and _said(["git", "status", "--porcelain", "--untracked-files=no"], root)
    return {
        "machine": machine(),
        "device": describe(device),
        "versions": {"minids": minids.__version__, "python": platform.python_version()}
        | {name: version_of(name) for name in PACKAGES},
        "date": date.today().isoformat(),
        "commit": known or os.environ.get("MINIDS_COMMIT") or None,
        "changed": bool(changed) if known else None,
    }


def describe(device: torch.device | str) -> dict[str, Any]:
    """Return name, bytes of memory, driver and CUDA version of a device; a CPU has the name alone.

    `cuda` is the version that torch was built for.
    """
    if torch.device(device).type != "cuda":
        return {"name": torch.device(device).type, "bytes": None, "driver": None, "cuda": None}
    found = torch.cuda.get_device_properties(device)
    driver = _said(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])
    return {
        "name": found.name,
        "bytes": found.total_memory,
        "driver": driver.splitlines()[0] if driver else None,
        "cuda": torch.version.cuda,
    }


def version_of(package: str) -> str | None:
    """Return the version of an installed package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _said(command: Sequence[str], folder: Path | None = None) -> str | None:
    """What a program prints, or None where there is no such program or it fails."""
    if shutil.which(command[0]) is None:
        return None
    settings = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        ran = subprocess.run(
            command, cwd=folder, env=settings, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.strip() if ran.returncode == 0 else None
