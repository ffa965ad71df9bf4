"""Running a notebook in a fresh kernel of this very Python, and making its outputs repeatable."""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDGETS = "application/vnd.jupyter.widget-state+json"


@contextmanager
def kernel_settings(**settings: str) -> Iterator[None]:
    """Environment for kernels started inside: no start-up files of the user, no progress file."""
    with tempfile.TemporaryDirectory(prefix="minids-ipython-") as folder:
        new = {"IPYTHONDIR": folder, "MINIDS_PROGRESS": "off", **settings}
        old = {name: os.environ.get(name) for name in new}
        os.environ.update(new)
        try:
            yield
        finally:
            for name, value in old.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def client(notebook: Any, folder: Path, seconds: float, **options: Any) -> Any:
    """An nbclient for `notebook` that runs in `folder`, in the Python that runs us."""
    import ipykernel.kernelspec
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    class ThisPython(KernelSpecManager):  # type: ignore[misc,unused-ignore]
        """Whatever kernel a notebook names, it gets ours."""

        def get_kernel_spec(self, kernel_name: str) -> Any:
            return KernelSpec(**ipykernel.kernelspec.get_kernel_dict())

    class Manager(AsyncKernelManager):  # type: ignore[misc,unused-ignore]
        def __init__(self, **given: Any) -> None:
            super().__init__(**{**given, "kernel_spec_manager": ThisPython()})

    class Client(NotebookClient):  # type: ignore[misc,unused-ignore]
        async def _async_poll_for_reply(self, *given: Any) -> Any:
            """End the task that asks whether the kernel lives, whatever came instead of a reply.

            nbclient forgets that where a kernel answers what is no message: the task then finds
            no kernel a second later, and says so on stderr.
            """
            try:
                return await super()._async_poll_for_reply(*given)
            finally:
                given[-1].cancel()

    return Client(
        notebook,
        timeout=seconds,
        startup_timeout=120,
        kernel_manager_class=Manager,
        record_timing=False,
        coalesce_streams=True,
        allow_errors=False,
        resources={"metadata": {"path": str(folder)}},
        **options,
    )


def started(runner: Any) -> Any:
    """The running kernel of a client, as a context; what it says on its own stderr is dropped."""
    return runner.setup_kernel(stderr=subprocess.DEVNULL)


def settle(notebook: Any) -> Any:
    """The notebook with everything removed that differs from run to run.

    Widget ids are numbered by first appearance, unreachable widgets dropped, timings of
    progress bars cut out, and the language reduced to its name.
    """
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    widgets = notebook.metadata.get("widgets", {}).get(WIDGETS)
    if not widgets:
        notebook.metadata.pop("widgets", None)
        return notebook
    state = widgets["state"]
    order = _reachable(json.dumps(notebook.cells), state)
    widgets["state"] = {key: _without_timing(state[key]) for key in order if key in state}
    text = json.dumps(notebook)
    for number, key in enumerate(order):
        text = text.replace(key, f"{number:032x}")
    import nbformat

    return nbformat.reads(text, as_version=4)


def _reachable(cells: str, state: dict[str, Any]) -> list[str]:
    """Ids of widgets that outputs show, then of those that these need."""
    order = list(dict.fromkeys(re.findall(r'"model_id": "([0-9a-f]{32})"', cells)))
    for key in order:  # grows while it is walked
        inner = json.dumps(state.get(key, {}), sort_keys=True)
        order += [k for k in re.findall(r"IPY_MODEL_([0-9a-f]{32})", inner) if k not in order]
    return list(dict.fromkeys(order))


def _without_timing(model: dict[str, Any]) -> dict[str, Any]:
    value = model.get("state", {}).get("value")
    if isinstance(value, str):
        model["state"]["value"] = re.sub(r"\s*\[\d+:\d\d[^\]]*\]", "", value)
    return model
