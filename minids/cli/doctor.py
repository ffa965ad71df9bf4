"""`minids doctor`: is this machine ready for the course? One line a check, ok or what to do."""

import json
import platform
from collections.abc import Iterator
from typing import Annotated, Any

import typer

import minids
from minids.cli.finding import Check, Finding


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Look at Python, torch, memory, kernel and data, and train for five seconds."""
    found = {}
    if not as_json:
        typer.echo(f"minids {minids.__version__} on {platform.platform()}")
    for name, finding in findings(checks()):
        found[name] = finding
        if not as_json:
            typer.echo(f"{_mark(finding):7} {name:9} {finding.says}")
    broken = [name for name, finding in found.items() if finding.state == "broken"]
    if as_json:
        report: dict[str, Any] = {"minids": minids.__version__, "platform": platform.platform()}
        report |= {name: finding._asdict() for name, finding in found.items()}
        typer.echo(json.dumps(report, indent=2))
    elif broken:
        typer.echo(f"\nto repair: {', '.join(broken)}. Paste these lines where you ask for help.")
    else:
        typer.echo("\nready.")
    if broken:
        raise typer.Exit(1)


def checks() -> tuple[Check, ...]:
    """Return every check, the cheapest first."""
    from minids.cli import machine, smoke

    reinstall = "install again: pip install -e '.[notebooks]'"
    return (
        Check("python", machine.python, "use Python 3.11 or newer"),
        Check("packages", machine.packages, reinstall),
        Check("torch", machine.torch_version, "install it: pip install torch"),
        Check("threads", machine.threads, "set OMP_NUM_THREADS=1 before starting"),
        Check("memory", machine.memory, "the chapters need about 2 GB"),
        Check("disk", machine.disk, "the chapters need about 1 GB"),
        Check("folder", machine.folder, "run this in a folder that you may write to"),
        Check("data", machine.data, "fetch the files under data/ again: git checkout data"),
        Check("kernel", machine.kernel, reinstall),
        Check("device", smoke.device, "keep to the processor: set MINIDS_SCALE=laptop"),
        Check("training", smoke.training, "paste this report where you ask for help"),
    )


def findings(todo: tuple[Check, ...]) -> Iterator[tuple[str, Finding]]:
    """Yield what each check found; one that fails is broken, and says what to do."""
    for name, look, otherwise in todo:
        try:
            yield name, look()
        except Exception as error:  # whatever it is, the doctor goes on to the next check
            said = " ".join(f"{type(error).__name__}: {error}".split())
            yield name, Finding("broken", f"{otherwise} ({said[:300]})")


def _mark(finding: Finding) -> str:
    return {"ok": "ok", "note": "note", "broken": "BROKEN"}[finding.state]
