"""The Ray workshop against a stand-in for Ray; `test_ray_cluster.py` has the real one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_ray import FakeRay, WorkerCrashedError, install

from glassbit._errors import GlassbitWarning, RunError, UsageError
from glassbit._files import append_line, read_json
from glassbit.recipe import Recipe
from glassbit.study import StudyOutcome, _node, run_study

Make = Callable[[str], Recipe]
HINT = "if nobody did that, a node may be out of memory: use fewer --jobs"
RESULT = {
    "test": {"accuracy": 0.5, "n": 10}, "cost": {"rows": [], "stored_bytes": 1.0, "bitops": 1},
    "best_epoch": 1, "epochs": 1, "train_seconds": 1.0,
}  # fmt: skip
FLOAT = "training: {epochs: 1, batch_size: 20, device: cpu, start: float}"
FP32, PACT = "tiny-cnn-bn-width-2-fp32-s0", "tiny-cnn-bn-width-2-pact-w4a4-s0"


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """One node of four CPUs, on which every run is fine at once."""
    fake = FakeRay((4, 0))
    install(monkeypatch, fake)
    attending(monkeypatch, lambda job: (None, RESULT))
    return fake


def attending(monkeypatch: pytest.MonkeyPatch, body: Callable[[dict[str, Any]], Any]) -> None:
    """Do `body` in place of training."""
    monkeypatch.setattr(_node, "attend", lambda job, *surroundings: body(job))


def study(recipe: Recipe, out: Path, said: list[str] | None = None, **options: Any) -> StudyOutcome:
    say = (said if said is not None else []).append
    return run_study(recipe, out, on="ray://head:10001", progress=False, say=say, **options)


def runs(ray: FakeRay) -> list[Any]:
    """The tasks that train."""
    return [task for task in ray.tasks if task.node is None]


def test_runs_are_tasks_with_their_share_of_the_cluster(ray: FakeRay, recipe: Make, tmp_path: Path) -> None:
    said: list[str] = []
    outcome = study(recipe("seeds: [0, 1]"), tmp_path, said, download=False)
    assert outcome.ok
    ended = [line.partition(":")[0] for line in said if line.startswith("[")]  # before: what can be exported
    assert ended == [f"[{i + 1}/2] {name}" for i, name in enumerate(outcome.runs)]
    assert [task.resources for task in runs(ray)] == [{"num_cpus": 2, "num_gpus": 0, "max_retries": 3}] * 2
    job = runs(ray)[0].words[0]
    assert (job["threads"], job["download"], job["wait"]) == (2, False, 180.0)
    assert all(Path(job[name]).is_absolute() for name in ("out", "probes"))
    assert (ray.events[0], ray.events[-1]) == (("init", "ray://head:10001"), "shutdown")
    assert not list(tmp_path.glob(".seen-*"))


@pytest.mark.parametrize("progress", [True, False])
def test_epochs_are_told(
    ray: FakeRay,
    recipe: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    progress: bool,
) -> None:
    record = {
        "epoch": 1,
        "train": {"loss": 0.5, "classification": 0.5, "consistency": 0.0, "accuracy": 0.5},
        "validation": {"loss": 0.4, "accuracy": 0.75},
        "images_per_second": 10.0,
    }

    def body(job: dict[str, Any]) -> Any:
        append_line(Path(job["out"]) / "log.jsonl", record)
        return None, RESULT

    attending(monkeypatch, body)
    outcome = run_study(recipe(""), tmp_path, on="ray", progress=progress)
    line = f"{outcome.runs[0]} epoch 1/1: loss 0.500 = ce 0.500, train 50.00%, val 75.00%, 10 images/s\n"
    assert capsys.readouterr().err == (line if progress else "")


def test_a_connection_that_was_there_is_used_and_stays(ray: FakeRay, recipe: Make, tmp_path: Path) -> None:
    ray.on = True
    assert study(recipe(""), tmp_path).ok
    assert ray.on


def test_a_finished_study_needs_no_cluster(ray: FakeRay, recipe: Make, tmp_path: Path) -> None:
    run_study(recipe(""), tmp_path, progress=False)
    assert len(study(recipe(""), tmp_path).skipped) == 1
    assert ray.events == []


def test_jobs_are_the_most_runs_at_once(ray: FakeRay, recipe: Make, tmp_path: Path) -> None:
    assert study(recipe("seeds: [0, 1, 2, 3, 4]"), tmp_path, processes=2).ok
    side_by_side = [event[1] for event in ray.events if event[0] == "side by side"][1:]
    assert max(side_by_side) == 2
    assert runs(ray)[0].resources["num_cpus"] == 2


def test_a_run_waits_for_the_one_that_it_starts_from(
    ray: FakeRay, recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    attending(monkeypatch, lambda job: order.append(Path(job["out"]).name) or (None, RESULT))
    assert study(recipe(f"arms: [pact, fp32]\nplans: w4a4\n{FLOAT}"), tmp_path).ok
    assert order == [FP32, PACT]
    assert max(event[1] for event in ray.events if event[0] == "side by side") == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda job: ("tiny.npz: must exist", {}), "tiny.npz: must exist"),
        (
            lambda job: (_ for _ in ()).throw(WorkerCrashedError),
            f"its worker was lost 4 times (WorkerCrashedError); {HINT}",
        ),
        (lambda job: {}["out"], "KeyError: 'out'"),
    ],
)
def test_a_failed_run_is_reported_and_ends_those_that_start_from_it(
    ray: FakeRay, recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: Any, message: str
) -> None:
    attending(monkeypatch, body)
    outcome = study(recipe(f"arms: [fp32, pact]\nplans: w4a4\n{FLOAT}"), tmp_path)
    assert outcome.failed == {FP32: message, PACT: f"starts from the weights of {FP32}, which failed"}
    assert read_json(tmp_path / "study.json")["failed"] == outcome.failed
    assert len(runs(ray)) == 1


def test_an_interrupted_study_cancels_its_tasks(ray: FakeRay, recipe: Make, tmp_path: Path) -> None:
    ray.interrupt_after = 2
    with pytest.raises(KeyboardInterrupt):
        study(recipe("seeds: [0, 1, 2]"), tmp_path)
    assert ray.events.count(("cancel", False)) == 2
    assert ray.events[-1] == "shutdown"
    assert not list(tmp_path.glob(".seen-*"))


def test_nodes_that_cannot_do_it_are_named_before_anything_runs(
    ray: FakeRay, recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*words: str) -> tuple[str, ...]:
        if len(answers) == 1:
            raise WorkerCrashedError
        answers.append("one")
        return ("must see the study's folder",)

    answers: list[str] = []
    ray.machines = ((4, 0), (0, 0), (4, 0))  # the second is a head that does no work
    monkeypatch.setattr(_node, "look", answer)
    with pytest.raises(UsageError) as caught:
        study(recipe(""), tmp_path)
    assert str(caught.value).splitlines() == [
        "--on ray://head:10001: every node must be able to do the runs; got 2 problems; repair or remove nodes:",
        "  - 10.0.0.0: must see the study's folder",
        "  - 10.0.0.2: must answer; got WorkerCrashedError",
    ]
    assert [task.node for task in ray.tasks] == ["n0", "n2"]
    assert ray.events[-1] == "shutdown"


def test_a_cluster_that_cannot_be_reached_is_a_mistake_of_the_caller(
    ray: FakeRay, recipe: Make, tmp_path: Path
) -> None:
    ray.refuse = ConnectionError("nobody listens\nat all")
    with pytest.raises(UsageError, match=r"--on ray://head:10001: must be .* reached; got: nobody listens; start one"):
        study(recipe(""), tmp_path)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"on": "dask"}, "--on: must be ray or ray://HOST:PORT; got 'dask'"),
        ({"on": "ray", "processes": 0}, "jobs must be at least 1; got 0"),
    ],
)
def test_words_that_name_no_cluster(
    ray: FakeRay, recipe: Make, tmp_path: Path, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageError) as caught:
        run_study(recipe(""), tmp_path, **options)
    assert str(caught.value) == text
    assert not (tmp_path / "study.json").exists()


def test_without_ray_the_error_says_how_to_get_it(
    recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError) as caught:
        run_study(recipe(""), tmp_path, on="ray")
    assert (
        str(caught.value) == "--on: Ray must be installed; got no package of that name; pip install 'ray[client]>=2.40'"
    )


def test_runs_go_on_with_their_threads_where_the_largest_node_is_lost(
    ray: FakeRay, recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray.machines = ((4, 0), (2, 0))
    real, asked = ray.wait, []

    def lose(*words: Any, **options: Any) -> Any:
        if runs(ray) and ray.machines[0][0] == 4:
            ray.machines = ((2, 0),)
            return [], list(words[0])
        return real(*words, **options)

    monkeypatch.setattr(ray, "wait", lose)
    attending(monkeypatch, lambda job: asked.append(job["threads"]) or (None, RESULT))
    with pytest.warns(GlassbitWarning, match="no node with 4 CPUs is left; .* with 4 threads .* to the same bits"):
        assert study(recipe(""), tmp_path).ok
    assert asked == [4]
    assert [task.resources["num_cpus"] for task in runs(ray)] == [4, 2]


def test_a_cluster_that_loses_every_node_ends_the_study(ray: FakeRay, recipe: Make, tmp_path: Path) -> None:
    real = ray.wait

    def lose(*words: Any, **options: Any) -> Any:
        if runs(ray):
            ray.machines = ()
            return [], list(words[0])
        return real(*words, **options)

    ray.wait = lose  # type: ignore[method-assign]
    with pytest.raises(RunError, match="got none, as the last one is lost; add one and call the same command again"):
        study(recipe(""), tmp_path)
