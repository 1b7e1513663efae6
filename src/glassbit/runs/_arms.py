"""What a network trains with, and the arms of a study: what each is called, and what it stands for.

    arm          objective         values
    fp32         cross-entropy     full precision
    sgt          saliency-guided   full precision
    random       random masking    full precision
    pact         cross-entropy     quantized
    sgt+pact     saliency-guided   quantized
    random+pact  random masking    quantized

The name of the objective's options may follow the objective: `sgt-mine+pact`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal


@dataclass(frozen=True)
class Trained:
    """A training objective.

    Args:
        title: its name in a report.
        masks: whether it masks pixels.
        arms: its arms in full precision and quantized; those of its key where left out, `mine` and `mine+pact`.
    """

    title: str
    masks: bool = False
    arms: tuple[str, str] | None = None


TRAINED: Mapping[str, Trained] = {
    "ce": Trained("cross-entropy", arms=("fp32", "pact")),
    "sgt": Trained("saliency-guided training", masks=True),
    "random": Trained("random masking", masks=True),
}
"""Every objective, by its name in a recipe. Its options are in `recipe`, the class that it makes in `build`."""
_ARMS: Mapping[str, tuple[str, str]] = {name: row.arms or (name, f"{name}+pact") for name, row in TRAINED.items()}
_MEANING: Mapping[str, tuple[str, bool]] = {
    arms[quantized]: (name, quantized) for quantized in (False, True) for name, arms in _ARMS.items()
}
"""The objective of each arm, and whether it is quantized; quantized arms last."""
ARMS: tuple[str, ...] = tuple(_MEANING)
if TYPE_CHECKING:
    Objective = str
    Arm = str
else:  # mypy knows no Literal that is made of a table's names; pydantic and the flags take their choices from it
    Objective = Literal[*TRAINED]
    Arm = Literal[*ARMS]
OBJECTIVES: Mapping[str, str] = {name: row.title for name, row in TRAINED.items()}
"""The objectives and their titles."""
MASKED: tuple[Objective, ...] = tuple(name for name, row in TRAINED.items() if row.masks)
"""The objectives that mask pixels."""
REFERENCE: Arm = "fp32"
"""What every other arm is held against."""
_PLAIN = _ARMS["ce"]


def arm_of(objective: Objective, *, quantized: bool) -> Arm:
    """Return the arm that trains with `objective`."""
    return _ARMS[objective][quantized]


def objective_of(arm: Arm) -> Objective:
    """Return what an arm trains with."""
    return _MEANING[arm][0]


def is_quantized(arm: str) -> bool:
    """Whether an arm has quantizers."""
    return arm.endswith("pact")


def named(arm: Arm, setting: str | None) -> str:
    """Return an arm with the name of its options, where they have one.

    >>> named("sgt+pact", "mine"), named("pact", None)
    ('sgt-mine+pact', 'pact')
    """
    objective, plus, quantized = arm.partition("+")
    return f"{objective}-{setting}{plus}{quantized}" if setting else arm


@dataclass(frozen=True)
class Variant:
    """An arm with the bit-width plan of its quantizers.

    Args:
        arm: one of `ARMS`, or with the name of its options, such as `sgt-mine+pact`. A file may hold any other text.
        plan: such as `w4a4`; None for a full-precision network.
    """

    arm: str
    plan: str | None = None

    @property
    def label(self) -> str:
        """The arm and the plan, as people read them."""
        return self.arm if self.plan is None else f"{self.arm} {self.plan}"

    @property
    def family(self) -> str:
        """The arm without the name of its options: one of `ARMS`."""
        objective, plus, quantized = self.arm.partition("+")
        return objective.partition("-")[0] + plus + quantized

    @property
    def objective(self) -> str:
        """What it trains with: one of `OBJECTIVES`."""
        return next((objective_of(arm) for arm in ARMS if arm == self.family), self.family.partition("+")[0])

    @property
    def setting(self) -> str:
        """The name of the arm's options, or ""."""
        return self.arm.partition("+")[0].partition("-")[2]

    @property
    def float_arm(self) -> str | None:
        """The arm that differs from a quantized one in the bits only; None for one in full precision."""
        return "fp32" if self.arm == "pact" else self.arm.removesuffix("+pact") if "+" in self.arm else None

    @property
    def plain_arm(self) -> str | None:
        """The arm that differs from a masking one in the objective only; None for one with cross-entropy."""
        return None if self.family in _PLAIN else _PLAIN[self.plan is not None]
