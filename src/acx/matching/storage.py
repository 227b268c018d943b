"""An index on disk: a file a segment, its table of keys mapped into memory, its values encrypted.

A file is a line of JSON (the header), then arrays. The table is read where it lies: its keys are
digests under a secret, so without it they tell nothing. What is known of each subject (codes of
its values, letters of its names, dates, picture hashes) and the subjects' ids are encrypted, and
decrypted when the index is opened. Who has the secret and writes can take a subject out in place:
its values are overwritten, its keys too, and nothing of it is left in the file.
"""

from __future__ import annotations

import hmac
import json
import mmap
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, get_type_hints

import numpy as np

from acx.matching.arrays import BLOCK, bytes_of, crypted, leaves
from acx.matching.candidates import Subjects
from acx.matching.compiled import SOURCES_DIGEST, U64
from acx.matching.errors import BadIndex, NoIndex
from acx.matching.text import Text
from acx.matching.threads import in_threads

FORMAT: Final = "acx-index/2"
HEADER_BYTES: Final = 1 << 14
"""Bytes of the header; arrays begin behind it."""
_ALIGNMENT: Final = 64
_PLAIN: Final = ("starts", "first", "offsets", "alive")
"""Arrays outside the table that tell nothing of anybody: where things start, and who counts."""

_PLACES: Final = (
    "ids.offsets",
    "subjects.profiles.starts",
    "subjects.profiles.names.starts",
    "subjects.profiles.names.first",
    "subjects.profiles.addresses.starts",
    "subjects.profiles.addresses.first",
    "subjects.profiles.images.starts",
    "subjects.table.directory",
    "subjects.table.starts",
)
"""Arrays that say where others' elements are; they stay as they were written."""

AGAIN: Final = "build it again"


class Secret(NamedTuple):
    """What protects an index on disk.

    Attributes:
        key: encrypts values: 32 bytes.
        words: what keys are digests under.
    """

    key: bytes
    words: U64

    @classmethod
    def of(cls, master: bytes) -> Self:
        """Both, from 32 secret bytes."""
        words = hmac.digest(master, b"acx-index/keys", "sha256")[:16]
        return cls(
            hmac.digest(master, b"acx-index/values", "sha256"),
            np.frombuffer(bytearray(words), "<u8").astype(np.uint64),
        )


NO_SECRET: Final = Secret(bytes(32), np.zeros(2, np.uint64))
"""For an index that is never saved."""


class Stored(NamedTuple):
    """A segment, as it is stored.

    Attributes:
        ids: the subjects' ids.
        subjects: what is known of them.
    """

    ids: Text
    subjects: Subjects


class SegmentFile:
    """A segment on disk, opened.

    Attributes:
        path: where it is.
        generation: random; other for every file that was ever written.
        about: what its writer said of it.
        stored: its arrays; a change to the table or to `alive` changes the file, if it was opened
            to be changed, and else stays in memory.
    """

    def __init__(self, path: Path, secret: Secret, *, change: bool = False) -> None:
        """Map a file into memory and decrypt its values.

        Raises:
            NoIndex: there is none.
            BadIndex: it is damaged, or another version of acx made it.
        """
        self.path = path
        try:
            with path.open("r+b" if change else "rb") as file:
                access = mmap.ACCESS_WRITE if change else mmap.ACCESS_COPY
                self._map = mmap.mmap(file.fileno(), 0, access=access)
            header = json.loads(self._map[:HEADER_BYTES])
            if (header["format"], header["sources"]) != (FORMAT, SOURCES_DIGEST):
                raise BadIndex(f"{path}: made by another version of acx; {AGAIN}")
            mark = header.pop("mark")
            if mark["header"] != _mark(secret, header):
                raise BadIndex(f"{path}: of another replica, or damaged; {AGAIN}")
            if header["size"] != len(self._map):
                raise BadIndex(f"{path}: {len(self._map)} bytes of {header['size']}; {AGAIN}")
            self._arrays: dict[str, tuple[str, list[int], int]] = header["arrays"]
            if mark["places"] != _mark_of_places(secret, self._mapped):
                raise BadIndex(f"{path}: the index is damaged; {AGAIN}")
            self.generation: str = header["generation"]
            self.about: dict[str, Any] = header["about"]
            sealed = [name for name in self._arrays if is_sealed(name)]
            opened = dict(zip(sealed, in_threads(self._decrypted(secret), sealed), strict=True))
            given = {"subjects.table.shift": header["shift"], "subjects.table.secret": secret.words}
            given |= {n: self._mapped(n) for n in self._arrays if n not in opened} | opened
            self.stored: Stored = _built(Stored, given.__getitem__)
            subjects = self.stored.subjects
            if subjects.table.rows.max(initial=-1) >= len(subjects.alive):
                raise BadIndex(f"{path}: the index is damaged; {AGAIN}")
        except FileNotFoundError:
            raise NoIndex(f"{path}: no index; {AGAIN}") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadIndex(f"{path}: the index is damaged ({error}); {AGAIN}") from None

    def _mapped(self, name: str) -> Any:
        dtype, shape, offset = self._arrays[name]
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(self._map, dtype, count, offset).reshape(shape)

    def _decrypted(self, secret: Secret) -> Callable[[str], Any]:
        def decrypted(name: str) -> Any:
            dtype, shape, _ = self._arrays[name]
            counter = _counter(secret, self.generation, name)
            data = crypted(bytes_of(self._mapped(name)), secret.key, counter)
            return data.view(dtype).reshape(shape)

        return decrypted

    def overwrite(self, name: str, first: int, last: int) -> None:
        """Overwrite elements of an encrypted array with chance."""
        dtype, shape, offset = self._arrays[name]
        size = np.dtype(dtype).itemsize * int(np.prod(shape[1:], dtype=np.int64))
        self._map[offset + first * size : offset + last * size] = os.urandom((last - first) * size)

    def flush(self) -> None:
        """Have what was changed on disk."""
        self._map.flush()


def is_sealed(name: str) -> bool:
    """Whether an array is encrypted."""
    return not name.startswith("subjects.table.") and name.split(".")[-1] not in _PLAIN


def write_segment(path: Path, stored: Stored, secret: Secret, about: Mapping[str, Any]) -> str:
    """Write a segment's file, whole or not at all, readable by its owner alone.

    Args:
        path: where; what is there is replaced.
        stored: the segment.
        secret: what protects it.
        about: to be kept with it.

    Returns:
        Its generation.

    Raises:
        BadIndex: the directory cannot be written.
    """
    generation = secrets.token_hex(BLOCK)
    arrays: dict[str, tuple[str, tuple[int, ...], int]] = {}
    values = {name: value for name, value in leaves(stored) if name != "subjects.table.secret"}
    shift = values.pop("subjects.table.shift")
    end = HEADER_BYTES
    for name, array in values.items():
        arrays[name] = (array.dtype.str, array.shape, end)
        end += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    header = {
        "format": FORMAT,
        "sources": SOURCES_DIGEST,
        "generation": generation,
        "size": end,
        "shift": shift,
        "about": about,
        "arrays": arrays,
    }
    header["mark"] = {
        "header": _mark(secret, header),
        "places": _mark_of_places(secret, values.__getitem__),
    }
    fresh = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.truncate(end)
            file.write(json.dumps(header).encode().ljust(HEADER_BYTES))
            for name, array in values.items():
                data = bytes_of(array)
                if is_sealed(name):
                    data = crypted(data, secret.key, _counter(secret, generation, name))
                file.seek(arrays[name][2])
                file.write(data.data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise BadIndex(f"{path}: cannot write the index ({error.strerror})") from None
    return generation


def _mark(secret: Secret, header: Mapping[str, Any]) -> str:
    """By which a header is known as written under this secret."""
    text = json.dumps(header, sort_keys=True).encode()
    return hmac.digest(secret.key, b"acx-index/header" + text, "sha256").hex()


def _mark_of_places(secret: Secret, take: Callable[[str], Any]) -> str:
    """By which arrays that say where others' elements are, and never change, are known as written.

    A damaged one would have kernels read what is not theirs.
    """
    mark = hmac.new(secret.key, b"acx-index/places", "sha256")
    for name in _PLACES:
        mark.update(bytes_of(take(name)).data)
    return mark.hexdigest()


def _counter(secret: Secret, generation: str, name: str) -> bytes:
    """Where an array's key stream starts: elsewhere for every array that was ever written."""
    return hmac.digest(secret.key, f"{generation}/{name}".encode(), "sha256")[:BLOCK]


def _built(kind: Any, take: Callable[[str], Any], prefix: str = "") -> Any:
    """A named tuple, what is no named tuple itself taken by its name."""
    return kind(
        *(
            _built(hint, take, f"{prefix}{name}.")
            if hasattr(hint, "_fields")
            else take(prefix + name)
            for name, hint in get_type_hints(kind).items()
        )
    )
