"""Install the course from the folder that this file lies in, without a network.

    python3 install.py

makes a folder .venv here and fills it from wheels/. Needs Python 3.11 or newer and nothing else;
`minids course bundle` puts this file into its archive.
"""

import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

EXTRAS = ("notebooks",)
# What catch-up, reset and grading read notebooks with.
TOOLS = ("jupytext>=1.16", "nbclient>=0.10")


def requirements(root: Path) -> list[str]:
    """What pyproject.toml asks for, with the extras that a workshop needs."""
    import tomllib  # not before Python 3.11: an older one gets a sentence from main

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = list(project["dependencies"])
    for extra in EXTRAS:
        found += project["optional-dependencies"].get(extra, [])
    return [*found, *TOOLS]


def scripts(root: Path) -> Path:
    """The folder of the environment's commands."""
    return root / ".venv" / ("Scripts" if os.name == "nt" else "bin")


def install(root: Path) -> Path:
    """Make .venv in `root`, install from its wheels alone; the path of the command minids."""
    venv.create(root / ".venv", with_pip=True, clear=True)
    python = scripts(root) / ("python.exe" if os.name == "nt" else "python")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--find-links", str(root / "wheels")]
    held = ["-c", str(root / "constraints.txt")]
    # PIP_ variables of the user could bring an index back
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    clean["PIP_CONFIG_FILE"] = os.devnull
    for what in (["torch", *requirements(root)], ["--no-deps", "-e", str(root)]):
        subprocess.run([*pip, *offline, *held, *what], check=True, env=clean)
    return scripts(root) / ("minids.exe" if os.name == "nt" else "minids")


def main() -> int:
    """Install, and say how to begin."""
    if sys.version_info < (3, 11):  # noqa: UP036
        print("minids needs Python 3.11 or newer; this is", sys.version.split()[0])
        return 1
    here = Path(__file__).resolve().parent
    if not (here / "wheels").is_dir():
        print("there is no folder wheels/ beside this file; unpack the whole archive")
        return 1
    if importlib.util.find_spec("ensurepip") is None:
        print("this Python cannot make a venv; on Debian and Ubuntu: apt-get install python3-venv")
        return 1
    print("installing from wheels/, without a network (a minute or two)")
    try:
        command = install(here)
    except subprocess.CalledProcessError:
        print("\nIt did not work. The wheels are for one system and one Python version; this is")
        print(f"Python {sys.version.split()[0]} on {sys.platform}. See the lines above.")
        return 1
    shown = f'"{command}"' if " " in str(command) else command
    print(f"\ndone. Begin with:\n\n    {shown} lab\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
