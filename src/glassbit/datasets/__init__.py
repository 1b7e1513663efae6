"""Image data sets as tensors: known ones by name, and the user's own folders and arrays.

    data = load("fashion-mini")
    train, validation = split_validation(data.train)
    for images, labels in Batches(train, batch_size=128, seed=0).epoch(1): ...

Images are uint8 `(n, c, h, w)`, labels int64 `(n,)`, everywhere.
"""

from glassbit._catalogue import Entry as Entry
from glassbit._catalogue import catalogue as catalogue

from ._batches import Augment as Augment
from ._batches import Batches as Batches
from ._cache import cache_folder as cache_folder
from ._check import Report as Report
from ._check import check as check
from ._classes import match_classes as match_classes
from ._classes import with_classes as with_classes
from ._digest import digest as digest
from ._fetch import NotHereError as NotHereError
from ._fetch import fetch as fetch
from ._load import load as load
from ._repeats import remarks as remarks
from ._split import OBJECT as OBJECT
from ._split import SHORTCUT as SHORTCUT
from ._split import Dataset as Dataset
from ._split import Split as Split
from ._split import calibration_images as calibration_images
from ._split import split_validation as split_validation
