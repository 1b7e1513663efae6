"""How far are the integers from fake quantization? The limit of `deploy` is set from this.

    python -m benchmarks.fidelity --data fashion-mini --out fidelity.json

Every shipped network x plan x weight quantizer, untrained (clipping levels calibrated) and after training, on the
calibration images. One line per network; the file holds every tensor's distance.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from glassbit import CrossEntropy, Plan, datasets, fit, models, quantize_
from glassbit._files import write_json
from glassbit.datasets import Dataset, calibration_images
from glassbit.deploy import Deployed, distances
from glassbit.quant import NAMED_PLANS, calibrate_

NETWORKS = {
    "cnn": lambda data: models.cnn(len(data.classes), data.channels, data.size),
    "cnn-bn": lambda data: models.cnn_bn(len(data.classes), data.channels, width=16),
    "resnet20": lambda data: models.resnet20(len(data.classes), data.channels),
    "resnet32": lambda data: models.resnet32(len(data.classes), data.channels),
    "resnet56": lambda data: models.resnet56(len(data.classes), data.channels),
}
WEIGHTS = {"sawb": "pact", "lsq": "lsq", "dorefa": "pact"}


def measure(name: str, plan: Plan, data: Dataset, epochs: int) -> list[dict[str, Any]]:
    """The distances of one network, every tensor of it."""
    torch.manual_seed(0)
    model = models.Classifier(NETWORKS[name](data), mean=data.mean, std=data.std)
    quantize_(model.network, plan)
    images = calibration_images(data.train, seed=0)
    calibrate_(model, images[:256].float() / 255)
    if epochs:
        fit(CrossEntropy(model), data, epochs=epochs, lr=0.05, batch_size=64, progress=False)
    return [asdict(found) for found in distances(Deployed(model, images), images)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="fashion-mini")
    parser.add_argument("--data-dir", default=None)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--plans", nargs="*", default=list(NAMED_PLANS))
    parser.add_argument("--weights", nargs="*", default=list(WEIGHTS))
    parser.add_argument("--epochs", nargs="*", type=int, default=[0, 2])
    parser.add_argument("--images", type=int, default=4000, help="to train on")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    data = datasets.load(given.data, data_dir=given.data_dir, download=False)
    train = datasets.Split(data.train.images[: given.images], data.train.labels[: given.images])
    data = datasets.Dataset(data.name, train, data.test, data.classes)
    rows: list[dict[str, Any]] = json.loads(given.out.read_text()) if given.out.exists() else []
    done = {(row["network"], row["plan"], row["weights"], row["epochs"], row["data"]) for row in rows}
    for epochs in given.epochs:
        for name in given.networks:
            for weights in given.weights:
                for named in given.plans:
                    if (name, named, weights, epochs, given.data) in done:
                        continue
                    plan = Plan.named(named, weights=weights, activations=WEIGHTS[weights])
                    tensors = measure(name, plan, data, epochs)
                    rows.append(
                        {
                            "data": given.data,
                            "network": name,
                            "plan": named,
                            "weights": weights,
                            "epochs": epochs,
                            **{
                                f"of_{what}": [round(each["off"], 6) for each in tensors if each["what"] == what]
                                for what in ("weights", "values")
                            },
                        }
                    )
                    write_json(given.out, rows)
                    largest = max((each["off"], each["name"]) for each in tensors if each["what"] == "values")
                    case = f"{given.data} {name} {named} {weights}, {epochs} epochs"
                    print(
                        f"{case}: weights {max(rows[-1]['of_weights']):.4f}, values {largest[0]:.4f} ({largest[1]})",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
