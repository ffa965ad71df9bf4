"""Tests cannot leave this machine: not here, not in a kernel; and talking to oneself works."""

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import nbformat
import pytest
from no_network import NetworkBlocked, is_local

from minids.course import kernel

OUTSIDE = "192.0.2.1"  # an address that belongs to nobody (RFC 5737)


@pytest.mark.parametrize(
    "reach",
    [
        lambda: socket.create_connection((OUTSIDE, 80), timeout=1),
        lambda: socket.socket().connect_ex((OUTSIDE, 443)),
        lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", (OUTSIDE, 53)),
        lambda: socket.getaddrinfo("huggingface.co", 443),
        lambda: socket.gethostbyname("huggingface.co"),
        lambda: urllib.request.urlopen("http://huggingface.co", timeout=1),
        lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 80)),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_nothing_reaches_the_network(reach: object) -> None:
    with pytest.raises(NetworkBlocked, match="tests run without a network, and something tried"):
        reach()  # type: ignore[operator]


def test_the_loopback_stays_open() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(("localhost", server.getsockname()[1]), timeout=5):
            pass


def test_what_counts_as_this_machine() -> None:
    assert all(map(is_local, ("127.0.0.1", "127.8.9.1", "::1", "localhost", "", None, "0.0.0.0")))
    assert not any(map(is_local, ("192.168.0.1", "10.0.0.1", "example.org", b"example.org")))


def test_a_kernel_is_shut_in_too_and_still_answers(tmp_path: Path) -> None:
    code = f"import socket\ntry:\n    socket.create_connection(({OUTSIDE!r}, 80), 1)\n"
    code += "except RuntimeError as error:\n    print(error)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    with kernel.kernel_settings():
        kernel.client(notebook, tmp_path, 60).execute()
    (output,) = notebook.cells[0].outputs
    assert output.text.startswith("tests run without a network, and something tried to reach 192.")


def test_so_is_every_python_that_a_test_starts() -> None:
    code = f"import socket; socket.create_connection(({OUTSIDE!r}, 80), 1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "NetworkBlocked" in done.stderr
    assert "offline" in os.environ["PYTHONPATH"]
