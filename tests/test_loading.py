"""While torch is loaded, Ctrl-C ends the process at once; before and after it does what it did."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from minids.cli.loading import ended_by_interrupts

COMMANDS = (
    "train toy-llama", "grpo", "tour", "bench train", "gpu 09 --scale smoke", "doctor",
    "progress", "board .", "reset 02", "grade .", "course build", "course cut", "course check",
    "course minutes", "course slides out", "course nbgrader out", "course publish",
    "course bundle out.zip --torch 2.13",
)  # fmt: skip

STUB = """
import signal
print("loading", flush=True)
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    pass  # as torch's start-up does
print("went on", flush=True)
raise SystemExit(0)
"""

# Whoever starts the tests may ignore Ctrl-C, as a shell does for what runs in its background.
MAIN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
MAIN += "from minids.cli import main; main()"


@pytest.fixture
def interrupt():
    """What Ctrl-C does when a test begins, and again when it is done."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_while_torch_is_loaded_ends_every_command(tmp_path):
    """The signal comes from within the import, so no clock decides what happens first."""
    (tmp_path / "torch.py").write_text(STUB)
    (tmp_path / "one.ipynb").write_text("{}")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    started = {
        command: subprocess.Popen(
            [sys.executable, "-c", MAIN, *command.split()],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for command in COMMANDS
    }  # fmt: skip
    said = {command: process.communicate(timeout=120)[0] for command, process in started.items()}
    for command, process in started.items():
        assert "loading" in said[command] and "went on" not in said[command], (command, said)
        assert process.returncode == (-signal.SIGINT if os.name == "posix" else 3), command


def test_the_handler_of_before_is_back_when_it_is_over(interrupt):
    with ended_by_interrupts():
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == interrupt
    with pytest.raises(ImportError), ended_by_interrupts():
        raise ImportError("no torch")
    assert signal.getsignal(signal.SIGINT) == interrupt


def test_who_ignores_interrupts_goes_on_ignoring_them(interrupt):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with ended_by_interrupts():
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_on_another_thread_nothing_changes(interrupt):
    seen = []

    def load():
        with ended_by_interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    assert seen == [interrupt]
