"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from glassbit._count import counted
from glassbit.report.numbers import Number, Spread

MINUS = "\u2212"
NOTHING = "\u2013"
_UNITS = ("", "k", "M", "G", "T", "P")


def number(value: Number | None, digits: int = 2) -> str:
    """Return a decimal with a true minus sign; never `-0.00`.

    >>> number(-0.004), number(-1.5, 1), number(None)
    ('0.00', '−1.5', '–')
    """
    if value is None:
        return NOTHING
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def spread_text(value: Spread | None, digits: int = 2) -> str:
    """Mean, and the standard deviation when there is one.

    >>> spread_text(Spread(91.234, 0.1, 3)), spread_text(Spread(91.234, None, 1))
    ('91.23 ± 0.10', '91.23')
    """
    if value is None:
        return NOTHING
    mean = number(value.mean, digits)
    return mean if value.sd is None else f"{mean} ± {value.sd:.{digits}f}"


def kilobytes(value: Number | None) -> str:
    """Bytes as kB of 1000 bytes.

    >>> kilobytes(1234), kilobytes(271_000)
    ('1.23', '271')
    """
    if value is None:
        return NOTHING
    size = value / 1000
    return f"{size:.2f}" if size < 10 else f"{size:.1f}" if size < 100 else f"{size:,.0f}"


def count(value: Number | None) -> str:
    """Return a large number with three digits and a letter.

    >>> count(41_200_000), count(999), count(1_500)
    ('41.2 M', '999', '1.50 k')
    """
    if value is None:
        return NOTHING
    scaled, power = float(value), 0
    while abs(scaled) >= 999.5 and power < len(_UNITS) - 1:
        scaled, power = scaled / 1000, power + 1
    if power == 0:
        return f"{scaled:.0f}"
    digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
    return f"{scaled:.{digits}f} {_UNITS[power]}"


def times(value: Number) -> str:
    """Return a ratio.

    >>> times(7.64), times(61.3)
    ('7.6', '61')
    """
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def images_named(count: int) -> str:
    """How many images, in words."""
    return counted(count, "test image")


def seeds_named(seeds: Sequence[int | None]) -> str:
    """Seeds in words.

    >>> seeds_named([0, 2]), seeds_named([1])
    ('seeds 0, 2', 'seed 1')
    """
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
