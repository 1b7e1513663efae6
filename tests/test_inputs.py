"""Images and labels that are not what the docstrings say: refused in every place that takes them, in our words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassbit import models
from glassbit._errors import GlassbitError, UsageError
from glassbit._inputs import check_images, check_labels, in_precision_of, running
from glassbit.deploy import Deployed, TorchGraph, lower, reestimate_
from glassbit.explain import (
    explain_images,
    grad_cam,
    gradient,
    integrated_gradients,
    masking_curves,
    occlusion,
    saliency,
    smoothgrad,
)
from glassbit.measure import (
    TorchSubject,
    infidelity,
    max_sensitivity,
    noisy_maps,
    randomisation,
    remove,
)
from glassbit.quant import Plan, calibrate_, quantize_
from glassbit.train import CrossEntropy, Objective, RandomMasking, SaliencyGuided

SHAPE = (1, 12, 12)
GENERATOR = torch.Generator().manual_seed(0)
BYTES = torch.randint(256, (4, *SHAPE), dtype=torch.uint8, generator=GENERATOR)
UNIT = BYTES / 255
LABELS = torch.tensor([0, 1, 2, 0])


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(100, 3),
    )  # fmt: skip


def classifier(plan: str | None = "w4a4") -> models.Classifier:
    model = models.Classifier(network(), mean=(0.3,), std=(0.3,))
    if plan:
        quantize_(model.network, Plan.named(plan, alpha=2.0))
    return model


def subject() -> TorchSubject:
    return TorchSubject(classifier(), name="net", image_shape=SHAPE)


def labels(images: Any) -> Tensor:
    return LABELS if images is None else LABELS[: len(images)]


OBJECTIVES: dict[str, Callable[[nn.Module], Objective]] = {
    "CrossEntropy": CrossEntropy,
    "SaliencyGuided": SaliencyGuided,
    "SaliencyGuided separate": lambda model: SaliencyGuided(model, gradient="separate"),
    "RandomMasking": RandomMasking,
}
BOTH: dict[str, Callable[[Any], Any]] = {
    "saliency": lambda x: saliency(classifier(), x, 0),
    "gradient": lambda x: gradient(classifier(), x, 0),
    "smoothgrad": lambda x: smoothgrad(classifier(), x, 0, samples=2),
    "integrated_gradients": lambda x: integrated_gradients(classifier(), x, 0, steps=2),
    "grad_cam": lambda x: grad_cam(classifier(), x, 0),
    "occlusion": lambda x: occlusion(classifier(), x, 0),
    "masking_curves": lambda x: masking_curves(classifier(), x, LABELS, fractions=(0.0, 0.5)),
    "calibrate_": lambda x: calibrate_(classifier(), x),
    "reestimate_": lambda x: reestimate_(classifier(), [x]),
    "lower": lambda x: lower(classifier(), images=x),
    "lower of a Deployed": lambda x: lower(Deployed(classifier(), BYTES), images=x),
    "Deployed": lambda x: Deployed(classifier(), x),
}
"""Take NumPy arrays too."""
TENSORS: dict[str, Callable[[Any], Any]] = {
    **{name: lambda x, make=make: make(classifier())(x, labels(x)) for name, make in OBJECTIVES.items()},  # type: ignore[misc]
    "Deployed.forward": lambda x: Deployed(classifier(), BYTES)(x),
    "TorchGraph": lambda x: TorchGraph(lower(classifier(), images=BYTES))(x),
    "Subject.logits": lambda x: subject().logits(x),
    "Subject.saliency": lambda x: subject().saliency(x, labels(x)),
    "randomisation": lambda x: randomisation(subject(), x, labels(x)),
}
PIXELS: dict[str, Callable[[Any], Any]] = {
    "remove": lambda x: remove(subject(), x, LABELS, torch.ones(4, 12, 12)),
    "infidelity": lambda x: infidelity(subject(), x, LABELS, samples=2),
    "max_sensitivity": lambda x: max_sensitivity(subject(), x, LABELS, radius=0.1, samples=2),
    "noisy_maps": lambda x: noisy_maps(subject(), x, LABELS),
}
"""Take uint8 only."""
ARITHMETIC = ("Deployed.forward", "TorchGraph")
EVERYWHERE = {**BOTH, **TENSORS}

WRONG: dict[str, tuple[Any, str]] = {
    "0..255": (BYTES.float(), r"got float32 from \d+ to \d+; divide by 255, or use images.round\(\).to\(torch.uint8\)"),
    "16 bits": (UNIT * 65535, "divide by 65535"),
    "huge": (UNIT * 1e6, "divide by the largest value that they can have, here 1e"),
    "standardised": (
        (UNIT - 0.5) / 0.25,
        r"from -2 to 2; undo the standardisation \(images \* std \+ mean\) and let the",
    ),
    "a little too much": (
        UNIT * 1.01,
        r"to 1\.0\d*; a resize or an augmentation went past black or white; use images.clamp\(0, 1\)",
    ),
    "NaN": (UNIT / 0 * 0, "got float32 with 576 of 576 values NaN or infinite; look for a division by zero"),
    "one infinity": (UNIT.masked_fill(UNIT > 0.99, torch.inf), r"with \d+ of 576 values NaN or infinite"),
    "half 0..255": (BYTES.half(), "got float16 from .*; divide by 255"),
    "bfloat16 0..255": (BYTES.bfloat16(), "got bfloat16 from .*; divide by 255"),
    "int64": (BYTES.long(), r"got int64 from \d+ to 25\d; use images.to\(torch.uint8\)"),
    "int16": (BYTES.to(torch.int16) * 100, "got int16 .*; (scale them to|add )"),
    "int8": (BYTES.to(torch.int8), r"got int8 from -12\d to 12\d; add 12\d so that they start at 0"),
    "bool": (BYTES > 99, r"got bool; use images.float\(\)"),
    "complex": (UNIT.to(torch.complex64), "got complex64"),
}
SHAPES: dict[str, tuple[Any, str]] = {
    "one image": (UNIT[0], r"the shape|images of"),
    "flat": (UNIT.flatten(1), r"the shape|images of"),
    "channels": (UNIT.expand(4, 3, 12, 12), r"channel|\(4, 3, 12, 12\)|images of \(1, 12, 12\)"),
    "channels last": (UNIT.permute(0, 2, 3, 1), r"channel|\(4, 12, 12, 1\)|images of \(1, 12, 12\)"),
    "a list": ([[0.0]], "got a list; pass one tensor"),
    "None": (None, "got None"),
}


@pytest.mark.usefixtures("unchecked")
class TestImages:
    @pytest.mark.parametrize("wrong", WRONG)
    @pytest.mark.parametrize("what", EVERYWHERE)
    def test_values(self, what: str, wrong: str) -> None:
        images, text = WRONG[wrong]
        with pytest.raises(UsageError, match=text):
            EVERYWHERE[what](images)

    @pytest.mark.parametrize("wrong", SHAPES)
    @pytest.mark.parametrize("what", [name for name in EVERYWHERE if name not in ("lower", "Deployed")])
    def test_shapes(self, what: str, wrong: str) -> None:
        images, text = SHAPES[wrong]
        if images is None and what.startswith("lower"):
            return
        if wrong in ("a list", "None") and what in ARITHMETIC:
            return  # ask for a shape first
        with pytest.raises(UsageError, match=text):
            EVERYWHERE[what](images)

    @pytest.mark.parametrize("what", EVERYWHERE)
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float64, torch.float32, torch.float16, torch.bfloat16])
    def test_right_ones_are_taken(self, what: str, dtype: torch.dtype) -> None:
        EVERYWHERE[what](BYTES if dtype == torch.uint8 else UNIT.to(dtype))

    @pytest.mark.parametrize("what", EVERYWHERE)
    def test_values_that_round_to_a_pixel_are_taken(self, what: str) -> None:
        EVERYWHERE[what](UNIT.where(UNIT > 0.2, torch.tensor(-0.001)).where(UNIT < 0.8, torch.tensor(1.001)))

    @pytest.mark.parametrize("what", BOTH)
    def test_arrays(self, what: str) -> None:
        BOTH[what](BYTES.numpy())
        BOTH[what](UNIT.double().numpy()[:, :, ::-1])
        with pytest.raises(UsageError, match="divide by 255"):
            BOTH[what](BYTES.float().numpy())
        with pytest.raises(UsageError, match=r"got a NumPy array of object; use images.astype\(numpy.float32\)"):
            BOTH[what](BYTES.numpy().astype(object))

    @pytest.mark.parametrize("what", OBJECTIVES)
    def test_arrays_are_no_tensors(self, what: str) -> None:
        with pytest.raises(UsageError, match=r"got a NumPy array of uint8; use torch.from_numpy\(images\)"):
            OBJECTIVES[what](classifier())(BYTES.numpy(), LABELS)

    @pytest.mark.parametrize("what", [*OBJECTIVES, "calibrate_", "reestimate_", "lower", "Deployed", "masking_curves"])
    def test_no_image(self, what: str) -> None:
        with pytest.raises(UsageError, match="got none"):
            EVERYWHERE[what](BYTES[:0])

    @pytest.mark.parametrize(
        "what", ["saliency", "Deployed.forward", "TorchGraph", "Subject.logits", "Subject.saliency"]
    )
    def test_no_image_no_answer(self, what: str) -> None:
        assert len(EVERYWHERE[what](BYTES[:0])) == 0

    @pytest.mark.parametrize("wrong", [UNIT, BYTES.float(), BYTES.long(), BYTES[0]])
    @pytest.mark.parametrize("what", PIXELS)
    def test_where_only_pixels_are_taken(self, what: str, wrong: Tensor) -> None:
        with pytest.raises(
            UsageError, match=rf"{what}: images must be uint8 \(n, c, h, w\), as a device would receive"
        ):
            PIXELS[what](wrong)

    def test_pictures_of_nothing_sensible(self, tmp_path: Any) -> None:
        with pytest.raises(UsageError, match=r"explain_images: images must be .*; divide by 255"):
            explain_images(classifier(), BYTES.float(), ["a"] * 4, ["gradient"], tmp_path)
        assert not list(tmp_path.iterdir())


class TestArithmetic:
    """Integers clip what is outside [0, 1], so that it is refused, but for the probes of a smoothed gradient."""

    @pytest.mark.parametrize(
        "make", [lambda: Deployed(classifier(), BYTES), lambda: TorchGraph(lower(classifier(), images=BYTES))]
    )
    def test_probes_pass(self, make: Callable[[], nn.Module]) -> None:
        model = make()
        with pytest.raises(UsageError, match=f"{type(model).__name__}: images must be"):
            model(UNIT + 1)
        (model((UNIT + 1).requires_grad_()).sum()).backward()
        smoothgrad(model, UNIT, 0, samples=2, noise=0.5)
        with pytest.raises(UsageError, match=f"{type(model).__name__}: images must be"):
            model(UNIT + 1)

    def test_a_classifier_takes_noise(self) -> None:
        assert classifier()(UNIT + 1).isfinite().all()
        assert torch.equal(classifier().eval()(UNIT.double()), classifier().eval()(UNIT))


class TestBareNetworks:
    """What calibrates or renews statistics takes what the network takes; the rest takes [0, 1]."""

    def test_normalised_images(self) -> None:
        model = network()
        quantize_(model, Plan.named("w4a4"))
        normalised = (UNIT - 0.5) / 0.25
        calibrate_(model, normalised)
        calibrate_(model, normalised.double())
        reestimate_(model, [normalised])
        for call in (lambda: saliency(model, normalised), lambda: CrossEntropy(model)(normalised, LABELS)):
            with pytest.raises(
                UsageError, match=r"undo the standardisation .* glassbit.models.Classifier\(network, mean"
            ):
                call()

    @pytest.mark.parametrize(
        ("images", "text"),
        [
            (UNIT / 0, "images must be .*, finite; got float32 with 576 of 576"),
            (UNIT[:0], "got none"),
            (UNIT.expand(4, 3, 12, 12), r"images must be .*; got float32 of the shape \(4, 3, 12, 12\): .* 1 channels"),
            (BYTES, r"images must be .*; got uint8 of the shape \(4, 1, 12, 12\)"),
            (UNIT[:, :, :2, :2], r"images must be .*; got float32 of the shape \(4, 1, 2, 2\)"),
        ],
    )
    def test_what_the_network_cannot_take(self, unchecked: None, images: Tensor, text: str) -> None:
        model = network()
        quantize_(model, Plan.named("w4a4"))
        before = {name: value.clone() for name, value in model.state_dict().items()}
        with pytest.raises(UsageError, match=f"calibrate_: .*{text}"):
            calibrate_(model, images)
        with pytest.raises(UsageError, match=f"reestimate_: .*{text}"):
            reestimate_(model, [UNIT, images])
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    def test_rows_of_features(self, unchecked: None) -> None:
        model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
        quantize_(model, Plan.named("w4a4"))
        calibrate_(model, torch.rand(8, 5))

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
    @pytest.mark.parametrize("what", OBJECTIVES)
    def test_networks_of_other_precision(self, what: str, dtype: torch.dtype) -> None:
        model = network().to(dtype)
        for images in (BYTES, UNIT, UNIT.double()):
            losses = OBJECTIVES[what](model)(images, LABELS)
            assert losses.logits.dtype == dtype
            losses.total.backward()


BAD_LABELS: dict[str, tuple[Any, str]] = {
    "too large": (
        torch.tensor([0, 1, 2, 3]),
        r"must be 4 class numbers 0..2 as integers, .*; got 3; number the classes",
    ),
    "negative": (torch.tensor([0, 1, -100, 2]), "got -100; number the classes from 0 and leave out images without"),
    "float": (LABELS.float(), r"got float32 of the shape \(4,\); use labels.long\(\)"),
    "probabilities": (torch.eye(3)[LABELS], r"got float32 of the shape \(4, 3\); use labels.argmax\(1\)"),
    "bool": (LABELS > 0, "got bool"),
    "too few": (LABELS[:3], r"got the shape \(3,\); use as many labels as images"),
    "a column": (LABELS[:, None], r"got the shape \(4, 1\); use labels.flatten\(\)"),
    "a list": ([0, 1, 2, 0], r"got a list; pass torch.as_tensor\(labels\)"),
    "none": (None, r"got None; pass torch.as_tensor\(labels\)"),
}


@pytest.mark.usefixtures("unchecked")
class TestLabels:
    @pytest.mark.parametrize("bad", BAD_LABELS)
    def test_refused_by_all_objectives_in_the_same_words(self, bad: str) -> None:
        labels, text = BAD_LABELS[bad]
        said = set()
        for name, make in OBJECTIVES.items():
            with pytest.raises(UsageError, match=text) as caught:
                make(classifier())(BYTES, labels)
            assert str(caught.value).startswith(f"{name.split()[0]}: labels must be 4 class numbers")
            said.add(str(caught.value).split(": ", 1)[1])
        assert len(said) == 1

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
    @pytest.mark.parametrize("what", OBJECTIVES)
    def test_integers_of_any_kind(self, what: str, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        wanted = OBJECTIVES[what](classifier())(BYTES, LABELS).total
        torch.manual_seed(0)
        assert torch.equal(OBJECTIVES[what](classifier())(BYTES, LABELS.to(dtype)).total, wanted)

    def test_targets_of_saliency(self) -> None:
        model = classifier()
        wanted = saliency(model, BYTES, LABELS)
        assert torch.equal(saliency(model, BYTES.numpy(), LABELS.numpy()), wanted)
        assert torch.equal(saliency(model, UNIT.numpy(), LABELS.numpy().astype(np.uint8)), wanted)
        for one in (2, np.int64(2), np.uint8(2), np.array(2), torch.tensor(2)):
            assert torch.equal(saliency(model, BYTES, one), saliency(model, BYTES, torch.full((4,), 2)))
        for wrong in (np.float32(1.0), np.bool_(True), LABELS.bfloat16(), np.array([0.5] * 4), "0"):
            with pytest.raises(UsageError, match=r"target must be a class 0..2"):
                saliency(model, BYTES, wrong)  # type: ignore[arg-type]


class TestSurroundings:
    @pytest.mark.parametrize("gradient", ["shared", "separate"])
    def test_without_gradients(self, gradient: Any) -> None:
        objective = SaliencyGuided(classifier(), gradient=gradient, fill="mean")
        objective.eval()
        wanted = objective(BYTES, LABELS).total
        with torch.no_grad():
            assert torch.equal(objective(BYTES, LABELS).total, wanted)
        with (
            torch.inference_mode(),
            pytest.raises(UsageError, match=r"got torch.inference_mode; use torch.no_grad\(\)"),
        ):
            objective(BYTES, LABELS)
        with torch.inference_mode():
            CrossEntropy(classifier())(BYTES, LABELS)
            RandomMasking(classifier())(BYTES, LABELS)

    @pytest.mark.parametrize("what", OBJECTIVES)
    def test_images_that_were_made_in_inference_mode(self, what: str) -> None:
        with torch.inference_mode():
            images, labels = UNIT * 1.0, LABELS + 0
        OBJECTIVES[what](classifier())(images, labels).total.backward()

    def test_keywords(self) -> None:
        assert CrossEntropy(classifier())(images=BYTES, labels=LABELS).logits.shape == (4, 3)

    def test_no_logits(self) -> None:
        with pytest.raises(UsageError, match=r"CrossEntropy: the model must return logits \(n, classes\); got "):
            CrossEntropy(nn.Sequential(nn.Conv2d(1, 3, 3)))(UNIT, LABELS)

    def test_only_what_is_about_the_images_is_put_in_our_words(self) -> None:
        with pytest.raises(ZeroDivisionError), running("x", UNIT):
            raise ZeroDivisionError
        with pytest.raises(RuntimeError, match="own trouble") as caught, running("x", UNIT):
            raise RuntimeError("own trouble")
        assert not isinstance(caught.value, GlassbitError)
        with pytest.raises(torch.OutOfMemoryError), running("x", UNIT):
            raise torch.OutOfMemoryError("must match")

    def test_values_are_not_read_where_there_are_none(self) -> None:
        meta = torch.zeros(2, 1, 3, 3, device="meta")
        assert check_images("x", meta) is meta
        assert check_labels("x", torch.zeros(2, dtype=torch.int32, device="meta"), 2, 3).dtype == torch.int64
        assert in_precision_of(nn.Flatten(), meta.double()).dtype == torch.float64
        torch.func.vmap(lambda x: check_images("x", x[None]))(UNIT + 1)
