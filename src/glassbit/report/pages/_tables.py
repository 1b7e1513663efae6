"""The tables as files: CSV with every digit, Markdown as people read it."""

from __future__ import annotations

from collections.abc import Sequence

from glassbit.report.numbers import Numbers
from glassbit.report.words import NOTHING, count, kilobytes, number, spread_text
from glassbit.runs import CostRow

from ._table import Table, pair
from ._table import texts as texts_of
from ._training_tables import class_tables, training_tables


def tables(groups: Sequence[Numbers]) -> list[Table]:
    """Every table that has at least one row, over all groups of a study."""
    makers = (_accuracy, _deployed, _cost, _masking, _masking_curves, _activations)
    made = [*(make(groups) for make in makers), *training_tables(groups), *class_tables(groups)]
    return [table for table in made if table.rows]


def _accuracy(groups: Sequence[Numbers]) -> Table:
    columns = (
        "data,model,arm,plan,seeds,n,test_percent_mean,test_percent_sd,validation_percent_mean,validation_percent_sd,"
        "drop_from_fp32_points_mean,drop_from_fp32_points_sd,drop_from_own_float_arm,drop_from_own_points_mean,"
        "drop_from_own_points_sd,stored_bytes,bitops,macs,parameters"
    )
    titles = (
        "data,model,arm,plan,n,test accuracy (%),drop from fp32 (points),drop from own float arm (points),"
        "stored (kB),BitOps,MACs"
    )
    rows, texts = [], []
    for known in groups:
        group = known.group
        for row in known.accuracies:
            cost = row.cost
            head = (group.data, group.model, row.variant.arm, row.variant.plan)
            rows.append(
                (
                    *head,
                    " ".join(map(str, row.by_seed)),
                    row.test.n,
                    *pair(row.test),
                    *pair(row.validation),
                    *pair(row.drop),
                    row.own,
                    *pair(row.drop_own),
                    cost.stored_bytes,
                    cost.bitops,
                    cost.macs,
                    cost.parameters,
                )
            )
            texts.append(
                (
                    *texts_of(head),
                    str(row.test.n),
                    spread_text(row.test),
                    spread_text(row.drop),
                    spread_text(row.drop_own) if row.own else NOTHING,
                    kilobytes(cost.stored_bytes),
                    count(cost.bitops),
                    count(cost.macs),
                )
            )
    return Table("accuracy", tuple(columns.split(",")), tuple(rows), tuple(titles.split(",")), tuple(texts))


def _cost(groups: Sequence[Numbers]) -> Table:
    keys = ("name", "kind", "weight_bits", "input_bits", "stored_bytes", "macs", "bitops")
    titles = ("data", "model", "plan", "layer", "kind", "weight bits", "input bits", "stored (kB)", "MACs", "BitOps")
    rows, texts = [], []
    for known in groups:
        group = known.group
        for item in known.costs:
            cost = item.cost
            total = CostRow(name="total", stored_bytes=cost.stored_bytes, macs=cost.macs, bitops=cost.bitops)
            for row in (*cost.rows, total):
                head = (group.data, group.model, item.plan or "float")
                layer = (row.name, row.kind, row.weight_bits, row.input_bits)
                rows.append((*head, *layer, row.stored_bytes, row.macs, row.bitops))
                texts.append((*head, *texts_of(layer), kilobytes(row.stored_bytes), count(row.macs), count(row.bitops)))
    return Table("cost", ("data", "model", "plan", *keys), tuple(rows), titles, tuple(texts))


def _deployed(groups: Sequence[Numbers]) -> Table:
    columns = (
        "data,model,arm,plan,n,fake_quantized_percent_mean,fake_quantized_percent_sd,deployed_percent_mean,"
        "deployed_percent_sd,drop_points_mean,drop_points_sd,lost_by_conversion_points_mean,lost_by_conversion_points_sd,"
        "stored_bytes,artifact_bytes,onnx_bytes,onnx_explained_bytes,speed_of_float_batch_1_mean,"
        "speed_of_float_batch_1_sd,speed_of_float_batch_64_mean,speed_of_float_batch_64_sd"
    )
    titles = (
        "data,model,arm,plan,n,fake-quantized (%),deployed (%),drop (points),lost by conversion alone (points),"
        "sum of bits (kB),artifact (kB),ONNX (kB),ONNX with saliency (kB),speed over float twin at 1 image,at 64"
    )
    rows, texts = [], []
    for known in groups:
        group = known.group
        for row in known.deployments:
            head = (group.data, group.model, row.variant.arm, row.variant.plan, row.test.n)
            sizes = (row.ideal, row.artifact, row.onnx, row.explained)
            spreads = (row.fake, row.test, row.drop, row.converted)
            rows.append(
                (*head, *(x for value in spreads for x in pair(value)), *sizes, *pair(row.single), *pair(row.many))
            )
            texts.append(
                (
                    *texts_of(head),
                    *map(spread_text, spreads),
                    *map(kilobytes, sizes),
                    *map(spread_text, (row.single, row.many)),
                )
            )
    return Table("deployed", tuple(columns.split(",")), tuple(rows), tuple(titles.split(",")), tuple(texts))


def _masking(groups: Sequence[Numbers]) -> Table:
    columns = (
        "data,model,arm,plan,fill,n,images,reach,area_mean,area_sd,area_normalised_mean,area_normalised_sd,"
        "area_least_minus_salient_mean,area_least_minus_salient_sd"
    )
    titles = "data,model,arm,plan,fill,n,images,area random - salient,the same normalised,area least - salient"
    rows, texts = [], []
    for known in groups:
        group = known.group
        for row in known.masking.rows:
            head = (group.data, group.model, row.variant.arm, row.variant.plan, row.fill, row.area.n, row.images)
            rows.append((*head, row.reach, *pair(row.area), *pair(row.normalised), *pair(row.least)))
            texts.append((*texts_of(head), *(spread_text(value, 3) for value in (row.area, row.normalised, row.least))))
    return Table("masking", tuple(columns.split(",")), tuple(rows), tuple(titles.split(",")), tuple(texts))


def _masking_curves(groups: Sequence[Numbers]) -> Table:
    columns = "data,model,arm,plan,fill,order,removed_fraction,n,accuracy_percent_mean,accuracy_percent_sd"
    titles = "data,model,arm,plan,fill,order,removed (%),n,accuracy (%)"
    rows, texts = [], []
    for known in groups:
        group = known.group
        for one in known.masking.removals:
            for order, curve in one.curves.items():
                for x, share in curve:
                    value = share.times(100)
                    head = (group.data, group.model, one.variant.arm, one.variant.plan, one.fill, order)
                    rows.append((*head, x, value.n, *pair(value)))
                    texts.append((*texts_of(head), number(100 * x, 0), str(value.n), spread_text(value)))
    return Table("masking_curves", tuple(columns.split(",")), tuple(rows), tuple(titles.split(",")), tuple(texts))


def _activations(groups: Sequence[Numbers]) -> Table:
    columns = "data,model,arm,plan,layer,n,clipped_percent_mean,clipped_percent_sd,zeros_percent_mean,zeros_percent_sd"
    titles = "data,model,arm,plan,layer,n,clipped (%),zero (%)"
    rows, texts = [], []
    for known in groups:
        group = known.group
        for row in known.shares:
            n = max((value.n for value in (row.clipped, row.zeros) if value is not None), default=0)
            head = (group.data, group.model, row.variant.arm, row.variant.plan, row.layer, n)
            rows.append((*head, *pair(row.clipped), *pair(row.zeros)))
            texts.append((*texts_of(head), spread_text(row.clipped, 1), spread_text(row.zeros, 1)))
    return Table("activations", tuple(columns.split(",")), tuple(rows), tuple(titles.split(",")), tuple(texts))
