"""What a careful user does to two files before he matches them: the same for all peers."""

from __future__ import annotations

import re

import polars as pl
from anyascii import anyascii

LISTS = (
    "email",
    "phone",
    "bank_account",
    "tax_id",
    "registration_no",
    "id_document",
    "website",
    "contact",
    "handle",
    "device",
)


def name_key(name: str) -> str:
    """A name in Latin letters, lower case, its words sorted."""
    return " ".join(sorted(re.findall(r"[a-z0-9]+", anyascii(name).lower())))


def cleaned(field: str, value: str) -> str:
    """An identifier so that usual ways of writing it become equal."""
    value = value.strip().lower()
    if field == "email":
        return value
    if field == "phone":
        return re.sub(r"\D", "", value)[-9:]
    if field == "website":
        return re.sub(r"^(https?://)?(www\.)?", "", value).split("/")[0]
    return re.sub(r"[^a-z0-9]", "", value.split(":")[-1])


def read(path: str) -> list[dict[str, object]]:
    """Accounts with clean names and identifiers; empty lists stay empty."""
    rows = pl.read_parquet(path).to_dicts()
    for row in rows:
        row["names"] = [key for key in map(name_key, row["name"] + row["alias"]) if key]
        for field in LISTS:
            row[field] = sorted({cleaned(field, value) for value in row[field]} - {""})
    return rows


def write(path: str, hits: list[tuple[str, str, float]]) -> None:
    """Hits as every contender writes them."""
    schema = {"account_id": pl.String, "subject_id": pl.String, "score": pl.Float64}
    pl.DataFrame(hits, schema=schema, orient="row").write_parquet(path)
