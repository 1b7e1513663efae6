"""The table of metrics."""

from glassbit.evidence import METRICS


def test_the_order_of_the_tables():
    assert [metric.key for metric in METRICS] == [
        "road_gap",
        "road_morf",
        "road_lerf",
        "deletion_constant",
        "deletion_linear",
        "insertion_constant",
        "insertion_linear",
        "max_sensitivity_002",
        "max_sensitivity_010",
        "infidelity",
        "gini",
        "entropy",
        "object_mass",
        "object_pointing",
        "shortcut_mass",
        "shortcut_pointing",
    ]


def test_titles_are_unique_and_every_metric_is_explained_in_a_sentence():
    assert len({metric.title for metric in METRICS}) == len(METRICS)
    assert all(metric.what[0].isupper() and metric.what.endswith(".") for metric in METRICS)


def test_sparseness_has_no_better_direction():
    assert {metric.better for metric in METRICS if metric.group == "sparseness"} == {""}
    assert all(metric.better for metric in METRICS if metric.group != "sparseness")
