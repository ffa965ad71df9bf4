"""`minids lab`: JupyterLab on the first chapter, reachable from this machine only."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated
from urllib.error import URLError
from urllib.request import urlopen

import typer

from minids.cli.folders import course_folder
from minids.cli.refusal import refuse

HOST = "127.0.0.1"


def lab(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="first port to try")] = 8888,
    browser: Annotated[
        bool | None, typer.Option(help="open a browser; by default where there is a screen")
    ] = None,
) -> None:
    """Open JupyterLab on chapter 00. Ctrl-C ends it."""
    root = course_folder()
    chapters = sorted((root / "notebooks").glob("[0-9]*.ipynb"))
    if not chapters:
        refuse(f"{root / 'notebooks'} holds no chapter; build them with: minids course build")
    if find_spec("jupyterlab") is None:
        refuse("JupyterLab is not installed: pip install -e '.[notebooks]'")
    port, token = free_port(port), secrets.token_hex(16)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    with tempfile.TemporaryDirectory(prefix="minids-", ignore_cleanup_errors=True) as private:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *flags(root, chapters[0], port, private)],
            env=os.environ | settings(token, private),
        )
        address = f"http://{HOST}:{port}"
        try:
            wait_until_up(server, f"{address}/api")
            page = f"{address}/lab/tree/notebooks/{chapters[0].name}?token={token}"
            typer.echo(f"\nJupyterLab is up. Open\n\n    {page}\n")
            typer.echo(f"token: {token}\nCtrl-C ends it.\n")
            if has_screen() if browser is None else browser:
                webbrowser.open(page)
            code = server.wait()
        except KeyboardInterrupt:
            code = stop(server)
    raise typer.Exit(code)


def free_port(first: int) -> int:
    """Return the first port from `first` on that nobody listens on."""
    last = min(first + 49, 65535)
    for port in range(first, last + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port
    refuse(f"ports {first} to {last} are all taken; give another with --port")


def settings(token: str, private: str) -> dict[str, str]:
    """Return JupyterLab's environment; `private` is a folder of ours that goes when it ends.

    The token travels here and not as an argument: other users of a machine can read those.
    """
    config = Path(private) / "labconfig"
    config.mkdir()
    asks_for_news = "@jupyterlab/apputils-extension:announcements"
    page = json.dumps({"disabledExtensions": {asks_for_news: True}})
    (config / "page_config.json").write_text(page, encoding="utf-8")
    paths = [private, *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    return {
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_PATH": os.pathsep.join(paths),
        "JUPYTER_RUNTIME_DIR": private,
        "GOMP_SPINCOUNT": "1000",  # threads that wait spin for microseconds, not milliseconds
    }


def flags(root: Path, chapter: Path, port: int, private: str) -> list[str]:
    """Return JupyterLab's arguments: this machine only, no news, no updates, nothing fetched."""
    given = {
        "ServerApp.ip": HOST,
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": root,
        "ServerApp.open_browser": False,
        "ServerApp.answer_yes": True,
        "LabApp.default_url": f"/lab/tree/notebooks/{chapter.name}",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
        "Application.log_level": "ERROR",
    }
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        given["ServerApp.allow_root"] = True
    if sys.platform == "linux" and len(private) < 50:  # the name of a socket may have 107 letters
        given["KernelManager.transport"] = "ipc"
    return [f"--{name}={value}" for name, value in given.items()]


def wait_until_up(server: subprocess.Popen[bytes], url: str, seconds: float = 60) -> None:
    """Return when the server answers; end the command if it died or never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            refuse(f"JupyterLab stopped at once (exit code {server.returncode}); see above")
        try:
            urlopen(url, timeout=2).close()
            return
        except (URLError, OSError):
            time.sleep(0.1)
    stop(server)
    refuse(f"JupyterLab did not answer within {seconds:.0f} s")


def stop(server: subprocess.Popen[bytes]) -> int:
    """End the server and its kernels, and return 0."""
    server.terminate()
    try:
        server.wait(timeout=20)
    except subprocess.TimeoutExpired:
        server.kill()
    return 0


def has_screen() -> bool:
    """Return whether a browser could show itself here."""
    if sys.platform in ("win32", "darwin"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
