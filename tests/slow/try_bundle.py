"""Unpack an archive of `make bundle`, install it with no index at hand, and use what came out.

    python tests/slow/try_bundle.py dist/minids.zip [folder]

Takes minutes and a gigabyte, so it is no part of the ordinary test run: `make test-bundle`.
"""

import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

# A proxy that nobody serves: whatever reaches for the network fails at once.
NOWHERE = "http://127.0.0.1:9"


def clean() -> dict[str, str]:
    """The environment of a laptop that has never seen this repository, and has no network."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}
    return {**kept, "http_proxy": NOWHERE, "https_proxy": NOWHERE, "all_proxy": NOWHERE}


def run(*command: object, cwd: Path) -> str:
    """Run a command there, show its time, and return what it printed."""
    began = time.monotonic()
    ran = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(f"{time.monotonic() - began:6.1f} s  {' '.join(str(word) for word in command)[-90:]}")
    if ran.returncode:
        sys.exit(ran.stdout[-4000:])
    return ran.stdout


def attempt(archive: Path, folder: Path) -> None:
    """Install and try: the package, a count, an exercise's check, a chapter in a kernel."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    [root] = list(folder.iterdir())
    run(sys.executable, "install.py", cwd=root)
    bin = root / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    assert "37 B" in run(bin / "minids", "count", "deepseek-v3", cwd=root)
    assert "[" in run(bin / "minids", "progress", cwd=root)
    code = (
        "from minids.check import check; import minids;"
        "check('02.repeat_kv', lambda x, n: x.repeat_interleave(n, 1)); print(minids.__file__)"
    )
    said = run(bin / "python", "-c", code, cwd=root / "exercises")
    assert "02.repeat_kv: solved" in said, said
    assert str(root) in said, "another minids was imported"
    assert "#" in run(bin / "minids", "progress", cwd=root)
    run(bin / "jupyter", "lab", "--version", cwd=root)
    notebook = ["nbconvert", "--to", "notebook", "--execute", "--stdout", "00_map.ipynb"]
    run(bin / "jupyter", *notebook, cwd=root / "notebooks")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as place:
        attempt(Path(sys.argv[1]).resolve(), Path(place))
    print("the bundle installs and works without a network")
