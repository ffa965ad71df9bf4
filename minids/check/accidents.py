"""Accidents in somebody else's code: endless loops are stopped, exceptions become sentences."""

import linecache
import signal
import sys
import sysconfig
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class TimeUp(BaseException):
    """The time limit is over. No Exception, so that `except Exception` cannot swallow it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeUp inside the block after `seconds`, again and again until it is left.

    Only where signals can do it: on the main thread of a Unix. Elsewhere nothing is limited.
    """
    possible = hasattr(signal, "setitimer") and (
        threading.current_thread() is threading.main_thread()
    )
    if not possible:
        yield
        return

    inside = True

    def stop(_number: int, _frame: FrameType | None) -> None:
        if inside:
            raise TimeUp

    old_handler = signal.signal(signal.SIGALRM, stop)
    old_timer = signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)
    try:
        yield
    finally:
        inside = False  # from here on the alarm is deaf
        signal.setitimer(signal.ITIMER_REAL, *old_timer)
        signal.signal(signal.SIGALRM, old_handler)


def explain(error: BaseException, seconds: float) -> tuple[str, str]:
    """Sentence and hint for an exception: the learner's line where it is theirs."""
    if isinstance(error, TimeUp):
        return (
            f"your code is still running after {seconds:g} s",
            "is there a loop without an end, or are the same things worked out again and again?",
        )
    kind, words = type(error).__name__, _said(error)
    what = f"{kind}: {words}" if words else kind
    theirs = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _is_learners(frame.f_code.co_filename) and "__tracebackhide__" not in frame.f_locals
    ]
    frames = traceback.StackSummary.extract(theirs)
    if not frames:
        return (
            "what you return could not be used",
            f"{what}. Compare the type of your result with what the task asks for.",
        )
    last = frames[-1]
    line = (linecache.getline(last.filename, last.lineno or 0) or last.line or "").strip()
    return f"your code stops with {kind}", f"{words or kind} -- in the line `{line}`."


def _said(error: BaseException) -> str:
    """What an exception says, on one line; nothing where saying it fails, too."""
    try:
        return " ".join(str(error).split())[:300]
    except Exception:
        return ""


def _is_learners(filename: str) -> bool:
    path = Path(filename)
    package = Path(__file__).parent.parent
    if package in path.parents:
        return package / "check" / "bugs" in path.parents
    library = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
    return not any(Path(folder) in path.parents for folder in library) and not (
        filename.startswith("<frozen")
    )
