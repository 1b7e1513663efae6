"""Checkpoints: whole or absent, and read without unpickling anything but tensors and plain values."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, cast

import torch

from glassbit._errors import RunError
from glassbit._files import replacing


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically.

    Args:
        path: e.g. `last.pt`.
        content: tensors and plain values, nested in dicts and lists.
    """
    with replacing(path) as temporary:
        torch.save(content, temporary)


def load_checkpoint(path: Path | str) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Args:
        path: a `last.pt` or `best.pt`.

    Returns:
        `model` (the state dict), `epoch`, `history`, and what else was saved.

    Raises:
        RunError: there is no such file, or it is damaged or holds anything but tensors and plain values.
    """
    try:
        return cast(dict[str, Any], torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise RunError(f"checkpoint {path}: there is no such file; train the run first") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as problem:
        reason = str(problem).splitlines()[0]
        raise RunError(
            f"checkpoint {path}: damaged or not a Glassbit checkpoint ({reason}); delete it to start over"
        ) from problem
