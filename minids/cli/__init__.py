"""The command line: one file a command. `minids --help` lists them.

Nothing here imports torch, and neither does a command before it runs: `minids count` starts in
a fifth of a second.
"""

import sys
from io import TextIOWrapper

import typer

import minids
from minids.cli import bench, count, course, doctor, gpu, grpo, lab, room, teaching, tour, train

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="DeepSeek's models from LLM to R1, small enough to run here.",
)
for command in (
    lab.lab,
    tour.tour,
    doctor.doctor,
    count.count,
    train.train,
    grpo.grpo,
    bench.bench,
    gpu.gpu,
    room.progress,
    room.board,
    room.reset,
):
    app.command()(command)
app.add_typer(course.course, name="course")
app.command()(course.grade)
course.course.command()(teaching.minutes)
course.course.command()(teaching.slides)
course.course.command()(teaching.nbgrader)
course.course.command()(teaching.bundle)
course.course.command()(teaching.publish)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(minids.__version__)


def main() -> None:
    """Run the command line. A letter that the terminal cannot show becomes a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    app()
