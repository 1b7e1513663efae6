"""Command-line flags made of the recipe's models: key, help, default and choices are written once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from cyclopts import Group, Parameter
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from glassbit._errors import UsageError

Values = dict[str, dict[str, Any]]
"""What was given on the command line, by section of the recipe and key; nothing that was left out."""
Body = TypeVar("Body", bound=Callable[..., int])


@dataclass(frozen=True)
class Section:
    """The flags of one part of a recipe.

    Args:
        key: of the recipe; its field `name` becomes the flag `--KEY`.
        model: the fields.
        title: above the flags in the help, after the titles of lower `place`.
        place: see `title`.
        only: the fields that become flags; none for all.
        names: flags that are not called as their field.
    """

    key: str
    model: type[BaseModel]
    title: str
    place: int
    only: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()

    def fields(self) -> dict[str, FieldInfo]:
        """Return the fields that become flags."""
        return {name: field for name, field in self.model.model_fields.items() if not self.only or name in self.only}

    def flag(self, field: str) -> str:
        """Return the flag of a field, e.g. `--batch-size`."""
        name = dict(self.names).get(field) or (self.key if field == "name" else field)
        return f"--{name.replace('_', '-')}"


def takes(*sections: Section) -> Callable[[Body], Callable[..., int]]:
    """Give a command the flags of `sections`; its first parameter gets the `Values` that were given.

    Every flag is optional: what is left out is left to the recipe's defaults.
    """

    def decorate(body: Body) -> Callable[..., int]:
        def command(*args: Any, **given: Any) -> int:
            values: Values = {}
            for section in sections:
                for name, field in section.fields().items():
                    value = given.pop(f"{section.key}_{name}", None)
                    if value is not None:
                        flag = section.flag(name)
                        values.setdefault(section.key, {})[name] = (
                            value if _is_bool(field) else parse(flag, value, field)
                        )
            return body(values, *args, **given)

        signature = inspect.signature(body, eval_str=True)
        own = list(signature.parameters.values())[1:]
        made = [_parameter(section, name, field) for section in sections for name, field in section.fields().items()]
        command.__signature__ = inspect.Signature([*own, *made], return_annotation=int)  # type: ignore[attr-defined]
        command.__doc__ = body.__doc__
        command.__name__ = body.__name__
        return command

    return decorate


def parse(flag: str, text: str, field: FieldInfo) -> Any:
    """Return the value that `text` stands for, in the field's type; the recipe refuses what does not fit."""
    kinds = set(_leaves(field.annotation))
    if _holds(field.annotation, dict):
        return dict(_pair(flag, item) for item in text.split(","))
    if _holds(field.annotation, tuple):
        items = [_scalar(item, kinds) for item in re.split(r"[,x]" if kinds == {int} else ",", text)]
        return items[0] if len(items) == 1 and kinds == {int} else items
    return _scalar(text, kinds)


def _parameter(section: Section, name: str, field: FieldInfo) -> inspect.Parameter:
    kind = bool if _is_bool(field) else str
    parameter = Parameter(
        name=section.flag(name),
        help=_help(field),
        metavar=_metavar(field),
        group=Group(section.title, sort_key=section.place),
        show_default=_default(field),
        allow_leading_hyphen=False,
    )
    return inspect.Parameter(
        f"{section.key}_{name}",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, parameter],
    )


def _help(field: FieldInfo) -> str:
    return (field.description or "") + (", as key=value,key=value" if _holds(field.annotation, dict) else "")


def _metavar(field: FieldInfo) -> str | None:
    choices, kinds = _choices(field.annotation), set(_leaves(field.annotation))
    if choices and kinds == {str}:
        return ("," if _holds(field.annotation, tuple) else "|").join(map(str, choices))
    return (
        None
        if kinds == {bool}
        else "TEXT"
        if kinds - {int, float}
        else "NUMBER,..."
        if _holds(field.annotation, tuple)
        else "NUMBER"
    )


def _default(field: FieldInfo) -> str | bool:
    value = field.get_default(call_default_factory=True) if not field.is_required() else None
    if value is None or value == {} or isinstance(value, BaseModel):
        return False
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or False
    return (
        ("on" if value else "off")
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _scalar(text: str, kinds: set[Any]) -> Any:
    for kind in (int, float):
        if kind in kinds or (kind is int and float in kinds):
            try:
                return kind(text)
            except ValueError:
                continue
    return text


def _pair(flag: str, item: str) -> tuple[str, Any]:
    key, equals, value = item.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{flag}: must be key=value,key=value; got {item!r}")
    words: Mapping[str, Any] = {"true": True, "false": False, "null": None}
    return key.strip(), words[value] if value in words else _scalar(value, {int, float})


def _is_bool(field: FieldInfo) -> bool:
    return set(_leaves(field.annotation)) == {bool}


def _holds(annotation: Any, kind: type) -> bool:
    origin = get_origin(annotation)
    through = origin in (UnionType, Union, Annotated)
    return origin is kind or (through and any(_holds(item, kind) for item in get_args(annotation)))


def _leaves(annotation: Any) -> Sequence[Any]:
    """Return the types inside an annotation, without None and the insides of `Literal`."""
    if get_origin(annotation) is Annotated:
        return _leaves(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return [str]
    inner = [item for item in get_args(annotation) if item is not Ellipsis]
    return (
        [leaf for item in inner for leaf in _leaves(item)] if inner else [] if annotation is NoneType else [annotation]
    )


def _choices(annotation: Any) -> Sequence[Any]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return [choice for item in get_args(annotation) for choice in _choices(item)]
