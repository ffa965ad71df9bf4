"""How a command says no: one plain sentence on stderr and exit code 2, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer


def refuse(message: str) -> NoReturn:
    """End the command, saying why."""
    typer.echo(f"minids: {message}", err=True)
    raise typer.Exit(2)


def refuse_no_time(seconds: float) -> None:
    """Refuse a limit in seconds that nothing can keep: 0, less, none at all, more than a month."""
    if not 0 < seconds < 30 * 86_400:
        refuse(f"--seconds {seconds:g}: give the seconds that something may take, such as 120")


def refuse_no_seed(seed: int | None) -> None:
    """Refuse a seed that is too long for the generators of torch; None is one of our choice."""
    if seed is not None and abs(seed) >= 10**18:
        refuse(f"--seed {seed}: give a whole number of at most 18 digits, such as 7")


@contextmanager
def refusing_bad_input() -> Iterator[None]:
    """Turn errors about what the user gave into a refusal.

    Wrap only the reading of input in this: an error while working is a fault of ours, and its
    traceback is what we need to see.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        refuse(str(error))
