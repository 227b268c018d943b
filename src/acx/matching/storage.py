"""An index on disk: an array a file, mapped into memory when opened.

The index holds no plain value but the letters of names' words; a member's home protects it like the
replica beside it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, get_type_hints

import numpy as np
import polars as pl

from acx.matching.candidates import Subjects
from acx.matching.compiled import SOURCES_DIGEST
from acx.matching.errors import BadIndex

MANIFEST: Final = "index.json"
SEGMENTS: Final = ("base", "recent")


class Saved(NamedTuple):
    """What an index is made of, segment by segment.

    Attributes:
        ids: the subjects' ids.
        subjects: what is known of them.
        observed: accounts of the seller base that were counted.
    """

    ids: tuple[pl.Series, ...]
    subjects: tuple[Subjects, ...]
    observed: int


def save(directory: Path, saved: Saved) -> None:
    """Write an index beside the one that is there, then put it in its place.

    Raises:
        BadIndex: the directory cannot be written.
    """
    fresh = directory.with_name(directory.name + ".new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        shifts = []
        for name, ids, subjects in zip(SEGMENTS, saved.ids, saved.subjects, strict=True):
            for path, array in _arrays(subjects):
                if isinstance(array, int):
                    shifts.append(array)
                else:
                    np.save(fresh / f"{name}.{path}.npy", array)
            ids.rename("id").to_frame().write_ipc(
                fresh / f"{name}.ids.arrow", compression="uncompressed"
            )
        manifest = {"sources": SOURCES_DIGEST, "observed": saved.observed, "shifts": shifts}
        (fresh / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        _replace(fresh, directory)
    except OSError as error:
        raise BadIndex(f"{directory}: cannot write the index ({error.strerror})") from None


def _replace(fresh: Path, directory: Path) -> None:
    old = directory.with_name(directory.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        directory.rename(old)
    fresh.rename(directory)
    shutil.rmtree(old, ignore_errors=True)


def load(directory: Path) -> Saved:
    """Map an index into memory.

    Raises:
        BadIndex: there is none, it is damaged, or another version of acx made it.
    """
    again = "build it again"
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        if manifest["sources"] != SOURCES_DIGEST:
            raise BadIndex(f"{directory}: made by another version of acx; {again}")
        shifts = iter(manifest["shifts"])
        ids = tuple(pl.read_ipc(directory / f"{name}.ids.arrow")["id"] for name in SEGMENTS)
        subjects = tuple(_loaded(Subjects, directory, name, shifts) for name in SEGMENTS)
        return Saved(ids, subjects, int(manifest["observed"]))
    except FileNotFoundError:
        raise BadIndex(f"{directory}: no index, or not all of it; {again}") from None
    except (OSError, ValueError, KeyError, TypeError, StopIteration, pl.exceptions.PolarsError):
        raise BadIndex(f"{directory}: the index is damaged; {again}") from None


def _arrays(group: tuple[Any, ...], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in zip(group._fields, group, strict=True):  # type: ignore[attr-defined]
        if isinstance(value, tuple):
            yield from _arrays(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _loaded(kind: Any, directory: Path, prefix: str, shifts: Iterator[int]) -> Any:
    values = []
    for name, hint in get_type_hints(kind).items():
        if hint is int:
            values.append(int(next(shifts)))
        elif hasattr(hint, "_fields"):
            values.append(_loaded(hint, directory, f"{prefix}.{name}", shifts))
        else:
            values.append(_mapped(directory / f"{prefix}.{name}.npy"))
    return kind(*values)


_HEADER_BYTES: Final = 128
"""What an array without elements takes, which cannot be mapped."""


def _mapped(path: Path) -> Any:
    """An array on disk; copy on write, so that a change stays in memory."""
    if path.stat().st_size <= _HEADER_BYTES:
        return np.load(path)
    # As a plain array: kernels take a mapped one for another type.
    return np.asarray(np.load(path, mmap_mode="c"))
