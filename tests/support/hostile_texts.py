"""YAML texts that were made to break whoever reads them; none of them is a recipe, a policy or a plan."""

from __future__ import annotations

import random

_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
_TAGS = (
    "!!python/object/apply:os.system [ls]",
    "!!python/name:os.system ''",
    "!foo bar",
    "!!binary aGk=",
    "!!set {a, b}",
)
_TAGS += ("!!omap [a: 1]", "!!timestamp 2001-01-01", "!!str 3", "!<tag:x> 3", "!!int '3'", "!!float .inf", "!!null ''")
_VALUES = (
    ".inf", "-.inf", ".nan", "1e999", "-1e999", "9" * 900, "-" + "9" * 900, "0x" + "f" * 900, "0o" + "7" * 900,
    "0b" + "1" * 900, "1" * 5000, "2001-13-45", "2001-01-01", "2001-01-01T99:99:99Z", "12:34:56", "~", "null", "''",
    "true", "[]", "{}", "[[[]]]", "[~]", "{a: {a: {a: ~}}}", "x" * 900, "x" * 5000, '"\\0"', '"\\e[2J"', '"a\\nb"',
    '"\\ud800"', '"\\u202e"', "=cmd", "../../../etc/passwd", "/dev/zero", "${HOME}", "-0", "+1", "1_000", "1e3", "yes",
)  # fmt: skip
_KEYS = ("name", "seeds", "data", "model", "training", "plans", "arms", "sgt", "transparency", "accuracy_drop", "rules")

TEXTS: dict[str, str] = {
    **{f"tag {tag}": f"name: {tag}\n" for tag in _TAGS},
    **{f"value {value[:30]} {len(value)}": "".join(f"{key}: {value}\n" for key in _KEYS) for value in _VALUES},
    "laughs": _LAUGHS,
    "laughs in a merge": "a: &a {x: 1}\nb: &b {<<: [*a, *a, *a]}\n" + "c: &c {<<: *b}\n" * 2,
    "a list in itself": "name: &a [*a]\n",
    "a mapping in itself": "name: &a {b: *a}\n",
    "itself as a key": "? &a [*a]\n: 1\n",
    "an anchor twice": "a: &a 1\nb: &a [*a]\nc: *a\n",
    "an alias of nothing": "name: *nowhere\n",
    "open brackets": "[" * 60000,
    "open braces": "{a: " * 15000,
    "many brackets": "name: " + "[" * 3000 + "]" * 3000,
    "dashes": "- " * 30000,
    "questions": "? " * 30000,
    "colons": ": " * 30000,
    "steps": "\n".join(" " * i + "a:" for i in range(300)),
    "a long key": "k" * 60000 + ": 1\n",
    "megabytes of a name": "name: " + "x" * 5_000_000,
    "megabytes of keys": "".join(f"key{i}: 1\n" for i in range(300_000)),
    "many keys": "".join(f"k{i}: 1\n" for i in range(6000)),
    "many unknown keys": "".join(f"k{i}: 1\n" for i in range(900)),
    "long lines": "a: |\n" + "  x\n" * 15000,
    "a comment": "#" * 60000,
    "documents": "---\n" * 15000,
    "two documents": "name: a\n---\nname: b\n",
    "a zero byte": "name: a\0b\n",
    "only zero bytes": "\0" * 100,
    "a surrogate": "name: \ud800\n",
    "a mark of byte order": "\ufeffname: [\n",
    "in the middle": "name: a\ufeff\ufffe\n",
    "an escape": "name: \x1b[2J\n",
    "a bell": "\a: 1\n",
    "tabs": "name:\n\t- a\n",
    "keys twice": "name: a\nname: b\n",
    "keys twice, as a number": "1: a\n1: b\n",
    "a number and its text": "model: {name: cnn, arguments: {1: a, '1': b}}\n",
    "a list as a key": "? [a, b]\n: 1\n",
    "a mapping as a key": "{{a: 1}: 2}\n",
    "null as a key": "~: 1\n",
    "true as a key": "true: 1\n",
    "not a number as a key": ".nan: 1\n.nan: 2\n",
    "a date as a key": "2001-01-01: 1\n",
    "an escape in a key": '"\\e[2J\\nname": 1\n',
    "directives": "%YAML 9.9\n---\nname: a\nx: 1\n",
    "a directive of tags": "%TAG ! tag:evil,2000:\n---\nname: !x 1\n",
    "percent": "% " * 30000,
    "a list": "[1, 2]\n",
    "text": "just text\n",
    "a number": "3\n",
    "nothing": "",
    "only a comment": "# nothing\n",
    "arguments without an end": "name: a\nmodel: {name: cnn, arguments: {width: .inf}}\n",
    "arguments that are none": "name: a\nmodel: {name: cnn, arguments: {width: [[.nan]]}}\n",
    "arguments that are a date": "name: a\nmodel: {name: cnn, arguments: {when: 2001-01-01}}\n",
    "a huge seed": "name: a\nseeds: [" + "9" * 800 + "]\nx: 1\n",
    "a huge clip": "name: a\nplans: [{name: w4a4, alpha: " + "9" * 800 + "}]\n",
    "a huge size": "name: a\ndata: {name: photos, size: " + "9" * 800 + "}\n",
    "a module": "name: a\nmodel: os:system\nx: 1\n",
    "a path as a module": "name: a\nmodel: '../x:y'\n",
    "a name with a slash": "name: ../../a\n",
    "a name with an end of line": 'name: "a\\nb"\n',
}


def mutated(text: str, seed: int) -> str:
    """A text with some of its characters replaced, repeated, taken out or put in."""
    chance = random.Random(seed)
    pieces = [
        "[",
        "]",
        "{",
        "}",
        ":",
        "\n",
        "- ",
        "? ",
        "&a ",
        "*a",
        "!x ",
        "'",
        '"',
        "|\n",
        "\0",
        "\t",
        ".nan",
        "9" * 400,
    ]
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(text))
        cut = chance.randrange(12) if chance.random() < 0.5 else 0
        added = chance.choice([*pieces, "", text[place : place + 40] * 3, chr(chance.randrange(0x2FF))])
        text = text[:place] + added + text[place + cut :]
    return text
