"""Which files of the user's own a Python has loaded as modules, and whether they were edited since.

Left out: files that a module reads by itself, and a drive whose clock is behind ours.
"""

import os
import sys
import sysconfig
from collections.abc import Iterable
from importlib.machinery import ModuleSpec

INSTALLED = ("site-packages", "dist-packages")


def own_files() -> list[str]:
    """Return the sources of all modules imported here but those of Python and installed packages.

    Sources that are installed as a link, so that they can be edited, are the user's own. What
    torch's compiler wrote and loaded is not: it has no source in Python, or no `__spec__`.
    """
    python = os.path.join(sysconfig.get_path("stdlib"), "")
    specs = [getattr(module, "__dict__", {}).get("__spec__") for module in [*sys.modules.values()]]
    found = {spec.origin for spec in specs if isinstance(spec, ModuleSpec)}
    sources = [file for file in found if file and file.endswith(".py")]
    own = [f for f in sources if not f.startswith(python) and not any(i in f for i in INSTALLED)]
    return [file for file in own if os.path.isfile(file)]


def edited(files: Iterable[str], since: float) -> bool:
    """Return whether any of the files was written, replaced or removed after the time `since`."""
    return any(_last_edit(file) > since for file in files)


def _last_edit(file: str) -> float:
    """When a file was written, or given the date of an older one; infinite if it is gone."""
    try:
        status = os.stat(file)
    except OSError:
        return float("inf")
    return max(status.st_mtime, status.st_ctime)
