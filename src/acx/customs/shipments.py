"""Shipments: one typed record for declarations and parcels of any administration.

Files are read by `acx.records.files.read_table` in any naming of columns, through a mapping. Here
text becomes numbers, dates and codes; a row whose value is none goes to the rejects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Final

import polars as pl

from acx.customs.errors import BadShipments
from acx.records.files import Column, Mapping, Rejects, read_table
from acx.records.files.table import FILE, LINE

CODES: Final = (
    "office",
    "process_type",
    "import_type",
    "import_use",
    "payment_type",
    "transport_mode",
    "declarant_id",
    "importer_id",
    "consignor_id",
    "carrier_id",
    "marketplace",
    "country_departure",
    "country_origin",
    "tax_type",
    "origin_marking",
    "currency",
)
"""Codes and identifiers, compared as they are; an empty one is a code too."""
NUMBERS: Final = ("tax_rate", "net_mass", "declared_value", "quantity", "packages")
"""Per cent; kilograms; in `currency`; units; packages. Missing is null, and nothing is below 0."""
TEXTS: Final = ("description", "product_url")
LISTS: Final = ("product_identifier", "image_hash")
PARTIES: Final = ("consignor", "consignee", "seller")
"""Who sends, who receives, and who sold on a marketplace; each has the fields of `PARTY`."""
PARTY: Final = (
    "name",
    "address",
    "country",
    "email",
    "phone",
    "tax_id",
    "registration_no",
    "website",
    "handle",
)
"""Fields of an account (`acx.records.account`), written `consignor_name`, `seller_handle`, …."""
PARTY_COLUMNS: Final = tuple(f"{party}_{field}" for party in PARTIES for field in PARTY)
OUTCOME: Final = ("inspected_on", "finding")
FIELDS: Final = (
    "shipment_id",
    "date",
    "hs_code",
    *CODES,
    *NUMBERS,
    *TEXTS,
    *LISTS,
    *PARTY_COLUMNS,
    *OUTCOME,
)
MINIMAL: Final = ("shipment_id", "date", "hs_code", "country_origin", "declared_value")
"""Without these nothing can be ranked; all other fields may be missing."""
BUILT_IN: Final = ("declarations", "h7", "us-entry", "us-section321")
"""Mappings that come with acx; see `docs/customs.md`."""

_UNGROUPED: Final = r"^(\d+(\.\d+)?([eE][+-]?\d+)?|\.\d+)$"
_GROUPED: Final = r"^\d{1,3}(,\d{3})+(\.\d+)?$"
_EUROPEAN: Final = r"^\d{1,3}(\.\d{3})+,\d+$"
_COMMA: Final = r"^\d+,\d{1,2}$"
_YES: Final = ("1", "true", "yes", "y", "counterfeit", "undervalued", "prohibited", "misclassified")
_NO: Final = ("0", "false", "no", "n", "clear")


@dataclass(frozen=True, slots=True)
class Label:
    """A column that says what an inspection found, and what of it counts as positive.

    Attributes:
        column: its name in the file.
        least: numbers from this on are positive.
        weight: what a find is worth beside the others', where several labels are combined.
    """

    column: str
    least: float = 1.0
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Label:
        """Read `NAME`, `NAME>=N`, `NAME=WEIGHT` or `NAME>=N=WEIGHT`.

        Raises:
            BadShipments: a number is none.
        """
        name, _, rest = text.partition(">=")
        try:
            if rest:
                least, _, weight = rest.partition("=")
            else:
                name, _, weight = text.partition("=")
                least = ""
            parsed = cls(name.strip(), float(least or 1), float(weight or 1))
        except ValueError:
            raise BadShipments(
                f"--label {text!r}: write COLUMN, COLUMN>=N or COLUMN=WEIGHT, with numbers"
            ) from None
        if not parsed.column or not parsed.weight > 0:
            raise BadShipments(f"--label {text!r}: name a column, and a weight above 0")
        return parsed


def load_mapping(name: str | Path, source: str = "") -> Mapping:
    """A mapping by its file, or one that comes with acx by its name.

    Args:
        name: a TOML file, or one of `BUILT_IN`; those know several names for a column.
        source: the file it is for: of a built-in's names those count that the file has.

    Raises:
        BadMapping: it cannot be read, or says something impossible.
    """
    if str(name) not in BUILT_IN:
        return Mapping.load(name, fields=FIELDS)
    mapping = Mapping.load(str(files("acx.customs") / "mappings" / f"{name}.toml"), fields=FIELDS)
    names = columns_of(source)
    fitting = {
        field: tuple(each for each in templates if names.issuperset(each.columns))
        for field, templates in mapping.columns.items()
    }
    columns = {field: templates for field, templates in fitting.items() if templates}
    return replace(mapping, columns=columns) if names else mapping


def recognise(source: str) -> Mapping | None:
    """The mapping that comes with acx and fits a CSV or Parquet file, if the file needs one."""
    names = columns_of(source)
    if not names or "shipment_id" in names:
        return None
    known = [load_mapping(name, source) for name in BUILT_IN]
    fitting = [mapping for mapping in known if mapping.columns.keys() >= set(MINIMAL[:3])]
    return max(fitting, key=lambda mapping: len(mapping.columns), default=None)


def columns_of(source: str) -> frozenset[str]:
    """The columns that a CSV or Parquet file names; none where it cannot be looked into."""
    path = Path(source)
    try:
        if path.suffix == ".parquet":
            return frozenset(pl.read_parquet_schema(path))
        return frozenset(pl.read_csv(path, n_rows=0, infer_schema=False).columns)
    except (OSError, pl.exceptions.PolarsError, UnicodeDecodeError):
        return frozenset()


def read_shipments(
    source: str | Path,
    *,
    rejects: Rejects,
    mapping: Mapping | None = None,
    encoding: str | None = None,
    labels: Sequence[Label] = (),
    carry: Sequence[str] = (),
    batch_rows: int = 65_536,
) -> Iterator[pl.DataFrame]:
    """Read shipments in batches, in bounded memory.

    Args:
        source: CSV, Parquet, JSON Lines, XLSX, a folder, a pattern or `-`.
        rejects: takes the rows that are wrong.
        mapping: other names for columns.
        encoding: of text files.
        labels: columns that say what was found; given back as `label_0`, `label_1`, …: true, false,
            or null where a shipment was not inspected.
        carry: further columns to give back as text.
        batch_rows: most rows of a frame.

    Returns:
        Frames of `FIELDS` (dates, floats, text, lists), labels and what is carried.

    Raises:
        FileFormatError: what ends the reading.
        BadShipments: a label's column is missing.
    """
    columns = [
        Column(name="shipment_id", required=True, number=True, exact=True),
        Column(name="date", required=True, date="%Y-%m-%d"),
        Column(name="hs_code", required=True, number=True),
        *(Column(name=name, number=True) for name in (*CODES, *NUMBERS)),
        *(Column(name=name, max_characters=4096) for name in TEXTS),
        *(Column(name=name, many=True, number=True) for name in LISTS),
        *(Column(name=name, many=True, number=True) for name in PARTY_COLUMNS),
        Column(name="inspected_on", date="%Y-%m-%d"),
        Column(name="finding"),
    ]
    frames = read_table(
        source,
        columns=columns,
        rejects=rejects,
        mapping=mapping,
        encoding=encoding,
        carry=[*dict.fromkeys([label.column for label in labels]), *carry],
        unique="shipment_id",
        batch_rows=batch_rows,
    )
    return (_typed(frame, rejects, labels) for frame in frames)


def _typed(frame: pl.DataFrame, rejects: Rejects, labels: Sequence[Label]) -> pl.DataFrame:
    """Text as numbers, dates and codes; rows that hold something else go to the rejects."""
    faults: list[tuple[str, str, pl.Expr]] = []
    made: list[pl.Expr] = []
    for name in NUMBERS:
        number = _number(pl.col(name))
        faults.append((name, "is no number", (pl.col(name) != "") & number.is_null()))
        faults.append((name, "is below 0", number < 0))
        made.append(number.alias(name))
    hs_code = pl.col("hs_code").str.replace_all(r"[.\s]", "")
    # A spreadsheet drops the zero of chapters 01 to 09: codes have an even number of digits.
    whole = pl.when(hs_code.str.len_chars() % 2 == 1).then("0" + hs_code).otherwise(hs_code)
    faults.append(
        ("hs_code", "is no HS code: 2 to 10 digits", ~hs_code.str.contains(r"^\d{2,10}$|^\d$"))
    )
    made.append(whole.alias("hs_code"))
    for name in ("country_departure", "country_origin"):
        code = pl.col(name).str.to_uppercase()
        faults.append(
            (name, "is no country: two letters (ISO 3166-1)", ~code.str.contains(r"^([A-Z]{2})?$"))
        )
        made.append(code.alias(name))
    currency = pl.col("currency").str.to_uppercase()
    faults.append(
        ("currency", "is no currency: three letters", ~currency.str.contains(r"^([A-Z]{3})?$"))
    )
    made += [
        currency.alias("currency"),
        pl.col("date").str.to_date("%Y-%m-%d").alias("date"),
        pl.col("inspected_on").str.to_date("%Y-%m-%d", strict=False).alias("inspected_on"),
    ]
    for number_of, label in enumerate(labels):
        found, fault = _found(label)
        faults.append((label.column, "is no label: 0, 1, true, false or a number", fault))
        made.append(found.alias(f"label_{number_of}"))
    frame = _without(frame, faults, rejects)
    return frame.with_columns(made).drop(LINE, FILE)


def _without(
    frame: pl.DataFrame, faults: Sequence[tuple[str, str, pl.Expr]], rejects: Rejects
) -> pl.DataFrame:
    """The rows without a fault; the others are rejected for the first that they have."""
    judged = frame.select(
        pl.coalesce(
            *(pl.when(bad).then(pl.lit(number)) for number, (_, _, bad) in enumerate(faults)),
            pl.lit(-1),
        ).alias("fault")
    )["fault"]
    if (judged < 0).all():
        return frame
    bad = frame.with_columns(judged).filter(pl.col("fault") >= 0)
    for row in bad.iter_rows(named=True):
        name, reason, _ = faults[row.pop("fault")]
        file, line = row.pop(FILE), row.pop(LINE)
        shown = {key: value for key, value in row.items() if value}
        rejects.add(file=file, line=line, field=name, reason=reason, row=shown)
    rejects.accepted -= len(bad)
    return frame.filter(judged < 0)


def _number(text: pl.Expr) -> pl.Expr:
    """A number in the usual writings; 1.234,50 and 1,234.50 are told by the last separator."""
    bare = text.str.replace_all(r"[\s'\x{2019}]", "")
    sign = bare.str.starts_with("-")
    digits = bare.str.strip_prefix("-").str.strip_prefix("+")
    plain = (
        pl.when(digits.str.contains(_UNGROUPED))
        .then(digits)
        .when(digits.str.contains(_GROUPED))
        .then(digits.str.replace_all(",", "", literal=True))
        .when(digits.str.contains(_EUROPEAN))
        .then(digits.str.replace_all(".", "", literal=True).str.replace_all(",", ".", literal=True))
        .when(digits.str.contains(_COMMA))
        .then(digits.str.replace_all(",", ".", literal=True))
    )
    value = plain.cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(pl.when(sign).then(-value).otherwise(value))


def _found(label: Label) -> tuple[pl.Expr, pl.Expr]:
    """What a label says, and whether it says nothing that can be read."""
    text = pl.col(label.column).fill_null("").str.strip_chars().str.to_lowercase()
    number = text.cast(pl.Float64, strict=False)
    found = (
        pl.when(number.is_not_null())
        .then(number >= label.least)
        .when(text.is_in(_YES))
        .then(statement=True)
        .when(text.is_in(_NO))
        .then(statement=False)
    )
    return found, (text != "") & found.is_null()
