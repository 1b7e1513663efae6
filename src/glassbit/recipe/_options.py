"""The parts of a recipe as frozen values; every description is also the help text of the command-line flag."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from glassbit._catalogue import catalogue
from glassbit._count import counted
from glassbit._quantizers import ACTIVATIONS, SIGNED_BITS, WEIGHTS
from glassbit._resize import Resize

NamedPlan = Literal["w2a2", "w3a3", "w4a4", "w8a8", "w4a2", "w2a4", "layers-4-2"]
if TYPE_CHECKING:
    Weights = str
    Activations = str
else:  # mypy knows no Literal that is made of a table's names; pydantic and the flags take their choices from it
    Weights = Literal[*WEIGHTS]
    Activations = Literal[*ACTIVATIONS]
DEPLOY_OPTIONS = ("deploy_epochs", "deploy_lr", "deploy_batchnorm")
NETWORKS = (
    "cnn",
    "cnn-bn",
    "resnet8",
    "resnet20",
    "resnet32",
    "resnet56",
    "ds-cnn",
    "mobilenet-v1-025",
    "mobilenet-v2-035",
    "mobilenet-v3-small",
    "squeezenet",
)
Problem = tuple[tuple[str | int, ...], str]
"""Where (keys and indices, relative to the value that is checked) and what is wrong there."""


class Options(BaseModel):
    """What all parts of a recipe share: frozen, no unknown keys, no type is guessed from another."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


def raise_problems(problems: list[Problem]) -> None:
    """Hand cross-field problems to pydantic as one error that still knows their places."""
    if problems:
        text = "; ".join(message for _, message in problems)
        raise PydanticCustomError("cross_field", "{text}", {"text": text, "problems": problems})


def _data_sets(*layouts: str) -> str:
    """Return the names of the catalogue's data sets with one of `layouts`."""
    return ", ".join(entry.name for entry in catalogue() if entry.layout in layouts)


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


_LARGEST = 2**1000
"""Numbers from outside need not fit into a float."""


def _clip(value: Any) -> float | str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value == "data" or (number and 0 < value < math.inf and value <= _LARGEST):
        return value if isinstance(value, str) else float(value)
    raise PydanticCustomError("clip", 'must be a number > 0, or "data" to set it from images')


def _network(value: str) -> str:
    if value not in NETWORKS and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", value):
        raise PydanticCustomError(
            "network", "must be one of {known}, or package.module:callable", {"known": ", ".join(NETWORKS)}
        )
    return value


def _finite(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments are stored as JSON, which has no infinite numbers."""

    def check(value: Any) -> None:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        for item in inner:
            check(item)
        if isinstance(value, float) and not math.isfinite(value):
            raise PydanticCustomError("finite_arguments", "must hold finite numbers")

    check(arguments)
    return arguments


Int = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1)]


class DataRecipe(Options):
    """The images."""

    name: Text = Field(
        default="fashion-mini",
        description=f"{_data_sets('idx', 'cifar')}, {_data_sets('embedded')} (embedded), {_data_sets('generated')} "
        "(made from it), a folder of class folders, or an .npz",
    )
    dir: Text | None = Field(
        default=None, description="folder with the files of a catalogue data set that are already there"
    )
    size: Annotated[
        tuple[Annotated[Int, Field(ge=4, le=1024)], Annotated[Int, Field(ge=4, le=1024)]] | None, BeforeValidator(_pair)
    ] = Field(
        default=None, description="height and width in pixels, or one number for both; left out: as the images are"
    )
    resize: Resize = Field(default="crop", description="how images reach the size")
    color: Literal["auto", "grey", "rgb"] = Field(default="auto", description="channels; auto: as the images are")
    validation: Number = Field(
        default=0.1,
        gt=0,
        le=0.5,
        description="share of the training images that is kept apart to choose the best epoch",
    )


class ModelRecipe(Options):
    """The network."""

    name: Annotated[str, Field(strict=True), AfterValidator(_network)] = Field(
        default="cnn-bn",
        description=f"{', '.join(NETWORKS)}, or package.module:callable for a network of your own",
    )
    arguments: Annotated[dict[str, Any], AfterValidator(_finite)] = Field(
        default_factory=dict, description="further keyword arguments of the network"
    )


class RuleRecipe(Options):
    """Bits for the layers that a glob names."""

    layers: Text = Field(default="*", description="a glob on layer names, e.g. stage1.*")
    weight: Literal[2, 3, 4, 5, 6, 7, 8, 32] = Field(
        default=..., description="bits of the weights; 32 leaves them in full precision", examples=[4]
    )
    activation: Literal[2, 3, 4, 5, 6, 7, 8, 32] = Field(
        default=..., description="bits of the activation; 32 leaves it in full precision", examples=[4]
    )
    depth: tuple[Annotated[Number, Field(ge=0, le=1)], Annotated[Number, Field(ge=0, le=1)]] = Field(
        default=(0.0, 1.0), description="the share of the network it speaks of, [from, to)"
    )

    @model_validator(mode="after")
    def _check(self) -> RuleRecipe:
        if self.depth[0] >= self.depth[1]:
            text = f"must be [from, to) with from < to; got {list(self.depth)}; [0, 1] is the whole network"
            raise_problems([(("depth",), text)])
        return self


class PlanRecipe(Options):
    """Bit widths: a named plan, or rules of your own under a new name."""

    name: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(
        default=...,
        description=f"{', '.join(get_args(NamedPlan))}, or a new name for rules of your own",
        examples=["w4a4"],
    )
    edges: Literal["8", "full", "same"] = Field(
        default="8", description="first and last layer: 8 bits, full precision, or the same as the rest"
    )
    weights: Weights = Field(default="sawb", description="the weight quantizer")
    activations: Activations = Field(default="pact", description="the activation quantizer")
    alpha: Annotated[float | Literal["data"], PlainValidator(_clip)] = Field(
        default="data", description='the first clipping level of the activations; "data" sets it from training images'
    )
    signed: Int = Field(
        default=SIGNED_BITS,
        ge=2,
        le=8,
        description="bits of the signed codes that integers make where no quantizer rounds, as behind a bottleneck",
    )
    rules: tuple[RuleRecipe, ...] = Field(
        default=(), description="bits by layer, the last rule that matches a layer wins"
    )

    @model_validator(mode="before")
    @classmethod
    def _edges_as_text(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("edges") == 8 and not isinstance(value["edges"], bool):
            return {**value, "edges": "8"}
        return value

    @model_validator(mode="after")
    def _check(self) -> PlanRecipe:
        problems: list[Problem] = []
        known = get_args(NamedPlan)
        if self.rules and self.name in known:
            text = f"must be a new name where rules are given; got the named plan {self.name}; e.g. my-{self.name}"
            problems.append((("name",), text))
        if not self.rules and self.name not in known:
            must = f"must be one of {', '.join(known)} where no rules are given"
            problems.append((("name",), f"{must}; got {self.name!r}; name one, or add rules"))
        for kind, name, table in (("weight", self.weights, WEIGHTS), ("activation", self.activations, ACTIVATIONS)):
            for i, rule in enumerate(self.rules):
                bits = getattr(rule, kind)
                if bits not in (*table[name].bits, 32):
                    must = f"must be {', '.join(map(str, table[name].bits))} or 32 with the {name} {kind} quantizer"
                    other = next(other for other in table if bits in table[other].bits)
                    text = f"{must}; got {bits}; use those or `{kind}s: {other}`"
                    problems.append((("rules", i, kind), text))
        raise_problems(problems)
        return self

    @property
    def slug(self) -> str:
        """The plan in run ids: its name and whatever is not the default."""
        extra: list[str] = [
            value for value, default in ((self.weights, "sawb"), (self.activations, "pact")) if value != default
        ]
        if self.edges != "8":
            extra.append(f"edges-{self.edges}")
        if self.alpha != "data":
            extra.append(f"alpha-{self.alpha:g}")
        if self.signed != SIGNED_BITS:
            extra.append(f"signed-{self.signed}")
        return "-".join([self.name, *extra])


class TrainingRecipe(Options):
    """How a network is trained."""

    epochs: Int = Field(default=5, ge=1, le=10_000, description="passes over the training images")
    batch_size: Int = Field(default=128, ge=2, le=65_536, description="images per step, over all devices")
    accumulate: Int = Field(
        default=1,
        ge=1,
        le=32_768,
        description="parts that a device cuts its share of a batch into, for less memory; BatchNorm sees the parts",
    )
    optimizer: Literal["sgd", "adamw", "muon"] = Field(
        default="sgd", description="the optimizer; muon: SGD, with momentum made orthogonal for the weights of layers"
    )
    lr: Number = Field(default=0.1, gt=0, le=100, description="the highest learning rate")
    momentum: Number = Field(default=0.9, ge=0, lt=1, description="momentum of SGD and Muon, first beta of AdamW")
    weight_decay: Number = Field(default=5e-4, ge=0, le=10, description="weight decay")
    schedule: Literal["onecycle", "cosine", "step"] = Field(
        default="onecycle", description="the course of the learning rate"
    )
    milestones: tuple[Annotated[Number, Field(gt=0, lt=1)], ...] = Field(
        default=(0.3, 0.6), description="step schedule: the shares of the training after which the learning rate falls"
    )
    gamma: Number = Field(default=0.1, gt=0, le=1, description="step schedule: the factor by which it falls")
    quantizer_lr: Annotated[Number, Field(gt=0, le=100)] | None = Field(
        default=None, description="learning rate of clipping levels and steps; left out: as the weights"
    )
    quantizer_decay: Annotated[Number, Field(ge=0, le=10)] | None = Field(
        default=None, description="weight decay of clipping levels; left out: as the weights"
    )
    flip: Flag = Field(default=False, description="augmentation: mirror half of the images")
    crop: Int = Field(default=0, ge=0, le=64, description="augmentation: pad by this many pixels, then crop at random")
    precision: Literal["32-true", "bf16-mixed"] = Field(default="32-true", description="arithmetic of the training")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(default="auto", description="where to train")
    devices: Int = Field(default=1, ge=1, le=1024, description="processes that train one network together (DDP)")
    start: Literal["scratch", "float", "plain"] = Field(
        default="scratch",
        description="where quantized arms start; float: from the best weights of their own full-precision run, same "
        "seed; plain: from those of the fp32 arm, whatever their objective",
    )
    deploy_epochs: Int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="quantized networks: further epochs in the integer arithmetic that is exported",
    )
    deploy_lr: Annotated[Number, Field(gt=0, le=100)] | None = Field(
        default=None,
        description="learning rate they start with, falling to 0; left out: lr / 10 with adamw, else lr / 100",
    )
    deploy_batchnorm: Literal["frozen", "reestimated"] = Field(
        default="frozen",
        description="fold BatchNorm with its running statistics as they are, or computed anew before these epochs",
    )

    @model_validator(mode="after")
    def _check(self) -> TrainingRecipe:
        problems: list[Problem] = []
        if list(self.milestones) != sorted(set(self.milestones)):
            problems.append(
                (("milestones",), f"must rise; got {list(self.milestones)}; write them in ascending order, each once")
            )
        if self.schedule == "step" and not self.milestones:
            text = "must name at least one share of the training with the step schedule; got none; e.g. [0.3, 0.6]"
            problems.append((("milestones",), text))
        if not self.deploy_epochs:
            for name, value, default in (
                ("deploy_lr", self.deploy_lr, None),
                ("deploy_batchnorm", self.deploy_batchnorm, "frozen"),
            ):
                if value != default:
                    text = f"must come with deploy_epochs; got {value} and no such epochs; add `deploy_epochs: 1`"
                    problems.append(((name,), text))
        if self.batch_size % self.devices:
            enough = -(-self.batch_size // self.devices) * self.devices
            text = f"must be a multiple of devices ({self.devices}); got {self.batch_size}; use {enough}"
            problems.append((("batch_size",), text))
        elif self.batch_size // self.devices < 2:
            enough = 2 * self.devices
            got = f"{self.batch_size} on {self.devices}"
            text = f"must leave at least 2 images per device; got {got}; use {enough} or more"
            problems.append((("batch_size",), text))
        elif self.batch_size // self.devices < 2 * self.accumulate:
            share = self.batch_size // self.devices
            must = f"must leave at least 2 images per part; got {self.accumulate} parts of {counted(share, 'image')}"
            problems.append((("accumulate",), f"{must}; use {share // 2} or fewer, or a larger batch_size"))
        raise_problems(problems)
        return self


class FinetuningRecipe(Options):
    """What changes in the training of arms that start from another run's weights."""

    epochs: Int | None = Field(
        default=None, ge=1, le=10_000, description="passes over the training images; left out: those of training"
    )
    lr: Annotated[Number, Field(gt=0, le=100)] | None = Field(
        default=None, description="the highest learning rate; left out: that of training"
    )
    schedule: Literal["onecycle", "cosine"] | None = Field(
        default=None, description="the course of the learning rate; left out: that of training"
    )

    def changed(self, training: TrainingRecipe) -> TrainingRecipe:
        """`training` with what is given here in its place."""
        return training.model_copy(update=self.model_dump(exclude_none=True))


class MaskingRecipe(Options):
    """What the two masking objectives share."""

    k: Number = Field(default=0.5, gt=0, lt=1, description="share of the pixels that is masked")
    weight: Number = Field(default=1.0, ge=0, le=1000, description="weight of the consistency term")
    fill: Literal["uniform", "mean", "constant"] = Field(default="uniform", description="what masked pixels become")
    detach: Flag = Field(default=False, description="no gradient through the clean side of the consistency term")
    batchnorm: Literal["clean", "both", "eval", "split"] = Field(
        default="clean",
        description="BatchNorm in the masked pass: leaves its running statistics alone, updates them too, normalises "
        "by them, or is a second one for this pass only",
    )
    ramp: Number = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the training over which the weight of the consistency term rises from 0",
    )
    start: Literal["scratch", "trained"] = Field(
        default="scratch",
        description="trained: from the best weights of the cross-entropy run with the same bits and seed, unless "
        "training.start says otherwise",
    )


class RandomRecipe(MaskingRecipe):
    """Random masking, the control of saliency-guided training."""


RELEASED: dict[str, Any] = {
    "k": 0.5, "weight": 1.0, "fill": "uniform", "detach": False, "batchnorm": "both", "ramp": 0.0, "start": "scratch",
    "ranking": "signed", "gradient": "separate",
}  # fmt: skip
"""What the released code of saliency-guided training (arXiv 2111.14338) chooses."""


class SaliencyRecipe(MaskingRecipe):
    """Saliency-guided training."""

    name: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = Field(
        default=None,
        description="released for the options of the released code, or a new name for options of your own",
        examples=["mine"],
    )
    ranking: Literal["magnitude", "signed"] = Field(
        default="magnitude", description="how gradients are ranked: |g|, or g as in the released code"
    )
    gradient: Literal["shared", "separate"] = Field(
        default="shared",
        description="take the input gradient from the clean training pass, or from a pass of its own in eval mode",
    )

    @model_validator(mode="before")
    @classmethod
    def _released(cls, value: Any) -> Any:
        return {**RELEASED, **value} if isinstance(value, dict) and value.get("name") == "released" else value

    @model_validator(mode="after")
    def _check(self) -> SaliencyRecipe:
        problems: list[Problem] = []
        for name, value in RELEASED.items():
            got = getattr(self, name)
            if self.name == "released" and got != value:
                allowed, shown = f"{value}".lower(), f"{got}".lower()
                must = f"must be {allowed} or left out where the name is released"
                problems.append(((name,), f"{must}; got {shown}; correct it, or choose a new name"))
        raise_problems(problems)
        return self


OBJECTIVE_OPTIONS: Mapping[str, type[Options]] = {"sgt": SaliencyRecipe, "random": RandomRecipe}
"""The options of the objectives that have any; each is a field of `RunRecipe` and of `Recipe`."""


class EvaluationRecipe(Options):
    """What is measured besides accuracy."""

    probes: Int = Field(default=8, ge=1, le=256, description="test images whose saliency maps are kept")
    every: Int = Field(default=1, ge=1, description="keep the probes' maps every N epochs")
    images: Int = Field(default=1000, ge=1, description="test images for the masking curves")
    fills: tuple[Literal["constant", "mean"], ...] = Field(
        default=("constant", "mean"), min_length=1, description="what removed pixels become"
    )


class TransparencyRecipe(Options):
    """What is measured of the explanations of every finished run of a study, apart from the runs themselves."""

    images: Int = Field(
        default=500, ge=0, le=100_000, description="test images, the same for every run; 0 measures nothing"
    )
