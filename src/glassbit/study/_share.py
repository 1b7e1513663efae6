"""What a run gets of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassbit._errors import UsageError


@dataclass(frozen=True)
class Node:
    """A machine of a cluster.

    Args:
        id: Ray's name of it.
        address: what people call it.
        cpus: that Ray gives away there.
        gpus: as `cpus`.
    """

    id: str
    address: str
    cpus: int
    gpus: int


@dataclass(frozen=True)
class Share:
    """What each run gets, all of it on one node.

    Args:
        threads: of each of its processes, >= 1.
        cpus: threads of all its processes.
        gpus: one per process, or 0.
    """

    threads: int
    cpus: int
    gpus: int


def share(nodes: Sequence[Node], *, runs: int, device: str, devices: int) -> Share:
    """Return the most threads per run with which `runs` fit on the nodes side by side.

    If they never fit, it is the number of threads with which most of them do.

    Args:
        nodes: of the cluster.
        runs: that are to run at once, >= 1.
        device: the recipe's; `auto` takes GPUs where the cluster has them.
        devices: processes of a run.

    Raises:
        UsageError: no node is large enough for one run.
    """
    on_gpus = device == "cuda" or (device == "auto" and any(node.gpus for node in nodes))
    gpus = devices if on_gpus else 0
    able = [node for node in nodes if node.cpus >= devices and node.gpus >= gpus]
    if not able:
        had = ", ".join(f"{node.address} with {node.cpus} and {node.gpus}" for node in nodes) or "no node"
        raise UsageError(
            f"the cluster must have a node with {devices} CPUs and {gpus} GPUs, for a run with `device: {device}` and "
            f"`devices: {devices}`; got {had}; change these two keys, or add a node"
        )

    def room(threads: int) -> int:
        return sum(min(node.cpus // (threads * devices), node.gpus // gpus if gpus else node.cpus) for node in able)

    wanted = min(runs, room(1))
    threads = max(count for count in range(1, max(node.cpus for node in able) + 1) if room(count) >= wanted)
    return Share(threads, threads * devices, gpus)
