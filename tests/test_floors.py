"""The floor plan: a file imports only from lower floors, a folder has no circles inside."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import minids

PACKAGE = Path(minids.__file__).parent

# Names of files and folders, from the ground up. On one floor nobody imports a neighbour,
# but a file may import those that stand before it in its own string.
FLOORS = [
    # No torch up to here …
    [
        "fields attention_config config "
        "hf_fields hf_refusals hf_scaling hf_experts huggingface hf_files presets"
    ],
    ["accounting bill"],  # … and here
    ["text", "model"],
    ["plain names durable checkpoint stored_tensors weights"],
    ["train", "decode"],
    ["rl", "systems"],
    ["study check"],
    ["course"],
    ["cli __main__"],
]
NO_TORCH = {name for names in FLOORS[:2] for group in names for name in group.split()}
PLACE = {
    name: (level, wing, position)
    for level, wings in enumerate(FLOORS)
    for wing, group in enumerate(wings)
    for position, name in enumerate(group.split())
}
FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """ "model.mla" for minids/model/mla.py; "model" for its __init__.py."""
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path) for path in FILES}


def imports_of(source: str) -> set[str]:
    """Modules of the package that a source imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            inside = (node.module or "").removeprefix("minids").removeprefix(".")
            if (node.module or "").split(".")[0] == "minids":
                names = [f"{inside}.{a.name}".strip(".") for a in node.names]
                found |= {name if name in MODULES else inside for name in names}
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names if a.name.startswith("minids.")]
            found |= {name.removeprefix("minids.") for name in names}
    return found - {""}


def breach(name: str, used: str) -> str | None:
    """Why `name` must not import `used`, or None where it may."""
    top, below = name.split(".")[0], used.split(".")[0]
    for module, place in ((name, top), (used, below)):
        if place not in PLACE:
            return f"minids/{module.replace('.', '/')} has no floor: give it one in test_floors.py"
    if top == below:
        return None  # inside a folder: see the circles below
    (level, wing, position), (other_level, other_wing, other) = PLACE[top], PLACE[below]
    fine = other_level < level or (other_level == level and other_wing == wing and other < position)
    if top == "check" and below == "study":
        fine = used.startswith("study.viz")
    if fine:
        return None
    return f"{name} (floor {level}) imports {used} (floor {other_level})"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_imports_only_from_lower_floors(path: Path) -> None:
    name = name_of(path)
    if name:  # minids/__init__.py is the door, and belongs to no floor
        found = [breach(name, used) for used in sorted(imports_of(path.read_text("utf-8")))]
        assert not [sentence for sentence in found if sentence]
        assert breach(name, name) is None


def test_inside_a_folder_nobody_imports_in_a_circle() -> None:
    graph = {name_of(path): imports_of(path.read_text("utf-8")) for path in FILES}
    for name, used in graph.items():
        used.discard(name)
        if any(other.startswith(f"{name}.") for other in MODULES):
            graph[name] = set()  # a folder's __init__ lists its files, and they do not need it
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(f"these import each other: {' -> '.join(circle.args[1])}")


@pytest.mark.parametrize("name", sorted(NO_TORCH))
def test_counting_needs_no_torch(name: str) -> None:
    path = PACKAGE / f"{name}.py"
    roots = {
        (node.module or "").split(".")[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
    } | {
        a.name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Import)
        for a in node.names
    }
    assert "torch" not in roots


def test_the_rule_notices_an_import_from_above() -> None:
    assert imports_of("def f():\n    from minids.train.loop import fit") == {"train.loop"}
    assert imports_of("from minids import accounting\nimport minids.text.batches") == {
        "accounting",
        "text.batches",
    }
    assert breach("model.moe", "train.loop") == "model.moe (floor 2) imports train.loop (floor 4)"
    assert breach("model.moe", "text.batches") is not None
    assert breach("config", "presets") is not None
    assert breach("presets", "config") is None
    assert breach("check.ch01.rope", "study.scale") is not None
    assert breach("check.ch01.rope", "study.viz_map") is None
    assert "has no floor" in str(breach("utils", "config"))
