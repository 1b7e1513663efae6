"""A study's recipe, and the single runs that it stands for."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from glassbit.runs import ARMS, OBJECTIVES, Arm, Objective, arm_of, is_quantized, named, objective_of

from ._options import (
    DEPLOY_OPTIONS,
    OBJECTIVE_OPTIONS,
    DataRecipe,
    EvaluationRecipe,
    FinetuningRecipe,
    Int,
    MaskingRecipe,
    ModelRecipe,
    Options,
    PlanRecipe,
    Problem,
    RandomRecipe,
    SaliencyRecipe,
    TrainingRecipe,
    TransparencyRecipe,
    raise_problems,
)

_FULL_EDGES = "must be 8 or same where deploy_epochs asks for integer arithmetic; got full; change one of the two"
_WITHOUT_EFFECT = (("data", "dir"), ("training", "device"))
_NEWER = {
    ("sgt", "name"): None, ("sgt", "ramp"): 0.0, ("sgt", "start"): "scratch",
    ("random", "ramp"): 0.0, ("random", "start"): "scratch", ("training", "accumulate"): 1,
    ("plan", "signed"): 8,
}  # fmt: skip
"""Keys that older configs do not have, with what stands for them there."""


def _many(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _seeds(value: Any) -> Any:
    """Return a list as it is; refuse a number, which may be a seed or a count of seeds."""
    if isinstance(value, int) and not isinstance(value, bool):
        several = f"[{', '.join(map(str, range(max(value, 1))))}]" if value < 4 else f"[0, ..., {value - 1}]"
        count = "1 run" if value < 2 else f"{value} runs"
        text = f"must be a list; got {value}; write {several} for {count}, or [{value}]"
        raise_problems([((), f"{text} for one with seed {value}")])
    return _many(value)


def _many_named(value: Any) -> Any:
    return [_named(item) for item in _many(value)]


class RunRecipe(Options):
    """One run: a network, trained once."""

    data: Annotated[DataRecipe, BeforeValidator(_named)] = Field(default=DataRecipe(), description="the images")
    model: Annotated[ModelRecipe, BeforeValidator(_named)] = Field(default=ModelRecipe(), description="the network")
    objective: Objective = Field(
        default="ce",
        description="; ".join(f"{name}: {title.removesuffix(' training')}" for name, title in OBJECTIVES.items()),
    )
    plan: Annotated[PlanRecipe | None, BeforeValidator(_named)] = Field(
        default=None, description="bit widths; left out: full precision"
    )
    seed: Int = Field(default=0, ge=0, lt=2**31, description="seed of weights, batches and masks")
    training: TrainingRecipe = TrainingRecipe()
    sgt: Annotated[SaliencyRecipe, BeforeValidator(_named)] = SaliencyRecipe()
    random: RandomRecipe = RandomRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()

    @model_validator(mode="after")
    def _check(self) -> RunRecipe:
        if self.deploy_epochs and self.plan is not None and self.plan.edges == "full":
            raise_problems([(("plan", "edges"), _FULL_EDGES)])
        return self

    @property
    def arm(self) -> str:
        """The run's arm of a study, with the name that its options have: `sgt+pact`, or `sgt-mine+pact`."""
        arm = arm_of(self.objective, quantized=self.plan is not None)
        return named(arm, self.sgt.name if self.objective == "sgt" else None)

    @property
    def id(self) -> str:
        """A stable name, e.g. `fashion-mini-cnn-bn-sgt+pact-w4a4-s0`."""
        plan = [] if self.plan is None else [self.plan.slug]
        return _clean("-".join([data_slug(self.data), model_slug(self.model), self.arm, *plan, f"s{self.seed}"]))

    @property
    def options(self) -> Options | None:
        """What the run's objective is made with; None where it has no options."""
        options: Options | None = getattr(self, self.objective) if self.objective in OBJECTIVE_OPTIONS else None
        return options

    @property
    def origin(self) -> RunRecipe | None:
        """The run whose best weights this one starts from: its own in full precision or with cross-entropy, or both; or
        None.
        """
        if self.plan is not None and self.training.start == "float":
            return self.model_copy(update={"plan": None})
        if self.plan is not None and self.training.start == "plain":
            return self.model_copy(update={"plan": None, "objective": "ce"})
        if isinstance(self.options, MaskingRecipe) and self.options.start == "trained":
            return self.model_copy(update={"objective": "ce"})
        return None

    @property
    def starts_from(self) -> str | None:
        """The id of `origin`."""
        return None if self.origin is None else self.origin.id

    @property
    def deploy_epochs(self) -> int:
        """The epochs in deployed arithmetic, which only a quantized network has."""
        return 0 if self.plan is None else self.training.deploy_epochs

    def config(self) -> dict[str, Any]:
        """Everything that the run uses, resolved, as plain JSON values; what it does not use is left out."""
        config: dict[str, Any] = self.model_dump(mode="json")
        for objective in OBJECTIVE_OPTIONS:
            if self.objective != objective:
                del config[objective]
        if self.plan is None:
            for name in ("start", "quantizer_lr", "quantizer_decay"):
                del config["training"][name]
        if not self.deploy_epochs:
            for name in DEPLOY_OPTIONS:
                del config["training"][name]
        return config

    @property
    def digest(self) -> str:
        """SHA-256 of what decides the run's numbers: `config` without where files lie and which device computes."""
        return digest(self.config())


class Recipe(Options):
    """A study: the grid data x model x arms x plans x seeds, and how every run of it is trained and measured."""

    name: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(
        default=..., description="the study's name and folder", examples=["my-study"]
    )
    data: Annotated[tuple[DataRecipe, ...], BeforeValidator(_many_named)] = Field(
        default=(DataRecipe(),), min_length=1, description="one or more data sets"
    )
    model: Annotated[tuple[ModelRecipe, ...], BeforeValidator(_many_named)] = Field(
        default=(ModelRecipe(),), min_length=1, description="one or more networks"
    )
    arms: Annotated[tuple[Arm, ...], BeforeValidator(_many)] = Field(
        default=("fp32",), min_length=1, description="what is compared"
    )
    plans: Annotated[tuple[PlanRecipe, ...], BeforeValidator(_many_named)] = Field(
        default=(), description="bit widths of the pact arms"
    )
    seeds: Annotated[tuple[Annotated[Int, Field(ge=0, lt=2**31)], ...], BeforeValidator(_seeds)] = Field(
        default=(0,), min_length=1, description="a list, one run each"
    )
    training: TrainingRecipe = TrainingRecipe()
    finetuning: FinetuningRecipe = FinetuningRecipe()
    sgt: Annotated[tuple[SaliencyRecipe, ...], BeforeValidator(_many_named)] = Field(
        default=(SaliencyRecipe(),), min_length=1, description="one or more settings of the sgt arms"
    )
    random: RandomRecipe = RandomRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()
    transparency: TransparencyRecipe = TransparencyRecipe()

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        raise_problems(
            grid_problems(
                arms=self.arms,
                plans=[plan.slug for plan in self.plans],
                seeds=self.seeds,
                data=[data_slug(item) for item in self.data],
                model=[model_slug(item) for item in self.model],
                settings=[setting.name for setting in self.sgt],
                start=self.training.start,
                starts={
                    objective: [
                        item.start for item in _many(getattr(self, objective)) if isinstance(item, MaskingRecipe)
                    ]
                    for objective in OBJECTIVE_OPTIONS
                },
                deploy_epochs=self.training.deploy_epochs,
                finetuning=self.finetuning != FinetuningRecipe(),
                full_edges=[i for i, plan in enumerate(self.plans) if plan.edges == "full"],
            )
        )
        return self


def grid_problems(
    *,
    arms: Sequence[Any],
    plans: Sequence[Any],
    seeds: Sequence[Any],
    data: Sequence[Any],
    model: Sequence[Any],
    settings: Sequence[Any],
    start: Any,
    starts: Mapping[str, Sequence[Any]],
    deploy_epochs: Any,
    finetuning: bool,
    full_edges: Sequence[int],
) -> list[Problem]:
    """Return what is wrong between the parts of a grid; values may be invalid by themselves.

    Args:
        settings: the names of those of saliency-guided training.
        start: of the quantized arms.
        starts: those of the masking objectives.
        finetuning: whether anything is said about it.
        full_edges: the plans with edges in full precision.
    """
    problems: list[Problem] = []
    quantized = [arm for arm in arms if isinstance(arm, str) and is_quantized(arm)]
    if quantized and not plans:
        text = f"must come with plans for {', '.join(quantized)}; got no plans; add, for example, `plans: [w4a4]`"
        problems.append((("arms",), text))
    if plans and arms and not quantized:
        problems.append(
            (("plans",), "must be left out where no arm is quantized; got plans; add the arm pact, or delete them")
        )
    if deploy_epochs:
        if arms and not quantized:
            text = f"must be 0 where no arm is quantized; got {deploy_epochs}; add the arm pact, or delete it"
            problems.append((("training", "deploy_epochs"), text))
        problems += [(("plans", i, "edges"), _FULL_EDGES) for i in full_edges]
    continues = False
    for arm in dict.fromkeys(arm for arm in arms if isinstance(arm, str) and arm in ARMS):
        objective = objective_of(arm)
        if start in ("float", "plain") and arm in quantized:
            needed = arm_of(objective if start == "float" else "ce", quantized=False)
            because = f"training.start: {start}"
        elif "trained" in starts.get(objective, ()):
            needed, because = arm_of("ce", quantized=arm in quantized), f"{objective}.start: trained"
        else:
            continue
        continues = True
        if needed not in arms:
            must = f"must contain {needed}, because {arm} starts from its weights ({because})"
            problems.append((("arms",), f"{must}; got none; add it, or use `start: scratch`"))
    if finetuning and not continues:
        text = "must be left out where no arm starts from another's weights; got it; add `start: plain` to training"
        problems.append((("finetuning",), text))
    if len(settings) > 1:
        text = "must have a name where there are several settings; got none; add, for example, `name: mine`"
        problems += [(("sgt", i, "name"), text) for i, name in enumerate(settings) if name is None]
    names = [name for name in settings if name is not None]
    grid = (("arms", arms), ("plans", plans), ("seeds", seeds), ("data", data), ("model", model), ("sgt", names))
    for key, values in grid:
        twice = [value for value, count in Counter(map(str, values)).items() if count > 1]
        if twice:
            problems.append(
                ((key,), f"must be different; got {', '.join(twice)} more than once; delete the repetition")
            )
    return problems


def expand(recipe: Recipe) -> tuple[RunRecipe, ...]:
    """All runs of a study, the runs that others start from first.

    Order: data, network, seed, arm, setting, plan, as the recipe lists them.
    """
    runs = [
        _run(recipe, data, model, arm, setting, plan, seed)
        for data in recipe.data
        for model in recipe.model
        for seed in recipe.seeds
        for arm in recipe.arms
        for setting in (recipe.sgt if objective_of(arm) == "sgt" else recipe.sgt[:1])
        for plan in (recipe.plans if is_quantized(arm) else (None,))
    ]
    return tuple(sorted(runs, key=_generation))


def _generation(run: RunRecipe) -> int:
    """How many runs come before it, one starting from the other."""
    return 0 if run.origin is None else 1 + _generation(run.origin)


def _run(
    recipe: Recipe,
    data: DataRecipe,
    model: ModelRecipe,
    arm: Arm,
    setting: SaliencyRecipe,
    plan: PlanRecipe | None,
    seed: int,
) -> RunRecipe:
    options = {name: getattr(recipe, name) for name in OBJECTIVE_OPTIONS} | {"sgt": setting}
    run = RunRecipe(
        data=data,
        model=model,
        objective=objective_of(arm),
        plan=plan,
        seed=seed,
        training=recipe.training,
        evaluation=recipe.evaluation,
        **options,
    )
    if run.origin is None:
        return run
    return run.model_copy(update={"training": recipe.finetuning.changed(run.training)})


def data_slug(data: DataRecipe) -> str:
    """Return the data set in run ids and file names."""
    path = PurePath(data.name)
    parts = [path.stem if path.suffix == ".npz" else path.name or "data"]
    if data.size is not None:
        parts.append("x".join(map(str, data.size)))
        if data.resize != "crop":
            parts.append(data.resize)
    if data.color != "auto":
        parts.append(data.color)
    return _clean("-".join(parts))


def model_slug(model: ModelRecipe) -> str:
    """Return the network in run ids."""
    name = model.name.rpartition(":")[2]
    return _clean("-".join([name, *(f"{key}-{value}" for key, value in sorted(model.arguments.items()))]))


def digest(config: dict[str, Any]) -> str:
    """Return the digest of a run's resolved `config`."""
    return hashlib.sha256(json.dumps(relevant(config), sort_keys=True).encode()).hexdigest()


def relevant(config: dict[str, Any]) -> dict[str, Any]:
    """`config` without the keys that do not decide a run's numbers."""
    config = {key: dict(value) if isinstance(value, dict) else value for key, value in config.items()}
    for section, key in _WITHOUT_EFFECT:
        config.get(section, {}).pop(key, None)
    for (section, key), before in _NEWER.items():
        options = config.get(section) or {}
        if options.get(key) == before:
            options.pop(key, None)
    return config


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Every key by which two resolved configs differ, e.g. `training.lr: 0.1 -> 0.2`."""
    before, after = _flat(relevant(old)), _flat(relevant(new))
    keys = [*before, *(key for key in after if key not in before)]
    return [
        f"{key}: {before.get(key, 'not set')} -> {after.get(key, 'not set')}"
        for key in keys
        if before.get(key) != after.get(key)
    ]


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, f"{prefix}{key}.") if isinstance(item, dict) else {f"{prefix}{key}": item}
    return flat


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+_]+", "-", text).strip("-.") or "x"
