"""Sets of entries as bits: row r, bit e says something of one thing and entry e. Pure arithmetic on words."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

#: Shape (rows, words): 64 entries a word, the first in the lowest bit; bits beyond the last one mean nothing.
Rows: TypeAlias = NDArray[np.uint64]
Numbers: TypeAlias = NDArray[np.int64]

#: So many bits are unpacked at once.
_BITS_AT_ONCE = 1 << 21
#: So many bits add up in a byte.
_BLOCK = 255


def words(entries: int) -> int:
    """Words that a row of so many entries has."""
    return max(1, -(-entries // 64))


def pack(mask: NDArray[np.bool_]) -> Rows:
    """Rows of truth values as rows of bits."""
    packed = np.packbits(mask, axis=1, bitorder="little")
    padded = np.zeros((len(mask), words(mask.shape[1]) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)


def unpack(rows: Rows, entries: int) -> NDArray[np.uint8]:
    """Rows of bits as rows of 0 and 1."""
    return np.unpackbits(np.ascontiguousarray(rows).view(np.uint8), axis=1, count=entries, bitorder="little")


def full(entries: int) -> Rows:
    """One row with every entry in it, and no bit beyond."""
    return pack(np.ones((1, entries), bool))


def sums(rows: Rows, weights: Numbers, entries: int) -> Numbers:
    """For each entry the weights of the rows that it is in, added up.

    Rows are counted for each binary digit of the weights: exact, and without a matrix product, whose threads
    would wait for each other longer than they work.
    """
    found = np.zeros(entries, np.int64)
    for sign in (1, -1):
        digits = np.maximum(weights * sign, 0)
        for digit in range(int(digits.max(initial=0)).bit_length()):
            has_digit = np.nonzero(digits >> digit & 1)[0]
            found += sign * (_count(rows, has_digit, entries) << digit)
    return found


def _count(rows: Rows, chosen: Numbers, entries: int) -> Numbers:
    """For each entry how many of the chosen rows it is in."""
    found = np.zeros(entries, np.int64)
    at_once = _BLOCK * max(1, _BITS_AT_ONCE // (_BLOCK * max(1, entries)))
    for start in range(0, len(chosen), at_once):
        bits = unpack(rows.take(chosen[start : start + at_once], axis=0), entries)
        whole = len(bits) - len(bits) % _BLOCK
        blocks = bits[:whole].reshape(whole // _BLOCK, _BLOCK, entries).sum(axis=1, dtype=np.uint8)
        found += blocks.sum(axis=0, dtype=np.int64) + bits[whole:].sum(axis=0, dtype=np.uint8)
    return found


def number_pairs(left: Numbers, right: Numbers, right_size: int) -> tuple[Numbers, Numbers]:
    """The different pairs of codes as ``left * right_size + right``, and for each place which pair it has."""
    return number_codes(left * right_size + right, (int(left.max(initial=0)) + 1) * right_size)


def number_codes(codes: Numbers, size: int) -> tuple[Numbers, Numbers]:
    """The different codes, all below ``size``, in order; and for each place which of them it has."""
    if size > 8 * len(codes) + 65536:
        return np.unique(codes, return_inverse=True)
    present = np.zeros(size, bool)
    present[codes] = True
    found = np.nonzero(present)[0]
    numbers = np.empty(size, np.int64)
    numbers[found] = np.arange(len(found))
    return found, numbers[codes]


def number_rows(rows: Rows) -> tuple[Numbers, Numbers]:
    """Places of the different rows, and for each row which of them it equals; exact, by way of a hash."""
    hashes = np.zeros(len(rows), np.uint64)
    for word in range(rows.shape[1]):
        hashes = (hashes ^ rows[:, word]) * _MULTIPLIER
        hashes ^= hashes >> np.uint64(29)
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    if not np.array_equal(rows[first][inverse], rows):
        # Two rows share a hash: compare them whole.
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, inverse.reshape(-1)


#: Odd, half of its bits set: multiplying spreads every bit.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
