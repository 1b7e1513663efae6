"""A process that does one run of a study: `python -m glassbit.study._worker JOB`."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from glassbit._errors import GlassbitError


def main(job_text: str) -> int:
    """Do the run: 0 when it has a result, 1 or 3 when it failed and left its message there, 130 when interrupted."""
    job = json.loads(job_text)
    _follow_parent(os.getppid() if "LOCAL_RANK" in os.environ else job["parent"])
    import torch

    from glassbit._foreign import naming_outsiders
    from glassbit.build import build_data
    from glassbit.recipe import RunRecipe
    from glassbit.train import keep_freed_memory

    from ._process import FAILED
    from ._run import noting_failure, run_one
    from ._transparency import is_measured, measure_run

    torch.set_num_threads(job["threads"])
    run, out = RunRecipe.model_validate(job["run"]), Path(job["out"])
    keep_freed_memory(run.training.device)
    try:
        outcome = run_one(
            run,
            out,
            start=None if job["start"] is None else Path(job["start"]),
            probes=Path(job["probes"]),
            command=job["command"],
            download=job["download"],
            progress=False,
            wait=job["wait"],
            keep_failed=True,
        )
        if outcome.status != "worker" and not is_measured(out, job["images"]):
            with noting_failure(out), naming_outsiders():
                data = build_data(run.data, download=job["download"])
                measure_run(out, data, images=job["images"], progress=False, trust=run.model.name)
    except KeyboardInterrupt:
        return 130
    except GlassbitError:
        return FAILED
    except (Exception, SystemExit):  # noqa: BLE001 (its text and traceback are in the run's folder)
        return 3
    return 0


def _follow_parent(parent: int) -> None:
    """End this process when the one that started it is gone, even if that was killed, and even before this was called.

    Args:
        parent: the id of that process; further processes of a run (DDP) are started by its first one.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
