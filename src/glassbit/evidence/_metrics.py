"""What is measured of a network's maps: names, directions, and what each number says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One number per image.

    Args:
        key: its name in files.
        title: its name in tables.
        better: the direction that speaks for the map; empty where neither does.
        group: the question that it answers. Sparseness is not faithfulness: a map can be sparse and wrong.
        what: a sentence for the reader.
    """

    key: str
    title: str
    better: Literal["higher", "lower", ""]
    group: Literal["faithfulness", "robustness", "sparseness", "ground truth"]
    what: str


METRICS = (
    Metric(
        "road_gap",
        "ROAD gap",
        "higher",
        "faithfulness",
        "How much more accuracy is left after removing the least relevant pixels than after the most relevant ones, "
        "with removed pixels filled in from their neighbours.",
    ),
    Metric(
        "road_morf",
        "ROAD, most relevant first",
        "lower",
        "faithfulness",
        "Accuracy after the most relevant pixels are removed, over the removed shares; half of the gap, and comparable "
        "only together with it.",
    ),
    Metric(
        "road_lerf",
        "ROAD, least relevant first",
        "higher",
        "faithfulness",
        "Accuracy after the least relevant pixels are removed, over the removed shares; half of the gap, and "
        "comparable only together with it.",
    ),
    Metric(
        "deletion_constant",
        "deletion, constant fill",
        "higher",
        "faithfulness",
        "How much faster the target's probability falls when the most relevant pixels become background than when "
        "random ones do: the area between the network's own two curves.",
    ),
    Metric(
        "deletion_linear",
        "deletion, linear fill",
        "higher",
        "faithfulness",
        "How much faster the target's probability falls when the most relevant pixels are filled in from their "
        "neighbours than when random ones are.",
    ),
    Metric(
        "insertion_constant",
        "insertion, constant fill",
        "higher",
        "faithfulness",
        "How much sooner the target's probability rises when the most relevant pixels come first out of the background "
        "than when random ones do.",
    ),
    Metric(
        "insertion_linear",
        "insertion, linear fill",
        "higher",
        "faithfulness",
        "How much sooner the target's probability rises when the most relevant pixels come first out of their "
        "neighbours' fill than when random ones do.",
    ),
    Metric(
        "max_sensitivity_002",
        "max-sensitivity, 0.02",
        "lower",
        "robustness",
        "The largest relative change of the map under uniform noise of up to 0.02 of the input range.",
    ),
    Metric(
        "max_sensitivity_010",
        "max-sensitivity, 0.1",
        "lower",
        "robustness",
        "The largest relative change of the map under uniform noise of up to 0.1 of the input range.",
    ),
    Metric(
        "infidelity",
        "infidelity",
        "lower",
        "faithfulness",
        "The share of what noise does to the target's logit that the signed gradient does not foretell, after the best "
        "scaling: 0 all of it, 1 nothing.",
    ),
    Metric(
        "gini",
        "Gini index",
        "",
        "sparseness",
        "How unequally the map is spread over the pixels: 0 evenly, 1 on a single pixel.",
    ),
    Metric(
        "entropy",
        "entropy",
        "",
        "sparseness",
        "How widely the map is spread over the pixels: 1 evenly, 0 on a single pixel.",
    ),
    Metric(
        "object_mass",
        "mass on the object",
        "higher",
        "ground truth",
        "The share of the map that lies on the object; by chance, the object's share of the pixels.",
    ),
    Metric(
        "object_pointing",
        "pointing at the object",
        "higher",
        "ground truth",
        "How often the map's highest pixel lies on the object; by chance, the object's share of the pixels.",
    ),
    Metric(
        "shortcut_mass",
        "mass on the shortcut",
        "lower",
        "ground truth",
        "The share of the map that lies on the planted mark; by chance, the mark's share of the pixels.",
    ),
    Metric(
        "shortcut_pointing",
        "pointing at the shortcut",
        "lower",
        "ground truth",
        "How often the map's highest pixel lies on the planted mark; by chance, the mark's share of the pixels.",
    ),
)
