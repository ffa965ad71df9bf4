"""Loading torch, which takes a second: Ctrl-C ends the process at once meanwhile."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module


def load_torch() -> None:
    """Import torch, before any work, so that Ctrl-C has nothing to save.

    torch's start-up swallows a KeyboardInterrupt: the command would go on with half of numpy.
    """
    with ended_by_interrupts():
        import_module("torch")


@contextmanager
def ended_by_interrupts() -> Iterator[None]:
    """Let Ctrl-C end the process within the block, without an exception that could be caught."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # signals only ever reach the main thread, or somebody ignores them
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
