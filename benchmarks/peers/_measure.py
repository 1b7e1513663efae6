"""Workers that take turns."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ._entries import ENTRIES, Entry, Environment
from ._environments import AbsentError, Interpreters
from ._process import Worker
from ._statistics import Times

Found = dict[str, dict[str, Any]]
"""By entry: `versions` and `facts` of its worker and `ms` by batch and round, or the reason why it is `absent`."""


def measure(
    entries: Iterable[Entry],
    interpreters: Interpreters,
    *,
    threads: int,
    batches: list[int],
    rounds: int,
    run: Path | None,
) -> Found:
    """Start a worker for every entry, one after the other, then let them take turns.

    Every round lets each worker work once at each batch size, in an order that rotates; so whatever else the machine
    does hits all of them.
    """
    request = {"threads": threads, "batches": batches, "run": None if run is None else str(run.resolve())}
    found: Found = {}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for entry in entries:
            say(f"{threads} thread(s): {entry.name} starts")
            try:
                worker = started(entry, interpreters[entry.environment], request)
            except AbsentError as error:
                found[entry.name] = absent(entry, error)
                continue
            stack.callback(worker.close)
            workers[entry.name] = worker
            times: dict[int, Times] = {batch: {} for batch in batches}
            found[entry.name] = {"versions": worker.versions, "facts": worker.facts, "ms": times}
        for number in range(rounds):
            say(f"{threads} thread(s): round {number + 1} of {rounds}")
            for entry in rotated([entry for entry in entries if entry.name in workers], number):
                if number % entry.every == 0:
                    try:
                        for batch in batches:
                            found[entry.name]["ms"][batch][number] = workers[entry.name].turn(batch)
                    except AbsentError as error:
                        del workers[entry.name]
                        found[entry.name] = absent(entry, error)
    return found


def started(entry: Entry, interpreter: Path | AbsentError, request: dict[str, Any]) -> Worker:
    """The entry's worker.

    Raises:
        AbsentError: it could not start.
    """
    if isinstance(interpreter, AbsentError):
        raise interpreter
    return Worker(entry, interpreter, request)


def rotated(entries: list[Entry], number: int) -> list[Entry]:
    """The entries, beginning with another one each round."""
    first = number % max(1, len(entries))
    return entries[first:] + entries[:first]


def absent(entry: Entry, error: AbsentError) -> dict[str, Any]:
    """An entry that could not be measured."""
    say(f"{entry.name} is absent: {error}")
    return {"absent": str(error)}


def versions(found: Found) -> dict[Environment, dict[str, str]]:
    """Of the packages of every environment that was used, as far as its workers knew them."""
    return {
        ENTRIES[name].environment: measured["versions"] for name, measured in found.items() if "versions" in measured
    }


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)
