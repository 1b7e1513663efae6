"""The rules of the windows of a `SumPool`, along one axis."""

from __future__ import annotations

from collections.abc import Iterator

from ._limits import LONGEST, MATRIX
from ._nodes import SumPool, Window


def spans(node: SumPool, name: str, windows: tuple[Window, ...]) -> Iterator[str]:
    """Each is three integers, and not empty."""
    if not isinstance(windows, tuple) or not 1 <= len(windows) <= LONGEST:
        got = f"{len(windows)} of them" if isinstance(windows, tuple) else repr(windows)
        yield f"{node.name}: {name} must be a tuple of 1..{LONGEST} windows; got {got}"
        return
    for window in windows:
        whole = isinstance(window, tuple) and len(window) == 3 and all(type(value) is int for value in window)
        if not whole or not 0 <= window[0] < window[1] <= LONGEST or not 1 <= window[2] <= LONGEST:
            yield (
                f"{node.name}: {name} must be windows (first, stop, weight) with 0 <= first < stop <= {LONGEST} and "
                f"a weight of 1..{LONGEST}; got {window!r}"
            )
            return


def inside(node: SumPool, name: str, windows: tuple[Window, ...], pixels: int) -> Iterator[str]:
    """They lie in the map, and the matrix of their weights is not huge."""
    wrong = [window for window in windows if window[1] > pixels]
    if wrong:
        yield f"{node.name}: {name} must lie inside the map, 0..{pixels}; got {wrong[0][:2]}"
    if len(windows) * pixels > MATRIX:
        yield (
            f"{node.name}: {name} times the pixels that they are of must be at most {MATRIX}; "
            f"got {len(windows)} x {pixels}"
        )
