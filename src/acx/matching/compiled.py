"""The inner loops, compiled.

A comparison of two accounts is a few hundred steps on small integers: a microsecond when compiled,
and one definition then serves the single check and the batch of millions. Kernels release the
interpreter's lock, so threads share a batch.

What compiles slowly is avoided, since whoever installs acx waits for it once: kernels take few
arrays, all of 64-bit numbers where that costs nothing, make none themselves, and write into what
their caller gives them; what is long is called from one kernel only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

U8: TypeAlias = npt.NDArray[np.uint8]
U64: TypeAlias = npt.NDArray[np.uint64]
I32: TypeAlias = npt.NDArray[np.int32]
I64: TypeAlias = npt.NDArray[np.int64]
F64: TypeAlias = npt.NDArray[np.float64]

to_int = cast("Callable[..., int]", np.int64)
"""A number of any type as what compiled code takes an `int` for."""

Function = TypeVar("Function", bound=Callable[..., Any])


HERE = Path(__file__).parent

SOURCES_DIGEST = hashlib.sha256(
    b"".join(source.read_bytes() for source in sorted([*HERE.glob("*.py"), *HERE.glob("data/*")]))
).hexdigest()
"""What kernels and saved indexes were made by."""


def _cache() -> Path:
    """Where compiled kernels are kept: a folder that belongs to exactly these sources.

    numba notices that a kernel's own file has changed, but not the files of kernels it calls.
    """
    beside = HERE / "__pycache__"
    if not os.access(beside if beside.exists() else HERE, os.W_OK):
        user = os.getuid() if hasattr(os, "getuid") else 0
        beside = Path(tempfile.gettempdir()) / f"acx-kernels-{user}"
    folder = beside / f"kernels-{SOURCES_DIGEST[:16]}"
    if not folder.exists():
        for old in beside.glob("kernels-*"):
            shutil.rmtree(old, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    return folder


numba.config.CACHE_DIR = str(_cache())  # type: ignore[attr-defined]


def kernel(function: Function) -> Function:
    """Compile a function that Python calls, when it first does; keep what it compiles to."""
    return _compiled(function, cache=True)


def inner(function: Function) -> Function:
    """Compile a function that only kernels call, as a part of them."""
    return _compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def _compiled(function: Function, **more: bool) -> Function:
    """Compile to code that counts no references: no kernel makes arrays or keeps any."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False, **more}
    compiled: Any = numba.njit(**options)(function)
    by_constants = compiled.get_call_template

    def by_types(types: Iterable[Any], keywords: Mapping[str, Any]) -> Any:
        return by_constants(tuple(map(numba.types.unliteral, types)), keywords)

    # A number that is written out where a function is called makes no other function of it.
    compiled.get_call_template = by_types
    return cast("Function", compiled)


_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


@kernel
def hash_bytes(data: U8, start: int, end: int) -> np.uint64:
    """A 64-bit code of bytes, never 0; the same on every machine and in every version.

    Source: FNV-1a (draft-eastlake-fnv), its bits spread by splitmix64's finaliser.
    """
    code = _FNV_OFFSET
    for i in range(start, end):
        code = (code ^ np.uint64(data[i])) * _FNV_PRIME
    return scatter(code)


@inner
def scatter(code: np.uint64) -> np.uint64:
    """Spread a code over all 64 bits, so that sums of codes stand for sets.

    Source: splitmix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014).
    """
    code ^= code >> np.uint64(30)
    code *= np.uint64(0xBF58476D1CE4E5B9)
    code ^= code >> np.uint64(27)
    code *= np.uint64(0x94D049BB133111EB)
    code ^= code >> np.uint64(31)
    return code if code != np.uint64(0) else np.uint64(1)


@inner
def salted(code: np.uint64, salt: np.uint64) -> np.uint64:
    """The code of the same value in another role; 0, which is no value, stays 0."""
    if code == np.uint64(0):
        return code
    return scatter(code + salt * np.uint64(0x9E3779B97F4A7C15))


@inner
def keyed(secret: U64, code: np.uint64) -> np.uint64:
    """The digest of a code under a secret of two words: without it, it tells nothing of the code.

    Source: SipHash-2-4 (J.-P. Aumasson, D. J. Bernstein, INDOCRYPT 2012) of the code's eight bytes.
    """
    v0 = secret[0] ^ np.uint64(0x736F6D6570736575)
    v1 = secret[1] ^ np.uint64(0x646F72616E646F6D)
    v2 = secret[0] ^ np.uint64(0x6C7967656E657261)
    v3 = secret[1] ^ np.uint64(0x7465646279746573)
    for block in range(3):
        word = code if block == 0 else np.uint64(8 << 56) if block == 1 else np.uint64(0)
        if block == 2:
            v2 ^= np.uint64(0xFF)
        v3 ^= word
        for _ in range(4 if block == 2 else 2):
            v0 += v1
            v2 += v3
            v1 = _rotated(v1, 13) ^ v0
            v3 = _rotated(v3, 16) ^ v2
            v0 = _rotated(v0, 32)
            v2 += v1
            v0 += v3
            v1 = _rotated(v1, 17) ^ v2
            v3 = _rotated(v3, 21) ^ v0
            v2 = _rotated(v2, 32)
        v0 ^= word
    return v0 ^ v1 ^ v2 ^ v3


@inner
def _rotated(word: np.uint64, bits: int) -> np.uint64:
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


@inner
def sort(codes: U64, n: int) -> None:
    """Sort the first `n` codes in place (heapsort: no memory, no bad case)."""
    for start in range(n // 2 - 1, -1, -1):
        _sift(codes, start, n)
    for end in range(n - 1, 0, -1):
        codes[0], codes[end] = codes[end], codes[0]
        _sift(codes, 0, end)


@inner
def _sift(codes: U64, root: int, end: int) -> None:
    value = codes[root]
    while 2 * root + 1 < end:
        child = 2 * root + 1
        if child + 1 < end and codes[child] < codes[child + 1]:
            child += 1
        if codes[child] <= value:
            break
        codes[root] = codes[child]
        root = child
    codes[root] = value


@inner
def find(table: U64, code: np.uint64) -> int:
    """Place of a code in a sorted table, -1 where it is not there."""
    low, high = 0, len(table)
    while low < high:
        middle = (low + high) >> 1
        if table[middle] < code:
            low = middle + 1
        else:
            high = middle
    if low < len(table) and table[low] == code:
        return low
    return -1
