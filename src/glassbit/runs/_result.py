"""`result.json`: what was measured of a run after its training, once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import model_validator

from glassbit._errors import RunError

from ._head import Head
from ._names import HEAD
from ._part import Amount, Count, Part, Several, Share, Stored
from ._same import differing

_SLACK = 1e-6
"""An accuracy may be rounded."""


class Tested(Part):
    """A network on test images.

    Args:
        accuracy: 0..1.
        loss: None where it is not finite.
        n: how many images.
        confusion: images by true class (rows) and predicted class (columns).
    """

    accuracy: Share
    loss: Amount | None = None
    n: Count
    confusion: Several[Several[Count]] | None = None

    @model_validator(mode="after")
    def _square(self) -> Self:
        rows = self.confusion or ()
        if any(len(row) != len(rows) for row in rows):
            raise ValueError("confusion must be square")
        return self

    @property
    def agrees(self) -> bool:
        """Whether the confusion matrix has n images, and as many right ones as the accuracy says."""
        rows = self.confusion
        if rows is None:
            return True
        right = sum(row[place] for place, row in enumerate(rows))
        return sum(map(sum, rows)) == self.n and abs(right - self.accuracy * self.n) <= _SLACK * self.n


class Accuracy(Part):
    """An accuracy, 0..1."""

    accuracy: Share | None = None


class CostRow(Part):
    """What one layer costs; see `quant.CostRow`."""

    name: str
    kind: str | None = None
    weight_bits: Count | None = None
    input_bits: Count | None = None
    weights: Count | None = None
    stored_bytes: Amount | None = None
    macs: Amount | None = None
    bitops: Amount | None = None
    at_export: bool = False


class Cost(Part):
    """What a network costs; see `quant.Cost`."""

    rows: Several[CostRow]
    parameters: Count | None = None
    stored_bytes: Amount
    macs: Amount | None = None
    bitops: Amount


class Masking(Part):
    """Accuracy as pixels are removed.

    Args:
        n: how many images.
        fractions: the removed shares.
        accuracy: fill -> order -> an accuracy per share.
    """

    n: Count | None = None
    fractions: Several[Share] = ()
    accuracy: Mapping[str, Mapping[str, Several[Share]]] = {}


class Deployed(Part):
    """The network in integer arithmetic.

    Args:
        validation: of the best epoch.
        converted: on the validation images, before the epochs in integer arithmetic.
        best_epoch: of those, or the last one before.
        epochs: in integer arithmetic.
        bytes: of each file.
        speed_of_float: how often the ONNX file is as fast as its float twin, by batch size.
        absent: why there is no ONNX file, or "".
    """

    test: Tested
    validation: Accuracy | None = None
    converted: Accuracy | None = None
    best_epoch: Count | None = None
    epochs: Count | None = None
    bytes: Mapping[str, Count] = {}
    speed_of_float: Mapping[str, Amount] = {}
    absent: str = ""


class Result(Stored):
    """`result.json`.

    Args:
        id, digest: of the run, as `run.json` has them; results of earlier versions have none.
        left: the layers that stay as they are, with the reason.
        best_epoch: by validation accuracy.
        epochs: in floating point.
        moved: what an interruption changed.
    """

    id: str | None = None
    digest: str | None = None
    test: Tested
    cost: Cost
    masking: Masking | None = None
    left: Several[Several[str]] = ()
    deployed: Deployed | None = None
    validation: Accuracy | None = None
    best_epoch: Count
    epochs: Count
    train_seconds: Amount
    moved: Several[str] = ()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        tests = (self.test, *(() if self.deployed is None else (self.deployed.test,)))
        if self.digest is not None and not all(test.agrees for test in tests):
            raise ValueError("confusion must count n images, and as many right ones as the accuracy says")
        return self

    def check_of(self, head: Head, *, path: Path, repair: str) -> Self:
        """Return it, if it is the result of the run of `head`.

        Args:
            head: of the same folder.
            path: of the result.
            repair: ends the message.

        Raises:
            RunError: it is of another run.
        """
        other = differing(self, head)
        if other:
            raise RunError(
                f"{path}: must be the result of the run in {HEAD}; got that of another one ({other}); {repair}"
            )
        return self
