"""A reader's way: open a chapter in JupyterLab, run all, move a slider, see another picture."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROOT = Path(__file__).parents[1]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TINY = """
from matplotlib.figure import Figure
from minids.study.widgets import explore

def draw(power=2):
    figure = Figure(figsize=(3, 2))
    figure.subplots().plot([x**power for x in range(9)])
    return figure

explore(draw, power=(1, 4), alt="A curve that rises faster and faster")
"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]


class Lab(NamedTuple):
    """A running JupyterLab: its address with the token, and the folder it serves."""

    url: str
    token: str
    folder: Path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on the loopback, with settings, runtime and notebooks of its own."""
    home = tmp_path_factory.mktemp("lab")
    folder = home / "notebooks"
    folder.mkdir()
    settings = {
        "notebook-extension/tracker": '{"windowingMode": "none"}',
        "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
    }
    for name, value in settings.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(value)
    token, port = "only-for-this-test", free_port()
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    options += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    options += [f"--ServerApp.root_dir={folder}", "--LabApp.news_url="]
    options += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    options += ["--LabApp.extension_manager=readonly"]
    log = (home / "lab.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options],
        env={**os.environ, **{name: str(home / place) for name, place in places.items()}},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    found = Lab(f"http://127.0.0.1:{port}", token, folder)
    try:
        wait_for(lambda: answers(f"{found.url}/api?token={token}"), 60, "JupyterLab to answer")
        yield found
    finally:
        server.terminate()
        server.wait(timeout=20)
        log.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium without a window, with a profile of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("chromium")),
            executable_path=CHROMIUM,
            headless=True,
            args=FLAGS,
            viewport={"width": 1300, "height": 1100},
        )
        yield context
        context.close()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return reply.status == 200
    except OSError:
        return False


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:g} s for {what}")


def without_outputs(notebook: Any) -> Any:
    """So that whatever is seen afterwards comes from this run."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def open_and_run(browser: Any, lab: Lab, notebook: Any, seconds: float) -> Any:
    """The page of a notebook in which every cell has run, without an error."""
    from playwright.sync_api import expect

    name = f"{len(list(lab.folder.iterdir()))}.ipynb"
    nbformat.write(without_outputs(notebook), lab.folder / name)
    page = browser.new_page()
    page.goto(f"{lab.url}/lab/tree/{name}?token={lab.token}&reset")
    page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=60_000)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(
        '[data-command="runmenu:run-all"], [data-command="notebook:run-all-cells"]'
    ).first.click()
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    cells = sum(  # a cell whose source is folded away shows no number
        cell.cell_type == "code" and not cell.metadata.get("jupyter", {}).get("source_hidden")
        for cell in notebook.cells
    )
    done = f"{cells} cells to run"
    wait_for(lambda: has_run(prompts.all_inner_texts(), cells) or has_failed(page), seconds, done)
    errors = page.locator('[data-mime-type="application/vnd.jupyter.error"]')
    assert errors.count() == 0, errors.first.inner_text()
    return page


def has_run(prompts: list[str], cells: int) -> bool:
    return sum(bool(re.match(r"\[\d+\]", prompt)) for prompt in prompts) == cells


def has_failed(page: Any) -> bool:
    return bool(page.locator('[data-mime-type="application/vnd.jupyter.error"]').count())


def picture(panel: Any) -> str | None:
    """A hash of the picture that the reader sees; None while there is none."""
    read = "image => fetch(image.src).then(r => r.arrayBuffer()).then(b => [...new Uint8Array(b)])"
    shown = panel.locator("img.widget-image, .widget-image img").first
    try:
        seen = bytes(shown.evaluate(read))
    except Exception:  # the picture has just been replaced by the next one
        return None
    wide = shown.evaluate("image => image.naturalWidth")
    return hashlib.sha256(seen).hexdigest() if wide > 50 else None


def moved(page: Any, panel: Any) -> str:
    """Move the first slider of a panel by one step to either side; the new picture."""
    before = wait_for(lambda: picture(panel), 30, "the first picture")
    handle = panel.locator(".noUi-handle").first
    handle.scroll_into_view_if_needed()
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft"):
        handle.focus()
        page.keyboard.press(key)
        try:
            return str(
                wait_for(
                    lambda: picture(panel) not in (None, before) and picture(panel),
                    10,
                    "another picture",
                )
            )
        except AssertionError:
            continue  # it stood at its end
    raise AssertionError("the slider moved, and the picture stayed")


def test_a_slider_changes_the_picture(browser: Any, lab: Lab) -> None:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(TINY)], metadata={"kernelspec": kernel}
    )
    page = open_and_run(browser, lab, notebook, 60)
    panel = page.locator(".widget-vbox").first
    before = wait_for(lambda: picture(panel), 30, "the first picture")
    assert moved(page, panel) != before
    assert panel.locator(".widget-readout").first.inner_text() in ("1", "3")
    page.close()


def test_the_map_runs_in_jupyterlab_and_its_sliders_move_the_picture(
    browser: Any, lab: Lab
) -> None:
    strangers = []
    browser.on("request", lambda request: strangers.append(request.url))
    notebook = nbformat.read(ROOT / "notebooks" / "00_map.ipynb", as_version=4)
    page = open_and_run(browser, lab, notebook, 240)
    panels = page.locator(".widget-vbox").filter(has=page.locator(".noUi-handle"))
    assert panels.count() >= 1
    moved(page, panels.first)
    outside = [
        u for u in strangers if not u.startswith((lab.url, "ws://127.0.0.1", "data:", "blob:"))
    ]
    assert outside == []
    page.close()
