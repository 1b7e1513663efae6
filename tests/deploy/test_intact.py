"""What a classifier, its normalisation and its quantizers do besides what their classes say is refused by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glassbit import models
from glassbit._errors import ExportError, UsageError
from glassbit.deploy import Deployed, distances, export_problems, lower
from glassbit.quant import SAWB, Plan, calibrate_, quantize_

IMAGES = torch.randint(0, 256, (6, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
Change = Callable[[models.Classifier], Any]


def classifier(*extra: nn.Module, plan: str = "w8a8", mean: tuple[float, ...] = (0.4,), **options: Any) -> Any:
    torch.manual_seed(0)
    channels = len(mean)
    first = nn.Conv2d(channels, 4, 3, padding=1)
    network = nn.Sequential(first, nn.ReLU(), *extra, nn.Flatten(), nn.Linear(144, 6), nn.ReLU(), nn.Linear(6, 3))
    model = models.Classifier(network, mean=mean, std=(0.25,) * channels)
    quantize_(model.network, Plan.named(plan, **options))
    calibrate_(model, images_of(channels).float() / 255)
    return model.eval()


def images_of(channels: int) -> Tensor:
    return IMAGES.expand(-1, channels, -1, -1).contiguous()


class Negated(models.Classifier):
    def forward(self, images: Tensor) -> Tensor:
        return -super().forward(images)


class Inverted(models.Normalize):
    def forward(self, x: Tensor) -> Tensor:
        return -super().forward(x)


class Larger(SAWB):
    def forward(self, w: Tensor) -> Tensor:
        return 1.4 * super().forward(w)


def _class(module: nn.Module, kind: type[nn.Module]) -> None:
    module.__class__ = kind


def _replace(module: nn.Module, name: str = "forward") -> None:
    right = getattr(module, name)
    setattr(module, name, lambda *given: -right(*given))


CHANGES: list[tuple[Change, str]] = [
    (lambda m: m.register_forward_hook(lambda m, i, o: -o), "Classifier: a forward hook on it"),
    (lambda m: m.register_forward_pre_hook(lambda m, i: (255 - i[0],)), "Classifier: a forward pre-hook on it"),
    (_replace, "Classifier: its forward was replaced on the object"),
    (lambda m: _class(m, Negated), "Negated: its class Negated has a forward of its own"),
    (lambda m: m.normalize.register_forward_hook(lambda m, i, o: -o), "normalize: a forward hook on it"),
    (lambda m: _replace(m.normalize), "normalize: its forward was replaced on the object"),
    (lambda m: _class(m.normalize, Inverted), "normalize: its class Inverted has a forward of its own"),
    (
        lambda m: setattr(m, "normalize", nn.Identity()),
        "Classifier: normalize must be a glassbit.models.Normalize; got a",
    ),
    (lambda m: m.normalize.std.fill_(0), "normalize: std must be positive numbers, one per channel; got (0.0,)"),
    (lambda m: m.normalize.std.fill_(-1), "normalize: std must be positive numbers, one per channel; got (-1.0,)"),
    (
        lambda m: m.normalize.mean.fill_(torch.nan),
        "normalize: mean must be finite numbers, one per channel; got (nan,)",
    ),
    (lambda m: setattr(m.network[3], "quantizer", nn.Identity()), "3: its quantizer must be a glassbit.quant.Weight"),
    (lambda m: _replace(m.network[3].quantizer), "3.quantizer: its forward was replaced on the object"),
    (lambda m: _replace(m.network[3].quantizer, "to_int"), "3.quantizer: its to_int was replaced on the object"),
    (lambda m: _class(m.network[3].quantizer, Larger), "3.quantizer: its forward must be scale * (to_int + offset)"),
    (lambda m: m.network[3].quantizer.register_forward_hook(lambda m, i, o: -o), "3.quantizer: a forward hook on it"),
    (lambda m: _replace(m.network[4], "scale"), "4: its scale was replaced on the object"),
    (lambda m: setattr(m.network[4], "bits", 4.0), "4: bits must be a whole number 2..8; got 4.0"),
]


@pytest.mark.parametrize(("change", "start"), CHANGES)
def test_it_is_refused_by_all_that_convert(change: Change, start: str):
    model = classifier()
    made = Deployed(copy.deepcopy(model), IMAGES)
    change(model)
    assert isinstance(made.classifier, models.Classifier)
    change(made.classifier)
    for convert in (
        lambda: Deployed(model, IMAGES),
        lambda: lower(model, images=IMAGES),
        lambda: lower(made),
        lambda: distances(made, IMAGES),
    ):
        with pytest.raises(ExportError) as caught:
            convert()
        assert [problem[: len(start)] for problem in caught.value.problems] == [start]
    assert [problem[: len(start)] for problem in export_problems(model, IMAGES)] == [start]


def test_a_deployed_network_with_a_hook_is_refused():
    made = Deployed(classifier(), IMAGES)
    made.register_forward_hook(lambda module, given, output: -output)
    with pytest.raises(ExportError, match="Deployed: a forward hook on it is no part"):
        lower(made)


def test_a_normalisation_that_changed_afterwards_is_refused():
    made = Deployed(classifier(), IMAGES)
    assert isinstance(made.classifier, models.Classifier)
    made.classifier.normalize.mean.fill_(0.9)
    with pytest.raises(ExportError, match=r"Deployed: mean and std must be those that it was made with; .*make a "):
        lower(made)


class Shy(nn.Module):
    """Changes values only while nothing watches."""

    def forward(self, x: Tensor) -> Tensor:
        return x if torch._C._len_torch_function_stack() else x * 1.3


class OfTwo(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 1.3 if len(x) == 2 else x


def test_what_runs_only_while_nothing_watches_is_refused():
    with pytest.raises(ExportError, match=r"Classifier: its logits must be those of its network; got \d+\.\d% between"):
        Deployed(classifier(Shy()), IMAGES)


@pytest.mark.parametrize("count", [1, 2, 6])
def test_what_asks_for_the_batch_size_is_refused_on_any_number_of_images(count: int):
    assert export_problems(classifier(OfTwo()), IMAGES[:count])
    with pytest.raises(ExportError):
        Deployed(classifier(OfTwo()), IMAGES[:count])


@pytest.mark.parametrize("mean", [(2.5,), (-0.5,), (0.0, 0.5, 1.0)])
def test_padding_that_is_no_pixel_is_named(mean: tuple[float, ...]):
    with pytest.raises(
        ExportError, match=r"- 0: .*Its padding is a normalised 0.*Give the Classifier one mean in \[0, "
    ):
        Deployed(classifier(mean=mean), images_of(len(mean)))


@pytest.mark.parametrize("level", [1e3, 1e6])
def test_a_clipping_level_that_is_too_large_is_named(level: float):
    model = classifier()
    model.network[4].alpha.data.fill_(level)
    with pytest.raises(ExportError, match=r"- 4: .*too coarse.*its clipping level of 1(000|e\+06) is too large; start"):
        Deployed(model, IMAGES)


@pytest.mark.parametrize("plan", ["w2a2", "w4a4"])
def test_biases_that_are_rounded_away_are_named(plan: str):
    model = classifier(plan=plan, edges="same")
    model.network[4].alpha.data.fill_(300.0)
    with pytest.raises(
        ExportError, match=r"- logits: .*The biases of 5 are about as small as one step of its accumulator"
    ):
        lower(model, images=IMAGES)
    assert export_problems(model, IMAGES) == ()
    Deployed(model, IMAGES, fresh=True)


@pytest.mark.parametrize(
    "convert",
    [
        lambda model: lower(model, images=IMAGES),
        lambda model: lower(Deployed(model, IMAGES)),
        lambda model: calibrate_(model, IMAGES.float() / 255),
    ],
)
def test_a_tensor_that_cannot_be_copied_is_refused(convert: Callable[[nn.Module], object]):
    model = classifier()
    model.network.keep = [model.network[0].layer.weight * 2]
    with pytest.raises(UsageError, match=r"the network must be one that can be copied; got RuntimeError .*or detach"):
        convert(model)


def test_a_class_without_a_module_is_taken():
    spelled: dict[str, Any] = {"nn": nn}
    exec("kind = type('Plain', (nn.Module,), {'forward': lambda self, x: x})", spelled)
    kind = spelled["kind"]
    with pytest.raises(AttributeError):
        _ = kind.__module__
    Deployed(classifier(kind()), IMAGES)


@pytest.mark.parametrize("images", [IMAGES.float(), IMAGES.float() * torch.nan, IMAGES[:, :, 1:]])
def test_distances_takes_the_images_that_deployed_takes(images: Tensor):
    made = Deployed(classifier(), IMAGES)
    with pytest.raises(UsageError, match="distances: images must be"):
        distances(made, images)


@pytest.mark.parametrize("values", [{"mean": torch.nan}, {"std": 0.0}])
def test_calibrating_refuses_a_normalisation_without_values(values: dict[str, float]):
    model = classifier()
    for name, value in values.items():
        getattr(model.normalize, name).fill_(value)
    with pytest.raises(UsageError, match=r"normalize: (mean|std) must be (finite|positive) numbers"):
        calibrate_(model, IMAGES.float() / 255)
