"""The back ends that run without torch; `glassbit.backends` has them all."""

from __future__ import annotations

from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np

from ._backend import Backend, Outputs, Task, Way
from ._extras import need
from ._names import LOGITS, SALIENCY
from ._session import Session
from ._web import WebJob, find_web

_NATIVE, _WEB = "ONNX Runtime", "onnxruntime-web"


def _native(task: Task) -> tuple[Way, ...]:
    """With and without its optimisations, on 1 and on 2 threads, one image at a time and all at once."""
    return tuple(
        (
            f"{_NATIVE}, optimisations {'on' if optimize else 'off'}, threads {threads}, batch {batch}",
            partial(_run_session, task, optimize, threads, batch),
        )
        for optimize, threads, batch in product((True, False), (1, 2), task.batches)
    )


def _run_session(task: Task, optimize: bool, threads: int, batch: int) -> Outputs:
    session = Session(task.onnx(), threads=threads, optimize=optimize)
    parts = [task.images[start : start + batch] for start in range(0, len(task.images), batch)]
    if not session.explains or not task.explain:
        return Outputs(np.concatenate([session.run(part) for part in parts]))
    pairs = [session.explain(part) for part in parts]
    return Outputs(np.concatenate([logits for logits, _ in pairs]), np.concatenate([maps for _, maps in pairs]))


def _in_web(task: Task) -> tuple[Way, ...]:
    """One image at a time and all at once, in one process of Node.js."""
    web = find_web()

    @cache
    def every() -> list[dict[str, np.ndarray[Any, Any]]]:
        return web.run([WebJob(task.onnx(), task.images, batch) for batch in task.batches])

    def outputs(place: int) -> Outputs:
        made = every()[place]
        return Outputs(made[LOGITS], made.get(SALIENCY))

    names = (f"{_WEB} {web.version}, batch {batch}" for batch in task.batches)
    return tuple((name, partial(outputs, place)) for place, name in enumerate(names))


BACKENDS = (
    Backend(_NATIVE, partial(need, "onnxruntime", _NATIVE), _native),
    Backend(_WEB, find_web, _in_web),
)
"""A row each; `verify` walks through them."""
