"""Whether a candidate may take the place of its reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from glassbit._arguments import is_real, shown
from glassbit._count import counted
from glassbit._errors import UsageError
from glassbit._takes import instance, takes

from ._comparison import Comparison
from ._interval import BRACKETS, Interval

_ROUNDING = 1e-9  # 0.92 - 0.91 is a little more than 0.01


@dataclass(frozen=True)
class Policy:
    """What a candidate must keep of its reference; None switches a check off.

    Args:
        accuracy_drop: how many points of test accuracy may be lost at most, 0..100.
        agreement: the least agreement of the maps (Spearman), as a share of the way from chance to what the reference
            has with itself under a little noise, 0..1.
        faithfulness: the least ROAD gap, as a share of the reference's, 0..1.
        predictions: the least share of test images on which both predict the same class, 0..1.
        object_mass: the least mass on the object, as a share of the reference's, 0..1; for data sets that say where the
            object is.

    Raises:
        UsageError: a limit is out of range, or every check is off.
    """

    accuracy_drop: float | None = 1.0
    agreement: float | None = 0.5
    faithfulness: float | None = 0.8
    predictions: float | None = None
    object_mass: float | None = None

    def __post_init__(self) -> None:
        limits = {field.name: getattr(self, field.name) for field in fields(self)}
        if all(limit is None for limit in limits.values()):
            raise UsageError(
                f"policy: {', '.join(limits)} must not all be null; got no limit; set one, or the gate passes all"
            )
        for name, limit in limits.items():
            most = 100 if name == "accuracy_drop" else 1
            if limit is not None and not is_real(limit, 0, most):
                unit = "points" if name == "accuracy_drop" else "a share"
                raise UsageError(f"policy: {name} must be {unit}, 0..{most}, or null for no check; got {shown(limit)}")


@dataclass(frozen=True)
class Check:
    """One demand of a policy.

    Args:
        name: the key of the policy.
        passed: whether it is met; False where one cannot tell.
        value: what was found, in the unit of the limit; None where one cannot tell.
        limit: of the policy.
        interval: what was found, with its interval, for a table; of the accuracy, the change.
        reason: why it passed or failed, a sentence.
    """

    name: str
    passed: bool
    value: float | None
    limit: float
    interval: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """Every check of a policy.

    Args:
        reference, candidate: the names of the networks.
        checks: at least one.
    """

    reference: str
    candidate: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def lines(self) -> list[str]:
        """For a terminal: the verdict, a line a check, and what the intervals mean."""
        met = sum(check.passed for check in self.checks)
        outcome = "passed" if self.passed else "FAILED"
        return [
            f"{outcome}: {self.candidate} against {self.reference}, {met} of {counted(len(self.checks), 'check')} met",
            *(f"  {'pass' if check.passed else 'FAIL'}  {check.name}: {check.reason}" for check in self.checks),
            BRACKETS,
        ]


COMPARISON = instance(Comparison, "a glassbit.evidence.Comparison", "pass what glassbit.measure.compare returned")
POLICY = instance(Policy, "a glassbit.evidence.Policy", "pass Policy()")


@takes(comparison=COMPARISON, policy=POLICY)
def judge(comparison: Comparison, policy: Policy) -> Verdict:
    """Hold a comparison against a policy.

    A check compares the value that was found with the limit; where its interval contains the limit, the sentence says
    so. A share of something that is not clearly above 0 is no number: the check then fails with that reason, because a
    gate that cannot tell must not open. Whoever knows better switches that check off.

    Args:
        comparison: of the reference (a) with the candidate (b).
        policy: what must be kept.
    """
    return Verdict(*comparison.names, tuple(_checks(comparison, policy)))


def _checks(comparison: Comparison, policy: Policy) -> Iterator[Check]:
    if policy.accuracy_drop is not None:
        yield _accuracy(comparison, policy.accuracy_drop)
    if policy.agreement is not None:
        yield _agreement(comparison, policy.agreement)
    if policy.faithfulness is not None:
        yield _kept(comparison, "faithfulness", "road_gap", "the ROAD gap", policy.faithfulness)
    if policy.predictions is not None:
        yield _at_least(
            "predictions", comparison.same_prediction, policy.predictions, "of the predictions are the same"
        )
    if policy.object_mass is not None:
        yield _kept(comparison, "object_mass", "object_mass", "the mass on the object", policy.object_mass)


def _accuracy(comparison: Comparison, limit: float) -> Check:
    paired = comparison.accuracy
    guessing = 1 / len(comparison.classes)
    if paired.a.low <= guessing:
        return _cannot_tell(
            "accuracy_drop",
            limit,
            f"the accuracy of {comparison.names[0]}, {_percent(paired.a.mean, 2)} [{_percent(paired.a.low, 2)}, "
            f"{_percent(paired.a.high, 2)}], is not clearly above guessing among {len(comparison.classes)} classes "
            f"({_percent(guessing, 2)}), so there is nothing to lose, and the candidate has "
            f"{_percent(paired.b.mean, 2)}; check that these are the images it was trained for, or measure more of "
            "them",
        )
    mean, low, high = (100 * end for end in (paired.difference.mean, paired.difference.low, paired.difference.high))
    text = f"{mean:+.2f} points [{low:+.2f}, {high:+.2f}]"
    reason = (
        f"{text}, from {_percent(paired.a.mean, 2)} to {_percent(paired.b.mean, 2)}; at most {limit:.2f} may be lost"
        f"{_unsure(low, -limit, high)}{_one_class(comparison)}"
    )
    return Check("accuracy_drop", -mean <= limit + _ROUNDING, -mean, limit, text, reason)


def _one_class(comparison: Comparison) -> str:
    """Return what to add where always giving the most frequent class would be as good as the reference."""
    counts = np.bincount(comparison.labels, minlength=len(comparison.classes))
    share = counts.max() / counts.sum()
    if comparison.accuracy.a.low > share:
        return ""
    most = comparison.classes[int(counts.argmax())]
    return f" (always answering {most} would have {_percent(share)}, and the reference is not clearly better)"


def _agreement(comparison: Comparison, limit: float) -> Check:
    between, ceiling, zero = (comparison.agreements[pair]["spearman"] for pair in ("between", "ceiling", "zero"))
    relative = comparison.relative["spearman"]
    if relative is None:
        return _cannot_tell(
            "agreement",
            limit,
            f"the maps of {comparison.names[0]} agree with themselves under a little noise ({ceiling.text()}) not "
            f"clearly better than with random ones ({zero.text()}); compare with a network whose maps are steadier",
        )
    what = (
        f"of the way from chance ({zero.mean:.3f}) to the ceiling ({ceiling.mean:.3f}): Spearman correlation "
        f"{between.text()}"
    )
    return _at_least("agreement", relative, limit, what)


def _kept(comparison: Comparison, name: str, key: str, what: str, limit: float) -> Check:
    if key not in comparison.metrics:
        reason = comparison.absent.get(key, "one of the two does not have it")
        return _cannot_tell(name, limit, f"{what} was not measured ({reason})")
    paired = comparison.metrics[key]
    if paired.ratio is None:
        return _cannot_tell(
            name,
            limit,
            f"{what} of {comparison.names[0]} is not clearly above 0 ({paired.a.text()}), and a share of that says "
            "nothing; measure more images, or compare with another network",
        )
    return _at_least(name, paired.ratio, limit, f"of {what} is kept: {paired.b.mean:.3f} of {paired.a.mean:.3f}")


def _at_least(name: str, interval: Interval, limit: float, what: str) -> Check:
    text = f"{_percent(interval.mean)} [{_percent(interval.low)}, {_percent(interval.high)}]"
    reason = f"{text} {what}; at least {_percent(limit)} must be{_unsure(interval.low, limit, interval.high)}"
    return Check(name, interval.mean >= limit - _ROUNDING, interval.mean, limit, text, reason)


def _cannot_tell(name: str, limit: float, why: str) -> Check:
    return Check(
        name, False, None, limit, "cannot tell", f"cannot tell: {why}; `{name}: null` in the policy skips this check"
    )


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _unsure(low: float, limit: float, high: float) -> str:
    return " (the interval contains this limit: more images would tell better)" if low < limit < high else ""
