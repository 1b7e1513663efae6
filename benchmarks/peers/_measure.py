"""Workers that take turns."""

from __future__ import annotations

import sys
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
    entries: list[Entry],
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
    workers: dict[str, Worker] = {}
    with ExitStack() as stack:
        for entry in entries:
            say(f"{threads} thread(s): {entry.name} starts")
            try:
                worker = workers[entry.name] = started(entry, interpreters[entry.environment], request)
            except AbsentError as error:
                found[entry.name] = absent(entry, error)
            else:
                stack.callback(worker.close)
                empty: dict[int, Times] = {batch: {} for batch in batches}
                found[entry.name] = {"versions": worker.versions, "facts": worker.facts, "ms": empty}
        for number in range(rounds):
            say(f"{threads} thread(s): round {number + 1} of {rounds}")
            for entry in rotated([entry for entry in entries if entry.name in workers], number):
                if number % entry.every == 0:
                    take_turn(entry, workers, found, number)
    return found


def take_turn(entry: Entry, workers: dict[str, Worker], found: Found, number: int) -> None:
    """One turn at each batch size; an entry that fails is out, and absent."""
    times: dict[int, Times] = found[entry.name]["ms"]
    try:
        for batch in times:
            times[batch][number] = workers[entry.name].turn(batch)
    except AbsentError as error:
        del workers[entry.name]
        found[entry.name] = absent(entry, error)


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
