from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from glassbit._errors import DataError
from glassbit.datasets._idx import find_idx, read_idx

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
GOOD = bytes((0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4)) + ARRAY.tobytes()


@pytest.mark.parametrize("data", [GOOD, gzip.compress(GOOD)], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ["x", "x.gz"])
def test_plain_and_packed_whatever_the_name(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert np.array_equal(read_idx(tmp_path / name, dimensions=3), ARRAY)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "got nothing; get the file again"),
        (b"<html>not found</html>", "00 00 08 03; got 3c 68 74 6d"),
        (GOOD[:-1], "must hold 2 x 3 x 4 = 24 bytes of data after its header; got 23"),
        (GOOD + b"x", "got 25"),
        (GOOD.replace(b"\x08\x03", b"\x0d\x03"), "unsigned bytes"),
        (gzip.compress(GOOD, mtime=0)[:-9], "damaged or cut short"),
        (gzip.compress(GOOD, mtime=0)[:20] + b"zzzzzzzzzzzzzzzzz", "damaged or cut short"),
        (bytes((0, 0, 8, 3)) + bytes(12), "= 0 bytes"),
        (bytes((0, 0, 8, 3)) + b"\xff" * 12, "4294967295 x 4294967295 x 4294967295"),
    ],
)
def test_damage_is_named(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(DataError, match=text) as error:
        read_idx(tmp_path / "bad", dimensions=3)
    assert "bad" in str(error.value)


def test_both_spellings_are_found(tmp_path: Path) -> None:
    (tmp_path / "train-images.idx3-ubyte").touch()
    (tmp_path / "t10k-labels-idx1-ubyte.gz").touch()
    (tmp_path / "train-labels-idx1-ubyte").mkdir()
    assert set(find_idx(tmp_path)) == {"train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}
