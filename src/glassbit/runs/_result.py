"""`result.json`: what was measured of a run after its training, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from ._part import Number, Part, Several, Stored

_Count = Annotated[int, Field(ge=0, lt=2**53)]


class Tested(Part):
    """A network on test images.

    Args:
        accuracy: 0..1.
        loss: None where it is not finite.
        n: how many images.
        confusion: images by true class (rows) and predicted class (columns).
    """

    accuracy: Number
    loss: Number | None = None
    n: int
    confusion: Several[Several[_Count]] | None = None

    @model_validator(mode="after")
    def _square(self) -> Self:
        if any(len(row) != len(self.confusion or ()) for row in self.confusion or ()):
            raise ValueError("confusion must be square")
        return self


class Accuracy(Part):
    """An accuracy, 0..1."""

    accuracy: Number | None = None


class CostRow(Part):
    """What one layer costs; see `quant.CostRow`."""

    name: str
    kind: str | None = None
    weight_bits: int | None = None
    input_bits: int | None = None
    weights: int | None = None
    stored_bytes: Number | None = None
    macs: Number | None = None
    bitops: Number | None = None


class Cost(Part):
    """What a network costs; see `quant.Cost`."""

    rows: Several[CostRow]
    parameters: int | None = None
    stored_bytes: Number
    macs: Number | None = None
    bitops: Number


class Masking(Part):
    """Accuracy as pixels are removed.

    Args:
        n: how many images.
        fractions: the removed shares.
        accuracy: fill -> order -> an accuracy per share.
    """

    n: int | None = None
    fractions: Several[Number] = ()
    accuracy: Mapping[str, Mapping[str, Several[Number]]] = {}


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
    best_epoch: int | None = None
    epochs: int | None = None
    bytes: Mapping[str, int] = {}
    speed_of_float: Mapping[str, Number] = {}
    absent: str = ""


class Result(Stored):
    """`result.json`.

    Args:
        left: the layers that stay as they are, with the reason.
        best_epoch: by validation accuracy.
        epochs: in floating point.
        moved: what an interruption changed.
    """

    test: Tested
    cost: Cost
    masking: Masking | None = None
    left: Several[Several[str]] = ()
    deployed: Deployed | None = None
    validation: Accuracy | None = None
    best_epoch: int
    epochs: int
    train_seconds: Number
    moved: Several[str] = ()
