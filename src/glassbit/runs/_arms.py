"""The arms of a study: what each is called, and what it stands for.

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
from typing import Literal, get_args

Objective = Literal["ce", "sgt", "random"]
Arm = Literal["fp32", "sgt", "random", "pact", "sgt+pact", "random+pact"]
ARMS: tuple[Arm, ...] = get_args(Arm)
OBJECTIVES: Mapping[str, str] = {
    "ce": "cross-entropy", "sgt": "saliency-guided training", "random": "random masking"
}  # fmt: skip
REFERENCE: Arm = "fp32"
"""What every other arm is held against."""
MASKED: tuple[Objective, ...] = ("sgt", "random")
"""The objectives that mask pixels."""
_PLAIN: tuple[Arm, Arm] = ("fp32", "pact")
_MEANING: Mapping[Arm, tuple[Objective, bool]] = {
    "fp32": ("ce", False), "sgt": ("sgt", False), "random": ("random", False),
    "pact": ("ce", True), "sgt+pact": ("sgt", True), "random+pact": ("random", True),
}  # fmt: skip
"""The objective of each, and whether it is quantized."""


def arm_of(objective: Objective, *, quantized: bool) -> Arm:
    """Return the arm that trains with `objective`."""
    return next(arm for arm, meaning in _MEANING.items() if meaning == (objective, quantized))


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
