"""Named tuples of arrays, taken apart and put together again; and their bytes, encrypted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from acx.matching.compiled import U8

Array = npt.NDArray[Any]

BLOCK: Final = 16
"""Bytes of AES's block, and of the counter that a piece of cipher text starts with."""
_MOST_AT_ONCE: Final = 1 << 30


def leaves(group: tuple[Any, ...], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of a named tuple, those of tuples within it joined by dots."""
    for name, value in zip(group._fields, group, strict=True):  # type: ignore[attr-defined]
        if hasattr(value, "_fields"):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def rebuilt(like: tuple[Any, ...], values: Iterable[Any]) -> Any:
    """A named tuple as another one, of other values in the order of `leaves`."""
    left = iter(values)

    def build(group: tuple[Any, ...]) -> Any:
        return type(group)(
            *(build(value) if hasattr(value, "_fields") else next(left) for value in group)
        )

    return build(like)


def bytes_of(array: Array) -> U8:
    """An array's bytes, not copied if they lie one after another."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def crypted(data: U8, key: bytes, counter: bytes) -> U8:
    """Encrypt bytes, or decrypt what was encrypted under the same key and counter.

    Args:
        data: the bytes.
        key: 32 bytes.
        counter: 16 bytes; never the same for two different contents under one key.

    Source: AES-256 in counter mode (NIST SP 800-38A, 6.5).
    """
    out = np.empty(len(data) + BLOCK, np.uint8)
    cipher = Cipher(AES(key), CTR(counter)).encryptor()
    for start in range(0, len(data), _MOST_AT_ONCE):
        piece = data[start : start + _MOST_AT_ONCE]
        cipher.update_into(piece.data, out.data[start:])
    return out[: len(data)]
