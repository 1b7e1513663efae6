"""Get the catalogue's data sets from where they are published."""

from __future__ import annotations

import logging
from pathlib import Path

import pooch
import requests

from glassbit._catalogue import Download, Entry, catalogue, entry
from glassbit._errors import DataError, UsageError
from glassbit._files import replacing
from glassbit._takes import FOUND, SWITCH, TEXT, optional, takes

from ._cache import cache_folder
from ._cifar import read_archive
from ._download import Resuming
from ._lock import locked
from ._official import Search, find, sha256


class NotHereError(DataError):
    """A data set of the catalogue that is not on this machine."""


@takes(name=TEXT, cache_dir=optional(FOUND), progress=SWITCH)
def fetch(name: str, *, cache_dir: Path | str | None = None, progress: bool = False) -> tuple[Path, ...]:
    """Download a data set of the catalogue into the cache, unless it is there.

    A download that was cut short goes on where it stopped. Every file is checked against its published SHA-256.

    Args:
        name: of the catalogue.
        cache_dir: absent for GLASSBIT_CACHE or the platform's cache folder.
        progress: show a bar on a terminal.

    Returns:
        The files; none for a data set that comes with Glassbit.

    Raises:
        UsageError: the catalogue has no such name.
        DataError: no server can be reached, or what it sends is not what was published.
    """
    known = entry(name)
    if known is None:
        raise UsageError(f"name must be one of {', '.join(e.name for e in catalogue())}; got {name!r}")
    cache = cache_folder(cache_dir)
    if known.included:
        return ()
    with locked(cache / known.name):
        search = find(known, cache)
        if search.files is None:
            _download(known, cache, progress=progress)
            search = find(known, cache)
    return search.paths


def missing(known: Entry, search: Search, *, why: tuple[str, ...] = ()) -> NotHereError:
    """Return the error for a data set that is not there: its files, where they were looked for, how to get them."""
    needed = " ".join(name for name, _ in known.contents)
    forms = {
        "idx": "each with or without .gz",
        "cifar": "or Python's batches of the same names without .bin, or the archive of either",
    }
    lines = [
        f"{known.name}: must be on this machine; got no complete copy; get it as below.",
        f"  files:      {needed} ({forms[known.layout]})",
    ]
    lines += [f"  looked in:  {search.looked[0]}", *(f"              {place}" for place in search.looked[1:])]
    lines += [f"  found:      {note}" for note in search.notes]
    lines += [f"  download:   {reason}" for reason in why]
    lines += [
        f"  to get it:  run `glassbit data fetch {known.name}` where there is a network, or download",
        *(f"              {url}" for item in known.downloads for url in item.urls[:1]),
        "              into a folder and name it with --data-dir FOLDER (in Python: data_dir=FOLDER)",
    ]
    return NotHereError("\n".join(lines))


def _download(known: Entry, cache: Path, *, progress: bool) -> None:
    folder = cache / known.folders[0]
    folder.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    for item in known.downloads:
        failures += _first_that_works(item, folder, progress=progress)
        if failures:
            raise missing(known, find(known, cache), why=tuple(failures))
    if known.layout == "cifar":
        archive = folder / known.downloads[0].name
        _unpack(known, archive, cache / "cifar-10-batches-bin")
        archive.unlink()


def _first_that_works(item: Download, folder: Path, *, progress: bool) -> list[str]:
    """Try every place until one has sent the right file; nothing, or why each of them failed."""
    logger = pooch.get_logger()
    level = logger.level
    failures: list[str] = []
    for url in item.urls:
        downloader = Resuming(folder / f"{item.name}.part", progress=progress)
        try:
            logger.setLevel(logging.ERROR)
            pooch.retrieve(url, f"sha256:{item.sha256}", fname=item.name, path=folder, downloader=downloader)
            return []
        except (requests.RequestException, OSError, ValueError) as error:
            failures.append(f"{url}: {_reason(error)}")
        finally:
            logger.setLevel(level)
    return failures


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError):
        return str(error)
    if isinstance(error, requests.Timeout):
        return "the server does not answer in time"
    if isinstance(error, requests.ConnectionError):
        return (
            "the server cannot be reached, or broke off; what has arrived is kept and the next try goes on from there"
        )
    if isinstance(error, ValueError):
        return "the file is not the published one (its SHA-256 differs)"
    return str(error)


def _unpack(known: Entry, archive: Path, folder: Path) -> None:
    batches = read_archive(archive, ".bin")
    for name, right in known.contents:
        data = batches[name.removesuffix(".bin")]
        if sha256(data) != right:
            raise DataError(
                f"{archive}: {name} must be the published file; got one with another SHA-256; delete the archive"
            )
        with replacing(folder / name) as temporary:
            temporary.write_bytes(data)
