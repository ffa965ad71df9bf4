"""What nbval does not look at: every cell ran, pictures are really there and have words, no noise.

Each rule is a function from a notebook to the sentences it has to say; each is also proved on a
notebook that breaks it.
"""

import ast
import base64
import copy
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from matplotlib import image

from minids.course import TAGS, drift

ROOT = Path(__file__).parents[1]
BUILT = [
    path for kind in ("notebooks", "solutions") for path in sorted((ROOT / kind).glob("*.ipynb"))
]
CHAPTERS = [path for path in BUILT if path.parent.name == "notebooks"]
CUT = sorted((ROOT / "exercises").glob("*.ipynb"))
NOISE = re.compile(r"0x[0-9a-f]{6,}|\d+(\.\d+)? ?(ms|µs|it/s)\b")
PATHS = re.compile(rf"(?<![\w.])(/tmp/|/root/|/home/|/Users/|[A-Z]:\\|{re.escape(str(ROOT))})")
WIDGET = "application/vnd.jupyter.widget-view+json"

Cell = Any


def code(notebook: Any) -> list[Cell]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell: Cell) -> set[str]:
    return set(cell.metadata.get("tags", []))


def texts(cell: Cell) -> Iterator[str]:
    """Everything a cell put out that can be read as text."""
    for output in cell.outputs:
        yield output.get("text", "")
        for mime, data in output.get("data", {}).items():
            if mime.startswith("text/"):
                yield data


def pictures(cell: Cell) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """PNGs that a cell put out, and what is said about them."""
    for output in cell.outputs:
        if "image/png" in output.get("data", {}):
            said = output.metadata.get("image/png", {})
            yield base64.b64decode(output.data["image/png"]), said


# --- the rules


def not_run(notebook: Any) -> Iterator[str]:
    counts = [cell.execution_count for cell in code(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"not run top to bottom in a fresh kernel: {counts}"


def strange_tags(notebook: Any) -> Iterator[str]:
    for cell in notebook.cells:
        if not tags(cell) <= set(TAGS):
            yield f"unknown tags {tags(cell) - set(TAGS)}"
        if "execution" in cell.metadata:
            yield "timing in the metadata"


def much_ignored(notebook: Any) -> Iterator[str]:
    ignored = [cell for cell in code(notebook) if "nbval-ignore-output" in tags(cell)]
    if len(ignored) * 3 > len(code(notebook)):
        share = f"{len(ignored)} of {len(code(notebook))}"
        yield f"{share} cells carry nbval-ignore-output, and a third may"


def unplanned_errors(notebook: Any) -> Iterator[str]:
    for number, cell in enumerate(code(notebook)):
        fails = any(output.output_type == "error" for output in cell.outputs)
        if fails != ("raises-exception" in tags(cell)):
            yield f"cell {number}: raises an exception, or is tagged so and does not"
        warns = any(output.get("name") == "stderr" for output in cell.outputs)
        if warns and "nbval-ignore-output" not in tags(cell):
            yield f"cell {number}: something on stderr (a warning?)"


def poor_pictures(notebook: Any) -> Iterator[str]:
    for number, cell in enumerate(code(notebook)):
        if any("image/svg+xml" in output.get("data", {}) for output in cell.outputs):
            yield f"cell {number}: SVG carries dates and random ids"
        for png, said in pictures(cell):
            if len(str(said.get("alt", "")).split()) < 4:
                yield f"cell {number}: a picture without alt text (use lesson.figure)"
            if len(png) > 100_000:
                yield f"cell {number}: a picture of {len(png)} bytes"
            yield from (f"cell {number}: {fault}" for fault in picture_faults(png))


def picture_faults(png: bytes) -> Iterator[str]:
    if png[:8] != b"\x89PNG\r\n\x1a\n":
        yield "no PNG"
        return
    pixels = np.atleast_3d(image.imread(io.BytesIO(png)))
    if pixels.shape[2] == 4 and pixels[..., 3].min() < 1:
        yield "a transparent background"
    if pixels.std() < 1e-3 or min(pixels.shape[:2]) < 40:
        yield "a blank picture"


def noise(notebook: Any) -> Iterator[str]:
    for number, cell in enumerate(code(notebook)):
        for text in texts(cell):
            compared = "nbval-ignore-output" not in tags(cell)
            found = PATHS.search(text) or (NOISE.search(text) if compared else None)
            if found:
                yield f"cell {number}: {found[0]!r} differs from machine to machine"


def broken_claims(notebook: Any) -> Iterator[str]:
    for number, cell in enumerate(code(notebook)):
        text = "".join(texts(cell))
        if "DOES NOT HOLD" in text:
            yield f"cell {number}: a claim does not hold; claim what is true"
        if "claim" in tags(cell) and "holds: " not in text:
            yield f"cell {number}: tagged as a claim, and claims nothing"
        if (
            "check" in tags(cell)
            and "solved (" not in text
            and "raises-exception" not in tags(cell)
        ):
            yield f"cell {number}: a check that does not end in solved"


def typed_verdicts(notebook: Any) -> Iterator[str]:
    """What is revealed and what is a trap is computed; but an exhibit's letter is by design."""
    for number, cell in enumerate(code(notebook)):
        for node in ast.walk(ast.parse(cell.source)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id not in ("trap", "reveal"):
                continue
            told = node.args[1]
            for said in told.values if isinstance(told, ast.Dict) else [told]:
                letter = node.func.id == "reveal" and re.fullmatch("'[A-D]'", ast.unparse(said))
                if isinstance(said, ast.Constant) and not letter:
                    yield f"cell {number}: {node.func.id} is told {said.value!r}, not computed"


def poor_text(notebook: Any) -> Iterator[str]:
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            if re.search(r"!\[\s*\]\(", cell.source):
                yield "an image without alt text"
            if re.search(r"!\[[^\]]*\]\(https?:|<img[^>]*https?:", cell.source):
                yield "an image from the network"


RULES = [
    not_run,
    strange_tags,
    much_ignored,
    unplanned_errors,
    poor_pictures,
    noise,
    broken_claims,
    typed_verdicts,
    poor_text,
]


def lacking(notebook: Any) -> Iterator[str]:
    """What a chapter must have, and this one has not."""
    used = set().union(*(tags(cell) for cell in notebook.cells))
    for tag in ("predict", "claim", "quiz", "trap"):
        if tag not in used:
            yield f"no cell is tagged {tag}"
    drawn = False
    moving = False
    for cell in code(notebook):
        drawn = drawn or any(True for _ in pictures(cell))
        if any(WIDGET in output.get("data", {}) for output in cell.outputs):
            moving = True
            if not drawn:
                yield "an interactive figure without a plain one above it"
    if not moving:
        yield "no interactive figure"


# --- applied to what is there


@pytest.mark.parametrize("path", BUILT, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_notebook_is_clean(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    faults = [fault for rule in RULES for fault in rule(notebook)]
    assert not faults
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_a_chapter_predicts_claims_asks_and_moves(path: Path) -> None:
    assert not list(lacking(nbformat.read(path, as_version=4)))


@pytest.mark.parametrize("path", CUT, ids=lambda p: p.stem)
def test_an_exercise_is_empty_and_keeps_its_checks(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert "SOLUTION" not in json.dumps(notebook)
    assert not any(cell.outputs or cell.execution_count for cell in code(notebook))
    blanks = [cell for cell in code(notebook) if "exercise" in tags(cell)]
    assert blanks
    assert all(re.search(r"raise NotImplementedError|= \.\.\.", cell.source) for cell in blanks)
    assert any("check" in tags(cell) for cell in code(notebook))


@pytest.mark.parametrize("path", BUILT, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_the_committed_number_of_cells_is_the_real_one(path: Path) -> None:
    committed = json.loads((ROOT / "tests" / "cells_expected.json").read_text())
    cells = len(code(nbformat.read(path, as_version=4)))
    assert committed.get(f"{path.parent.name}/{path.stem}") == cells, (
        "run pytest --nbval … notebooks solutions --update-cells"
    )


def test_no_notebook_has_drifted_from_its_source() -> None:
    assert drift(root=ROOT) == []


# --- every rule is proved


def picture(alpha: float = 1.0, value: float | None = None) -> bytes:
    pixels = np.random.default_rng(0).random((50, 50, 4))
    pixels[..., :3] = pixels[..., :3] if value is None else value
    pixels[..., 3] = alpha
    buffer = io.BytesIO()
    image.imsave(buffer, pixels, format="png")
    return buffer.getvalue()


def clean() -> Any:
    """A notebook that no rule complains of."""
    v4 = nbformat.v4
    said = {"image/png": {"alt": "A curve that rises"}}
    png = base64.b64encode(picture()).decode()
    outputs = [
        [v4.new_output("stream", name="stdout", text="holds: 1 < 2\n")],
        [v4.new_output("display_data", {"image/png": png, "text/plain": "x"}, metadata=said)],
        [],
    ]
    cells = [v4.new_markdown_cell("# 1. Title")]
    for number, output in enumerate(outputs):
        cells.append(v4.new_code_cell("1", outputs=output, execution_count=number + 1))
    cells[1].metadata["tags"] = ["claim"]
    return v4.new_notebook(cells=cells)


def unrun(n: Any) -> None:
    n.cells[2].execution_count = None


def timed(n: Any) -> None:
    n.cells[2].metadata["execution"] = {}


def ignored(n: Any) -> None:
    for cell in n.cells[2:]:
        cell.metadata["tags"] = ["nbval-ignore-output"]


def failed(n: Any) -> None:
    n.cells[3].outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]


def tagged(n: Any) -> None:
    n.cells[3].metadata["tags"] = ["raises-exception"]


def warned(n: Any) -> None:
    n.cells[3].outputs = [nbformat.v4.new_output("stream", name="stderr", text="careful")]


def wordless(n: Any) -> None:
    n.cells[2].outputs[0].metadata = {}


def redrawn(png: bytes) -> Callable[[Any], None]:
    def change(n: Any) -> None:
        n.cells[2].outputs[0].data["image/png"] = base64.b64encode(png).decode()

    return change


def printed(text: str) -> Callable[[Any], None]:
    def change(n: Any) -> None:
        n.cells[1].outputs[0].text += text

    return change


def unclaimed(n: Any) -> None:
    n.cells[1].outputs = []


def written(text: str) -> Callable[[Any], None]:
    def change(n: Any) -> None:
        n.cells[0].source = text

    return change


def coded(source: str) -> Callable[[Any], None]:
    def change(n: Any) -> None:
        code(n)[0].source = source

    return change


BREACHES = [
    (unrun, "not run top to bottom"),
    (timed, "timing in the metadata"),
    (ignored, "a third may"),
    (failed, "raises an exception, or"),
    (tagged, "raises an exception, or"),
    (warned, "stderr"),
    (wordless, "without alt text"),
    (redrawn(picture(alpha=0.5)), "transparent"),
    (redrawn(picture(value=1.0)), "blank picture"),
    (redrawn(b"GIF89a"), "no PNG"),
    (printed("<f at 0x7f1234567>"), "0x7f1234567"),
    (printed("took 12.5 ms"), "12.5 ms"),
    (printed("see /home/me/x"), "/home/"),
    (printed("DOES NOT HOLD: 2 < 1"), "does not hold"),
    (unclaimed, "claims nothing"),
    (coded('trap("It falls.", False, "It does not.")'), "told False"),
    (coded('reveal(where, "inside the band")'), "told 'inside the band'"),
    (coded('reveal(where, {"inside": True, "outside": x > 1})'), "told True"),
    (written("![](x.png)"), "an image without alt text"),
    (written("![a](https://x.org/y.png)"), "from the network"),
]


@pytest.mark.parametrize(("change", "words"), BREACHES)
def test_a_breach_is_noticed(change: Callable[[Any], None], words: str) -> None:
    good = clean()
    assert not [fault for rule in RULES for fault in rule(good)]
    bad = copy.deepcopy(good)
    change(bad)
    assert any(words in fault for rule in RULES for fault in rule(bad))


def test_what_a_chapter_lacks_is_named() -> None:
    assert list(lacking(clean())) == [
        "no cell is tagged predict",
        "no cell is tagged quiz",
        "no cell is tagged trap",
        "no interactive figure",
    ]
