"""Run one submission in a fresh kernel, and put our checks to what it defines.

Its own check cells are left out. Ours stand in their place and once more at the end, through a
freshly imported checker and under a number that the submission cannot know, so that printing
"solved" earns nothing. What is found right is followed by two answers that are known to be wrong:
where the check refuses neither, somebody has tampered with it. A cell that kills the kernel or
does not end is left out, too, and the rest begins again without it.
"""

import json
import secrets
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from minids.check.bugs import traps
from minids.course import kernel
from minids.course.roll import checked

STARTS = 4
LOAD = "import minids.check; get_ipython().ask_exit = lambda: None"  # exit() ends a cell later
LOADING = 60.0  # seconds that torch may take to load


class Answer(NamedTuple):
    """What a check found. `state`: solved, blank, wrong, error, or did not run."""

    state: str
    failed: str
    hint: str
    seconds: float


@dataclass
class Session:
    """One submission while it is graded. `found` grows; `skipped` are cells that ended a kernel.

    `end` is a time of time.monotonic(); it moves on by what kernels take to start.
    """

    wanted: dict[str, str]
    seeds: list[int]
    end: float
    found: dict[str, Answer]
    skipped: dict[int, str]

    def share(self) -> float:
        """Seconds that one cell or check may take: half of what is left."""
        return max(0.5, (self.end - time.monotonic()) / 2)


PROBE = """
import sys as _sys
for _name in [n for n in _sys.modules if n.startswith(("minids.check", "checks_"))]:
    del _sys.modules[_name]
import json as _json
from minids.check import examine as _examine
try:
    _attempt = {expression}
except Exception as _error:
    _found = ["did not run", "the answer is not defined", repr(_error)]
else:
    for _seed in {seeds}:
        _verdict = _examine({exercise!r}, _attempt, seed=_seed, at_most={at_most})
        _found = [_verdict.state, _verdict.failed, _verdict.hint]
        if _verdict.state != "solved":
            break
_sys.stdout.write({nonce!r} + _json.dumps(_found) + "\\n")
"""


def answers(
    notebook: Any, wanted: dict[str, str], seeds: Sequence[int], seconds: float
) -> dict[str, Answer]:
    """The answer to each wanted exercise that was reached before time was up.

    Starting a kernel and loading the checks is not the submission's doing, and takes none of its
    `seconds`.
    """
    session = Session(wanted, list(seeds), time.monotonic() + seconds, {}, {})
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    off = {"MINIDS_CATCH_UP": "off"}  # answers that were shown are not theirs
    with tempfile.TemporaryDirectory() as folder, kernel.kernel_settings(**off):
        for _ in range(STARTS):
            if _run(notebook, cells, session, Path(folder)):
                break
            if time.monotonic() > session.end:
                break
    return session.found


def _run(notebook: Any, cells: list[Any], session: Session, folder: Path) -> bool:
    """Go through the cells in one kernel; False if it had to be given up on the way."""
    import nbformat
    from nbclient.exceptions import CellTimeoutError

    notebook.cells = []
    runner = kernel.client(notebook, folder, max(1, round(session.share())))
    runner.allow_errors = True
    runner.coalesce_streams = False  # long lines cost the square of their length there
    runner.shutdown_kernel = "immediate"
    number, began = -1, time.monotonic()
    try:
        with kernel.started(runner):
            _execute(runner, nbformat.v4.new_code_cell(LOAD), LOADING)
            session.end += time.monotonic() - began
            for number, cell in enumerate(cells):
                asked = _asked(cell)
                for name in sorted(asked & session.wanted.keys()):
                    _ask(runner, name, session)
                if not asked and number not in session.skipped:
                    _execute(runner, cell, session.share())
            number = len(cells)
            for name in session.wanted:  # defined further down, or its check cell is gone
                _ask(runner, name, session)
    except Exception as error:  # dead, late, or sending what is no message of a kernel
        late = isinstance(error, CellTimeoutError)
        session.skipped[number] = "did not end" if late else "killed the kernel"
        return False
    return True


def _asked(cell: Any) -> set[str]:
    """Names that a check cell asks for; a tagged one that asks nothing we know counts, too."""
    asked = set(checked(cell.source))
    return asked or ({""} if "check" in cell.metadata.get("tags", []) else set())


def _execute(runner: Any, cell: Any, seconds: float) -> None:
    runner.timeout = max(1, round(seconds))
    runner.nb.cells.append(cell)
    runner.execute_cell(cell, len(runner.nb.cells) - 1)


def _ask(runner: Any, exercise: str, session: Session) -> None:
    """Put one check to the running kernel, unless its answer can change no more."""
    before = session.found.get(exercise)
    if before is not None and (before.state == "solved" or before.failed in FINAL):
        return
    if before is not None and "still running" in before.failed:
        return
    session.found[exercise] = UNANSWERED  # stands if the kernel dies of it
    heard = UNANSWERED
    try:
        heard = _probe(runner, exercise, session.wanted[exercise], session.seeds, session.share())
        if heard.state == "solved" and _takes_anything(runner, exercise, session):
            heard = TAMPERED._replace(seconds=heard.seconds)
    finally:
        keep = before is not None and heard.state == "did not run"
        session.found[exercise] = before if keep and before is not None else heard


def _takes_anything(runner: Any, exercise: str, session: Session) -> bool:
    """Whether the check, as it is in that kernel now, refuses neither of two wrong answers."""
    number = len(traps(exercise))
    for chosen in secrets.SystemRandom().sample(range(number), min(2, number)):
        trap = f"__import__('minids.check.bugs', fromlist=['']).traps({exercise!r})[{chosen}]"
        said = _probe(runner, exercise, trap, [0], session.share()).state
        if said in ("wrong", "error", "blank"):
            return False
    return True


def _probe(
    runner: Any, exercise: str, expression: str, seeds: Sequence[int], seconds: float
) -> Answer:
    """What the check says of the value of an expression in the running kernel."""
    import nbformat

    nonce = secrets.token_hex(16)
    code = PROBE.format(
        expression=expression,
        exercise=exercise,
        seeds=list(seeds),
        at_most=round(seconds / 2, 1),
        nonce=nonce,
    )
    cell, began = nbformat.v4.new_code_cell(code), time.monotonic()
    _execute(runner, cell, seconds)
    return _heard(cell, nonce, round(time.monotonic() - began, 1))


UNANSWERED = Answer("did not run", "the check was interrupted", "it crashed or did not end", 0.0)
TAMPERED = Answer(
    "error", "the check was tampered with", "it refuses no answer that is known to be wrong", 0.0
)
FINAL = (UNANSWERED.failed, TAMPERED.failed)


def _heard(cell: Any, nonce: str, seconds: float) -> Answer:
    """What the probe printed behind its number."""
    text = "".join(o.get("text", "") for o in cell.outputs if o.get("name") == "stdout")
    if nonce not in text:
        return UNANSWERED._replace(seconds=seconds)
    said = json.loads(text.rsplit(nonce, 1)[1].split("\n")[0])
    state, failed, hint = (word.encode("utf-8", "replace").decode() for word in said)
    return Answer(state, failed, hint, seconds)
