"""Files of accounts and other records: read and written as tables, whole or not at all."""

from acx.records.files.accounts import account_columns, parse_account, read_accounts
from acx.records.files.errors import (
    BadAllowance,
    BadColumns,
    BadMapping,
    Damaged,
    FileFormatError,
    SourceNotFound,
    TooLarge,
    UnknownFormat,
    Unreadable,
    Unwritable,
    WrongEncoding,
)
from acx.records.files.limits import LIMITS, Limits
from acx.records.files.mapping import Mapping
from acx.records.files.output import AtomicFile
from acx.records.files.rejects import Rejects
from acx.records.files.reports import ReportRow, read_reports, report_columns
from acx.records.files.table import FILE, LINE, Column, read_table
from acx.records.files.write import write_table

__all__ = [
    "FILE",
    "LIMITS",
    "LINE",
    "AtomicFile",
    "BadAllowance",
    "BadColumns",
    "BadMapping",
    "Column",
    "Damaged",
    "FileFormatError",
    "Limits",
    "Mapping",
    "Rejects",
    "ReportRow",
    "SourceNotFound",
    "TooLarge",
    "UnknownFormat",
    "Unreadable",
    "Unwritable",
    "WrongEncoding",
    "account_columns",
    "parse_account",
    "read_accounts",
    "read_reports",
    "read_table",
    "report_columns",
    "write_table",
]
