"""Chapters as slides: nbconvert's, with a new slide at each heading and at each figure."""

import copy
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minids.course import files, install_cell

REVEAL = "https://unpkg.com/reveal.js@4.0.2"
WIDGET = "application/vnd.jupyter.widget-view+json"
NO_WORDS = 'alt="No description has been provided for this image"'
# Where reveal.js does not come, arrow keys and the space bar turn the pages all the same.
ALONE = """\
<script>
window.addEventListener("load", () => setTimeout(() => {
  if (document.querySelector(".reveal.ready")) return;
  const all = [...document.querySelectorAll(".slides section")];
  const pages = all.filter(page => !page.querySelector("section"));
  const show = n => {
    const at = Math.min(Math.max(n, 0), pages.length - 1);
    pages.forEach((page, i) => { page.style.display = i === at ? "block" : "none"; });
    history.replaceState(null, "", "#" + at);
    window.scrollTo(0, 0);
  };
  const now = () => Number(location.hash.slice(1)) || 0;
  const steps = {ArrowRight: 1, ArrowDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1};
  window.addEventListener("keydown", event => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    show(now() + steps[event.key]);
  });
  show(now());
}, 1500));
</script>
"""


def slides(
    folder: Path,
    names: Sequence[str] | None = None,
    *,
    root: Path = Path("."),
    reveal: str = REVEAL,
    code: bool = True,
) -> list[Path]:
    """Write folder/NN_name.slides.html for all chapters or those named; the paths.

    The pages look for reveal.js when they are shown: on the network, or where `reveal` says, such
    as a copy "reveal.js" beside them. Without it arrow keys still turn the pages.
    Without `code` only text, figures and output remain.
    """
    import nbformat
    from nbconvert.exporters import SlidesExporter

    exporter = SlidesExporter()
    exporter.reveal_url_prefix = reveal
    exporter.exclude_input = not code
    written = []
    only = "only chapters become slides, such as 00_map"
    for path in files.of_kind("notebooks", root, names, otherwise=only):
        if not files.target(path).exists():
            raise ValueError(f"{files.label(path)} has not been built: minids course build")
        notebook = marked(nbformat.read(files.target(path), as_version=4))
        page, _ = exporter.from_notebook_node(notebook)
        page = _described(page, notebook).replace("</body>", f"{ALONE}</body>")
        written.append(folder / f"{path.stem}.slides.html")
        files.write(written[-1], page)
    return written


def marked(notebook: Any) -> Any:
    """The notebook with nbconvert's slide types.

    A heading of one or two # begins a slide, three begin one below it. A code cell has a slide of
    its own below; a quiz and a trap appear on demand. Widgets need a kernel: left
    out, and so is the cell that installs.
    """
    result = copy.deepcopy(notebook)
    for cell in result.cells:
        cell.metadata["slideshow"] = {"slide_type": _kind(cell)}
    if result.cells:
        result.cells[0].metadata["slideshow"]["slide_type"] = "slide"
    result.metadata.pop("widgets", None)
    return result


def _kind(cell: Any) -> str:
    if cell.cell_type == "markdown":
        marks = len(cell.source) - len(cell.source.lstrip("#"))
        return {0: "-", 1: "slide", 2: "slide"}.get(marks, "subslide")
    tags = set(cell.metadata.get("tags", []))
    moves = any(WIDGET in output.get("data", {}) for output in cell.get("outputs", []))
    if moves or install_cell.TAG in tags:
        return "skip"
    asks = {"quiz", "trap"} & tags
    return "fragment" if asks else "subslide"


def _described(page: str, notebook: Any) -> str:
    """The page with the words of our figures, which nbconvert drops."""
    words = [
        output.metadata.get("image/png", {}).get("alt", "")
        for cell in notebook.cells
        if cell.metadata["slideshow"]["slide_type"] != "skip"
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    parts = page.split(NO_WORDS)
    if len(parts) != len(words) + 1:
        return page
    alts = [f'alt="{html.escape(said)}"' for said in words]
    return parts[0] + "".join(alt + part for alt, part in zip(alts, parts[1:], strict=True))
