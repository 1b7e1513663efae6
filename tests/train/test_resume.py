"""A checkpoint whose records are damaged is refused in words of ours."""

from pathlib import Path
from typing import Any

import pytest
import torch

from glassbit._errors import RunError
from glassbit.train._checkpoint import save_checkpoint
from glassbit.train._resume import _NEWER, last_checkpoint

HELD = {"loss": 1.0, "accuracy": 0.5}


@pytest.mark.parametrize(
    "history",
    [
        [],
        [{"validation": HELD}, {"epoch": 2, "validation": HELD, "converted": HELD}],
        [{"epoch": 1, "validation": HELD}, {"epoch": 2, "validation": HELD}],
        [{"epoch": 1, "validation": HELD}, {"epoch": 2, "validation": HELD, "converted": {"loss": "", "accuracy": 1}}],
        [{"epoch": 1, "validation": HELD}, {"epoch": 2, "validation": HELD, "converted": HELD, "lr": torch.ones(1)}],
    ],
)
def test_records_that_are_not_those_of_the_epochs(tmp_path: Path, history: list[Any]) -> None:
    content = {"model": {}, "epoch": 2, "history": history, "settings": {}, "optimizer": {}}
    save_checkpoint(tmp_path / "last.pt", content)
    with pytest.raises(RunError, match=r"last\.pt: must .*; delete it"):
        last_checkpoint(tmp_path, {**_NEWER, "epochs": 1}, {})
