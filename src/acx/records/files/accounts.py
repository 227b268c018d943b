"""Account files: seller bases, and lists of accounts to match."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, get_args

import msgspec
import polars as pl

from acx.records.account import FIELDS, LIST_FIELDS, Account, Kind
from acx.records.files.errors import Damaged
from acx.records.files.limits import LIMITS, Limits
from acx.records.files.mapping import Mapping
from acx.records.files.rejects import Rejects
from acx.records.files.table import Column, read_table

_NUMBERS: Final = ("phone", "tax_id", "registration_no", "bank_account", "id_document")
_KINDS: Final = tuple(kind for kind in get_args(Kind) if kind)


def account_columns(
    fields: Collection[str] = FIELDS,
    *,
    require_id: bool = True,
    max_values: int = LIMITS.values,
    max_characters: int = LIMITS.characters,
) -> list[Column]:
    """The columns of an account, in their order.

    Args:
        fields: those to read.
        require_id: whether a row without `id` is rejected.
        max_values: most values of a field.
        max_characters: most characters of a value.
    """
    single = {
        "id": Column(name="id", required=require_id),
        "kind": Column(name="kind", one_of=_KINDS),
        "birth_date": Column(name="birth_date", date="%Y-%m-%d"),
    }
    many = {
        name: Column(
            name=name,
            many=True,
            exact=name in _NUMBERS,
            max_values=max_values,
            max_characters=max_characters,
        )
        for name in LIST_FIELDS
    }
    columns = single | many
    return [columns[name] for name in FIELDS if name in fields]


def parse_account(data: bytes, limits: Limits = LIMITS) -> tuple[Account, list[str]]:
    """One account as a JSON object; a field that takes several values may hold one.

    Args:
        data: the object, in UTF-8.
        limits: what protects the machine.

    Returns:
        The account, and the names of members that are no field of one, which are passed over.

    Raises:
        Damaged: it is none, with the field that is wrong.
    """
    unknown: list[str] = []
    try:
        tree = msgspec.json.decode(data)
        if isinstance(tree, dict):
            unknown = sorted(set(tree) - set(FIELDS))
            tree = {
                name: [value] if name in LIST_FIELDS and isinstance(value, str) else value
                for name, value in tree.items()
                if value is not None
            }
        account = msgspec.convert(tree, Account)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, UnicodeDecodeError) as e:
        raise Damaged(f"not one account as a JSON object: {e}") from None
    for name in FIELDS:
        value = getattr(account, name)
        values = (value,) if isinstance(value, str) else value
        if len(values) > limits.values or max(map(len, values), default=0) > limits.characters:
            raise Damaged(
                f"{name} may have {limits.values} values of {limits.characters} characters each"
            )
    return account, unknown


def read_accounts(
    source: str | Path,
    *,
    rejects: Rejects,
    mapping: Mapping | None = None,
    encoding: str | None = None,
    carry: Sequence[str] = (),
    fields: Collection[str] = FIELDS,
    require_id: bool = True,
    batch_rows: int = 65_536,
    limits: Limits = LIMITS,
) -> Iterator[pl.DataFrame]:
    """Read accounts in batches, in bounded memory.

    A row whose `id` came before is rejected: it is usually one account spread over several rows,
    one an e-mail address say, and neither row alone is the account.

    Args:
        source: a file, a folder, a pattern, or `-` for standard input.
        rejects: takes the rows that are wrong, and warnings.
        mapping: other names for columns.
        encoding: of text files, as Python names it; UTF-8 where None.
        carry: other columns to give back, as text.
        fields: the account's fields to read.
        require_id: whether a row without `id` is rejected.
        batch_rows: most rows of a frame.
        limits: what protects the machine.

    Returns:
        frames of the account's fields in their order (`id`, `kind`, `birth_date` text, the others
        lists of text, missing ones empty), then those carried, `_line` and `_file`; one without
        rows if there is no row.

    Raises:
        FileFormatError: what ends the reading; nothing after it is known.
    """
    return read_table(
        source,
        columns=account_columns(
            fields,
            require_id=require_id and "id" in fields,
            max_values=limits.values,
            max_characters=limits.characters,
        ),
        rejects=rejects,
        mapping=mapping,
        encoding=encoding,
        carry=carry,
        unique="id" if "id" in fields else "",
        batch_rows=batch_rows,
        limits=limits,
    )
