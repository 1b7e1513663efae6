"""The type checker of the tests: beartype, on the arrays of every signature.

jaxtyping's pytest flag hands every function of the package to `check`. Only annotations with shapes are looked at: the
rest is mypy's, and tests that pass a wrong choice on purpose must meet our own error, not a type checker's.
"""

from __future__ import annotations

import re
import types
from typing import Any

from beartype import beartype

_ARRAY = re.compile(r"\b(Float|BFloat16|Float16|Float32|Float64|Int|Int32|Int64|Integer|UInt8|Bool|Num|Real|Shaped)\[")


def check(target: Any, *args: Any, **kwargs: Any) -> Any:
    """`target`, checking its arrays if it has any."""
    if not isinstance(target, types.FunctionType):
        return target
    shaped = {name: hint for name, hint in target.__annotations__.items() if _ARRAY.search(str(hint))}
    if not shaped:
        return target
    copy = types.FunctionType(
        target.__code__, target.__globals__, target.__name__, target.__defaults__, target.__closure__
    )
    copy.__kwdefaults__ = target.__kwdefaults__
    copy.__module__, copy.__qualname__, copy.__doc__ = target.__module__, target.__qualname__, target.__doc__
    copy.__annotations__ = shaped
    return beartype(copy)
