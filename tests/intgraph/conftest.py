"""One network that has every kind of node."""

from __future__ import annotations

import pytest
from graphs import whole_graph

from glassbit.intgraph import IntGraph


@pytest.fixture(scope="session")
def whole() -> IntGraph:
    """Images of 1 x 4 x 4, two channels inside, three classes."""
    return whole_graph()
