"""The workflow calls what exists, on the systems and Pythons that the README promises."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
JOBS = WORKFLOW["jobs"]


def commands(job: dict) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def test_the_workflow_runs_on_every_push_and_pull_request():
    on = WORKFLOW[True]  # YAML 1.1 reads the key `on` as true
    assert {"push", "pull_request"} <= set(on)


@pytest.mark.parametrize("job", JOBS)
def test_every_job_has_a_time_limit_and_ends_in_a_command(job):
    assert JOBS[job]["timeout-minutes"] <= 60
    assert "run" in JOBS[job]["steps"][-1]


def test_every_make_target_that_is_called_exists():
    called = [
        target
        for job in JOBS.values()
        for command in commands(job)
        for target in re.findall(r"\bmake ([a-z]+)", command)
    ]
    assert {"check", "test"} <= set(called)
    for target in called:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), f"the Makefile has no {target}"


def test_linux_and_macos_run_the_same_targets_as_everybody():
    job = JOBS["make"]
    assert set(job["strategy"]["matrix"]["os"]) == {"ubuntu-latest", "macos-latest"}
    targets = [re.search(r"make (\w+)", command)[1] for command in commands(job)]
    assert targets == ["check", "test"]


def test_every_system_is_tested_with_every_python_we_support():
    for name in ("make", "windows"):
        assert JOBS[name]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
        assert JOBS[name]["strategy"]["fail-fast"] is False
    assert JOBS["windows"]["runs-on"] == "windows-latest"


def test_windows_installs_as_the_readme_says():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    create, install = commands(JOBS["windows"])[:2]
    assert create.replace("python ", "py ") in readme
    assert install.replace(".[notebooks]", '".[notebooks]"') in readme


def test_the_full_run_uses_the_script_that_installs_a_browser():
    assert commands(JOBS["everything"]) == [".ci/run"]
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & 0o111, ".ci/run must be executable"
    text = script.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert text.index("chromium") < text.index("make check") < text.index("make test")


def test_no_secret_and_no_write_permission_is_asked_for():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "secrets." not in (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
