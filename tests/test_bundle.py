"""What goes into the archive for rooms without a network, and that its installer asks nobody.

Building and installing a real one takes minutes: `make test-bundle`.
"""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from minids.course import bundle, installer
from minids.course.files import write

ROOT = Path(__file__).parents[1]


def small(folder: Path) -> Path:
    """A repository of three files and a cache."""
    write(folder / "pyproject.toml", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    write(folder / "constraints.txt", "numpy==2.0\n")
    write(folder / "notebooks" / "00_map.ipynb", "{}")
    write(folder / "__pycache__" / "x.pyc", "")
    write(folder / "older.zip", "")
    return folder


def test_the_archive_holds_the_repository_its_wheels_and_one_installer(
    tmp_path: Path, monkeypatch: Any
) -> None:
    asked: list[list[str]] = []

    def pip(command: list[str], **how: Any) -> Any:
        if "pip" not in command:
            raise subprocess.CalledProcessError(128, command)  # no git here
        asked.append(command)
        assert how["check"], "a wheel that pip cannot get ends it"
        assert str(root / "constraints.txt") == command[command.index("-c") + 1]
        house = Path(command[command.index("--wheel-dir") + 1])
        (house / f"made{len(asked)}-1-py3-none-any.whl").write_text("wheel")

    monkeypatch.setattr(subprocess, "run", pip)
    root = small(tmp_path / "build" / "course")
    made = bundle.bundle(tmp_path / "out.zip", root=root, torch="2.13.0", torch_from=("-i", "x"))
    with zipfile.ZipFile(made.path) as archive:
        assert sorted(archive.namelist()) == [
            "out/constraints.txt",
            "out/install.py",
            "out/notebooks/00_map.ipynb",
            "out/pyproject.toml",
            "out/wheels/made1-1-py3-none-any.whl",
            "out/wheels/made2-1-py3-none-any.whl",
        ]
        assert archive.read("out/install.py") == Path(installer.__file__).read_bytes()
    assert made[1:] == (made.path.stat().st_size, 2, 3)
    first, second = asked
    assert first[-3:] == ["torch==2.13.0", "-i", "x"], "torch comes first and from where we said"
    assert "-i" not in second, "and nothing else comes from there"
    assert {"torch==2.13.0", "hatchling", "editables"} <= set(second)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["build", "out.zip"]


def test_an_interruption_leaves_no_part_of_an_archive(tmp_path: Path, monkeypatch: Any) -> None:
    root = small(tmp_path / "build" / "course")

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle, "_collect", lambda *_: None)
    monkeypatch.setattr(zipfile.ZipFile, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bundle.bundle(tmp_path / "out.zip", root=root, torch="2.13.0")
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


def test_every_requirement_of_learners_and_of_grading_is_packed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    packed = {Requirement(line).name for line in installer.requirements(ROOT)}
    wanted = [*project["dependencies"], *extras["notebooks"]]
    assert {Requirement(line).name for line in wanted} <= packed
    everything = {str(Requirement(line)) for lines in extras.values() for line in lines}
    assert {str(Requirement(line)) for line in installer.TOOLS} <= everything


def test_what_git_ignores_is_not_packed_and_what_is_new_is(tmp_path: Path) -> None:
    root = small(tmp_path)
    write(root / ".gitignore", "__pycache__/\n")
    git = ["git", "-C", str(root)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "pyproject.toml"], check=True)
    names = [path.relative_to(root).as_posix() for path in bundle.tracked(root)]
    assert names == [".gitignore", "constraints.txt", "notebooks/00_map.ipynb", "pyproject.toml"]


def test_the_installer_uses_its_wheels_and_no_index(tmp_path: Path, monkeypatch: Any) -> None:
    root, ran = small(tmp_path / "my course"), []
    monkeypatch.setattr(installer.venv, "create", lambda *a, **k: ran.append((a, k)))
    monkeypatch.setattr(subprocess, "run", lambda c, **how: ran.append((c, how)))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://example.org")
    command = installer.install(root)
    assert command.name.startswith("minids")
    [(_, made), *installs] = ran
    assert made["with_pip"]
    for words, how in installs:
        assert "--no-index" in words
        assert str(root / "constraints.txt") == words[words.index("-c") + 1]
        assert str(root / "wheels") == words[words.index("--find-links") + 1]
        assert not [name for name in how["env"] if name.startswith("PIP_EXTRA")]
        assert how["check"]
    assert installs[1][0][-3:] == ["--no-deps", "-e", str(root)]


def test_the_installer_stands_alone_and_says_what_is_missing(tmp_path: Path) -> None:
    alone = tmp_path / "install.py"
    alone.write_bytes(Path(installer.__file__).read_bytes())
    ran = subprocess.run([sys.executable, "-S", alone], capture_output=True, text=True)
    assert ran.returncode == 1
    assert "there is no folder wheels/ beside this file" in ran.stdout
    assert "minids" not in re.findall(r"^(?:from|import) (\w+)", alone.read_text(), re.M)


def test_the_installer_says_what_a_python_without_ensurepip_needs(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    """Debian and Ubuntu leave it out, and pip's own error says nothing of that."""
    (tmp_path / "wheels").mkdir()
    monkeypatch.setattr(installer, "__file__", str(tmp_path / "install.py"))
    monkeypatch.setattr(installer, "install", lambda root: pytest.fail("installed"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert installer.main() == 1
    assert "apt-get install python3-venv" in capsys.readouterr().out


def test_the_installer_fails_where_its_wheels_do_not_fit(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    def fails(root: Path) -> Path:
        raise subprocess.CalledProcessError(1, "pip")

    (tmp_path / "wheels").mkdir()
    monkeypatch.setattr(installer, "__file__", str(tmp_path / "install.py"))
    monkeypatch.setattr(installer, "install", fails)
    assert installer.main() == 1
    assert "for one system and one Python version" in capsys.readouterr().out


def test_the_installer_prints_a_command_that_can_be_pasted(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    root = tmp_path / "my course"
    (root / "wheels").mkdir(parents=True)
    monkeypatch.setattr(installer, "__file__", str(root / "install.py"))
    monkeypatch.setattr(installer, "install", lambda root: root / ".venv" / "bin" / "minids")
    assert installer.main() == 0
    assert f'"{root / ".venv" / "bin" / "minids"}" lab' in capsys.readouterr().out
