"""The import graph of the code, type-only imports included: modules, their rooms, and circles among either."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.paths import ROOT

Graph = Mapping[str, Set[str]]

# Their own files are the front doors and the ground of a whole side, each a room of its own.
STAIRS = ("pipeline", "steps", "steps.train", "steps.preprocess", "steps.merge", "steps.collect")


def sources(*folders: str) -> dict[str, Path]:
    """Dotted module name -> file, of every module below these folders of the checkout."""
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def imports(modules: Mapping[str, Path]) -> Graph:
    """Which of these modules each imports, at any depth of its code."""
    return {module: set(_imported(path, modules.keys())) - {module} for module, path in modules.items()}


def _imported(path: Path, modules: Set[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                full = f"{node.module}.{name.name}"
                found = full if full in modules else node.module
                if found in modules:
                    yield found


def room(module: str) -> str:
    """The folder a module lies in; a step's definition and the files on the stairs are rooms of their own."""
    folder, _, name = module.rpartition(".")
    return module if folder in STAIRS or name == "step" else folder


def rooms(graph: Graph) -> Graph:
    """The same imports between rooms."""
    found: dict[str, set[str]] = {}
    for module, others in graph.items():
        found.setdefault(room(module), set()).update(room(other) for other in others)
    return {name: others - {name} for name, others in found.items()}


def circle(graph: Graph) -> list[str]:
    """One circle of imports, each importing the next; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))  # graphlib names them from the imported to the importing
    return []
