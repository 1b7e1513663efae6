"""What a comparison says, and that its files bring it back."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
import pytest
from invented import COUNT, SIZE, invented

from glassbit._errors import RunError
from glassbit.evidence import MEASURES, Comparison, difference, interval
from glassbit.measure import compare


@pytest.fixture(scope="module")
def found() -> Comparison:
    images = np.random.default_rng(0).integers(256, size=(COUNT, 1, *SIZE)).astype(np.uint8)
    a, b, other = invented(name="fp32"), invented(name="int4", seed=1, noise=0.5), invented(seed=2)
    return compare(a, b, floor=other, images=images)


def test_accuracy_is_paired_over_the_whole_test_set(found):
    a, b = found.correct.astype(float)
    assert found.accuracy.a.images == 500
    assert found.accuracy.difference.mean == pytest.approx(b.mean() - a.mean())
    assert found.accuracy.difference.low == pytest.approx(difference(a[None], b[None]).low)


def test_every_metric_has_both_means_and_their_paired_difference(found):
    assert list(found.metrics) == list(found.values)
    a, b = found.values["road_gap"].astype(float)
    gap = found.metrics["road_gap"]
    assert (gap.a.mean, gap.b.mean) == pytest.approx((a.mean(), b.mean()))
    assert (gap.difference.low, gap.difference.high) == pytest.approx(
        (difference(a[None], b[None]).low, difference(a[None], b[None]).high)
    )
    assert gap.ratio.mean == pytest.approx(b.mean() / a.mean())


def test_predictions_agree_where_they_are_the_same_right_or_wrong(found):
    assert found.same_prediction.mean == pytest.approx((found.predictions[0] == found.predictions[1]).mean())
    assert found.same_prediction.images == COUNT


def test_agreement_lies_between_its_anchors(found):
    for measure in MEASURES:
        means = {pair: by_measure[measure].mean for pair, by_measure in found.agreements.items()}
        assert means["zero"] < means["between"] < means["ceiling"]
        expected = (means["between"] - means["zero"]) / (means["ceiling"] - means["zero"])
        assert found.relative[measure].mean == pytest.approx(expected)
        assert found.relative[measure].low < expected < found.relative[measure].high
    spearman = found.agreement["floor"].spearman
    assert found.agreements["floor"]["spearman"] == interval(spearman[None])


def test_without_a_ceiling_above_chance_nothing_is_relative():
    noisy = np.random.default_rng(0).random((COUNT, *SIZE)).astype(np.float16)
    found = compare(invented(noisy_maps=noisy), invented(seed=1))
    assert found.relative == dict.fromkeys(MEASURES)
    assert found.to_json()["relative"] == dict.fromkeys(MEASURES)


def test_an_image_without_a_map_is_left_out_of_the_mean_and_counts_as_chance_against_the_candidate():
    whole, maps = invented(), invented().maps.copy()
    maps[3] = 0
    found = compare(whole, invented(maps=maps))
    assert found.agreements["between"]["spearman"].images == COUNT - 1
    assert found.agreements["between"]["spearman"].mean == pytest.approx(1)
    assert found.relative["spearman"].images == COUNT
    ceiling, zero = found.agreement["ceiling"].spearman, found.agreement["zero"].spearman
    above = np.delete(1 - zero, 3).sum() / COUNT
    assert found.relative["spearman"].mean == pytest.approx(above / (ceiling - zero).mean())
    other = compare(invented(maps=maps), whole)
    assert other.relative["spearman"].images == COUNT - 1


def test_everything_comes_back(tmp_path, found):
    found.save(tmp_path / "compared")
    again = Comparison.load(tmp_path / "compared")
    assert (again.names, again.classes, again.absent) == (found.names, found.classes, found.absent)
    for name in ("rows", "labels", "predictions", "correct", "shown", "maps", "images"):
        ours, theirs = getattr(again, name), getattr(found, name)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
    assert again.to_json() == found.to_json()
    assert again.agreement.keys() == found.agreement.keys()
    assert len(again.images) == 12


def test_without_a_floor_and_images_they_stay_away(tmp_path):
    compare(invented(), invented(seed=1)).save(tmp_path)
    again = Comparison.load(tmp_path)
    assert again.images is None
    assert set(again.agreement) == set(again.agreements) == {"between", "ceiling", "zero"}
    assert "another seed" not in "\n".join(again.lines())


def test_the_json_tells_a_reader_the_numbers(tmp_path, found):
    found.save(tmp_path)
    said = json.loads((tmp_path / "comparison.json").read_text())
    assert said["format"] == "glassbit-comparison"
    assert said["names"] == ["fp32", "int4"]
    assert said["metrics"]["road_gap"]["difference"] == found.metrics["road_gap"].difference.to_json()
    assert said["metrics"]["road_gap"]["better"] == "higher"
    assert said["agreement"]["ceiling"]["ssim"] == found.agreements["ceiling"]["ssim"].to_json()
    worst = said["different"][0]
    place = int(np.argmin(found.agreement["between"].spearman))
    assert worst["row"] == found.rows[place]
    assert worst["label"] == found.classes[found.labels[place]]
    assert worst["predictions"] == [found.classes[p] for p in found.predictions[:, place]]
    assert worst["spearman"] == pytest.approx(found.agreement["between"].spearman.min())


def test_the_lines_for_a_terminal(found):
    lines = found.lines()
    assert lines[0] == "int4 against fp32: 40 test images, accuracy on all 500"
    road = found.metrics["road_gap"]
    assert (
        f"  ROAD gap                   {road.a.mean:.3f} -> {road.b.mean:.3f}, difference {road.difference.text()}"
        in lines
    )
    maps = next(line for line in lines if "maps agree, spearman" in line)
    means = {pair: by_measure["spearman"].mean for pair, by_measure in found.agreements.items()}
    assert f"between chance {means['zero']:.3f} and itself under noise {means['ceiling']:.3f}" in maps
    assert maps.endswith(f", another seed {means['floor']:.3f}")
    assert lines[-1] == "Brackets: 95 % intervals over test images; they say nothing of another training."
    assert len(lines) < 25


def test_damaged_files_are_refused_with_the_repair(tmp_path, found):
    found.save(tmp_path)
    (tmp_path / "comparison.json").unlink()
    with pytest.raises(RunError, match=r"no comparison.json; compare the networks again with `glassbit compare`"):
        Comparison.load(tmp_path)
    found.save(tmp_path)
    buffer = io.BytesIO()
    np.savez(buffer, rows=np.arange(3))
    (tmp_path / "comparison.npz").write_bytes(buffer.getvalue())
    with pytest.raises(RunError, match="must be the file that was written with comparison"):
        Comparison.load(tmp_path)
    path = tmp_path / "comparison.json"
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    path.write_text(json.dumps({**json.loads(path.read_text()), "arrays": digest}))
    with pytest.raises(RunError, match=r"must hold a comparison; got: no shown; compare the networks again"):
        Comparison.load(tmp_path)


def rewritten(folder, *, arrays=None, **summary):
    """Change what a folder holds, so that both files still belong together."""
    path = folder / "comparison.json"
    with np.load(folder / "comparison.npz") as file:
        held = {**{key: file[key] for key in file.files}, **(arrays or {})}
    buffer = io.BytesIO()
    np.savez(buffer, **held)
    (folder / "comparison.npz").write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    path.write_text(json.dumps({**json.loads(path.read_text()), "arrays": digest, **summary}))


@pytest.mark.parametrize(
    ("key", "summary"),
    [
        ("names", {"names": ["a"]}),
        ("names", {"names": [1, 2]}),
        ("names", {"names": "ab"}),
        ("classes", {"classes": 3}),
        ("classes", {"classes": [1, 2]}),
        ("labels", {"classes": ["one"]}),
        ("absent", {"absent": ["x"]}),
        ("absent", {"absent": {"gini": 1}}),
        ("agreement", {"agreement": 3}),
        ("agreement", {"agreement": {"between": {}}}),
    ],
)
def test_a_summary_of_another_kind_is_refused(tmp_path, found, key, summary):
    found.save(tmp_path)
    rewritten(tmp_path)
    assert Comparison.load(tmp_path).names == found.names
    rewritten(tmp_path, **summary)
    with pytest.raises(
        RunError, match=rf"must hold a comparison; got: .*{key} is not what it must be.*; compare the networks"
    ):
        Comparison.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("rows", lambda array: array[None]),
        ("labels", lambda array: array[1:]),
        ("labels", lambda array: array - 100),
        ("predictions", lambda array: array[:1]),
        ("predictions", lambda array: array + 100),
        ("predictions", lambda array: array + 0.5),
        ("correct", lambda array: array[0]),
        ("values/road_gap", lambda array: array[:, 1:]),
        ("between/ssim", lambda array: array[1:]),
        ("shown", lambda array: array + 1000),
        ("maps", lambda array: array[:, 1:]),
        ("images", lambda array: array[1:]),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(tmp_path, found, key, change):
    found.save(tmp_path)
    with np.load(tmp_path / "comparison.npz") as file:
        array = file[key]
    rewritten(tmp_path, arrays={key: change(array)})
    said = {"values/road_gap": "values", "between/ssim": "agreement"}.get(key, key)
    with pytest.raises(RunError, match=rf"{said} is not what it must be"):
        Comparison.load(tmp_path)
