"""`minids bench`: one row a measurement, ours beside a peer's and beside what the machine could."""

import json
from typing import Annotated

import typer

from minids.cli.refusal import refusing_bad_input


def bench(
    what: Annotated[str, typer.Argument(help="what to measure, such as train or import")],
    as_json: Annotated[bool, typer.Option("--json", help="print the rows as JSON")] = False,
) -> None:
    """Measure: median and spread of ours and a peer's, their ratio, and the machine's limit."""
    from minids.study.bench import bench as measure
    from minids.study.bench import table

    with refusing_bad_input():
        rows = measure(what)
    if as_json:
        typer.echo(json.dumps([row._asdict() for row in rows], indent=2))
    else:
        typer.echo(table(rows))
