"""The course for rooms without a network: every wheel and this repository in one archive.

Wheels belong to one system and one Python. Make the archive where both are those of the laptops.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from minids.course import installer

LEFT_OUT = {".git", ".venv", ".minids", "runs", "tour", "dist", "out", "build", "__pycache__"}
# What building the package asks for; pip takes it from the same folder of wheels.
BUILDERS = ("hatchling", "editables")


class Bundle(NamedTuple):
    """An archive: where it is, how many bytes, wheels and files of the repository it has."""

    path: Path
    nbytes: int
    wheels: int
    files: int


def bundle(out: Path, *, root: Path, torch: str, torch_from: tuple[str, ...] = ()) -> Bundle:
    """Collect wheels with pip, and pack them with the repository into a .zip at `out`.

    torch: its version; torch_from: pip options that say where to get it, such as an index of
    CPU builds. Raises subprocess.CalledProcessError where pip cannot get one.
    """
    out, root = out.resolve(), root.resolve()
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".wheels-") as place:
        _collect(Path(place), root, [f"torch=={torch}", *torch_from])
        needed = [f"torch=={torch}", *BUILDERS, *installer.requirements(root)]
        _collect(Path(place), root, needed)
        return _pack(out, root, sorted(Path(place).glob("*.whl")))


def _pack(out: Path, root: Path, wheels: list[Path]) -> Bundle:
    """Write the archive: all of it, or none."""
    part, top, counted = out.with_suffix(".part"), out.stem, 0
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in tracked(root):
                archive.write(path, f"{top}/{path.relative_to(root).as_posix()}")
                counted += 1
            archive.write(Path(installer.__file__), f"{top}/install.py")
            for wheel in wheels:  # packed already
                archive.write(wheel, f"{top}/wheels/{wheel.name}", zipfile.ZIP_STORED)
        shutil.move(part, out)
    except BaseException:  # Ctrl-C, too: it may be gigabytes
        part.unlink(missing_ok=True)
        raise
    return Bundle(out, out.stat().st_size, len(wheels), counted)


def tracked(root: Path) -> Iterator[Path]:
    """Files of the repository: what git would carry, or all but caches where there is no git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout
        names = [name for name in listed.decode().split("\0") if name]
        found = [root / name for name in names]
    except (OSError, subprocess.CalledProcessError):
        found = [p for p in root.rglob("*") if not LEFT_OUT & set(p.relative_to(root).parts)]
    for path in sorted(found):
        ours = path.suffix in (".zip", ".part", ".whl")  # an earlier archive, or this one
        if path.is_file() and not ours:
            yield path


def _collect(house: Path, root: Path, what: list[str]) -> None:
    """Have pip put the wheels of `what`, and all that they need, into `house`."""
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--wheel-dir", str(house)]
    held = ["--find-links", str(house), "-c", str(root / "constraints.txt")]
    subprocess.run([*pip, *held, *what], check=True, cwd=root)
