from __future__ import annotations

import pytest

from glassbit._errors import UsageError
from glassbit.study._share import Node, Share, share


def nodes(*sizes: tuple[int, int]) -> list[Node]:
    return [Node(str(number), f"10.0.0.{number}", cpus, gpus) for number, (cpus, gpus) in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "runs", "device", "devices", "expected"),
    [
        ([(16, 0)] * 4, 8, "cpu", 1, Share(8, 8, 0)),  # two a node
        ([(16, 0)] * 4, 6, "cpu", 1, Share(8, 8, 0)),  # 64 / 6 = 10 threads would leave room for four only
        ([(16, 0)] * 4, 1, "cpu", 1, Share(16, 16, 0)),  # no run is larger than a node
        ([(2, 0), (8, 0)], 3, "cpu", 1, Share(2, 2, 0)),
        ([(2, 0), (8, 0)], 2, "cpu", 1, Share(4, 4, 0)),
        ([(4, 0)], 100, "cpu", 1, Share(1, 1, 0)),  # more than fit: as many as possible
        ([(16, 0)], 2, "cpu", 4, Share(2, 8, 0)),  # processes of one run share its CPUs
        ([(32, 4)], 48, "cuda", 1, Share(8, 8, 1)),  # four GPUs, four runs
        ([(32, 4), (64, 0)], 48, "auto", 2, Share(8, 16, 2)),  # a cluster with GPUs is used for them
        ([(32, 4)], 2, "cpu", 1, Share(16, 16, 0)),
        ([(8, 0)], 2, "auto", 1, Share(4, 4, 0)),
    ],
)
def test_as_many_threads_as_still_let_the_runs_fit(sizes, runs, device, devices, expected) -> None:
    assert share(nodes(*sizes), runs=runs, device=device, devices=devices) == expected


def test_a_run_that_fits_nowhere_is_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError) as caught:
        share(nodes((8, 1), (4, 2)), runs=1, device="cuda", devices=3)
    assert str(caught.value) == (
        "the cluster must have a node with 3 CPUs and 3 GPUs, for a run with `device: cuda` and `devices: 3`; got "
        "10.0.0.0 with 8 and 1, 10.0.0.1 with 4 and 2; change these two keys, or add a node"
    )
    with pytest.raises(UsageError, match="got no node"):
        share([], runs=1, device="cpu", devices=1)
