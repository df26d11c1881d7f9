"""The simulator's modules import one another one way only."""

import ast
from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

import simulator

FOLDER = Path(simulator.__file__).parent


def modules() -> dict[str, Path]:
    """Return the simulator's modules by name; a package is its `__init__`."""
    paths = {path: path.relative_to(FOLDER.parent).with_suffix("").parts for path in FOLDER.rglob("*.py")}
    return {".".join(parts).removesuffix(".__init__"): path for path, parts in paths.items()}


def imported(text: str, package: str, known: Collection[str]) -> set[str]:
    """Return which known modules a module of a package may import, in functions and `if TYPE_CHECKING:` too."""
    names: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            names += [(source, alias.name) for alias in node.names]
    # A package that is only named on the way to its module does not count.
    return {module if (module := f"{source}.{name}") in known else source for source, name in names} & set(known)


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return modules of which each imports the next, back to the first; none where there is no circle."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return []


def test_no_modules_import_in_a_circle() -> None:
    found = modules()
    graph: dict[str, set[str]] = {}
    for name, path in found.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        graph[name] = imported(path.read_text("utf-8"), package, found)
    assert not circle(graph), " imports ".join(circle(graph))


@pytest.mark.parametrize(
    "text",
    [
        "import simulator.cloud",
        "from simulator import cloud",
        "from simulator.cloud import Cloud",
        "from .cloud import Cloud",
        "if TYPE_CHECKING:\n    from simulator.cloud import Cloud",
        "def later():\n    from simulator.cloud import Cloud",
    ],
)
def test_every_way_to_import_counts(text: str) -> None:
    known = {"simulator", "simulator.clock", "simulator.cloud"}
    graph = {"simulator.cloud": {"simulator.clock"}, "simulator.clock": imported(text, "simulator", known)}
    assert set(circle(graph)) == {"simulator.clock", "simulator.cloud"}
