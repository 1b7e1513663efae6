"""The runs of a study on a Ray cluster."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from glassbit._count import counted
from glassbit._errors import GlassbitWarning, RunError, UsageError
from glassbit._packages import install
from glassbit.runs import RESULT, Result

from . import _node, _process
from ._jobs import Ended, Job, Workshop
from ._share import Node, share

RETRIES = 3
"""How often a run whose worker was lost is given to another."""
_LOCK_WAIT = 180.0
"""Seconds; an NFS server keeps the lock of a node that is gone for a minute or two."""
_ANSWER = 120.0
_POLL = 0.5
_GRACE = 20.0
_ALL = 10**9
_AGAIN = "call the study again, which makes it anew"


class Cluster(Workshop):
    """A Ray cluster: a task per run, which starts the run in a process of its own and watches it. A task that is lost
    with its worker or node is given to another worker, and the run goes on after its last finished epoch.

    Args:
        address: `ray` for the cluster that this machine belongs to (or RAY_ADDRESS names), `ray://HOST:PORT` for any
            other.
        folder: the study's, on storage that every node sees.
        at_once: the most runs at a time, >= 1; None for as many as there is room for.
        progress: print a line per epoch of each run on stderr.

    Raises:
        UsageError: the address is neither, `at_once` is not positive, or Ray is not installed.
    """

    def __init__(self, address: str, *, folder: Path, at_once: int | None = None, progress: bool = False) -> None:
        if address != "ray" and not address.startswith("ray://"):
            raise UsageError(f"--on: must be ray or ray://HOST:PORT; got {address!r}")
        if at_once is not None and at_once < 1:
            raise UsageError(f"jobs must be at least 1; got {at_once}")
        super().__init__(at_once or _ALL, progress=progress)
        self.address = address
        self.folder = folder.absolute()
        self._ray = _ray()
        self._running: dict[Any, Job] = {}
        self._cpus = 0

    def work(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """See `Workshop.work`.

        Raises:
            UsageError: the cluster cannot be reached, is too small, or a node sees not the folder.
            RunError: it has lost its last node.
        """
        if not jobs:
            return
        begun = self._connect()
        token = self.folder / f".seen-{uuid.uuid4().hex}"
        try:
            token.touch()
            nodes = _nodes(self._ray)
            self._ask(nodes, token)
            self._share_out(jobs, nodes)
            self._surroundings = (str(token), str(Path.cwd()), os.environ.get("GLASSBIT_CACHE"))
            yield from super().work(jobs)
        finally:
            self._cancel(list(self._running))
            token.unlink(missing_ok=True)
            if begun:
                self._ray.shutdown()

    def begin(self, job: Job) -> None:
        """Start the task of a job."""
        asked = job.for_process(threads=self._one.threads, wait=_LOCK_WAIT)
        self._running[self._task.remote(asked, *self._surroundings)] = job

    def ended(self) -> list[Ended]:
        """See `Workshop.ended`."""
        over = self._ray.wait(list(self._running), timeout=_POLL)[0]
        gone = [(reference, self._running.pop(reference)) for reference in over]
        return [(job, *self._outcome(reference, job)) for reference, job in gone]

    def given_back(self) -> list[Job]:
        """Return the jobs whose task no node has room for any more; they will ask for fewer CPUs.

        Raises:
            RunError: the cluster has lost its last node.
        """
        left = _largest(self._ray, self._one.gpus)
        if not self._running or left >= self._cpus:
            return []
        self._cpus = self._fewer(left, self._cpus, self._one.threads)
        self._cancel(list(self._running))
        back = list(self._running.values())
        self._running.clear()
        self._task = self._remote()
        return back

    def _connect(self) -> bool:
        """Whether a connection was made, because there was none."""
        if self._ray.is_initialized():
            return False
        address = "auto" if self.address == "ray" else self.address
        try:
            self._ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError, self._ray.exceptions.RayError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(
                f"--on {self.address}: must be a Ray cluster that can be reached; got: {reason}; start one with `ray "
                "start --head`, correct the address or its token (RAY_AUTH_TOKEN), or leave --on out and train here "
                "with --jobs"
            ) from error
        return True

    def _ask(self, nodes: Sequence[Node], token: Path) -> None:
        """Ask every node whether it can do the work.

        Raises:
            UsageError: some cannot, or do not answer.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        asked = {
            node: self._ray.remote(num_cpus=0)(_node.look)
            .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False))
            .remote(str(token), str(Path.cwd()), metadata.version("glassbit"))
            for node in nodes
        }
        self._ray.wait(list(asked.values()), num_returns=len(asked), timeout=_ANSWER)
        problems = []
        for node, answer in asked.items():
            try:
                problems += [f"  - {node.address}: {problem}" for problem in self._ray.get(answer, timeout=0)]
            except self._ray.exceptions.RayError as error:
                problems.append(f"  - {node.address}: must answer; got {type(error).__name__}")
        if problems:
            count = counted(len(problems), "problem")
            text = f"--on {self.address}: every node must be able to do the runs; got {count}; repair or remove nodes:"
            raise UsageError("\n".join([text, *problems]))

    def _share_out(self, jobs: Sequence[Job], nodes: Sequence[Node]) -> None:
        """Decide what each task asks of its node."""
        self.room = min(self.room, len(jobs))
        training = jobs[0].run.training
        self._one = share(nodes, runs=self.room, device=training.device, devices=training.devices)
        self._cpus = self._one.cpus
        self._task = self._remote()

    def _remote(self) -> Any:
        return self._ray.remote(num_cpus=self._cpus, num_gpus=self._one.gpus, max_retries=RETRIES)(_node.attend)

    def _fewer(self, left: int, cpus: int, threads: int) -> int:
        """How many CPUs a run asks for from now on, as the nodes with more of them are gone.

        Raises:
            RunError: no node is left.
        """
        if not left:
            raise RunError(
                f"--on {self.address}: must keep a node that can do the runs; got none, as the last one is lost; add "
                "one and call the same command again, which goes on"
            )
        warnings.warn(
            f"no node with {cpus} CPUs is left; the runs go on where there are {left}, with {threads} threads as they "
            "began: slower, to the same bits",
            GlassbitWarning,
            stacklevel=2,
        )
        return left

    def _outcome(self, reference: Any, job: Job) -> tuple[str | None, Result | None]:
        errors = self._ray.exceptions
        try:
            message, result = self._ray.get(reference)
        except errors.RayTaskError as error:
            return f"{type(error.cause).__name__}: {error.cause}", None
        except errors.RayError as error:
            hint = "if nobody did that, a node may be out of memory: use fewer --jobs"
            return f"its worker was lost {RETRIES + 1} times ({type(error).__name__}); {hint}", None
        parsed = None if message else Result.from_json(result, path=job.out / RESULT, repair=_AGAIN)
        return message, parsed

    def _cancel(self, references: Sequence[Any]) -> None:
        """Stop tasks, and wait until their processes are gone."""
        for force in (False, True):
            for reference in references:
                self._ray.cancel(reference, force=force)
            if references:
                references = self._ray.wait(references, num_returns=len(references), timeout=_GRACE)[1]


def _largest(ray: Any, gpus: int) -> int:
    """Return the most CPUs of a node with at least `gpus` GPUs; 0 where there is none."""
    return max((node.cpus for node in _nodes(ray) if node.gpus >= gpus), default=0)


def _nodes(ray: Any) -> list[Node]:
    """Return the nodes that work; a head without CPUs does not."""
    nodes = [
        Node(
            id=node["NodeID"],
            address=node["NodeManagerAddress"],
            cpus=int(node["Resources"].get("CPU", 0)),
            gpus=int(node["Resources"].get("GPU", 0)),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]
    return [node for node in nodes if node.cpus]


def _ray() -> Any:
    """Return the module; what this package sends to nodes goes by value.

    Raises:
        UsageError: it is not installed.
    """
    try:
        ray: Any = import_module("ray")
    except ImportError:
        raise UsageError(f"--on: Ray must be installed; got no package of that name; {install('ray')}") from None
    for module in (_node, _process):
        ray.cloudpickle.register_pickle_by_value(module)
    return ray
