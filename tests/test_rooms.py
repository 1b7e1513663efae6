"""Rules of the house about the sources themselves."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

import glassbit

HOME = Path(glassbit.__file__).parent
ROOMS = ("intgraph", "runtime", "deploy", "backends")


def test_no_module_imports_itself_through_others():
    """Imports inside functions and imports for types count as well."""
    graph = grimp.build_graph("glassbit", exclude_type_checking_imports=False, cache_dir=None)
    modules = {name for name in graph.modules if name.split(".")[1:2] and name.split(".")[1] in ROOMS}
    assert len(modules) > 60
    imports = {name: graph.find_modules_directly_imported_by(name) & modules for name in modules}
    assert "glassbit.intgraph._run" in imports["glassbit.intgraph._graph"]
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"imports go in a circle: {' <- '.join(error.args[1])}")


def matches(room: str) -> list[tuple[str, ast.Match]]:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((HOME / room).rglob("*.py"))}
    return [
        (f"{path.relative_to(HOME)}:{node.lineno}", node)
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Match)
    ]


@pytest.mark.parametrize("room", ["intgraph", "runtime", "deploy"])
def test_every_match_ends_in_assert_never(room: str):
    """So that a type checker names every place that lacks a new kind of node."""
    found = matches(room)
    assert len(found) >= 5
    for place, node in found:
        assert ast.unparse(node.cases[-1].pattern) == "_", place
        assert ast.unparse(node.cases[-1].body) == f"assert_never({ast.unparse(node.subject)})", place
        assert all(ast.unparse(case.pattern) != "_" for case in node.cases[:-1]), place
