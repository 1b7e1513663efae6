from __future__ import annotations

from pathlib import Path

import pytest
import torch

from glassbit._errors import RunError
from glassbit.build import build, build_plan, fit_options
from glassbit.build._objective import _MAKERS
from glassbit.datasets import Dataset, Split
from glassbit.quant import PACT, Plan, dequantize_, quantizers
from glassbit.recipe import PlanRecipe, RunRecipe, expand, load, shipped
from glassbit.runs import OBJECTIVES
from glassbit.train import CrossEntropy, RandomMasking, SaliencyGuided, save_checkpoint

SHAPES = {
    "fashion-mini": (1, 28),
    "mnist": (1, 28),
    "fashion-mnist": (1, 28),
    "cifar10": (3, 32),
    "clutter": (1, 64),
    "clutter-shortcut": (1, 64),
}


def fake(name: str) -> Dataset:
    """Noise of the shape of a data set."""
    channels, side = SHAPES[name]
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (40, channels, side, side), dtype=torch.uint8, generator=random)
    split = Split(images, torch.arange(40) % 10)
    return Dataset(name, split, split, tuple("abcdefghij"))


def run(**values: object) -> RunRecipe:
    return RunRecipe.model_validate({"model": {"name": "cnn-bn", "arguments": {"width": 4}}, **values})


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_builds(name: str) -> None:
    recipe = load(name).recipe
    assert recipe.name == name
    runs = [one for one in expand(recipe) if one.seed == recipe.seeds[0]]
    for one in runs:
        data = fake(one.data.name)
        built = build(one, data)
        losses = built.objective(data.train.images[:4], data.train.labels[:4])
        assert losses.total.isfinite()
        assert (built.conversion is not None) == (one.plan is not None)
        training = recipe.training if one.origin is None else recipe.finetuning.changed(recipe.training)
        assert fit_options(one).epochs == training.epochs


def test_a_batch_is_cut_into_the_parts_of_the_recipe() -> None:
    assert fit_options(run(training={"accumulate": 4})).accumulate == 4


def test_normalisation_is_that_of_the_training_images() -> None:
    data = fake("cifar10")
    model = build(run(), data).model
    assert model.normalize.mean.flatten().tolist() == pytest.approx(data.mean)
    assert model.normalize.std.flatten().tolist() == pytest.approx(data.std)


def test_objectives_get_their_options() -> None:
    data = fake("mnist")
    assert isinstance(build(run(), data).objective, CrossEntropy)
    sgt = build(
        run(objective="sgt", sgt={"k": 0.3, "ranking": "signed", "batchnorm": "eval", "ramp": 0.2}), data
    ).objective
    assert isinstance(sgt, SaliencyGuided)
    assert (sgt.k, sgt.ranking, sgt.batchnorm, sgt.ramp) == (0.3, "signed", "eval", 0.2)
    random = build(run(objective="random", random={"fill": "mean", "detach": True, "ramp": 0.5}), data).objective
    assert isinstance(random, RandomMasking)
    assert (random.fill, random.detach, random.ramp) == ("mean", True, 0.5)
    released = build(run(objective="sgt", sgt="released"), data).objective
    assert isinstance(released, SaliencyGuided)
    assert (released.ranking, released.gradient, released.batchnorm) == ("signed", "separate", "both")


def test_arms_of_one_seed_start_from_the_same_weights() -> None:
    data = fake("mnist")
    plain, quantized = build(run(seed=3), data).model, build(run(seed=3, plan="w4a4"), data).model
    dequantize_(quantized.network)
    assert plain.state_dict().keys() == quantized.state_dict().keys()
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, quantized.state_dict()[name])


def test_alpha_comes_from_the_recipe_or_from_images() -> None:
    data = fake("mnist")

    def alphas(alpha: object) -> list[float]:
        model = build(run(plan={"name": "w4a4", "alpha": alpha}), data).model
        return [module.alpha.item() for _, module in quantizers(model) if isinstance(module, PACT)]

    assert set(alphas(3.0)) == {3.0}
    assert len(set(alphas("data"))) == 4
    assert alphas("data") == alphas("data")


def test_a_quantized_run_starts_from_float_weights(tmp_path: Path) -> None:
    data = fake("mnist")
    trained = build(run(seed=5), data).model
    save_checkpoint(tmp_path / "best.pt", {"model": trained.state_dict(), "epoch": 1, "history": []})
    model = build(run(plan="w2a2"), data, start=tmp_path / "best.pt").model
    dequantize_(model.network)
    for name, weight in trained.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name])


def test_a_masking_run_starts_from_the_weights_of_the_same_bits_and_so_does_its_second_batchnorm(
    tmp_path: Path,
) -> None:
    data = fake("mnist")
    options = {"objective": "sgt", "sgt": {"start": "trained", "batchnorm": "split"}}
    for plan in (None, "w4a4"):
        trained = build(run(seed=5, plan=plan), data)
        trained.objective(data.train.images[:8], data.train.labels[:8])  # moves BatchNorm
        save_checkpoint(tmp_path / "best.pt", {"model": trained.model.state_dict(), "epoch": 1, "history": []})
        built = build(run(plan=plan, **options), data, start=tmp_path / "best.pt")
        for name, weight in trained.model.state_dict().items():
            assert torch.equal(weight, built.model.state_dict()[name])
        second = dict(built.objective.named_buffers())["masked_pass.norms.0.running_mean"]
        first = next(value for name, value in trained.model.named_buffers() if name.endswith("running_mean"))
        assert torch.equal(second, first)
        assert second.any()


def test_a_start_with_other_bits_is_refused(tmp_path: Path) -> None:
    data = fake("mnist")
    save_checkpoint(tmp_path / "best.pt", {"model": build(run(), data).model.state_dict(), "epoch": 1, "history": []})
    with pytest.raises(
        RunError, match="must be of the same network with the same bits, on the same data; got another one"
    ):
        build(run(objective="sgt", plan="w4a4", sgt={"start": "trained"}), data, start=tmp_path / "best.pt")


def test_a_start_from_another_network_is_refused(tmp_path: Path) -> None:
    data = fake("mnist")
    save_checkpoint(
        tmp_path / "best.pt", {"model": build(run(model="cnn"), data).model.state_dict(), "epoch": 1, "history": []}
    )
    with pytest.raises(RunError, match="must be of the same network in full precision, on the same data; got another"):
        build(run(plan="w2a2"), data, start=tmp_path / "best.pt")


def test_plans_are_those_of_the_library() -> None:
    assert build_plan(PlanRecipe(name="layers-4-2")) == Plan.named("layers-4-2", alpha="data")
    own = PlanRecipe.model_validate(
        {"name": "own", "weights": "lsq", "rules": [{"layers": "fc", "weight": 3, "activation": 4, "depth": [0.5, 1]}]}
    )
    plan = build_plan(own)
    assert (plan.name, plan.weights) == ("own-lsq", "lsq")
    assert (plan.rules[0].layers, plan.rules[0].weight, plan.rules[0].depth) == ("fc", 3, (0.5, 1.0))


def test_every_objective_is_built() -> None:
    assert _MAKERS.keys() == OBJECTIVES.keys()
