"""The objectives against slow twins written from the papers, and every option."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._functorch import config as functorch

from glassbit._errors import UsageError
from glassbit.masking import masked
from glassbit.quant import Plan, quantize_
from glassbit.train import CrossEntropy, RandomMasking, SaliencyGuided

IMAGES = torch.randint(256, (6, 2, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def network(*, batchnorm: bool = True, quantized: bool = False) -> nn.Module:
    torch.manual_seed(3)
    layers: list[nn.Module] = [
        nn.Conv2d(2, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3),
        nn.ReLU(),
    ]
    if not batchnorm:
        del layers[1]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(6 * 36, 3))
    if quantized:
        quantize_(model, Plan.named("w4a4", alpha=2.0))
    return model


def softmax(logits: Tensor) -> np.ndarray:
    z = logits.detach().double().numpy()
    z = np.exp(z - z.max())
    return z / z.sum()


@pytest.mark.parametrize("ranking", ["magnitude", "signed"])
@pytest.mark.parametrize("quantized", [False, True])
def test_saliency_guided_equals_the_algorithm_an_image_at_a_time(ranking: str, quantized: bool) -> None:
    """Algorithm 1 and equation 1 of 2111.14338 by a loop over images; the mean fill leaves only ties to chance."""
    model = network(batchnorm=False, quantized=quantized).eval()
    objective = SaliencyGuided(model, k=0.25, weight=0.7, ranking=ranking, fill="mean")  # type: ignore[arg-type]
    losses = objective(IMAGES, LABELS)
    classification = consistency = 0.0
    for image, label in zip(IMAGES.float() / 255, LABELS, strict=True):
        x = image[None].clone().requires_grad_()
        logits = model(x)[0]
        (gradient,) = torch.autograd.grad(logits[label], x)
        score = (gradient[0].abs() if ranking == "magnitude" else gradient[0]).mean(0).flatten().numpy()
        chosen = np.argsort(score, kind="stable")[:16]
        assert len(np.unique(score)) == 64, "a tie would make the twin ambiguous"
        copy_ = image.clone().numpy()
        for channel in range(2):
            copy_[channel].reshape(-1)[chosen] = image[channel].mean()
        p, q = softmax(logits), softmax(model(torch.from_numpy(copy_)[None])[0])
        classification += -np.log(p[label]) / 6
        consistency += float((p * np.log(p / q)).sum()) / 6
    assert losses.classification.item() == pytest.approx(classification, rel=1e-5)
    assert losses.consistency.item() == pytest.approx(consistency, rel=1e-3, abs=1e-7)
    assert losses.total.item() == pytest.approx(classification + 0.7 * consistency, rel=1e-4)


def test_shared_and_separate_gradients_agree_where_both_modes_compute_the_same() -> None:
    model = network(batchnorm=False)
    shared, separate = (
        SaliencyGuided(model, fill="mean", gradient=which)(IMAGES, LABELS) for which in ("shared", "separate")
    )  # type: ignore[arg-type]
    assert torch.allclose(shared.total, separate.total, rtol=1e-5)


def test_cross_entropy_is_the_libraries() -> None:
    model = network().eval()
    expected = F.cross_entropy(model(IMAGES.float() / 255), LABELS)
    losses = CrossEntropy(model)(IMAGES, LABELS)
    assert torch.equal(losses.total, expected)
    assert losses.consistency.item() == 0


def test_random_masking_masks_the_same_number_of_other_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    def spy(images: Tensor, mask: Tensor, kind: str) -> Tensor:
        seen.append(mask)
        return masked(images, mask, kind)  # type: ignore[arg-type]

    monkeypatch.setattr("glassbit.train._masked.masked", spy)
    for objective in (RandomMasking(network(), k=0.3), SaliencyGuided(network(), k=0.3)):
        objective(IMAGES, LABELS).total.backward()
    assert all((mask.sum(1) == round(0.3 * 64)).all() for mask in seen)
    assert not torch.equal(*seen)


@pytest.mark.parametrize("kind", [RandomMasking, SaliencyGuided])
def test_batchnorm_options(kind: type[SaliencyGuided | RandomMasking]) -> None:
    """`clean` leaves the running statistics of the clean pass alone, `both` moves them twice, `eval` normalises by
    them.
    """
    model = network()
    plain = copy.deepcopy(model)
    CrossEntropy(plain)(IMAGES, LABELS)
    statistics = {}
    for option in ("clean", "both", "eval"):
        twin = copy.deepcopy(model)
        kind(twin, batchnorm=option)(IMAGES, LABELS)  # type: ignore[arg-type]
        statistics[option] = twin[1].running_mean.clone()  # type: ignore[index]
        assert twin[1].training
        assert twin[1].track_running_stats
    assert torch.equal(statistics["clean"], plain[1].running_mean)  # type: ignore[index]
    assert torch.equal(statistics["eval"], plain[1].running_mean)  # type: ignore[index]
    assert not torch.equal(statistics["both"], plain[1].running_mean)  # type: ignore[index]


def test_detach_holds_the_clean_side_fixed() -> None:
    gradients = []
    for detach in (False, True):
        model = network(batchnorm=False)
        losses = SaliencyGuided(model, fill="mean", detach=detach)(IMAGES, LABELS)
        losses.consistency.backward()
        gradients.append(model[-1].weight.grad.clone())  # type: ignore[index]
    assert not torch.allclose(*gradients)


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.4, 0.9, None])
@pytest.mark.parametrize("ramp", [0.0, 0.4, 1.0])
def test_the_weight_rises_with_progress_and_is_whole_where_nobody_tells_it(ramp: float, progress: float | None) -> None:
    objective = SaliencyGuided(network(batchnorm=False), fill="mean", weight=1000.0, ramp=ramp)
    if progress is not None:
        objective.progress = progress
    losses = objective(IMAGES, LABELS)
    at = np.interp(1.0 if progress is None else progress, [0.0, ramp], [0.0, 1000.0]) if ramp else 1000.0
    assert losses.total.item() - losses.classification.item() == pytest.approx(
        at * losses.consistency.item(), rel=1e-3, abs=1e-6
    )


def test_nothing_masked_means_no_inconsistency_and_k_1_masks_everything() -> None:
    model = network(batchnorm=False).eval()
    assert SaliencyGuided(model, k=0.0)(IMAGES, LABELS).consistency.item() == pytest.approx(0, abs=1e-7)
    assert SaliencyGuided(model, k=1.0)(IMAGES, LABELS).consistency.item() > 0


def test_ties_of_a_low_bit_network_are_counted() -> None:
    model = network(quantized=True)
    flat = torch.zeros_like(IMAGES)
    assert SaliencyGuided(model, fill="mean")(flat, LABELS).tied.item() >= 0
    dead = nn.Sequential(nn.Flatten(), nn.Linear(128, 3))
    nn.init.zeros_(dead[1].weight)  # type: ignore[arg-type]
    assert SaliencyGuided(dead, k=0.5)(IMAGES, LABELS).tied.item() == 1.0


def test_parameter_gradients_flow_and_the_input_keeps_none() -> None:
    images = IMAGES.float() / 255
    model = network(quantized=True)
    SaliencyGuided(model)(images, LABELS).total.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert not images.requires_grad


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch's tracer about itself
def test_torch_compile_wraps_the_objective(monkeypatch: pytest.MonkeyPatch, unchecked: None) -> None:
    """As docs/your-own-loop.md says; the fill by the mean draws nothing, and nothing is compiled into faster code."""
    monkeypatch.setattr(functorch, "donated_buffer", False)
    torch._dynamo.reset()
    results = []
    for compiled in (False, True):
        objective = SaliencyGuided(network(quantized=True), fill="mean")
        losses = (torch.compile(objective, backend="aot_eager") if compiled else objective)(IMAGES, LABELS)
        losses.total.backward()
        results.append((losses.total.detach(), *(parameter.grad for parameter in objective.parameters())))
    for eager, traced in zip(*results, strict=True):
        torch.testing.assert_close(traced, eager, rtol=1e-5, atol=1e-5)


def test_the_separate_gradient_leaves_modes_and_statistics_alone() -> None:
    model = network()
    model[1].eval()  # type: ignore[index]
    before = model[1].running_mean.clone()  # type: ignore[index]
    SaliencyGuided(model, gradient="separate", batchnorm="both")(IMAGES, LABELS)
    assert not model[1].training
    assert model[0].training
    assert torch.equal(before, model[1].running_mean)  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"k": 1.5}, "SaliencyGuided: k must be a share of the pixels, 0..1; got 1.5; the default is 0.5"),
        ({"weight": -1.0}, "SaliencyGuided: weight must be a number >= 0; got -1.0; the default is 1.0"),
        (
            {"fill": "blur"},
            "SaliencyGuided: fill must be one of uniform, mean, constant; got 'blur'; the default is 'uniform'",
        ),
        (
            {"ranking": "abs"},
            "SaliencyGuided: ranking must be one of magnitude, signed; got 'abs'; the default is 'magnitude'",
        ),
        (
            {"gradient": "none"},
            "SaliencyGuided: gradient must be one of shared, separate; got 'none'; the default is 'shared'",
        ),
        (
            {"batchnorm": "off"},
            "SaliencyGuided: batchnorm must be one of clean, both, eval, split; got 'off'; the default is 'clean'",
        ),
        ({"detach": "x"}, "SaliencyGuided: detach must be True or False; got 'x'; the default is False"),
        ({"k": None}, "SaliencyGuided: k must be a share of the pixels, 0..1; got None; the default is 0.5"),
        ({"ramp": -0.1}, "SaliencyGuided: ramp must be a share of the training, 0..1; got -0.1; the default is 0.0"),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError) as problem:
        SaliencyGuided(network(), **options)  # type: ignore[arg-type]
    assert str(problem.value) == text
