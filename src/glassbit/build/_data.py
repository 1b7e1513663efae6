"""The data set of a recipe."""

from __future__ import annotations

from glassbit import datasets
from glassbit.recipe import DataRecipe


def build_data(recipe: DataRecipe, *, download: bool = True, progress: bool = False) -> datasets.Dataset:
    """Load the images that `recipe` names.

    Args:
        download: fetch a catalogue data set that is not there yet.
        progress: show the download.

    Raises:
        DataError: files are missing or damaged.
        UsageError: the options do not fit the images.
    """
    return datasets.load(
        recipe.name,
        data_dir=recipe.dir,
        size=recipe.size,
        resize=recipe.resize,
        color=recipe.color,
        download=download,
        progress=progress,
    )
