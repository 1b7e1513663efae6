from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from glassbit.recipe import (
    DataRecipe,
    ModelRecipe,
    PlanRecipe,
    RunRecipe,
    SaliencyRecipe,
    differences,
    expand,
    parse,
)
from glassbit.recipe import data_slug as slug_of_data
from glassbit.recipe import model_slug as slug_of_model
from glassbit.recipe._options import RELEASED

GRID = """\
name: grid
data: [fashion-mini, mnist]
model: [cnn-bn, {name: cnn-bn, arguments: {width: 8}}]
arms: [sgt+pact, sgt, fp32]
plans: [w4a4, w2a2]
seeds: [0, 1]
"""


def test_grid_has_every_combination_once_and_plans_only_on_quantized_arms() -> None:
    runs = expand(parse(GRID))
    assert len({run.id for run in runs}) == len(runs) == 2 * 2 * 2 * (2 + 1 + 1)
    assert all((run.plan is None) == (run.arm in ("sgt", "fp32")) for run in runs)


def test_ids_are_stable() -> None:
    assert [run.id for run in expand(parse(GRID))[:5]] == [
        "fashion-mini-cnn-bn-sgt+pact-w4a4-s0",
        "fashion-mini-cnn-bn-sgt+pact-w2a2-s0",
        "fashion-mini-cnn-bn-sgt-s0",
        "fashion-mini-cnn-bn-fp32-s0",
        "fashion-mini-cnn-bn-sgt+pact-w4a4-s1",
    ]


def test_runs_that_others_start_from_come_first() -> None:
    runs = expand(parse(GRID + "training: {start: float}\n"))
    places = {run.id: place for place, run in enumerate(runs)}
    later = [run for run in runs if run.starts_from]
    assert len(later) == 16
    assert all(places[str(run.starts_from)] < places[run.id] for run in later)
    assert later[0].starts_from == "fashion-mini-cnn-bn-sgt-s0"


SETTINGS = """\
name: several
arms: [sgt+pact, pact, sgt, fp32, random]
plans: w4a4
sgt: [released, {name: mine, k: 0.3, start: trained}]
"""


def test_every_setting_of_saliency_guided_training_is_an_arm() -> None:
    assert [run.id.removeprefix("fashion-mini-cnn-bn-") for run in expand(parse(SETTINGS))] == [
        "sgt-released+pact-w4a4-s0",
        "pact-w4a4-s0",
        "sgt-released-s0",
        "fp32-s0",
        "random-s0",
        "sgt-mine+pact-w4a4-s0",
        "sgt-mine-s0",
    ]


def test_one_setting_without_a_name_is_the_arm_itself() -> None:
    (run,) = expand(parse("name: a\narms: sgt\nsgt: {k: 0.3}\n"))
    assert (run.arm, run.sgt.k) == ("sgt", 0.3)
    (run,) = expand(parse("name: a\narms: sgt\nsgt: released\n"))
    assert (run.arm, run.sgt.ranking, run.sgt.batchnorm) == ("sgt-released", "signed", "both")


def test_the_released_options_are_all_fixed() -> None:
    assert RELEASED.keys() == SaliencyRecipe.model_fields.keys() - {"name"}
    same = SaliencyRecipe.model_validate(RELEASED)
    assert same.model_dump(exclude={"name"}) == SaliencyRecipe(name="released").model_dump(exclude={"name"})


@pytest.mark.parametrize(
    ("training", "arm", "origin"),
    [
        ("scratch", "sgt-mine", "fp32-s0"),
        ("scratch", "sgt-mine+pact", "pact-w4a4-s0"),
        ("float", "sgt-mine", "fp32-s0"),
        ("float", "sgt-mine+pact", "sgt-mine-s0"),
        ("float", "sgt-released+pact", "sgt-released-s0"),
        ("plain", "sgt-mine+pact", "fp32-s0"),
        ("plain", "pact", "fp32-s0"),
        ("plain", "sgt-mine", "fp32-s0"),
        ("plain", "sgt-released", None),
        ("scratch", "sgt-released+pact", None),
        ("scratch", "random", None),
    ],
)
def test_masking_arms_start_from_cross_entropy_unless_quantized_ones_start_from_their_own(
    training: str, arm: str, origin: str | None
) -> None:
    runs = expand(parse(f"{SETTINGS}training: {{start: {training}}}\n"))
    (run,) = (run for run in runs if run.arm == arm)
    assert run.starts_from == (None if origin is None else f"fashion-mini-cnn-bn-{origin}")
    places = {run.id: place for place, run in enumerate(runs)}
    assert all(places[run.starts_from] < places[run.id] for run in runs if run.starts_from)


def test_finetuning_changes_the_training_of_what_starts_from_another_run_only() -> None:
    more = "training: {epochs: 40, lr: 0.2, start: plain}\nfinetuning: {epochs: 10, schedule: cosine}\n"
    first, second = expand(parse(f"name: a\narms: [sgt+pact, fp32]\nplans: w4a4\n{more}"))
    assert (first.arm, first.training.epochs, first.training.schedule) == ("fp32", 40, "onecycle")
    assert (second.arm, second.training.epochs, second.training.schedule) == ("sgt+pact", 10, "cosine")
    assert (second.training.lr, second.starts_from) == (0.2, first.id)
    assert RunRecipe.model_validate(second.config()).digest == second.digest


MEASURED = Path(__file__).parents[2] / "results" / "fashion-mnist" / "runs.jsonl"


def test_configs_from_before_an_option_existed_are_those_of_the_same_runs() -> None:
    heads = [json.loads(line)["run"] for line in MEASURED.read_text(encoding="utf-8").splitlines()]
    assert {head["arm"] for head in heads} == {"fp32", "pact", "sgt", "sgt+pact"}
    for head in heads:
        run = RunRecipe.model_validate(head["config"])
        assert (run.digest, run.id) == (head["digest"], head["id"])
        assert differences(head["config"], run.config()) == []
        assert not {"ramp", "accumulate"} & set(str(head["config"]).split("'"))


def test_a_new_option_that_is_used_is_another_run() -> None:
    for name in ("sgt", "random"):
        for option in ({"ramp": 0.5}, {"start": "trained"}, {"batchnorm": "split"}):
            one = RunRecipe.model_validate({"objective": name})
            two = RunRecipe.model_validate({"objective": name, name: option})
            ((key, value),) = option.items()
            before = "clean" if key == "batchnorm" else "not set"
            assert one.digest != two.digest
            assert differences(one.config(), two.config()) == [f"{name}.{key}: {before} -> {value}"]


def test_config_round_trip() -> None:
    for run in (*expand(parse(GRID)), *expand(parse(SETTINGS))):
        again = RunRecipe.model_validate(run.config())
        assert (again.id, again.digest, again.config()) == (run.id, run.digest, run.config())


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ("training: {lr: 0.2}", {"fp32", "sgt", "pact"}),
        ("training: {quantizer_lr: 0.2}", {"pact"}),
        ("training: {deploy_epochs: 1}", {"pact"}),
        ("training: {accumulate: 2}", {"fp32", "sgt", "pact"}),
        ("training: {accumulate: 1}", set()),
        ("sgt: {k: 0.4}", {"sgt"}),
        ("random: {k: 0.4}", set()),
        ("training: {device: cpu}", set()),
        ("data: {name: fashion-mini, dir: elsewhere}", set()),
        ("evaluation: {images: 10}", {"fp32", "sgt", "pact"}),
    ],
)
def test_digest_follows_what_a_run_uses_and_nothing_else(change: str, changed: set[str]) -> None:
    text = "name: a\narms: [fp32, sgt, pact]\nplans: w4a4\n"
    before = {run.arm: run for run in expand(parse(text))}
    after = {run.arm: run for run in expand(parse(text + change))}
    assert {arm for arm in before if before[arm].digest != after[arm].digest} == changed
    for arm in before:
        assert bool(differences(before[arm].config(), after[arm].config())) == (arm in changed)


def test_differences_name_the_keys() -> None:
    one, two = (RunRecipe.model_validate({"training": {"lr": lr}}) for lr in (0.1, 0.2))
    three = RunRecipe.model_validate({"plan": "w4a4"})
    assert differences(one.config(), two.config()) == ["training.lr: 0.1 -> 0.2"]
    assert "plan.name: not set -> w4a4" in differences(one.config(), three.config())


def test_plan_slugs_show_what_is_not_the_default() -> None:
    assert PlanRecipe(name="w4a4").slug == "w4a4"
    plan = PlanRecipe(name="w4a4", weights="dorefa", edges="full", alpha=2.5)
    assert plan.slug == "w4a4-dorefa-edges-full-alpha-2.5"
    assert PlanRecipe(name="w4a4", alpha=3).slug == "w4a4-alpha-3"


def test_slugs_are_file_names() -> None:
    assert slug_of_data(DataRecipe(name="some where/my images/")) == "my-images"
    assert slug_of_data(DataRecipe(name="a/b.npz", size=(8, 9), resize="pad", color="rgb")) == "b-8x9-pad-rgb"
    assert slug_of_model(ModelRecipe(name="a.b:Net.make", arguments={"b": [1, 2], "a": "x"})) == "Net.make-a-x-b-1-2"


def test_recipes_are_frozen() -> None:
    recipe = parse(GRID)
    with pytest.raises(ValidationError, match="frozen"):
        recipe.training.lr = 1.0


def test_recipes_do_without_torch() -> None:
    code = "import sys, glassbit.recipe as r; r.expand(r.load('quickstart').recipe); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
