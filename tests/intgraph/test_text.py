"""What `repr` shows of an integer network."""

from __future__ import annotations

import pytest
from graphs import random_graph, resnet_graph


@pytest.mark.parametrize("seed", range(8))
def test_one_short_line_a_node(seed):
    graph = random_graph(seed)
    first, *lines = repr(graph).splitlines()
    assert first.startswith("IntGraph(")
    assert first.endswith(f"{len(graph.classes)} classes):")
    assert [line.split(":")[0].strip() for line in lines] == [node.name for node in graph.nodes]
    assert all(len(line) < 120 for line in lines)


def test_a_large_network_stays_readable():
    graph = resnet_graph(4)
    assert len(repr(graph)) < 80 * len(graph.nodes)
    assert "array" not in repr(graph)
    assert repr(graph) == str(graph)


def test_options_are_shown_where_they_are_not_the_default():
    lines = {line.split(":")[0].strip(): line for line in repr(resnet_graph(4)).splitlines()}
    strided = [line for line in lines.values() if "stride 2 x 2" in line]
    assert strided
    assert not any("stride 1 x 1" in line for line in lines.values())
    assert any("low 0, high 15" in line for line in lines.values())
