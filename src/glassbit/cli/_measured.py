"""The networks that are named on the command line to be measured, and their measurements, taken once and kept."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import Parameter

from glassbit._errors import GlassbitWarning, RunError, UsageError
from glassbit._files import check_folder
from glassbit._foreign import calling
from glassbit._plain_files import no_file
from glassbit._text import listed
from glassbit.cli._network_file import ARTIFACT, ONNX, open_network
from glassbit.cli._say import is_first_process
from glassbit.intgraph import Preprocessing
from glassbit.runs import RESULT

if TYPE_CHECKING:
    from glassbit.datasets import Dataset
    from glassbit.evidence import Comparison, Measurement
    from glassbit.measure import Subject
    from glassbit.recipe import DataRecipe
    from glassbit.study import SavedRun

DATA = Parameter(
    help="the data set; left out: that of the run (of the first one, where several are named)", metavar="NAME"
)
DATA_DIR = Parameter(help="folder with the files of a catalogue data set, instead of the cache")
IMAGES = Parameter(help="test images to measure on; accuracy is always that of all", metavar="N")
OTHER_SEED = Parameter(
    help="the first network trained with another seed, as a run, a file or module:callable: what two trainings agree "
    "on anyway; left out: looked for beside the first run",
    metavar="NETWORK",
)
OUT = Parameter(help="where the numbers and the page go; left out: compared/ and both names")


@dataclass(frozen=True)
class Place:
    """A network that can be measured.

    Args:
        text: as it was named.
        folder: of a run; None for anything else.
        seed: of a run.
        takes: the images that it is made for, where it says so.
        open: makes the network ready, for the images of a data set.
        facts: what a run knows of itself.
    """

    text: str
    folder: Path | None
    seed: int | None
    takes: Preprocessing | None
    open: Callable[[Dataset], Subject]
    facts: dict[str, Any]

    @property
    def slug(self) -> str:
        """Its name in file names."""
        stem = Path(self.text).stem if self.folder is None else self.folder.resolve().name
        return re.sub(r"[^A-Za-z0-9.+_]+", "-", stem).strip("-.") or "network"


def find(text: str, *, trust: bool = False) -> Place:
    """Return the network that `text` names.

    Args:
        text: as it was named.
        trust: whether the network of a saved run may be imported from anywhere; see `trained_model`.

    Raises:
        UsageError: it names none, or one that cannot be explained.
        RunError: a folder that is no run's.
    """
    path = Path(text)
    if path.is_dir():
        return _run(path, trust)
    if path.suffix in (ARTIFACT, ONNX):
        if not path.is_file():
            got = no_file(path) or "no file"
            raise UsageError(f"{text}: must be an existing file that `glassbit export` wrote; got {got}")
        network = open_network(path)
        if network.saliency is None:
            raise UsageError(
                f"{text}: must return saliency maps; got an .onnx file without them; write it again with `glassbit "
                "export RUN --onnx FILE --explain`, or measure the .glassbit file"
            )
        return Place(text, None, None, network.preprocessing, lambda _: _artifact(path), {})
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", text):
        return Place(text, None, None, None, lambda data: _own(text, data), {})
    raise UsageError(
        f"{text}: must be the folder of a run, a {ARTIFACT} or {ONNX} file, or package.module:callable that returns a "
        "trained torch network; got none of these; check the path"
    )


def dataset(places: Sequence[Place], data: str | None, data_dir: Path | None) -> Dataset:
    """Return the images that all `places` are measured on, brought to the size of the first network that has one.

    Raises:
        UsageError: nothing says which.
        DataError: they are not there.
        RunError: they are those of a run, and have changed since its training.
    """
    from glassbit.build import build_data
    from glassbit.cli._run_flags import recipe_of

    run = next((saved_run(place).run for place in places if place.folder is not None), None)
    if data is None and run is None:
        raise UsageError("--data: must be given where no run is named, to know which images to measure on; got none")
    recipe = run.data if data is None and run is not None else recipe_of({"data": {"name": data}}).data
    if data_dir is not None:
        recipe = recipe.model_copy(update={"dir": str(data_dir)})
    wanted = next((place.takes for place in places if place.takes is not None), None)
    framing = {}
    if data is not None and wanted is not None:
        color = "grey" if wanted.channels == 1 else "rgb"
        framing = {"size": (wanted.height, wanted.width), "resize": wanted.resize, "color": color}
    loaded = build_data(recipe.model_copy(update=framing), download=False, progress=is_first_process())
    for place in places:
        _check_unchanged(place, loaded, recipe, named=data is not None)
    return loaded


def _check_unchanged(place: Place, data: Dataset, recipe: DataRecipe, *, named: bool) -> None:
    """Look whether the images of a run are still those of its training, where it is measured on them.

    Args:
        named: whether the user asks for these images, and does not only take them for granted.

    Raises:
        UsageError: the run knows other classes.
        RunError: they are others, and the user has not asked for them.
    """
    from glassbit.datasets import with_classes
    from glassbit.study import changes

    saved = None if place.folder is None else saved_run(place)
    shape = (data.channels, *data.size)
    if saved is None or saved.run.data.name != recipe.name or (saved.channels, *saved.size) != shape:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlassbitWarning)  # the measurement says how classes are matched
        differing = changes(saved, with_classes(data, saved.classes, network=str(place.folder)), parts=("test",))
    if not differing:
        return
    said = "; ".join(differing)
    if not named:
        raise RunError(
            f"{place.folder}: must be measured on the images of its training; got another {recipe.name} ({said}); "
            f"bring the old images back, or measure on the new ones with --data {recipe.name}; some of these may have "
            "been trained on"
        )
    text = f"{place.folder}: {recipe.name} has changed since its training ({said})"
    warnings.warn(f"{text}; some of its test images may have been trained on", GlassbitWarning, stacklevel=3)


def opened(places: Sequence[Place], data: Dataset) -> list[Subject]:
    """Return the networks of all `places`, ready to be measured; whatever can be known before is looked at here.

    Raises:
        UsageError: one cannot be opened, or does not fit the images or their classes.
    """
    from glassbit.measure import fit_classes

    subjects = [place.open(data) for place in places]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlassbitWarning)  # said when it is measured
        for subject in subjects:
            fit_classes(subject, data)
    return subjects


def measured(place: Place, subject: Subject, data: Dataset, folder: Path, images: int) -> Measurement:
    """Return the measurement of a network: the one in `folder` if it is of the same network and images, else a new one.

    Args:
        place: of the network.
        subject: the network; see `opened`.
        data: the images.
        folder: where the measurement is kept.
        images: how many.
    """
    from glassbit.evidence import Measurement
    from glassbit.measure import draw, fit_classes, measure

    if (folder / "transparency.json").is_file():
        wanted = {"images_digest": draw(data, images).digest, "network_digest": subject.digest}
        try:
            measurement = Measurement.load(folder)
        except RunError as error:
            text = f"measured anew, as the measurement there cannot be read ({error})"
            warnings.warn(text, GlassbitWarning, stacklevel=2)
        else:
            same = all(measurement.facts.get(key) == value for key, value in wanted.items())
            if same and measurement.classes == data.classes:
                fit_classes(subject, data)
                return measurement
    taken = measure(subject, data, images=images, seed=place.seed, facts=place.facts, progress=is_first_process())
    taken.save(folder)
    return taken


def compared(
    a: str,
    b: str,
    other_seed: str | None,
    data: str | None,
    data_dir: Path | None,
    images: int,
    out: Path | None,
    trust: bool = False,
) -> tuple[Path, Comparison]:
    """Measure two networks, compare them, and write the comparison with its pages.

    Returns:
        Where it was written, and what was found.
    """
    from glassbit.measure import compare, draw
    from glassbit.report import write_comparison

    if a == b:
        raise UsageError(f"compare: A and B must be two networks; got {a} twice")
    first, second = find(a, trust=trust), find(b, trust=trust)
    third = _twin(first, trust) if other_seed is None else find(other_seed, trust=trust)
    places = [place for place in (first, second, third) if place is not None]
    folder = out or Path("compared") / f"{first.slug}-{second.slug}"
    own = data is not None  # with other images than their own, runs keep the measurements that they have
    folders = [
        folder / f"network-{i}" if own or place.folder is None else place.folder for i, place in enumerate(places, 1)
    ]
    for each in (folder, *folders):
        check_folder(each)
    chosen = dataset(places, data, data_dir)
    subjects = opened(places, chosen)
    asked = zip(places, subjects, folders, strict=True)
    measurements = [measured(place, subject, chosen, each, images) for place, subject, each in asked]
    comparison = compare(
        measurements[0],
        measurements[1],
        floor=measurements[2] if third is not None else None,
        images=draw(chosen, images).pixels.numpy(),
    )
    comparison.save(folder)
    write_comparison(folder, comparison)
    return folder, comparison


def saved_run(place: Place) -> SavedRun:
    """Return the run of a place that is one."""
    from glassbit.study import saved_run as read

    assert place.folder is not None
    return read(place.folder)


def _run(folder: Path, trust: bool) -> Place:
    from glassbit.study import run_facts, run_subject
    from glassbit.study import saved_run as read

    saved = read(folder)
    takes = Preprocessing(saved.channels, *saved.size, saved.run.data.resize)
    return Place(
        str(folder), folder, saved.run.seed, takes, lambda _: run_subject(saved, trust=trust), run_facts(saved)
    )


def _artifact(path: Path) -> Subject:
    from glassbit.measure import ArtifactSubject

    return ArtifactSubject(path, name=path.name)


def _own(text: str, data: Dataset) -> Subject:
    from glassbit.build import import_network
    from glassbit.measure import TorchSubject

    network = import_network(text, classes=len(data.classes), channels=data.channels)
    shape = (data.channels, *data.size)
    with calling(f"{text}: must take images of {' x '.join(map(str, shape))}"):
        subject = TorchSubject(network, name=text, image_shape=shape)
    warnings.warn(
        f"{text} has no class names: its logits are taken for the classes of {data.name} in their order, "
        f"{listed(data.classes)}",
        GlassbitWarning,
        stacklevel=2,
    )
    return subject


def _twin(place: Place, trust: bool) -> Place | None:
    """Return the same run with the lowest other seed that is finished, in the folder beside it."""
    if place.folder is None:
        return None
    run = saved_run(place).run
    for folder in sorted(place.folder.resolve().parent.iterdir()):
        if folder == place.folder.resolve() or not (folder / RESULT).is_file():
            continue
        run_place = _run(folder, trust)
        other = saved_run(run_place).run
        if other.model_copy(update={"seed": run.seed}).digest == run.digest:
            return run_place
    return None
