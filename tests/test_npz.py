"""What `.npz` files that may come from anywhere end in."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from glassbit._npz import Archive, read_arrays


def whole() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(6).reshape(2, 3), b=np.ones(4, np.float16))
    return buffer.getvalue()


def with_header(header: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(48))
    return buffer.getvalue()


def in_directory(place: int, value: int) -> bytes:
    """A file whose list of members says something else of the first one."""
    data = bytearray(whole())
    data[data.find(b"PK\1\2") + place] = value
    return bytes(data)


def twice() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("a.npy", "a"):
            archive.writestr(name, b"x")
    return buffer.getvalue()


def objects() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([{}], object))
    return buffer.getvalue()


ODD = {
    "encrypted": (in_directory(8, 1), "a is damaged: .* encrypted"),
    "compressed in a way that nobody reads": (in_directory(10, 77), "a is damaged: .* compression method"),
    "compressed, and not": (in_directory(10, 12), "a is damaged"),
    "compressed, and not, otherwise": (in_directory(10, 14), "a is damaged"),
    "nested": (with_header(b"(" * 9990 + b"\n"), "the header of a is damaged"),
    "no literal": (with_header(b"{'descr': open('x')}\n"), "the header of a is damaged"),
    "no text": (with_header(b"\xff\xfe\n"), "the header of a is damaged"),
    "larger than it is": (
        with_header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000, 9)}\n"),
        "a has 48 bytes; its shape .100000000000, 9. needs 7200000000000",
    ),
    "objects": (objects(), "a is damaged: Object arrays cannot be loaded"),
    "twice": (twice(), "it holds a more than once"),
    "empty": (b"", "the archive is damaged"),
    "cut short": (whole()[:200], "the archive is damaged"),
}


@pytest.mark.parametrize("name", ODD)
def test_whatever_is_wrong_is_one_kind_of_error(tmp_path: Path, name: str) -> None:
    data, text = ODD[name]
    path = tmp_path / "x.npz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=text) as caught:
        read_arrays(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", range(0, len(whole()), 7))
def test_a_changed_byte_is_noticed_or_harmless(place: int) -> None:
    data = bytearray(whole())
    data[place] ^= 0x11
    try:
        found = read_arrays(io.BytesIO(data))
    except ValueError:
        return
    right = read_arrays(io.BytesIO(whole()))
    assert [array.tolist() for array in found.values()] == [array.tolist() for array in right.values()]


def test_sizes_are_limited(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(whole())
    with pytest.raises(OSError, match=rf"it has {len(whole())} bytes; at most 100 are read"):
        read_arrays(path, most=100)
    np.savez_compressed(path, a=np.zeros(100_000))
    with pytest.raises(ValueError, match=r"its arrays have 800128 bytes; at most 10000 are read"):
        read_arrays(path, most=10_000)
    with path.open("rb") as file:
        assert [len(part) for part in Archive(file).chunks("a", 60_000)] == [60_000, 40_000]
