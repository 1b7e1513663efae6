from __future__ import annotations

import math

from graphs import random_graph

from glassbit.runtime import float_twin, onnx_model, speed


def test_a_ratio_is_a_positive_number_at_every_batch_size() -> None:
    graph = random_graph(0)
    model, twin = onnx_model(graph), float_twin(graph)
    for batch in (1, 3):
        assert 0 < speed(model, twin, batch=batch, seconds=0.0) < math.inf
