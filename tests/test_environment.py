"""pyproject, constraints, environment.yml and the Makefile describe one environment."""

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import minids

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CONDA_NAMES = {"torch": "pytorch"}  # where conda-forge calls a package otherwise


def requirements(*extras: str) -> dict[str, Requirement]:
    lines = list(PROJECT["dependencies"])
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    found = [Requirement(line) for line in lines]
    return {r.name.lower(): r for r in found if r.name != "minids"}


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): Version(version) for name, version in pairs}


def conda_specs() -> dict[str, str]:
    specs = [spec for spec in CONDA["dependencies"] if isinstance(spec, str)]
    [pip] = [spec["pip"] for spec in CONDA["dependencies"] if isinstance(spec, dict)]
    return {re.split(r"[=<>]", spec)[0]: spec for spec in specs + pip}


EVERYTHING = requirements("notebooks", "dev", "parity")


def test_every_constraint_is_one_exact_public_version():
    assert all(not version.local for version in pins().values())
    assert "minids" not in pins(), "the project does not pin itself"
    assert "torch" not in pins(), "the Makefile's TORCH alone says which torch is installed"


@pytest.mark.parametrize("name", [name for name in EVERYTHING if name != "torch"])
def test_the_tested_version_of_each_requirement_lies_in_its_range(name):
    assert name in pins(), f"constraints.txt does not freeze {name}"
    assert EVERYTHING[name].specifier.contains(pins()[name])


def test_the_oldest_python_that_is_promised_can_install_every_tested_version():
    """pip searched for half an hour, on Debian's 3.11.2, for a release that asked for 3.11.5."""
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    installed = {d.name.lower().replace("_", "-"): d for d in metadata.distributions()}
    asks = {
        name: installed[name].metadata.get("Requires-Python") or ""
        for name, version in pins().items()
        if name in installed and Version(installed[name].version) == version
    }
    assert len(asks) > len(EVERYTHING)
    assert [name for name, asked in asks.items() if oldest not in SpecifierSet(asked)] == []


def test_no_requirement_is_pinned_exactly():
    for requirement in EVERYTHING.values():
        operators = {s.operator for s in requirement.specifier}
        assert operators == {">="}, f"{requirement} must be a lower bound and nothing else"


def test_the_makefile_installs_a_torch_that_the_package_accepts():
    version = re.search(r"^TORCH \?= (\S+)$", MAKEFILE, re.MULTILINE)[1]
    assert EVERYTHING["torch"].specifier.contains(version)


def test_torch_is_installed_before_anything_that_would_fetch_another():
    steps = MAKEFILE[MAKEFILE.index("# The environment.") :]
    assert steps.index("torch==$(TORCH)") < steps.index("-e '.[notebooks]'")
    for stamp in (".notebooks", ".dev"):
        assert f"$(VENV)/{stamp}: $(VENV)/.torch-$(TORCH) pyproject.toml constraints.txt" in steps


def test_conda_environment_has_only_keys_and_channels_that_every_conda_knows():
    assert set(CONDA) == {"name", "channels", "dependencies"}
    assert CONDA["name"] == "minids"
    assert CONDA["channels"] == ["conda-forge"]


def test_conda_environment_starts_with_a_python_that_the_package_accepts():
    python, pip = CONDA["dependencies"][:2]
    assert pip == "pip", "without it, conda warns about the pip section"
    version = python.removeprefix("python=")
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(f"{version}.0")


def test_conda_environment_names_each_requirement_once_with_the_same_bound():
    want = {
        CONDA_NAMES.get(name, name): f"{CONDA_NAMES.get(name, name)}{requirement.specifier}"
        for name, requirement in EVERYTHING.items()
    }
    specs = conda_specs()
    assert len(specs) == sum(
        len(s["pip"]) if isinstance(s, dict) else 1 for s in CONDA["dependencies"]
    ), "a package is named twice"
    assert {name: spec for name, spec in specs.items() if name not in ("python", "pip")} == want


def test_the_version_is_that_of_the_package():
    assert PROJECT["dynamic"] == ["version"]
    assert Version(minids.__version__)


def targets() -> list[str]:
    return re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize("target", targets())
def test_every_make_target_is_explained_phony_and_can_be_planned(target):
    assert re.search(rf"^{target}:.*## \w", MAKEFILE, re.MULTILINE), f"make help skips {target}"
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()
    assert target in phony
    planned = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert planned.returncode == 0, planned.stderr


def test_make_test_runs_tests_in_two_processes_and_then_every_notebook():
    recipe = re.search(r"^test:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1].split("\n\t")
    assert [line.strip() for line in recipe] == [
        "@$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder tests",
        "@$(PYTEST) $(NBVAL) notebooks solutions",
    ], "a line each: make ends at the first that fails, and nothing hides how pytest ended"
    for flag in (
        "--nbval ",
        "--nbval-current-env",
        "--nbval-sanitize-with=tests/nbval_sanitize.cfg",
    ):
        assert flag in MAKEFILE


def test_threads_are_limited_before_torch_loads():
    assert "export GOMP_SPINCOUNT ?= 1000" in MAKEFILE
    assert re.search(r"^test .*: export OMP_NUM_THREADS \?= 1$", MAKEFILE, re.MULTILINE)
