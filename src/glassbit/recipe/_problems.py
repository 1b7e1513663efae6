"""What pydantic found wrong, in words that say what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from glassbit._count import counted

from ._options import Options

Path = tuple[str | int, ...]


def problems(error: ValidationError, model: type[BaseModel], values: Any) -> Iterator[tuple[Path, str]]:
    """(place, text) of everything in `error`, which `values` caused; an unknown key's place is the key itself."""
    details = error.errors(include_url=False)
    for detail in details:
        path: Path = tuple(detail["loc"])
        context: dict[str, Any] = detail.get("ctx", {})
        if detail["type"] == "too_short" and any(
            other["loc"][: len(path)] == path for other in details if other is not detail
        ):
            continue  # pydantic counts the valid items only
        if "problems" in context:
            for inner, text in context["problems"]:
                yield (*path, *inner), text
        else:
            value = None if _is_empty(values, path) else detail["input"]
            yield path, _text(detail["type"], path, value, context, detail["msg"], model)


def _is_empty(values: Any, path: Path) -> bool:
    """Whether nothing was written behind the key at `path`, which pydantic may have seen as an empty list."""
    for part in path:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[str(part)]
    return values is None


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` was most likely meant to be."""
    folded = {name.lower().replace("_", "-"): name for name in known}
    close = difflib.get_close_matches(word.lower().replace("_", "-"), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def _text(kind: str, path: Path, value: Any, context: dict[str, Any], message: str, model: type[BaseModel]) -> str:
    if kind == "extra_forbidden":
        owner = _owner(model, path[:-1])
        known = sorted(owner.model_fields) if owner else []
        near = suggestion(str(path[-1]), known)
        repair = f"did you mean `{near}`?" if near else f"known here: {', '.join(known)}"
        return f"must be a known key; got an unknown one; {repair}"
    field = _field(model, path)
    if kind == "missing":
        return f"must be given; got nothing; add {_example(path, field)}"
    must = _must(kind, context, field, message)
    near = suggestion(str(value), _choices(context)) if kind == "literal_error" else None
    if near:
        repair = f"did you mean {near}?"
    elif field is None:
        repair = "correct it"
    else:
        optional = not field.is_required() and field.get_default() is None and field.default_factory is None
        repair = "correct it or leave it out" if optional else f"write, for example, {_example(path, field)}"
    return f"{must}; got {_shown(value)}; {repair}"


_TYPES: dict[str, str] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "string_unicode": "text that can be written as UTF-8",
    "string_pattern_mismatch": "a name of letters, digits, `.`, `_` and `-`",
}
_BOUNDS = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))


def _must(kind: str, context: dict[str, Any], field: FieldInfo | None, message: str) -> str:
    if kind == "literal_error":
        return f"must be one of {', '.join(_choices(context))}"
    if kind in ("too_short", "too_long"):
        return (
            "must not be empty"
            if kind == "too_short"
            else f"must have at most {counted(context['max_length'], 'item')}"
        )
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        limits = _limits(field) or [f"{sign} {context[name]:g}" for name, sign in _BOUNDS if name in context]
        return f"must be {' and '.join(limits)}"
    if kind in _TYPES:
        limits = _limits(field) if "number" in _TYPES[kind] else []
        return f"must be {_TYPES[kind]} {' and '.join(limits)}".rstrip()
    return message


def _limits(field: FieldInfo | None) -> list[str]:
    metadata = field.metadata if field else []
    return [
        f"{sign} {getattr(item, name):g}"
        for name, sign in _BOUNDS
        for item in metadata
        if getattr(item, name, None) is not None
    ]


def _choices(context: dict[str, Any]) -> list[str]:
    return [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]


def _example(path: Path, field: FieldInfo | None) -> str:
    key = next((part for part in reversed(path) if isinstance(part, str)), "value")
    value: Any = "..."
    if field is not None:
        value = field.examples[0] if field.examples else field.get_default(call_default_factory=True)
        value = "..." if field.is_required() and not field.examples else value
    return f"`{_yaml(value)}`" if key == "name" and len(path) > 1 else f"`{key}: {_yaml(value)}`"


def _yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Options):
        return str(getattr(value, "name", None) or "{}")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_yaml, value))}]"
    return str(value)


def _shown(value: Any) -> str:
    text = "nothing" if value is None else _yaml(value) if isinstance(value, list | tuple | bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _owner(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """Return the model that a mapping at `path` is read as."""
    for part in path:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = next(_models(field.annotation), None) if field else None
        if inner is None:
            return None
        model = inner
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and get_origin(annotation) is None:
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _field(model: type[BaseModel], path: Path) -> FieldInfo | None:
    keys = [i for i, part in enumerate(path) if isinstance(part, str)]
    if not keys:
        return None
    owner = _owner(model, path[: keys[-1]])
    return owner.model_fields.get(str(path[keys[-1]])) if owner else None


def check(
    model: type[Options], values: Any, place: Callable[[Path], str], *, more: Iterable[tuple[Path, str]] = ()
) -> tuple[Any, list[str]]:
    """`values` as a `model`, or None and every problem as a line of text.

    Args:
        place: from keys and indices to what the reader is pointed to, e.g. `line 4: training.lr`.
        more: problems that are known already.
    """
    texts = dict.fromkeys(more)
    value, error = _try(model, values)
    if error is not None:
        first = list(problems(error, model, values))
        texts |= dict.fromkeys(first)
        # The checks between the keys of a section run on valid keys only: look again without the invalid ones.
        rest = _without(values, [path for path, _ in first])
        _, error = _try(model, rest)
        if error is not None:
            crossed = [
                detail
                for detail in error.errors(include_url=False)
                if detail["type"] == "cross_field" and detail["loc"]
            ]
            texts |= dict.fromkeys(
                ((*detail["loc"], *inner), text) for detail in crossed for inner, text in detail["ctx"]["problems"]
            )
    return value, [f"{place(path)}: {text}" for path, text in texts]


def _try(model: type[Options], values: Any) -> tuple[Options | None, ValidationError | None]:
    try:
        return model.model_validate(values), None
    except ValidationError as error:
        return None, error


def _without(values: Any, paths: Sequence[Path]) -> Any:
    """Return a copy of plain `values` without the keys at `paths`."""
    copied = deepcopy(values)
    for path in paths:
        owner, last = None, None
        node = copied
        for part in path:
            if isinstance(part, int):
                node = node[part] if isinstance(node, list) and part < len(node) else node
            elif isinstance(node, dict) and part in node:
                owner, last = node, part
                node = node[part]
        if owner is not None:
            owner.pop(last, None)
    return copied
