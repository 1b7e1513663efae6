"""A study folder made of invented numbers, in the format that training writes; no network is trained here."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CLASSES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
FRACTIONS = [round(0.1 * step, 1) for step in range(10)]
LAYERS = ("0.activation", "1.activation", "2.activation", "3.activation")
ACCURACY = {"fp32": 0.92, "sgt": 0.90, "random": 0.895, "pact": 0.915, "sgt+pact": 0.895, "random+pact": 0.89}
BITS = {None: 32, "w4a4": 4, "w2a2": 2, "layers-4-2": 3}

CONFUSION = [[90 - 10 * (row == 3) if row == column else 10 * ((row, column) == (3, 0)) + (column == row - 1) * 10
              + (row == 0) * (column == 9) * 10 for column in range(10)] for row in range(10)]  # fmt: skip
"""A hundred images of each class; each is taken for the one before it in 10 %, and one in four dresses for T-shirts."""

Make = Callable[..., Path]


def accuracy(arm: str) -> float:
    """Of an arm; the name of its options changes nothing."""
    objective, plus, quantized = arm.partition("+")
    return ACCURACY[objective.partition("-")[0] + plus + quantized]


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, allow_nan=False))


def cost(plan: str | None) -> dict[str, Any]:
    bits = BITS[plan]
    rows = [
        {
            "name": f"{index}.conv",
            "kind": "Conv2d",
            "weight_bits": bits,
            "input_bits": bits,
            "stored_bytes": 1000 * (index + 1) * bits // 8,
            "macs": 500_000,
            "bitops": 500_000 * bits * bits,
        }
        for index in range(4)
    ]
    totals = {key: sum(row[key] for row in rows) for key in ("stored_bytes", "macs", "bitops")}
    return {**totals, "parameters": 10_000, "rows": rows}


def log_line(arm: str, plan: str | None, epoch: int, epochs: int, seed: int) -> dict[str, Any]:
    gain = 1 - 0.4**epoch
    value = accuracy(arm) * gain + 0.002 * seed
    quantized = plan is not None
    alphas = {layer: 10 * 0.8**epoch + 1 + index for index, layer in enumerate(LAYERS)} if quantized else {}
    return {
        "epoch": epoch,
        "lr": 0.1 * (1 - epoch / (epochs + 1)),
        "train": {
            "loss": 1.2 / epoch + (0.3 if "sgt" in arm else 0),
            "classification": 1.2 / epoch,
            "consistency": 0.3 / epoch if "sgt" in arm or "random" in arm else 0.0,
            "accuracy": value - 0.01,
            "tied": 0.1,
        },
        "validation": {"loss": 1.1 / epoch, "accuracy": value},
        "alphas": alphas,
        "steps": {},
        "clipped": {layer: 0.01 * (index + 1) if quantized else 0.0 for index, layer in enumerate(LAYERS)},
        "zeros": {layer: 0.3 + 0.1 * index for index, layer in enumerate(LAYERS)},
        "floored": [LAYERS[0]] if plan == "w2a2" and epoch == epochs else [],
        "seconds": 2.0,
        "images_per_second": 3000.0,
    }


def masking(arm: str, clean: float) -> dict[str, Any]:
    """Straight lines: the salient order loses `steep` of the clean accuracy per removed fraction, random order 0.5."""
    steep = 0.9 if "sgt" in arm else 0.6

    def line(slope: float) -> list[float]:
        return [clean * (1 - slope * x) for x in FRACTIONS]

    orders = {"salient": line(steep), "random": line(0.5), "least": line(0.2)}
    return {"n": 1000, "fractions": FRACTIONS, "accuracy": {"constant": orders, "mean": orders}}


def deployed_line(arm: str, plan: str | None, epochs: int, seed: int) -> dict[str, Any]:
    """The one epoch in deployed arithmetic: the conversion loses 5 points, the epoch gives them back."""
    last = log_line(arm, plan, epochs, epochs, seed)
    converted = {"loss": 0.5, "accuracy": last["validation"]["accuracy"] - 0.05}
    return {
        **last, "epoch": epochs + 1, "arithmetic": "deployed", "converted": converted, "clipped": {}, "zeros": {}
    }  # fmt: skip


def deployed(value: float) -> dict[str, Any]:
    files = {"stored": 30_000, "artifact": 31_000, "onnx": 32_000, "onnx_explained": 36_000, "onnx_float": 200_000}
    return {
        "test": {"accuracy": value - 0.001, "loss": 0.3, "n": 1000},
        "validation": {"accuracy": value},
        "converted": {"accuracy": value - 0.05},
        "best_epoch": 6,
        "bytes": files,
        "speed_of_float": {"1": 1.5, "64": 2.0},
        "absent": "",
    }


def saliency_maps(count: int, side: int, seed: int) -> np.ndarray[Any, Any]:
    noise = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side - 0.5
    blob = np.exp(-((x - 0.1) ** 2 + y**2) * 30)
    return (blob * noise.random((count, side, side)) ** 2).astype(np.float32)


def probe_images(count: int, channels: int, side: int) -> np.ndarray[Any, Any]:
    y, x = np.mgrid[:side, :side]
    images = np.zeros((count, channels, side, side), np.uint8)
    for index in range(count):
        images[index] = np.where(
            (x - side / 2) ** 2 + (y - side / 2) ** 2 < (side / 5 + index) ** 2, 180 + 5 * index, 20
        )
    return images


@pytest.fixture
def make_run() -> Make:
    """Writes one run folder; `state` is `finished`, `running` (a log and no result) or `new` (only `run.json`)."""

    def make(
        folder: Path,
        arm: str,
        plan: str | None,
        seed: int,
        *,
        data: str = "fashion-mini",
        model: str = "cnn-bn",
        epochs: int = 5,
        probes: int = 4,
        side: int = 28,
        state: str = "finished",
        deploy: bool = False,
        counted: bool = False,
    ) -> str:
        name = "-".join([data, model, arm, *([plan] if plan else []), f"s{seed}"])
        objective = "sgt" if "sgt" in arm else "random" if "random" in arm else "ce"
        head = {
            "id": name,
            "arm": arm,
            "objective": objective,
            "plan": plan,
            "seed": seed,
            "data": data,
            "model": model,
        }
        images = {"train": 6000, "test": 1000, "classes": CLASSES, "channels": 1, "size": [side, side]}
        facts = {"command": "glassbit train --epochs 5", "versions": {"python": "3.11"}, "hardware": {"cores": 2}}
        config = {"training": {"epochs": epochs}}
        write(folder / "run.json", {**head, "config": config, "digest": "d", "images": images, **facts})
        if state == "new":
            return name
        done = epochs if state == "finished" else max(1, epochs // 2)
        lines = [log_line(arm, plan, epoch, epochs, seed) for epoch in range(1, done + 1)]
        deploy = deploy and plan is not None
        lines += [deployed_line(arm, plan, epochs, seed)] if deploy else []
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        predictions = (np.arange(probes) + (np.arange(probes) == 1)) % 10
        (folder / "probes").mkdir()
        for epoch in range(done + 1):
            maps = saliency_maps(probes, side, 100 * seed + epoch).astype(np.float16)
            np.savez(folder / "probes" / f"epoch-{epoch:03d}.npz", maps=maps, predictions=predictions)
        if state == "finished":
            value = accuracy(arm) - (0.01 if plan == "w2a2" else 0) + 0.002 * seed
            confidence = np.linspace(0.5, 0.99, probes).astype(np.float32)
            maps = saliency_maps(probes, side, seed)
            np.savez(folder / "explain.npz", maps=maps, predictions=predictions, confidence=confidence)
            result = {
                "test": {"accuracy": value, "loss": 0.3, "n": 1000, **({"confusion": CONFUSION} if counted else {})},
                "validation": {"accuracy": value + 0.01},
                "best_epoch": done,
                "cost": cost(plan),
                "masking": masking(arm, value),
                "left": [["dropout", "holds no weights"]] if plan else [],
                "train_seconds": 10.0,
                "epochs": done,
                **({"deployed": deployed(value)} if deploy else {}),
            }
            write(folder / "result.json", result)
        return name

    return make


@pytest.fixture
def make_study(make_run: Make) -> Make:
    """Writes a study folder with every finished arm x plan x seed; `extra` adds (arm, plan, seed, state) runs."""

    def make(
        folder: Path,
        *,
        arms: Sequence[str] = ("fp32", "sgt", "pact", "sgt+pact"),
        plans: Sequence[str] = ("w4a4", "w2a2"),
        seeds: Sequence[int] = (0, 1, 2),
        data: Sequence[str] = ("fashion-mini",),
        epochs: int = 5,
        probes: int = 4,
        extra: Sequence[tuple[str, str | None, int, str]] = (),
        failed: dict[str, str] | None = None,
        deploy: bool = False,
        counted: bool = False,
    ) -> Path:
        names = []
        for one in data:
            wanted = [
                (arm, plan, seed, "finished")
                for arm in arms
                for plan in (plans if arm.endswith("pact") else (None,))
                for seed in seeds
            ]
            for arm, plan, seed, state in [*wanted, *extra]:
                place = folder / "runs" / "-".join([one, "cnn-bn", arm, *([plan] if plan else []), f"s{seed}"])
                place.mkdir(parents=True)
                options = {"data": one, "epochs": epochs, "probes": probes, "state": state, "deploy": deploy}
                options["counted"] = counted
                names.append(make_run(place, arm, plan, seed, **options))
            images, labels = probe_images(probes, 1, 28), np.arange(probes) % 10
            name = "probes.npz" if len(data) == 1 else f"probes-{one}.npz"
            np.savez(folder / name, images=images, labels=labels, classes=np.array(CLASSES))
        head = {
            "name": "invented",
            "recipe": {"name": "invented"},
            "recipe_text": "name: invented\narms: [fp32, sgt, pact, sgt+pact]\nplans: [w4a4, w2a2]\n",
            "command": "glassbit study invented.yaml",
            "versions": {"python": "3.11.2", "torch": "2.13.0", "glassbit": "0.1.0"},
            "hardware": {"cpu": "a processor", "cores": 2, "gpus": []},
            "started": "2025-01-01T00:00:00+00:00",
            "runs": names,
            "failed": failed or {},
        }
        write(folder / "study.json", head)
        return folder

    return make
