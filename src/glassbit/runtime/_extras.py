"""Packages that only the back ends need."""

from __future__ import annotations

import importlib
from types import ModuleType

from glassbit._errors import UsageError
from glassbit._packages import install
from glassbit._takes import TEXT, takes


@takes(package=TEXT, purpose=TEXT)
def need(package: str, purpose: str) -> ModuleType:
    """Import a package of the extra `onnx`.

    Args:
        package: `onnx` or `onnxruntime`.
        purpose: what it is needed for, as the beginning of a sentence.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{purpose}: {package} must be installed; got no such package; {install('onnx')}") from error
