"""Accuracy under masking against a loop over images, and on networks whose answer is known."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit.explain import FRACTIONS, masking_curves, saliency
from glassbit.models import to_unit

LABELS = torch.tensor([0, 1, 2, 0, 1])


class Spot(nn.Module):
    """Class 1 where the pixel in the middle is bright; only that pixel has a gradient."""

    def forward(self, x: Tensor) -> Tensor:
        middle = x[:, :, 4, 4].sum(1)
        return torch.stack([torch.full_like(middle, 0.5), middle], 1)


def spots(n: int) -> Tensor:
    x = torch.zeros(n, 2, 8, 8)
    x[:, :, 4, 4] = 1.0
    return x


def test_the_one_pixel_that_matters_goes_first_or_last_or_by_chance() -> None:
    curves = masking_curves(
        Spot(),
        spots(400),
        torch.ones(400, dtype=torch.int64),
        fills=("constant",),
        fractions=(0.0, 0.25, 0.5, 0.75, 1.0),
    )
    found = curves.accuracy["constant"]
    assert found["salient"] == (1.0, 0.0, 0.0, 0.0, 0.0)
    assert found["least"] == (1.0, 1.0, 1.0, 1.0, 0.0)
    assert np.allclose(found["random"], (1.0, 0.75, 0.5, 0.25, 0.0), atol=0.1)
    assert curves.n == 400


@pytest.mark.parametrize("quantized", [None, "w4a4"])
@pytest.mark.parametrize("fill", ["constant", "mean"])
def test_it_equals_a_loop_over_images(make, images, quantized, fill) -> None:
    model = make(quantized=quantized).eval()
    x = to_unit(images)
    curves = masking_curves(model, images, LABELS, fills=(fill,), fractions=(0.0, 0.3, 0.6))
    maps = saliency(model, x, LABELS).flatten(1).numpy()
    right = {"salient": np.zeros(3), "least": np.zeros(3)}
    for image, label, scores in zip(x, LABELS.tolist(), maps, strict=True):
        assert len(np.unique(scores[scores > 0])) == np.sum(scores > 0) > 84, "a tie at an edge would be ambiguous"
        for order, places in (("salient", np.argsort(-scores)), ("least", np.argsort(scores))):
            for step, count in enumerate((0, 36, 72)):
                copied = image.clone().numpy()
                for channel in range(2):
                    value = image[channel, 0, 0] if fill == "constant" else image[channel].mean()
                    copied[channel].reshape(-1)[places[:count]] = value
                with torch.no_grad():
                    right[order][step] += int(model(torch.from_numpy(copied)[None]).argmax()) == label
    for order, counts in right.items():
        assert curves.accuracy[fill][order] == tuple(counts / 5)


def test_ties_go_in_random_order_and_never_by_position() -> None:
    """All pixels but one tie at 0: least first removes a random half, so both halves of the image lose the same."""

    class Halves(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            left, right = x.detach()[..., :4].mean((1, 2, 3)), x.detach()[..., 4:].mean((1, 2, 3))
            return torch.stack([left, right], 1) + 0 * x[:, :, 0, 0].sum(1)[:, None]

    x = torch.ones(600, 1, 8, 8)
    x[:, :, 0, 0] = 0.0
    curves = masking_curves(Halves(), x, torch.zeros(600, dtype=torch.int64), fills=("constant",), fractions=(0.5,))
    for order in ("salient", "random", "least"):
        assert 0.3 < curves.accuracy["constant"][order][0] < 0.7


def test_the_seed_decides_and_neither_the_batch_nor_the_global_state(make, images) -> None:
    many = images.repeat(8, 1, 1, 1)
    labels = LABELS.repeat(8)
    model = make(quantized="w2a2")
    first = masking_curves(model, many, labels, seed=3)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert masking_curves(model, many, labels, seed=3) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert masking_curves(model, many, labels, seed=3, batch=7) == first
    assert masking_curves(model, to_unit(many), labels, seed=3) == first
    assert masking_curves(model, many, labels, seed=4) != first


def test_the_defaults_are_those_of_the_paper(make, images) -> None:
    curves = masking_curves(make(), images, LABELS)
    assert curves.fractions == FRACTIONS == tuple(i / 10 for i in range(10))
    assert set(curves.accuracy) == {"constant", "mean"}
    for by_order in curves.accuracy.values():
        assert set(by_order) == {"salient", "random", "least"}
        assert all(len(values) == 10 for values in by_order.values())


def test_everything_removed_leaves_one_answer_for_all_orders(make, images) -> None:
    curves = masking_curves(make(), images, LABELS, fractions=(1.0,))
    for by_order in curves.accuracy.values():
        assert len(set(by_order.values())) == 1


def test_a_network_that_has_diverged_still_gets_curves(make, images) -> None:
    model = make()
    nn.init.constant_(model.network[8].weight, float("nan"))
    values = masking_curves(model, images, LABELS).accuracy["mean"]["salient"]
    assert all(0.0 <= value <= 1.0 for value in values)


def test_the_model_is_left_as_it_was(make, images) -> None:
    model = make().train()
    before = copy.deepcopy(model.state_dict())
    masking_curves(model, images, LABELS)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"labels": LABELS + 1}, "got 3"),
        ({"fractions": ()}, "fractions must be a tuple or list of at least 1, each a number"),
        ({"fractions": (0.5, 1.5)}, r"fractions must be .* each a number, 0\.\.1; got"),
        ({"fills": ()}, "fills must be .* at least 1, each one of constant, mean; got"),
        ({"fills": ("mean", "mean")}, "each once"),
    ],
)
def test_bad_arguments_are_named(make, images, change, text) -> None:
    arguments = {"labels": LABELS, **change}
    with pytest.raises(UsageError, match=text):
        masking_curves(make(), images, arguments.pop("labels"), **arguments)


def test_no_images_are_refused(make, images) -> None:
    with pytest.raises(UsageError, match="images must be one or more; got none"):
        masking_curves(make(), images[:0], LABELS[:0])
