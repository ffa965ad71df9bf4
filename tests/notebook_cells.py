"""What nbval leaves open, as a pytest plugin: repairs, an honest count, and a guard on time.

Three repairs to nbval 0.11: a dead kernel fails at once, a slow machine gets more than 5 s for
outputs, and after the first cell that raises the rest of that notebook is skipped, not failed.
Skipped is not passed: the summary counts executed, skipped and failed cells per notebook, and a
run fails where fewer cells were executed than tests/cells_expected.json commits to.

    pytest --nbval … notebooks solutions --update-cells     writes the committed numbers anew
"""

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from nbval import plugin as nbval
from nbval.kernel import RunningKernel


def await_reply(self: Any, msg_id: str, timeout: float | None = None) -> None:
    """Wait for a reply; a kernel that died is noticed within a second."""
    end = time.monotonic() + (timeout or 2000)
    while True:
        try:
            message = self.get_message(stream="shell", timeout=1)
        except Empty:
            if not self.is_alive():
                raise RuntimeError("the kernel died") from None
            if time.monotonic() > end:
                raise
            continue
        if message["parent_header"].get("msg_id") == msg_id:
            return


RunningKernel.await_reply = await_reply


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("notebook cells")
    group.addoption(
        "--update-cells",
        action="store_true",
        help="write the number of executed cells per notebook to tests/cells_expected.json",
    )
    group.addoption(
        "--strict-times",
        action="store_true",
        help="fail, and not only say so, where a cell takes twice as long as when it was built",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Start-up files of whoever runs the tests are none of a notebook's business.
    folder = tempfile.TemporaryDirectory(prefix="minids-ipython-")
    config.add_cleanup(folder.cleanup)
    os.environ["IPYTHONDIR"] = folder.name
    if not hasattr(config, "workerinput"):  # with xdist, only the process that reports
        config.pluginmanager.register(Tally(config), "notebook-tally")


def notebook_of(node_id: str) -> str | None:
    """ "notebooks/00_map" from the id of one of its cells; None for an ordinary test."""
    path, found, _ = node_id.partition(".ipynb::")
    return path if found else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, nbval.IPyNbCell):
            item.output_timeout = 60


def pytest_runtest_setup(item: pytest.Item) -> None:
    if isinstance(item, nbval.IPyNbCell):
        broken = getattr(item.parent, "broken_at", None)
        if broken is not None:
            pytest.skip(f"cell {broken} raised")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Any:
    yield
    if isinstance(item, nbval.IPyNbCell) and call.when == "call" and call.excinfo:
        skipped = call.excinfo.errisinstance(pytest.skip.Exception)
        if not skipped and "outputs differ" not in str(call.excinfo.value):
            item.parent.broken_at = item.cell_num


class Tally:
    """Executed, skipped and failed cells of each notebook, and the seconds of each cell."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.file = config.rootpath / "tests" / "cells_expected.json"
        self.counts: dict[str, Counter[str]] = {}
        self.seconds: dict[str, dict[int, float]] = {}
        self.too_few: list[str] = []
        self.too_slow: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = notebook_of(report.nodeid)
        if name is None:
            return
        count = self.counts.setdefault(name, Counter())
        if report.failed:
            count["failed"] += 1
        elif report.skipped:
            count["skipped"] += 1
        elif report.when == "call":
            count["executed"] += 1
            cell = int(report.nodeid.rsplit(" ", 1)[1])
            self.seconds.setdefault(name, {})[cell] = report.duration

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        expected = json.loads(self.file.read_text()) if self.file.exists() else {}
        if self.config.option.update_cells:
            ran = {name: count["executed"] for name, count in self.counts.items()}
            self.file.parent.mkdir(exist_ok=True)
            self.file.write_text(json.dumps({**expected, **ran}, indent=1, sort_keys=True) + "\n")
        else:
            self.too_few = shortfalls(self.counts, expected, self._asked_for)
        self.too_slow = slower_cells(self.config.rootpath, self.seconds)
        failing = self.too_few or (self.too_slow and self.config.option.strict_times)
        if failing and session.exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.counts:
            terminalreporter.section("notebook cells")
        for name, count in sorted(self.counts.items()):
            words = ", ".join(f"{count[word]} {word}" for word in ("executed", "skipped", "failed"))
            terminalreporter.line(f"{name}: {words}")
        for sentence in self.too_few + self.too_slow:
            terminalreporter.line(sentence, red=True)

    def _asked_for(self, name: str) -> bool:
        """Whether this run was meant to execute the whole of that notebook."""
        option = self.config.option
        if not (option.nbval or option.nbval_lax) or option.collectonly:
            return False
        if option.keyword or option.markexpr or getattr(option, "lf", False):
            return False
        path = self.config.rootpath / f"{name}.ipynb"
        starts = [Path(self.config.invocation_params.dir, word).resolve() for word in self._paths()]
        return any(start == path or start in path.parents for start in starts)

    def _paths(self) -> list[str]:
        return [str(word) for word in self.config.args]


def shortfalls(
    counts: dict[str, Counter[str]], expected: dict[str, int], asked_for: Callable[[str], bool]
) -> list[str]:
    """A sentence for each notebook of this run with fewer executed cells than committed."""
    return [
        f"{name}: {counts.get(name, Counter())['executed']} cells were executed, "
        f"{number} are committed to in tests/cells_expected.json"
        for name, number in sorted(expected.items())
        if asked_for(name) and counts.get(name, Counter())["executed"] < number
    ]


def slower_cells(root: Path, seconds: dict[str, dict[int, float]]) -> list[str]:
    """A sentence for each cell that took twice the seconds of its build (measure.doubled)."""
    from minids.course import measure

    before = measure.stored(root)
    now = {
        name: [cost._replace(seconds=seconds[name].get(cost.cell, 0.0)) for cost in before[name]]
        for name in seconds
        if name in before
    }
    return measure.doubled(before, now)
