"""As much of Ray as a study uses, in this process: tasks run one at a time, when somebody waits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class RayError(Exception): ...


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class WorkerCrashedError(RayError): ...


@dataclass(eq=False)
class Task:
    """A task that was submitted; `outcome` holds what it gave, or the error that it ended with."""

    body: Callable[..., Any]
    words: tuple[Any, ...]
    node: str | None
    resources: dict[str, Any]
    outcome: list[Any] = field(default_factory=list)

    def run(self) -> None:
        if not self.outcome:
            try:
                self.outcome.append(self.body(*self.words))
            except RayError as error:
                self.outcome.append(error)
            except Exception as error:  # noqa: BLE001
                self.outcome.append(RayTaskError(error))


class FakeRay(ModuleType):
    """The module `ray`.

    Args:
        nodes: CPUs and GPUs of each node.
    """

    def __init__(self, *nodes: tuple[int, int]) -> None:
        super().__init__("ray")
        self.machines = nodes
        self.exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
        self.cloudpickle = SimpleNamespace(register_pickle_by_value=lambda module: None)
        self.events: list[Any] = []
        self.tasks: list[Task] = []
        self.refuse: Exception | None = None
        self.interrupt_after: int | None = None
        self.on = False

    def is_initialized(self) -> bool:
        return self.on

    def init(self, *, address: str, **options: Any) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.on = True
        self.events.append(("init", address))

    def shutdown(self) -> None:
        self.on = False
        self.events.append("shutdown")

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {
                "NodeID": f"n{number}",
                "NodeManagerAddress": f"10.0.0.{number}",
                "Alive": True,
                "Resources": {"CPU": float(cpus), "GPU": float(gpus)},
            }
            for number, (cpus, gpus) in enumerate(self.machines)
        ]

    def remote(self, **resources: Any) -> Callable[[Callable[..., Any]], Any]:
        def decorate(body: Callable[..., Any]) -> Any:
            def submit(*words: Any, node: str | None = None) -> Task:
                self.tasks.append(Task(body, words, node, resources))
                return self.tasks[-1]

            def options(*, scheduling_strategy: SimpleNamespace) -> Any:
                return SimpleNamespace(remote=lambda *words: submit(*words, node=scheduling_strategy.node))

            return SimpleNamespace(remote=submit, options=options)

        return decorate

    def wait(self, tasks: Sequence[Task], *, num_returns: int = 1, timeout: float) -> tuple[list[Task], list[Task]]:
        if self.interrupt_after is not None:
            self.interrupt_after -= 1
            if self.interrupt_after < 0:
                self.interrupt_after = None
                raise KeyboardInterrupt
        self.events.append(("side by side", len(tasks)))
        for task in tasks[:num_returns]:
            task.run()
        return list(tasks[:num_returns]), list(tasks[num_returns:])

    def get(self, task: Task, *, timeout: float | None = None) -> Any:
        if isinstance(task.outcome[0], Exception):
            raise task.outcome[0]
        return task.outcome[0]

    def cancel(self, task: Task, *, force: bool) -> None:
        self.events.append(("cancel", force))
        task.outcome.append(RayError())


def install(monkeypatch: pytest.MonkeyPatch, fake: FakeRay) -> None:
    """Let `import ray` find `fake`."""
    strategies = ModuleType("ray.util.scheduling_strategies")
    strategies.NodeAffinitySchedulingStrategy = lambda node, *, soft: SimpleNamespace(node=node)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setitem(sys.modules, "ray.util", ModuleType("ray.util"))
    monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", strategies)
