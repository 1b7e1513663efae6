"""What each plan costs."""

from __future__ import annotations

from dataclasses import dataclass

from glassbit.report.read import Group
from glassbit.runs import Cost


@dataclass(frozen=True)
class PlanCost:
    """What one plan costs, layer by layer; `left` are the layers that stay as they are, with the reason."""

    plan: str | None
    cost: Cost
    left: tuple[tuple[str, ...], ...]


def costs(group: Group) -> tuple[PlanCost, ...]:
    """One entry per plan, full precision first, from the first finished run that has it."""
    by_plan: dict[str | None, PlanCost] = {}
    for run in group.runs:
        if run.result is not None:
            plan = run.variant.plan
            by_plan.setdefault(plan, PlanCost(plan, run.result.cost, run.result.left))
    return tuple(sorted(by_plan.values(), key=lambda cost: cost.plan is not None))
