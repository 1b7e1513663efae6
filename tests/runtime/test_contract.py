"""Every back end of the table computes the logits of the definition, bit for bit."""

from __future__ import annotations

from typing import get_args

import pytest
from graphs import images_for

from glassbit.backends import BACKENDS
from glassbit.intgraph import Node
from glassbit.runtime import MAPS, Backend, verify

from .cases import CASES


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@pytest.mark.parametrize("name", CASES)
def test_logits_are_equal_to_the_bit_in_every_way_to_run_it(name: str, backend: Backend):
    graph = CASES[name]()
    rows = verify(graph, images_for(graph, 15), backends=[backend])
    assert rows
    if rows[0].outcome == "missing":
        pytest.skip(rows[0].note)
    for row in rows:
        assert row.backend.startswith(backend.name)
        assert (row.outcome, row.images, row.differing, row.note) == ("equal", 15, 0, ""), row
        assert row.saliency is None or row.saliency <= MAPS


def test_its_networks_have_every_kind_of_node():
    assert {type(node) for make in CASES.values() for node in make().nodes} == set(get_args(Node))


def test_names_are_unique():
    assert len({backend.name for backend in BACKENDS}) == len(BACKENDS) >= 3
