"""Error texts follow one template: `NAME must be WHAT; got WHAT; REPAIR`.

A text is read from the source: f-strings, local variables and functions that return one are filled in.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import glassbit
from glassbit import _errors

ROOT = Path(glassbit.__file__).parent
ERRORS = {name for name, kind in vars(_errors).items() if isinstance(kind, type) and "__init__" not in vars(kind)} - {
    "GlassbitWarning"
}
"""Errors with one text. The others list problems under a heading; those of a `RecipeError` are read one by one."""

EXCEPTIONS = {
    "_files.py": "`_REPAIRS` has what was found and the repair of each error of the system",
}
"""Files with a text that cannot be read from the source, and why."""

HOLE = "\0"
TEXT = re.compile(r".* must .*; got[ :].*", re.DOTALL)
REPAIR = re.compile(r".*; got[ :].*(; .+|:)", re.DOTALL)


def functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


FILES = {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.rglob("*.py"))}
HOMES = [functions(ast.parse(path.read_text())) for path in FILES.values()]
LIBRARY = {name: node for home in HOMES for name, node in home.items() if not name.startswith("_")}
NEIGHBOURS = {node: home for home in HOMES for node in home.values()}
"""The functions in the file of a function."""


class Reader(ast.NodeVisitor):
    """The texts of the errors in one file: `found` has their lines, classes and wordings."""

    def __init__(self, tree: ast.Module) -> None:
        self.functions = LIBRARY | functions(tree)
        self.scopes: list[ast.FunctionDef] = []
        self.found: list[tuple[int, str, list[str]]] = []
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        self.constants = {name: value for node in tree.body for name, value in _constants(node)}
        self.lists = {call.args[1].id for call in calls if _lists(call) and isinstance(call.args[1], ast.Name)}
        """The names of lists that become a `RecipeError`."""
        self.visit(tree)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.scopes.append(node)
        self.generic_visit(node)
        self.scopes.pop()

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in ERRORS and node.args:
            self.found.append((node.lineno, node.func.id, [*self.texts(node.args[0])]))
        if isinstance(node.func, ast.Name) and node.func.id == "calling":  # goes on with what was raised
            self.found.append((node.lineno, "UsageError", [f"{text}; got: it" for text in self.texts(node.args[0])]))
        for item in self.items(node):
            self.found.append((node.lineno, "RecipeError", [f"KEY: {text}" for text in self.texts(item)]))
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.value, ast.ListComp) and (item := _placed(node.value.elt)):
            self.found.append((node.lineno, "RecipeError", [f"KEY: {text}" for text in self.texts(item)]))
        self.generic_visit(node)

    def items(self, call: ast.Call) -> list[ast.expr]:
        """Return the problems that a call lists: `RecipeError(source, [TEXT])`, or a place and a text for later."""
        match call:
            case ast.Call(args=[_, ast.List(elts=items)]) if _lists(call):
                return items
            case ast.Call(func=ast.Name(id="raise_problems"), args=[ast.List(elts=pairs)]):
                return [item for item in map(_placed, pairs) if item]
            case ast.Call(func=ast.Attribute(attr="append", value=ast.Name(id=name)), args=[item]):
                placed = _placed(item) or (item if name in self.lists else None)
                return [placed] if placed else []
        return []

    def texts(self, node: ast.expr) -> Iterator[str]:
        """All wordings of an expression; what cannot be told is a hole."""
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=parts):
                yield from map("".join, itertools.product(*([*self.texts(part)] for part in parts)))
            case ast.FormattedValue(value=value):
                yield from self.texts(value)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                yield from map("".join, itertools.product([*self.texts(left)], [*self.texts(right)]))
            case ast.IfExp(body=body, orelse=orelse):
                yield from self.texts(body)
                yield from self.texts(orelse)
            case ast.Call(func=ast.Attribute(attr="join"), args=[parts]):
                yield from self.texts(parts)
            case ast.List(elts=[first, *_]) | ast.ListComp(elt=first):
                yield from self.texts(first)
            case ast.BoolOp(values=values):
                for value in values:
                    yield from self.texts(value)
            case ast.Constant(value=None):
                pass
            case ast.Call(func=ast.Name(id="printable"), args=[text]):
                yield from self.texts(text)
            case ast.Call(func=ast.Name(id=name)) if name in self.functions:
                yield from self.returned(self.functions[name])
            case ast.Name(id=name):
                yield from self.assigned(name)
            case _:
                yield HOLE

    def returned(self, function: ast.FunctionDef) -> Iterator[str]:
        if function in self.scopes:
            yield HOLE
            return
        self.scopes.append(function)
        before, self.functions = self.functions, self.functions | NEIGHBOURS.get(function, {})
        values = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]
        texts = [text for value in values for text in self.texts(value)]
        self.scopes.pop()
        self.functions = before
        yield from texts or [HOLE]

    def assigned(self, name: str) -> Iterator[str]:
        """The wordings that a name has in the innermost function; a parameter `must` is the beginning of the text."""
        if not self.scopes:
            yield HOLE
            return
        scope = self.scopes[-1]
        if name == "must" and any(argument.arg == name for argument in scope.args.args):
            yield "NAME must be WHAT"
            return
        values = [value for node in ast.walk(scope) for value in _values(node, name)]
        values += [self.constants[name]] if not values and name in self.constants else []
        texts = [text for value in values if not _mentions(value, name) for text in self.texts(value)]
        yield from dict.fromkeys(texts) or [HOLE]


def _lists(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "RecipeError" and len(call.args) == 2


def _placed(item: ast.expr) -> ast.expr | None:
    """Return the text of a problem with the keys and indices of its place, as in `(("arms",), TEXT)`."""
    match item:
        case ast.Tuple(elts=[ast.Tuple(), text]):
            return text
    return None


def _constants(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            yield name, value


def _values(node: ast.AST, name: str) -> Iterator[ast.expr]:
    match node:
        case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
            yield value
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)) if len(names) == len(values):
            for target, value in zip(names, values, strict=True):
                if isinstance(target, ast.Name) and target.id == name:
                    yield value


def _mentions(node: ast.expr, name: str) -> bool:
    return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))


def complaints(source: str) -> list[str]:
    """Where the texts of `source` leave the template; an error of use needs no repair, as it says what is allowed."""
    found = []
    for line, kind, texts in Reader(ast.parse(source)).found:
        for text in texts:
            shown = text.replace(HOLE, "{}")
            if not TEXT.fullmatch(text):
                found.append(f"{line}: must be 'NAME must be WHAT; got WHAT'; got {shown!r}")
            elif kind != "UsageError" and not REPAIR.fullmatch(text):
                found.append(f"{line}: must end with a repair; got {shown!r}")
    return found


@pytest.mark.parametrize("name", [name for name in FILES if name not in EXCEPTIONS])
def test_every_error_says_what_must_be_what_was_found_and_the_repair(name: str):
    assert [f"{name}:{problem}" for problem in complaints(FILES[name].read_text())] == []


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_an_exception_is_still_needed(name: str):
    assert len(complaints(FILES[name].read_text())) == 1


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('raise UsageError("size must be 8; got 9")', 0),
        ('raise UsageError("needs a size")', 1),
        ('raise UsageError("size must be 8")', 1),
        ('raise DataError("a.png must be an image; got text")', 1),
        ('raise DataError("a.png must be an image; got text; remove it")', 0),
        ('def f(x):\n  must = f"{x} must be 8"\n  raise UsageError(f"{must}; got 9")', 0),
        ('def f(x):\n  must, fix = f"{x} is wrong", "do"\n  raise UsageError(f"{must}; got 9; {fix}")', 1),
        ('def f(must, x):\n  raise UsageError(f"{must}; got {x}")', 0),
        ('def f(x):\n  raise UsageError(g(x))\ndef g(x):\n  return f"{x} must be 8; got 9"', 0),
        ('def f(x):\n  raise UsageError(g(x))\ndef g(x):\n  return "no" if x else "x must be 8; got 9"', 1),
        ('def f(x):\n  raise UsageError("\\n".join(["x must be 8; got 9:", *x]))', 0),
        ("def f(x):\n  raise UsageError(x)", 1),
        ('raise RecipeError(x, ["size must be 8; got 9; write 8", "no size; add one"])', 1),
        ('problems.append((("size",), "must be 8; got 9"))', 1),
        ('problems.append((("size",), "must be 8; got 9; write 8"))', 0),
        ('raise_problems([((), "no size; add one")])', 1),
        ('problems += [(("size", i), "no size; add one") for i in x]', 1),
        ('odd.append("no size")\nraise RecipeError(x, odd)', 1),
        ('other.append("no size")\nraise RecipeError(x, odd)', 0),
    ],
)
def test_texts_are_read_from_the_source(source: str, count: int):
    assert len(complaints(source)) == count
