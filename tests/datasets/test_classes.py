from __future__ import annotations

import pytest
import torch

from glassbit._errors import GlassbitWarning, UsageError
from glassbit.datasets import Dataset, Split, match_classes, with_classes


def data(*classes: str, name: str = "photos") -> Dataset:
    """One image for each class in each part; its pixels are the label."""
    labels = torch.arange(len(classes))
    images = labels.to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    return Dataset(name, Split(images, labels), Split(images, labels), tuple(classes))


def test_the_same_classes_in_the_same_order_change_nothing() -> None:
    found = data("cat", "dog", "owl")
    assert match_classes(["cat", "dog", "owl"], found, network="net") == (0, 1, 2)
    assert with_classes(found, ("cat", "dog", "owl"), network="net") is found


def test_another_order_is_matched_by_name_and_said() -> None:
    found = data("cat", "dog", "owl")
    with pytest.warns(GlassbitWarning, match="net has the classes of photos in another order, dog, owl, cat; they are"):
        assert match_classes(["dog", "owl", "cat"], found, network="net") == (2, 0, 1)
    with pytest.warns(GlassbitWarning, match="in another order"):
        renumbered = with_classes(found, ["dog", "owl", "cat"], network="net")
    assert renumbered.classes == ("dog", "owl", "cat")
    for split in (renumbered.train, renumbered.test):
        assert split.images[:, 0, 0, 0].tolist() == [0, 1, 2]  # cat, dog, owl, as before
        assert [renumbered.classes[label] for label in split.labels] == ["cat", "dog", "owl"]


def test_other_classes_are_refused_with_both_lists() -> None:
    with pytest.raises(UsageError) as error:
        match_classes(["amber", "black"], data("black", "zinc"), network="m.glassbit")
    assert str(error.value) == (
        "m.glassbit: its classes must be those of photos, in any order; got 2: amber, black, where photos has 2: "
        "black, zinc; give the images the names that the network knows, or train again on these"
    )
    with pytest.raises(UsageError, match="got 3: a, b, c, where photos has 2: a, b"):
        match_classes(["a", "b", "c"], data("a", "b"), network="net")
    with pytest.raises(UsageError, match="got 3: 0, 1, 2, where photos has 2: a, b"):
        match_classes(["0", "1", "2"], data("a", "b"), network="net")


def test_long_lists_are_shortened_to_what_differs() -> None:
    many = [f"class-{i:02}" for i in range(40)]
    with pytest.raises(UsageError) as error:
        match_classes([*many[:-1], "x\n" * 30], data(*many), network="net")
    text = str(error.value)
    assert "class-09 and 30 more (it alone has x\\nx\\n" in text
    assert "and 30 more (it alone has class-39)" in text
    assert "\n" not in text
    assert len(text) < 500


@pytest.mark.parametrize(
    ("ours", "theirs", "who"),
    [
        (
            ("0", "1"),
            ("cat", "dog"),
            "net knows its 2 classes by number only: class 0 is taken for cat, class 1 for dog",
        ),
        (("cat", "dog"), ("0", "1"), "photos knows its 2 classes by number only: class 0 is taken for cat"),
    ],
)
def test_numbers_are_no_names(ours: tuple[str, ...], theirs: tuple[str, ...], who: str) -> None:
    with pytest.warns(GlassbitWarning, match=who):
        assert match_classes(ours, data(*theirs), network="net") == (0, 1)


def test_numbers_in_another_order_may_be_either_and_are_refused() -> None:
    counted = [str(i) for i in range(11)]
    sorted_as_text = sorted(counted)
    assert sorted_as_text != counted
    for ours, theirs in ((counted, sorted_as_text), (sorted_as_text, counted)):
        with pytest.raises(UsageError, match="so 1 may be a name or a number"):
            match_classes(ours, data(*theirs), network="net")


def test_a_data_set_has_different_names_and_labels_among_them() -> None:
    with pytest.raises(UsageError, match="classes must have different names; got a more than once"):
        data("a", "b", "a")
    one = Split(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 2]))
    with pytest.raises(UsageError, match=r"labels of train must be class numbers, 0..1; got 0..2"):
        Dataset("x", one, one, ("a", "b"))


@pytest.mark.parametrize("name", ["\x1b[31m", "b\n", "", "a" * 257])
def test_a_data_set_has_names_that_can_be_shown(name: str) -> None:
    with pytest.raises(UsageError, match=r"classes must be printable text of 1 to 256 characters; got '.*; rename it"):
        data("a", name)
    with pytest.raises(UsageError, match=r"classes must be at most 65535 names; got 65536"):
        data(*map(str, range(65536)))
