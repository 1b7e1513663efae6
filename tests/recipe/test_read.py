from __future__ import annotations

from pathlib import Path

import pytest

from glassbit._errors import RecipeError, UsageError
from glassbit.recipe import Recipe, load, parse, run_recipe, shipped

SMALL = "name: small\n"


def problems(text: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        parse(text, "x.yaml")
    assert str(caught.value).startswith("x.yaml: ")
    return list(caught.value.problems)


def test_everything_but_the_name_has_a_default() -> None:
    recipe = parse(SMALL)
    assert recipe == Recipe(name="small")
    assert [data.name for data in recipe.data] == ["fashion-mini"]
    assert recipe.arms == ("fp32",)


def test_single_values_are_lists_of_one_and_names_are_mappings() -> None:
    short = parse("name: a\ndata: mnist\nmodel: cnn\narms: pact\nplans: w4a4\nseeds: [3]\n")
    long = parse(
        "name: a\ndata: [{name: mnist}]\nmodel: [{name: cnn}]\n"
        "arms: [pact]\nplans: [{name: w4a4, edges: 8}]\nseeds: [3]\n"
    )
    assert short == long


def test_one_number_is_a_square_size() -> None:
    assert parse("name: a\ndata: {name: mnist, size: 32}\n").data[0].size == (32, 32)


CROWDED = """\
name: bad name
data: {name: mnist, sise: 28}
model: cnm
arms: [fp32, pakt, sgt+pact]
plans:
  - w4a5
  - {name: mine, rules: [{layers: '*', weight: 9, activation: 4}]}
  - {name: w2a2, alpha: -1}
seeds: [0, 0, a]
traning: {}
training:
  epochs: 0
  batch_size: 127
  devices: 2
  flip: 1
  start: float
  milestones: [0.6, 0.3]
  quantizer_lr: -1
evaluation: {probes: 2.5, fills: [meen]}
"""
EXPECTED = [
    (
        "line 1: name",
        "letters, digits, `.`, `_` and `-`; got 'bad name'; write, for example, `name: my-study`",
    ),
    ("line 2: data.sise", "must be a known key; got an unknown one; did you mean `size`?"),
    ("line 3: model", "or package.module:callable; got 'cnm'; write, for example, `cnn-bn`"),
    (
        "line 4: arms",
        "must contain sgt, because sgt+pact starts from its weights (training.start: float); got none; add it, or use",
    ),
    (
        "line 4: arms[1]",
        "must be one of fp32, sgt, random, pact, sgt+pact, random+pact; got 'pakt'; did you mean pact?",
    ),
    ("line 6: plans[0]", "layers-4-2 where no rules are given; got 'w4a5'; name one, or add rules"),
    (
        "line 7: plans[1].rules[0].weight",
        "must be one of 2, 3, 4, 5, 6, 7, 8, 32; got 9; write, for example, `weight: 4`",
    ),
    (
        "line 8: plans[2].alpha",
        'must be a number > 0, or "data" to set it from images; got -1; write, for example, `alpha',
    ),
    ("line 9: seeds", "must be different; got 0 more than once; delete the repetition"),
    ("line 9: seeds[2]", "must be a whole number; got 'a'; write, for example, `seeds: [0]`"),
    ("line 10: traning", "must be a known key; got an unknown one; did you mean `training`?"),
    ("line 12: training.epochs", "must be >= 1 and <= 10000; got 0; write, for example, `epochs: 5`"),
    ("line 13: training.batch_size", "must be a multiple of devices (2); got 127; use 128"),
    ("line 15: training.flip", "must be true or false; got 1; write, for example, `flip: false`"),
    ("line 17: training.milestones", "must rise; got [0.6, 0.3]; write them in ascending order, each once"),
    ("line 18: training.quantizer_lr", "must be > 0; got -1; correct it or leave it out"),
    ("line 19: evaluation.probes", "must be a whole number >= 1 and <= 256; got 2.5; write, for example, `probes: 8`"),
    ("line 19: evaluation.fills[0]", "must be one of constant, mean; got 'meen'; did you mean mean?"),
]


def test_all_problems_come_at_once_with_their_lines() -> None:
    found = problems(CROWDED)
    assert [": ".join(problem.split(": ")[:2]) for problem in found] == [place for place, _ in EXPECTED]
    for problem, (_, text) in zip(found, EXPECTED, strict=True):
        assert text in problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must be a mapping; got nothing; write keys, e.g. `name: my-study`"),
        ("- 1", "must be a mapping; got no mapping; write keys, e.g. `name: my-study`"),
        ("name: a\nseeds: [", "line 2: must be valid YAML; got: "),
        ("name: a\n\tdata: b", "must be valid YAML; got: "),
        ("name: a\nname: b", 'line 2: keys must be different; got a duplicate key "name"; delete one of the two'),
        ("seeds: [1]", "line 1: name: must be given; got nothing; add `name: my-study`"),
        (
            "name: a\nseeds: 3",
            "line 2: seeds: must be a list; got 3; write [0, 1, 2] for 3 runs, or [3] for one with seed 3",
        ),
        ("name: a\nseeds: 1", "line 2: seeds: must be a list; got 1; write [0] for 1 run, or [1] for one with seed 1"),
        (
            "name: a\nseeds: 9",
            "line 2: seeds: must be a list; got 9; write [0, ..., 8] for 9 runs, or [9] for one with",
        ),
        (
            "name: a\ntraining: {schedule: step, milestones: 0.5}",
            "line 2: training.milestones: must be a list; got 0.5",
        ),
        ("name: a\nevaluation: {fills: mean}", "line 2: evaluation.fills: must be a list; got 'mean'"),
        ("name: 1", "line 1: name: must be text; got 1; write, for example, `name: my-study`"),
        ("name: a\narms: []", "line 2: arms: must not be empty; got []; write, for example, `arms: [fp32]`"),
        ("name: a\narms:", "line 2: arms: must not be empty; got nothing; write, for example, `arms: [fp32]`"),
        ("name: a\ndata:", "line 2: data: must not be empty; got nothing; write, for example, `data: [fashion-mini]`"),
        ("name: a\nsgt:", "line 2: sgt: must not be empty; got nothing; write, for example, `sgt: [{}]`"),
        ('name: "\\ud800"', "line 1: name: must be text that can be written as UTF-8; got '\\ud800'; write, for ex"),
        ("name: a\ndata: b\0", "line 2: must be text that can be read; got '\\x00'; delete the character"),
        ("name: a\ndata: b\x1b", "line 2: must be text that can be read; got '\\x1b'; delete the character"),
        ("name: a\ntraining: 3", "line 2: training: must be a mapping; got 3"),
        ("name: a\ntraining: {lr: .inf}", "line 2: training.lr: must be a finite number > 0 and <= 100; got inf"),
        ("name: a\ntraining: {lr: '0.1'}", "line 2: training.lr: must be a number > 0 and <= 100; got '0.1'"),
        ("name: a\narms: pact", "line 2: arms: must come with plans for pact; got no plans; add, for example"),
        ("name: a\nplans: w4a4", "line 2: plans: must be left out where no arm is quantized; got plans"),
        ("name: a\nmodel: [cnn, cnn]", "line 2: model: must be different; got cnn more than once"),
        ("name: a\ntraining: {schedule: step, milestones: []}", "line 2: training.milestones: must name at least one"),
        (
            "name: a\ntraining: {batch_size: 16, devices: 2, accumulate: 5}",
            "line 2: training.accumulate: must leave at least 2 images per part; got 5 parts of 8 images; use 4",
        ),
        ("name: a\ntraining: {batch_size: 2, devices: 2}", "line 2: training.batch_size: must leave at least 2 images"),
        (
            "name: a\ntraining: {deploy_epochs: 1}",
            "line 2: training.deploy_epochs: must be 0 where no arm is quantized",
        ),
        (
            "name: a\narms: [fp32, sgt]\nsgt:\n  - name: one\n  - k: 0.3",
            "line 5: sgt[1]: must have a name where there are several settings; got none; add, for",
        ),
        ("name: a\nsgt: [released, released]", "line 2: sgt: must be different; got released more than once"),
        (
            "name: a\nsgt: two words",
            "line 2: sgt: must be a name of letters, digits, `.`, `_` and `-`; got 'two words'",
        ),
        (
            "name: a\nsgt: {name: released, batchnorm: eval}",
            "line 2: sgt.batchnorm: must be both or left out where the name is released; got eval; correct it, or",
        ),
        (
            "name: a\narms: sgt\nsgt: {start: trained}",
            "line 2: arms: must contain fp32, because sgt starts from its weights (sgt.start: trained); got none",
        ),
        (
            "name: a\narms: sgt+pact\nplans: w4a4\ntraining: {start: plain}",
            "line 2: arms: must contain fp32, because sgt+pact starts from its weights (training.start: plain); got",
        ),
        (
            "name: a\narms: [fp32, pact]\nplans: w4a4\nfinetuning: {lr: 0.1}",
            "line 4: finetuning: must be left out where no arm starts from another's weights; got it; add",
        ),
        (
            "name: a\narms: [fp32, random+pact]\nplans: w4a4\nrandom: {start: trained}",
            "line 2: arms: must contain pact, because random+pact starts from its weights (random.start: trained)",
        ),
        ("name: a\ntraining: {deploy_lr: 0.1}", "line 2: training.deploy_lr: must come with deploy_epochs; got 0.1"),
        (
            "name: a\narms: pact\nplans: {name: w4a4, edges: full}\ntraining: {deploy_epochs: 1}",
            "line 3: plans.edges: must be 8 or same where deploy_epochs asks for integer arithmetic; got full",
        ),
        (
            "name: a\narms: pact\nplans: {name: mine, rules: [{weight: 6, activation: 4}]}",
            "line 3: plans.rules[0].weight: must be 2, 3, 4, 5, 8 or 32 with the sawb weight quantizer; got 6",
        ),
        (
            "name: a\narms: pact\nplans: {name: w4a4, rules: [{weight: 4, activation: 4}]}",
            "line 3: plans.name: must be a new name where rules are given; got the named plan w4a4; e.g. my-w4a4",
        ),
        (
            "name: a\narms: pact\nplans: {name: mine, rules: [{weight: 4, activation: 4, depth: [0.5, 0.5]}]}",
            "line 3: plans.rules[0].depth: must be [from, to) with from < to; got [0.5, 0.5]",
        ),
    ],
)
def test_one_problem(text: str, problem: str) -> None:
    found = problems(text)
    assert len(found) == 1
    assert problem in found[0]


def test_numbers_in_scientific_notation_are_numbers() -> None:
    training = parse("name: a\ntraining: {lr: 1e-3, weight_decay: 5.0e-4}\n").training
    assert (training.lr, training.weight_decay) == (1e-3, 5e-4)


def test_load_reads_a_file_and_keeps_its_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("# why\nname: mine\n")
    found = load(path)
    assert (found.recipe.name, found.text, found.source) == ("mine", "# why\nname: mine\n", str(path))


def test_load_finds_shipped_recipes_by_bare_name() -> None:
    assert shipped() == (
        "ablation-sgt",
        "ablation-sgt-4bit",
        "cifar10",
        "cifar10-fast",
        "cifar10-full",
        "fashion-mnist",
        "mnist",
        "quickstart",
        "shortcut",
        "transparency",
    )
    assert load("quickstart").recipe.name == "quickstart"


def test_load_suggests_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="got 'quickstar', which is no file; did you mean quickstart\\?"):
        load("quickstar")


def test_load_refuses_what_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "image.yaml"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UsageError, match="must be a readable UTF-8 text file"):
        load(path)


def test_run_recipe_names_flags() -> None:
    with pytest.raises(RecipeError) as caught:
        run_recipe({"model": "cnn", "plan": "w4a44", "training": {"lr": -1, "batch_size": 3, "devices": 2}, "seed": -1})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "--plan", "--seed", "--lr", "--batch-size"
    ]  # fmt: skip


def test_run_recipe_refuses_full_edges_in_deployed_arithmetic() -> None:
    with pytest.raises(RecipeError, match="--edges: must be 8 or same where deploy_epochs asks"):
        run_recipe({"plan": {"name": "w4a4", "edges": "full"}, "training": {"deploy_epochs": 1}})


def test_run_recipe_takes_names_alone() -> None:
    run = run_recipe({"data": "mnist", "model": "cnn", "objective": "sgt", "plan": "w4a2", "seed": 1})
    assert run.id == "mnist-cnn-sgt+pact-w4a2-s1"
