"""P-256 by the OpenSSL that Python itself is linked with: the same results several times faster.

The library is the one that is in this process already, reached through Python's `_ssl` module, and
only OpenSSL from 3.0 on. Importing this module fails where it is not to be had, or does not compute
what pycryptodome does; everything then works without. What is called is public and not deprecated,
and is called for one multiplication at a time, which OpenSSL does in constant time.
"""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int, c_size_t, c_ulong, c_void_p
from typing import Any, Final, Self

from acx.credentials.element import ELEMENT_BYTES, GENERATOR, NO_POINT, Element
from acx.credentials.errors import MalformedElement
from acx.credentials.pycryptodome_element import PycryptodomeElement
from acx.credentials.scalar import ORDER, SCALAR_BYTES, Scalar

_OLDEST: Final = 0x30000000
_NID_X9_62_PRIME256V1: Final = 415
_COMPRESSED: Final = 2


def _load() -> ctypes.CDLL:
    try:
        import _ssl

        library = ctypes.CDLL(_ssl.__file__)
        library.OpenSSL_version.restype = c_char_p
        library.OpenSSL_version_num.restype = c_ulong
        name, version = library.OpenSSL_version(0), library.OpenSSL_version_num()
    except (ImportError, AttributeError, OSError) as error:
        raise ImportError(f"no OpenSSL within reach: {error}") from None
    if not name.startswith(b"OpenSSL ") or version < _OLDEST:
        raise ImportError(f"{name.decode(errors='replace')} where OpenSSL 3 or later is needed")
    return library


def _function(name: str, returns: Any, *takes: Any) -> Any:
    function = getattr(_LIBRARY, name)
    function.restype, function.argtypes = returns, takes
    return function


_LIBRARY: Final = _load()
_new_group = _function("EC_GROUP_new_by_curve_name", c_void_p, c_int)
_new = _function("EC_POINT_new", c_void_p, c_void_p)
_free = _function("EC_POINT_clear_free", None, c_void_p)
_copy = _function("EC_POINT_copy", c_int, c_void_p, c_void_p)
_add = _function("EC_POINT_add", c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)
_invert = _function("EC_POINT_invert", c_int, c_void_p, c_void_p, c_void_p)
_multiply = _function("EC_POINT_mul", c_int, *[c_void_p] * 6)
_read = _function("EC_POINT_oct2point", c_int, c_void_p, c_void_p, c_char_p, c_size_t, c_void_p)
_write = _function(
    "EC_POINT_point2oct", c_size_t, c_void_p, c_void_p, c_int, c_char_p, c_size_t, c_void_p
)
_new_number = _function("BN_bin2bn", c_void_p, c_char_p, c_int, c_void_p)
_free_number = _function("BN_clear_free", None, c_void_p)
_clear_errors = _function("ERR_clear_error", None)

_GROUP: Final = _new_group(_NID_X9_62_PRIME256V1)


class OpensslElement(Element):
    """An element that OpenSSL computes with."""

    __slots__ = ("_is_generator", "_point")

    def __init__(self, point: int, encoding: bytes | None = None) -> None:
        self._point = point
        self._encoding = encoding
        self._is_generator = False

    def __del__(self, free: Any = _free) -> None:
        free(self._point)

    @classmethod
    def from_coordinates(cls, x: int, y: int) -> Self:
        """The point (x, y), which must be on the curve."""
        element = cls(_parse(b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big")))
        # Multiples of the generator come from a table.
        element._is_generator = (x, y) == GENERATOR
        return element

    @classmethod
    def _decompress(cls, encoding: bytes) -> Self:
        return cls(_parse(encoding), encoding)

    def _compress(self) -> bytes:
        buffer = ctypes.create_string_buffer(ELEMENT_BYTES)
        length = _write(_GROUP, self._point, _COMPRESSED, buffer, ELEMENT_BYTES, None)
        return buffer.raw if length == ELEMENT_BYTES else b""

    def __add__(self, other: Self) -> Self:
        point = _new_point()
        _check(_add(_GROUP, point, self._point, other._point, None))
        return type(self)(point)

    def __neg__(self) -> Self:
        point = _new_point()
        _check(_copy(point, self._point))
        _check(_invert(_GROUP, point, None))
        return type(self)(point)

    def __rmul__(self, scalar: Scalar) -> Self:
        point = _new_point()
        number = _new_number(scalar.encode(), SCALAR_BYTES, None)
        if self._is_generator:
            done = _multiply(_GROUP, point, number, None, None, None)
        else:
            done = _multiply(_GROUP, point, None, self._point, number, None)
        _free_number(number)
        _check(done)
        return type(self)(point)


def _parse(encoding: bytes) -> int:
    point = _new_point()
    if not _read(_GROUP, point, encoding, len(encoding), None):
        _free(point)
        # The errors are the thread's, and would be taken for some other call's.
        _clear_errors()
        raise MalformedElement(NO_POINT)
    return point


def _new_point() -> int:
    point: int | None = _new(_GROUP)
    if point is None:
        raise MemoryError
    return point


def _check(done: int) -> None:
    """Arithmetic on points of one group fails for want of memory alone."""
    if not done:
        _clear_errors()
        raise MemoryError


def _computes_as(other: type[Element]) -> bool:
    def answers(library: type[Element]) -> list[bytes]:
        generator = library.from_coordinates(*GENERATOR)
        point = library.decode((Scalar.of(ORDER // 5) * generator).encode())
        scalars = [Scalar.of(number) for number in (1, 2, ORDER - 1, ORDER // 3)]
        products = [scalar * base for base in (generator, point) for scalar in scalars]
        sums = [product - generator + point for product in products]
        return [element.encode() for element in [*products, *sums]] + [
            repr(Scalar.of(0) * point + (generator - generator)).encode()
        ]

    return answers(OpensslElement) == answers(other)


if not _GROUP or not _computes_as(PycryptodomeElement):
    raise ImportError("the OpenSSL within reach does not compute with P-256 as it should")
