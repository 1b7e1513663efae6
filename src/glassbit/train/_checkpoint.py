"""Checkpoints: whole or absent, and read without unpickling anything but tensors and plain values."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glassbit._errors import RunError, UnreadableError
from glassbit._files import is_kept_back, replacing
from glassbit._inputs import check_network
from glassbit._plain_files import no_file, open_plain
from glassbit._takes import FOUND, PATH, TEXT, instance, takes

AGAIN = "delete it and call what made the run again (the command, or `fit` with the same `out`), which makes it anew"
_SHOWN = 3


@takes(path=PATH, content=instance(dict, "a dict of tensors and plain values", "pass one"))
def save_checkpoint(path: Path | str, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically.

    Args:
        path: e.g. `last.pt`.
        content: tensors and plain values, nested in dicts and lists.

    Raises:
        DiskError: it cannot be written.
    """
    buffer = io.BytesIO()  # torch's own writer makes no OSError of a full disk
    checked = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(True)  # `load_checkpoint` needs them
    try:
        torch.save(content, buffer)
    finally:
        torch.serialization.set_crc32_options(checked)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(buffer.getbuffer())


@takes(path=FOUND)
def load_checkpoint(path: Path | str) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Args:
        path: a `last.pt` or `best.pt`.

    Returns:
        `model` (the state dict), `epoch`, `history`, and what else was saved.

    Raises:
        UnreadableError: it cannot be read now.
        RunError: there is no such file, or it is damaged or holds anything but tensors and plain values.
    """
    path = Path(path)
    if not path.exists():
        raise RunError(
            f"checkpoint {path}: must exist; got no such file; train the run, or call what made it again, which makes "
            "the file anew"
        )
    odd = no_file(path)
    if odd is not None:
        raise RunError(f"checkpoint {path}: must be a file; got {odd.partition(';')[0]}; {AGAIN}")
    content: Any = None
    try:
        content = _content(path)
    except OSError as problem:
        if is_kept_back(problem):
            text = f"checkpoint {path}: must be readable; got: {problem.strerror}; allow it"
            raise UnreadableError(text) from problem
    except MemoryError:
        raise  # says nothing of the file
    except Exception:  # noqa: BLE001, S110 (what a damaged file makes torch raise has no end, and advises to trust it)
        pass
    if not _is_checkpoint(content):
        raise RunError(
            f"checkpoint {path}: must be a whole Glassbit checkpoint; got a damaged or foreign file; {AGAIN}"
        )
    whole: dict[str, Any] = content
    return whole


def _content(path: Path) -> object:
    """Return what a file holds, if it is as it was written: torch itself does not compare the checksums.

    Raises:
        Exception: whatever a damaged file makes torch or zipfile raise; None is returned where they do not notice.
    """
    with open_plain(path) as file:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            plain = all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())
            if not plain or len(set(names)) < len(names) or archive.testzip() is not None:
                return None
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=True)


@takes(path=FOUND, must=TEXT)
def load_weights(model: nn.Module, path: Path | str, must: str) -> None:
    """Put the weights of a checkpoint into a network.

    Args:
        model: gets them.
        path: of the checkpoint.
        must: what it has to be of, e.g. `the network of run.json`; ends the message.

    Raises:
        RunError: there is no such file, it is damaged, or of another network.
    """
    check_network("load_weights", model, runs=False)
    put_weights(model, load_checkpoint(path)["model"], f"checkpoint {path}: must be of {must}")


def put_weights(model: nn.Module, state: dict[str, Tensor], must: str) -> None:
    """`load_state_dict`, with a message of ours.

    Raises:
        RunError: `must`, and which tensors do not fit.
    """
    try:
        model.load_state_dict(state)
    except Exception as problem:
        difference = _difference(model.state_dict(), state)
        raise RunError(f"{must}; got another one ({difference}); use the checkpoint of this network") from problem


def _difference(wanted: dict[str, Tensor], got: dict[str, Tensor]) -> str:
    """Which tensors differ."""
    problems = [
        f"{name} is missing"
        if name not in got
        else f"{name} is not in the network"
        if name not in wanted
        else f"{name} is {_shape(got[name])} and must be {_shape(wanted[name])}"
        for name in dict.fromkeys((*wanted, *got))
        if name not in got or name not in wanted or got[name].shape != wanted[name].shape
    ]
    more = [f"{len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return "; ".join([*problems[:_SHOWN], *more]) or "its tensors cannot be used"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"


def _is_checkpoint(content: object) -> bool:
    return (
        isinstance(content, dict)
        and isinstance(content.get("model"), dict)
        and all(isinstance(name, str) for name in content["model"])
        and all(isinstance(tensor, Tensor) for tensor in content["model"].values())
        and isinstance(content.get("epoch"), int)
        and isinstance(content.get("history"), list)
        and all(_is_record(record) for record in content["history"])
    )


def _is_record(record: object) -> bool:
    if not isinstance(record, dict) or not isinstance(record.get("epoch", 0), int):
        return False
    return _is_held(record.get("validation")) and ("converted" not in record or _is_held(record["converted"]))


def _is_held(held: object) -> bool:
    return isinstance(held, dict) and all(isinstance(held.get(name), int | float) for name in ("loss", "accuracy"))
