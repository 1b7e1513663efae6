from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassbit.intgraph._pack import pack, packed_size, unpack


@given(st.integers(2, 8).flatmap(lambda k: st.tuples(st.just(k), st.lists(st.integers(0, 2**k - 1), max_size=70))))
def test_packed_codes_are_one_large_little_endian_number(case):
    bits, codes = case
    data = pack(np.array(codes, np.uint8), bits)
    number = sum(code << (bits * position) for position, code in enumerate(codes))
    assert data.tobytes() == number.to_bytes(packed_size(len(codes), bits), "little")
    assert unpack(data, bits, len(codes)).tolist() == codes


@pytest.mark.parametrize(("count", "bits", "size"), [(0, 3, 0), (1, 2, 1), (8, 3, 3), (9, 3, 4), (3, 4, 2), (5, 8, 5)])
def test_nothing_is_wasted(count, bits, size):
    assert packed_size(count, bits) == size
    assert len(pack(np.zeros(count, np.uint8), bits)) == size


def test_the_order_of_axes_is_row_order():
    codes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert pack(codes, 4).tolist() == pack(codes.reshape(-1), 4).tolist()
    assert pack(np.asfortranarray(codes), 4).tolist() == pack(codes, 4).tolist()


@pytest.mark.parametrize("bits", [3, 5, 8])
def test_large_arrays_are_unpacked_in_parts(monkeypatch, bits):
    codes = np.random.default_rng(0).integers(0, 2**bits, 1000, np.uint8)
    monkeypatch.setattr("glassbit.intgraph._pack._AT_ONCE", 8)
    assert unpack(pack(codes, bits), bits, 1000).tolist() == codes.tolist()
