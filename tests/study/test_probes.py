from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from glassbit._errors import RunError
from glassbit.datasets import Dataset, Split
from glassbit.models import Classifier, cnn_bn
from glassbit.study._probes import Probes


def fake(labels: list[int]) -> Dataset:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (len(labels), 1, 8, 8), dtype=torch.uint8, generator=random)
    split = Split(images, torch.tensor(labels))
    return Dataset("fake", split, split, tuple("abc"))


def test_probes_take_the_classes_in_turn() -> None:
    probes = Probes(fake([0] * 20 + [1] * 3 + [2] * 5), 9)
    assert probes.labels.tolist() == [0, 1, 2] * 3


def test_probes_are_always_the_same_and_never_more_than_there_are() -> None:
    data = fake([0, 1, 2, 2])
    assert torch.equal(Probes(data, 3).images, Probes(data, 3).images)
    assert len(Probes(data, 100).images) == 4


def test_maps_leave_the_model_as_it_was() -> None:
    data = fake([0, 1, 2])
    model = Classifier(cnn_bn(classes=3, width=2), mean=(0.5,), std=(0.5,)).train()
    model.network.stage1.bn.eval()  # type: ignore[union-attr, operator]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    maps, probabilities = Probes(data, 3).maps(model)
    assert maps.shape == (3, 8, 8)
    assert torch.allclose(probabilities.sum(1), torch.ones(3))
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_probe_images_are_written_once(tmp_path: Path) -> None:
    probes = Probes(fake([0, 1, 2]), 3)
    told = {"train": "a", "test": "b"}
    probes.save(tmp_path / "probes.npz", told)
    before = (tmp_path / "probes.npz").stat().st_mtime_ns
    probes.save(tmp_path / "probes.npz", told)
    assert (tmp_path / "probes.npz").stat().st_mtime_ns == before


def test_probe_images_of_other_data_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "probes.npz"
    Probes(fake([0, 1, 2]), 3).save(path, {"train": "a", "test": "b"})
    with pytest.raises(RunError, match=r"got other digest_train: images or labels changed since"):
        Probes(fake([0, 1, 2]), 3).save(path, {"train": "x", "test": "b"})
    with pytest.raises(RunError, match="got other images, labels, digest_test"):
        Probes(fake([2, 1, 0]), 2).save(path, {"train": "a", "test": "x"})
    with np.load(path) as file:
        old = {name: file[name] for name in ("images", "labels", "classes")}
    np.savez(path, **old)  # as earlier versions left it
    Probes(fake([0, 1, 2]), 3).save(path, {"train": "x", "test": "x"})
    path.write_bytes(path.read_bytes()[:-30])  # what cannot be read is written anew
    Probes(fake([0, 1, 2]), 3).save(path, {"train": "x", "test": "x"})
    with np.load(path) as file:
        assert str(file["digest_train"]) == "x"
