"""Recipes, policies and plans that were made to break their reader: each is refused in a few printable lines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_texts import TEXTS, mutated

from glassbit._errors import GlassbitError, RecipeError, UsageError
from glassbit.recipe import load, load_policy, parse, parse_policy, run_recipe, shipped

READERS: dict[str, Callable[[str], Any]] = {"recipe": parse, "policy": parse_policy}


def told(read: Callable[[str], Any], text: str) -> str:
    """What is said of it; it must be said by us."""
    with pytest.raises(RecipeError) as caught:
        read(text)
    return str(caught.value)


def test_there_are_enough() -> None:
    assert len(TEXTS) >= 100


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("reader", READERS)
def test_it_is_refused_in_short(name: str, reader: str) -> None:
    text = told(READERS[reader], TEXTS[name])
    assert len(text) < 60_000
    assert all(line.isprintable() for line in text.splitlines())


@pytest.mark.parametrize("name", TEXTS)
def test_as_a_file_it_is_refused_too(name: str, tmp_path: Path) -> None:
    from glassbit.cli._run_flags import recipe_of

    path = tmp_path / "a.yaml"
    path.write_bytes(TEXTS[name].encode("utf-8", "surrogatepass"))
    for read in (load, load_policy, lambda path: recipe_of({"plan": {"name": str(path)}})):
        with pytest.raises(UsageError) as caught:
            read(path)
        assert all(line.isprintable() for line in str(caught.value).splitlines())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEXTS["laughs"], "line 5: must have at most 10000 keys and values, aliases included; got more; shorten it"),
        ("name: a\nseeds: &a [*a]\n", "line 2: must not contain itself; got *a; write the value"),
        (
            "name: !!python/name:os.system ''\n",
            "line 1: must not have a tag; got 'tag:yaml.org,2002:python/name:os.system'",
        ),
        (TEXTS["open brackets"], "line 1: must be nested at most 40 times; got more; make it flatter"),
        (TEXTS["steps"], "line 41: must be nested at most 40 times; got more; make it flatter"),
        (TEXTS["megabytes of a name"], "must have at most 65536 characters; got 5000006; delete what it does not need"),
        ("name: " + "x" * 1001, "line 1: a value must have at most 1000 characters; got 1001; shorten it"),
        ("a:\n  1: b\n", "line 2: a.1: keys must be text; got 1; put it into quotes"),
        ("a: 2001-01-01\n", "line 1: a: must be text or a number; got the date 2001-01-01; put it into quotes"),
        (
            "a: 2001-13-45\n",
            "must hold readable values; got one that is not (month must be in 1..12); put it in quotes, or correct it",
        ),
        ("name: a\nmodel: {name: cnn, arguments: {x: [.inf]}}\n", "line 2: model.arguments: must hold finite numbers"),
    ],
)
def test_what_is_said(text: str, said: str) -> None:
    assert said in told(parse, text)


def test_anchors_that_stand_for_a_little_are_fine() -> None:
    text = "name: a\nmodel: {name: cnn, arguments: {x: &k [4, 5], y: *k}}\n"
    assert parse(text) == parse(text.replace("&k ", "").replace("*k", "[4, 5]"))


def test_damaged_recipes_end_in_our_words() -> None:
    wholes = [load(name).text for name in shipped()]
    said = []
    for seed in range(400):
        try:
            parse(mutated(wholes[seed % len(wholes)], seed))
        except GlassbitError as error:
            said.append(str(error))
    assert len(said) > 100
    assert max(map(len, said)) < 60_000
    assert all(line.isprintable() for text in said for line in text.splitlines())


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes("name: ü".encode("utf-16"))
    with pytest.raises(UsageError, match=r"a\.yaml: must be a readable UTF-8 text file"):
        load(tmp_path / "a.yaml")
    with (tmp_path / "b.yaml").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UsageError, match=r"b\.yaml: must have at most 262144 bytes; got 1099511627776"):
        load_policy(tmp_path / "b.yaml")
    with pytest.raises(UsageError, match="which is no file"):
        load(tmp_path)


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    words = """
import os, sys
from glassbit.cli import main
os.mkfifo("pipe.yaml")
for words in (["study", "pipe.yaml"], ["plan", "--plan", "pipe.yaml"], ["gate", "a", "b", "--policy", "pipe.yaml"]):
    assert main(words) == 2
"""
    done = subprocess.run(
        [sys.executable, "-c", words], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("pipe.yaml") == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [{"a": float("-inf")}]])
def test_arguments_from_flags_are_finite_too(value: Any) -> None:
    with pytest.raises(RecipeError, match="--arguments: must hold finite numbers"):
        run_recipe({"model": {"name": "cnn", "arguments": {"x": value}}})
