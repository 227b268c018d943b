"""What a reader of one format asks for and gives: the seam between formats and tables."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acx.records.files.cells import INVISIBLE, unguard
from acx.records.files.errors import BadColumns, TooLarge, did_you_mean, listed, shown
from acx.records.files.limits import Limits
from acx.records.files.mapping import Mapping
from acx.records.files.rejects import Rejects


class Shape(enum.IntEnum):
    """What a column's values are to be; where two uses differ, the larger one is read.

    Attributes:
        CARRIED: text of whatever stands there, for `--carry`.
        TEXT: one value; an integer is taken as its digits.
        NUMBER: one value, which may be a number.
        STRUCTURE: any JSON, as its text.
        LIST: any number of values.
    """

    CARRIED = 0
    TEXT = 1
    NUMBER = 2
    STRUCTURE = 3
    LIST = 4


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file.

    Attributes:
        frame: the wanted columns the file has, by the names they are wanted by; String or, where
            the format has lists, List(String).
        lines: line of each row, or number of a row where a format has no lines.
        raw: gives a row as it stands in the file, for the rejects.
    """

    frame: pl.DataFrame
    lines: NDArray[np.int64]
    raw: Callable[[int], object]

    @classmethod
    def of_cells(
        cls,
        frame: pl.DataFrame,
        names: Sequence[str],
        wanted: Sequence[str | None],
        lines: NDArray[np.int64],
    ) -> Chunk:
        """A chunk of a format of cells, where columns stand in a fixed order.

        Rows in which nothing stands, as spreadsheets leave them at the end, are no rows.

        Args:
            frame: every column of the file, in its order.
            names: their names in the file.
            wanted: the name each is wanted by, or None.
            lines: line of each row.
        """
        blank = frame.select(pl.all_horizontal(pl.all() == "").alias("blank"))["blank"]
        if blank.any():
            frame, lines = frame.filter(~blank), lines[~blank.to_numpy()]
        taken = [
            unguard(frame.to_series(place)).alias(name)
            for place, name in enumerate(wanted)
            if name is not None
        ]
        return cls(
            pl.DataFrame(taken) if taken else pl.DataFrame(height=len(lines)),
            lines,
            lambda row: dict(zip(names, frame.row(row), strict=False)),
        )


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of a file.

    Attributes:
        wanted: shape of each wanted column, by its name in the file.
        required: columns that the file must have, and by whose demand.
        mapping: the mapping these names come from.
    """

    wanted: dict[str, Shape]
    required: dict[str, str]
    mapping: Mapping


class Header:
    """Which of a file's columns are wanted, and which it turned out to have.

    Names meet without regard to case, to white space round them and to invisible marks in them.

    Args:
        file: the file, for messages.
        demands: what is asked under the mapping, and what is if the file has none of the
            mapping's columns but our own of these fields: a mapping is often for one of two files.
        rejects: takes warnings.
        limits: gives the most columns.
    """

    def __init__(
        self, file: str, demands: Sequence[Demand], rejects: Rejects, limits: Limits
    ) -> None:
        self.demand = demands[0]
        self.found: set[str] = set()
        self.ignored: dict[str, None] = {}
        self._demands = demands
        self._settled = False
        self._file = file
        self._by_key = {_key(name): name for name in self.demand.wanted}
        self._resolved: dict[str, str | None] = {}
        self._rejects = rejects
        self._limits = limits

    def knows(self, name: str) -> bool:
        """Whether a column may be wanted, without taking note of it."""
        return any(_key(name) in map(_key, demand.wanted) for demand in self._demands)

    def settle(self, names: Iterable[str]) -> None:
        """Decide what is asked of the file, by the first names it shows."""
        if self._settled:
            return
        self._settled = True
        mapping = self.demand.mapping
        keys = set(map(_key, names))
        if keys.isdisjoint(map(_key, mapping.names())) and not keys.isdisjoint(mapping.columns):
            self.demand = self._demands[-1]
            self._by_key = {_key(name): name for name in self.demand.wanted}
            self._rejects.warn(
                f"{self._file}: has none of the columns that {mapping.file} names, but acx's own; "
                "read by those"
            )

    def resolve(self, name: str) -> str | None:
        """The name by which a column of the file is wanted, or None."""
        if name in self._resolved:
            return self._resolved[name]
        wanted = name if name in self.demand.wanted else self._by_key.get(_key(name))
        if wanted is not None:
            self.found.add(wanted)
        elif len(self.ignored) < self._limits.columns:
            self.ignored[name] = None
        else:
            # Objects may have new members without end; no more of them are remembered.
            return None
        self._resolved[name] = wanted
        return wanted

    def columns(self, names: Sequence[str]) -> list[str | None]:
        """The names by which the columns of a file are wanted.

        Raises:
            TooLarge: the file is too wide.
            BadColumns: a wanted column is there twice, a required one is missing, or all are.
        """
        if len(names) > self._limits.columns:
            raise TooLarge(
                f"{self._file}: has {len(names):,} columns, at most {self._limits.columns:,} are "
                "read; keep only those that acx knows"
            )
        self.settle(names)
        resolved = [self.resolve(name) for name in names]
        for name in self.found:
            places = [str(n + 1) for n, other in enumerate(resolved) if other == name]
            if len(places) > 1:
                raise BadColumns(
                    f"{self._file}: column {shown(name)} is there {len(places)} times "
                    f"(columns {', '.join(places)}); rename all but one"
                )
        if not self.found:
            raise BadColumns(
                f"{self._file}: its first line names no column that is known here, but "
                f"{listed(names, 5)}; it should name some of {listed(self.demand.wanted)}, or give "
                "--mapping"
            )
        for name, demand in self.demand.required.items():
            if name not in self.found:
                raise BadColumns(
                    f"{self._file}: has no column {shown(name)} ({demand})"
                    f"{did_you_mean(name, list(self.ignored))}; its columns are {listed(names)}"
                )
        return resolved

    def warn_of_absent(self) -> None:
        """Say of a format without a header line which required columns never came up."""
        for name, demand in self.demand.required.items():
            if name not in self.found:
                self._rejects.warn(
                    f"{self._file}: {shown(name)} ({demand}) is in no object"
                    f"{did_you_mean(name, list(self.ignored))}"
                )

    def warn_of_ignored(self) -> None:
        """Say once which columns were not read, and what may have been meant."""
        missing = [name for name in self.demand.wanted if name not in self.found]
        named = [shown(name) + did_you_mean(name, missing) for name in self.ignored if name.strip()]
        if named:
            self._rejects.warn(f"{self._file}: columns ignored: {'; '.join(named[:30])}")


def _key(name: str) -> str:
    return "".join(c for c in name if c == " " or c not in _MARKS).strip().casefold()


_MARKS: Final = frozenset(INVISIBLE)
