"""The replica in the formats others read: a table here, what is none in `export_documents`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from acx.member.export_documents import export_ftm, export_pdq, export_stix
from acx.member.replica import Replica
from acx.records.account import LIST_FIELDS, SUBJECT_FIELDS
from acx.records.files import write_table
from acx.records.state import ReportView, State

BATCH: Final = 20_000
TABLES: Final = ("jsonl", "csv", "parquet", "xlsx")
DOCUMENTS: Final = {"stix": export_stix, "ftm": export_ftm, "pdq": export_pdq}
FORMATS: Final = (*TABLES, *DOCUMENTS)

_TEXT: Final = pl.String()
_TEXTS: Final = pl.List(pl.String())
COLUMNS: Final[dict[str, pl.DataType]] = {
    "report_id": _TEXT,
    "report_state": _TEXT,
    "contributors": pl.Int64(),
    "version": pl.Int64(),
    "conduct": _TEXT,
    "confirmed_by": _TEXTS,
    "confirmed_on": _TEXT,
    "brands": _TEXTS,
    "categories": _TEXTS,
    **{name: _TEXTS if name in LIST_FIELDS else _TEXT for name in SUBJECT_FIELDS},
    "evidence": _TEXT,
    "products": _TEXT,
    "disputes": pl.Int64(),
    "outcomes": _TEXT,
    "first_index": pl.Int64(),
    "last_index": pl.Int64(),
    "log_size": pl.Int64(),
}
"""One row a report; `evidence`, `products` and `outcomes` are JSON, empty where there are none."""


def export(
    replica: Replica,
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002 -- the option's name
    states: Sequence[State] = (),
) -> int:
    """Write every report of a replica.

    Args:
        replica: to export.
        path: where to; `-` is standard output; for `ftm` it may be a folder.
        format: one of `FORMATS`, where the name does not tell.
        states: only reports in these; by default all, those whose content is gone without it.

    Returns:
        The reports written.

    Raises:
        Unwritable: the format is none, or the system refuses.
        ReplicaError: STIX or FollowTheMoney of an empty replica.
    """
    with replica.snapshot():
        if format in DOCUMENTS:
            return DOCUMENTS[format](replica, path, tuple(states))
        views = replica.reports(*states)
        frames = _frames(views, replica.size)
        return write_table(frames, path, format=format, schema=COLUMNS)


def _frames(views: Iterator[ReportView], log_size: int) -> Iterator[pl.DataFrame]:
    while batch := list(islice(views, BATCH)):
        yield pl.DataFrame([_row(view, log_size) for view in batch], schema=COLUMNS)


def _row(view: ReportView, log_size: int) -> dict[str, Any]:
    row: dict[str, Any] = {name: [] if kind == _TEXTS else "" for name, kind in COLUMNS.items()} | {
        "report_id": view.id,
        "report_state": view.state,
        "contributors": view.contributors,
        "version": view.version,
        "disputes": len(view.disputes),
        "outcomes": _json(view.outcomes),
        "first_index": view.first_index,
        "last_index": view.last_index,
        "log_size": log_size,
    }
    report = view.report
    if report is None:
        return row
    subject = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in msgspec.structs.asdict(report.account).items()
    }
    return (
        row
        | subject
        | {
            "conduct": report.conduct,
            "confirmed_by": list(report.confirmed_by),
            "confirmed_on": report.confirmed_on,
            "brands": list(report.brands),
            "categories": list(report.categories),
            "evidence": _json(report.evidence),
            "products": _json(report.products),
        }
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode() if value else ""
