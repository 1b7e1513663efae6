"""One network that has every kind of node."""

from __future__ import annotations

import jaxtyping
import pytest
from graphs import whole_graph

from glassbit.intgraph import IntGraph


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the type checker of the tests, as users call."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session")
def whole() -> IntGraph:
    """Images of 1 x 4 x 4, two channels inside, three classes."""
    return whole_graph()
