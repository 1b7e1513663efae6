"""`result.json`: what was measured of a run after its training, once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from glassbit._errors import RunError
from glassbit._text import brief

from ._head import Head
from ._names import HEAD
from ._part import Amount, Count, Part, Several, Share, Stored

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
    def _whole(self) -> Self:
        rows = self.confusion or ()
        if any(len(row) != len(rows) for row in rows):
            raise ValueError("confusion must be square")
        right = sum(row[place] for place, row in enumerate(rows))
        if rows and (sum(map(sum, rows)) != self.n or abs(right - self.accuracy * self.n) > _SLACK * self.n):
            raise ValueError("confusion must count n images, and as many right ones as the accuracy says")
        return self


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

    def check_of(self, head: Head, *, path: Path, repair: str) -> Self:
        """Return it, if it is the result of the run of `head`.

        Args:
            head: of the same folder.
            path: of the result.
            repair: ends the message.

        Raises:
            RunError: it is of another run.
        """
        other = _differing(self, head)
        if other:
            raise RunError(
                f"{path}: must be the result of the run in {HEAD}; got that of another one ({other}); {repair}"
            )
        return self


def _differing(result: Result, head: Head) -> str:
    """What shows that a result is not of this run, or nothing."""
    for name in ("id", "digest"):
        mine, its = getattr(head, name), getattr(result, name)
        if None not in (mine, its) and mine != its:
            return f"its {name} is {brief(its)}"
    images = head.images
    classes = None if images is None or images.classes is None else len(images.classes)
    wanted: dict[str, tuple[int | None, int | None]] = {"epochs": (_asked(head, "epochs"), result.epochs)}
    integer = _asked(head, "deploy_epochs") if head.plan is not None else 0
    if integer is not None and (integer > 0) != (result.deployed is not None):
        return f"it has {'no' if integer else 'an'} integer network"
    tests = (
        {"test": result.test} if result.deployed is None else {"test": result.test, "deployed": result.deployed.test}
    )
    for name, test in tests.items():
        wanted[f"{name}.n"] = (None if images is None else images.test, test.n)
        wanted[f"classes of {name}.confusion"] = (classes, None if test.confusion is None else len(test.confusion))
    if result.deployed is not None:
        wanted["deployed.epochs"] = (integer, result.deployed.epochs)
    wrong = (
        f"its {key} is {its}, not {mine}"
        for key, (mine, its) in wanted.items()
        if None not in (mine, its) and mine != its
    )
    return next(wrong, "")


def _asked(head: Head, name: str) -> int | None:
    """A number of the run's training, where its recipe is there to say so."""
    training: Any = (head.config or {}).get("training")
    value = training.get(name) if isinstance(training, Mapping) else None
    return value if isinstance(value, int) else None
