"""Report files: accounts together with what they are reported for."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from acx.records.account import FIELDS, MAX_VALUE_CHARACTERS, MAX_VALUES, Account
from acx.records.files.accounts import account_columns
from acx.records.files.limits import LIMITS, Limits
from acx.records.files.mapping import Mapping
from acx.records.files.rejects import Rejects
from acx.records.files.table import FILE, LINE, Column, read_table
from acx.records.report import (
    CATEGORIES,
    CONDUCTS,
    STANDARDS,
    Category,
    Conduct,
    Evidence,
    Product,
    Report,
    Standard,
)

MAX_PICTURES: Final = 40
"""Pictures of a row: with their variants they fill most of an event."""
_TYPES: Final = typing.get_type_hints(Report, include_extras=True)


class ReportRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a report file: the account in the clear, and the report's other fields.

    It becomes a `Report` once the account's values are normalised and digested.

    Attributes:
        file: the file, as the user named it.
        line: its line.
        account: the account, as the store knows it.
        conduct: what it did.
        confirmed_by: the standards of proof that were met.
        confirmed_on: the month of the confirmation, `YYYY-MM`.
        brands: brands that were counterfeited.
        categories: kinds of goods.
        evidence: commitments to files.
        products: what was on sale.
        pictures: files with pictures of it; only their hashes leave.
    """

    file: str
    line: int
    account: Account
    conduct: Conduct
    confirmed_by: tuple[Standard, ...]
    confirmed_on: str
    brands: tuple[str, ...] = ()
    categories: tuple[Category, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    products: tuple[Product, ...] = ()
    pictures: tuple[str, ...] = ()


def report_columns(*, require_id: bool) -> list[Column]:
    """The columns of a report file: an account's, within the exchange's limits, and a report's."""
    account = account_columns(
        require_id=require_id, max_values=MAX_VALUES, max_characters=MAX_VALUE_CHARACTERS
    )
    return [
        *account,
        Column(name="conduct", required=True, one_of=CONDUCTS),
        Column(name="confirmed_by", many=True, required=True, one_of=STANDARDS),
        Column(name="confirmed_on", required=True, date="%Y-%m"),
        Column(
            name="brands", many=True, max_values=MAX_VALUES, max_characters=MAX_VALUE_CHARACTERS
        ),
        Column(name="categories", many=True, one_of=CATEGORIES),
        Column(name="evidence", structure=_TYPES["evidence"]),
        Column(name="products", structure=_TYPES["products"]),
        Column(name="image", many=True, max_values=MAX_PICTURES),
    ]


def read_reports(
    source: str | Path,
    *,
    rejects: Rejects,
    mapping: Mapping | None = None,
    encoding: str | None = None,
    require_id: bool = False,
    limits: Limits = LIMITS,
) -> Iterator[ReportRow]:
    """Read confirmed counterfeiters, one a row.

    JSON may be flat or as a report is, `{"account": {…}, "conduct": …}`; in CSV and XLSX
    `evidence` and `products` are JSON. `image` names files of pictures, beside the file itself. A
    confirmation's day, if one is given, is dropped here: a report never says more than the month.

    Args:
        source: a file, a folder, a pattern, or `-` for standard input.
        rejects: takes the rows that are wrong, and warnings.
        mapping: other names for columns.
        encoding: of text files, as Python names it; UTF-8 where None.
        require_id: whether a row without `id` is rejected.
        limits: what protects the machine.

    Raises:
        FileFormatError: what ends the reading; nothing after it is known.
    """
    columns = report_columns(require_id=require_id)
    frames = read_table(
        source,
        columns=columns,
        rejects=rejects,
        mapping=mapping,
        encoding=encoding,
        unique="id",
        nested=("account",),
        limits=limits,
    )
    return (_row(row) for frame in frames for row in frame.iter_rows(named=True))


def _row(row: dict[str, Any]) -> ReportRow:
    structures = {
        name: msgspec.json.decode(row[name] or "[]", type=_TYPES[name])
        for name in ("evidence", "products")
    }
    return ReportRow(
        file=row[FILE],
        line=row[LINE],
        account=msgspec.convert({name: row[name] for name in FIELDS}, Account),
        conduct=row["conduct"],
        confirmed_by=tuple(row["confirmed_by"]),
        confirmed_on=row["confirmed_on"],
        brands=tuple(row["brands"]),
        categories=tuple(row["categories"]),
        pictures=tuple(row["image"]),
        **structures,
    )
