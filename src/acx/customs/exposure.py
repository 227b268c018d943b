"""What the exchange says of a shipment: its parties, its goods and its description.

Parties are screened like a store's sellers, on this machine. A hit says «the same actor as in a
report», so its probability goes into the model beside how many members stand behind the report and
whether it is about such goods; nobody is selected by a rule because of a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from acx.customs.features import EXPOSURE
from acx.customs.histories import F64
from acx.customs.shipments import PARTIES, PARTY
from acx.member.index import SCREENED_STATES
from acx.member.replica import Replica
from acx.member.screen import Screener
from acx.records.account import FIELDS
from acx.records.normalise import normalise_column, skeleton
from acx.records.normalise.text import fold_text
from acx.records.report import Report

MIN_BRAND: Final = 5
"""Letters from which a brand is looked for within other letters, spaced or imitated."""
_SINGLE: Final = ("id", "kind", "birth_date")
_HUBS: Final = ("address", "phone")
"""What a reported account may share with others: a warehouse, an agent's telephone."""
_PDQ_DISTANCE: Final = 31
"""Bits of 256 within which two PDQ hashes are of one picture (Meta's recommendation)."""
_IMITATED: Final = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "@": "a",
                    "$": "s", "!": "i", "|": "l", "€": "e"}  # fmt: skip

CHAPTERS: Final[dict[str, tuple[str, ...]]] = {
    "apparel": ("61", "62", "65"),
    "footwear": ("64",),
    "bags_and_leather": ("42",),
    "watches": ("91",),
    "jewellery": ("71",),
    "eyewear": ("90",),
    "cosmetics": ("33", "34"),
    "perfumes": ("33",),
    "pharmaceuticals": ("29", "30"),
    "medical_devices": ("30", "38", "40", "63", "90"),
    "food_and_drink": (
        *("02", "03", "04", "07", "08", "09", "10", "11"),
        *("15", "16", "17", "18", "19", "20", "21", "22"),
    ),
    "tobacco_and_vaping": ("24", "85"),
    "toys_and_games": ("95",),
    "sports_goods": ("87", "95"),
    "consumer_electronics": ("85", "88", "90"),
    "phones_and_accessories": ("39", "42", "85"),
    "computers_and_parts": ("84", "85"),
    "batteries_and_chargers": ("85",),
    "home_appliances": ("84", "85"),
    "home_textiles": ("57", "58", "63"),
    "furniture_and_lighting": ("85", "94"),
    "kitchen_and_tableware": ("39", "69", "70", "73", "76", "82", "84"),
    "tools_and_hardware": ("68", "73", "82", "83", "84", "85"),
    "vehicle_parts": ("40", "68", "84", "85", "87"),
    "pet_supplies": ("23", "38", "42"),
    "books_and_media": ("49", "85"),
    "stationery": ("32", "48", "96"),
    "labels_and_packaging": ("39", "48", "49", "58", "70", "83"),
    "chemicals_and_pesticides": ("27", "28", "29", "31", "32", "34", "38"),
    "other": (),
}
"""HS chapters of each category, as `docs/reference/categories.md` has them."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """What the exchange says of shipments, in their order.

    Attributes:
        matrix: `EXPOSURE`, a row a shipment; NaN where a party or text is missing.
        reports: for each of `PARTIES` the report that it hits best; empty where none.
        levels: likewise the level of that hit.
    """

    matrix: F64
    reports: dict[str, pl.Series]
    levels: dict[str, pl.Series]


class Exchange:
    """What a replica knows, ready to be asked about shipments."""

    def __init__(self, replica: Replica, *, default_country: str = "") -> None:
        """Index the reports that can hit.

        Args:
            replica: what is known.
            default_country: where national phone numbers are tried last.
        """
        self._screener = Screener(replica, default_country=default_country)
        self.log_size = self._screener.log_size
        chapters: list[tuple[str, str]] = []
        brands: set[str] = set()
        self._identifiers: set[str] = set()
        pictures: set[str] = set()
        contacts = []
        for view in replica.reports(*SCREENED_STATES):
            report = view.report
            if report is None:
                continue
            account = report.account
            contacts.append((account.country, account.address, account.phone))
            chapters += [(view.id, chapter) for chapter in _chapters(report)]
            brands |= {*report.brands, *(product.brand for product in report.products)} - {""}
            for product in report.products:
                self._identifiers.update(product.identifiers)
                pictures.update(v for i in product.images if i.quality for v in i.variants)
        schema = {"report": pl.String(), "hs2": pl.String()}
        self._chapters = pl.DataFrame(chapters, schema=schema, orient="row").unique()
        self._pictures = _bits(sorted(pictures))
        texts = pl.List(pl.String)
        reported = pl.DataFrame(
            contacts, schema={"country": texts, "address": texts, "phone": texts}, orient="row"
        )
        self._default_country = default_country
        self._hubs = (
            self._places(reported)
            .group_by("place")
            .agg(pl.col("row").n_unique().cast(pl.Float64).alias("accounts"))
        )
        plain = {_plain(brand) for brand in brands}
        written = {_words(fold_text(brand)) for brand in brands}
        self._named = sorted(f" {brand} " for brand in written if len(brand) > 1)
        squeezed = {brand.replace(" ", "") for brand in plain}
        self._disguised = sorted(brand for brand in squeezed if len(brand) >= MIN_BRAND)

    def of(self, frame: pl.DataFrame) -> Exposed:
        """What is known of shipments.

        Args:
            frame: shipments as `read_shipments` gives them.
        """
        columns: dict[str, F64] = {}
        contributors = np.full(len(frame), np.nan)
        same_goods = np.full(len(frame), np.nan)
        reports, levels = {}, {}
        chapters = frame.select(pl.col("hs_code").str.slice(0, 2).alias("hs2"))
        for party in PARTIES:
            best = self._screened(frame, party)
            columns[f"exchange_{party}"] = best["probability"].to_numpy()
            contributors = np.fmax(contributors, best["contributors"].to_numpy())
            about = best.select("report").hstack(chapters)
            fits = about.join(
                self._chapters.with_columns(fits=pl.lit(1.0)),
                on=["report", "hs2"],
                how="left",
                maintain_order="left",
            )["fits"]
            hit = (best["report"] != "").to_numpy()
            known = np.where(hit, fits.fill_null(0.0).to_numpy(), np.nan)
            same_goods = np.fmax(same_goods, known)
            reports[party], levels[party] = best["report"], best["level"]
        columns["exchange_contributors"] = contributors
        columns["exchange_same_goods"] = same_goods
        columns["exchange_hub"] = self._shared(frame)
        columns["exchange_product"] = self._products(frame)
        columns |= self._brands(frame["description"])
        return Exposed(np.column_stack([columns[name] for name in EXPOSURE]), reports, levels)

    def _screened(self, frame: pl.DataFrame, party: str) -> pl.DataFrame:
        """The best hit of each shipment's party; each party is screened once."""
        accounts = frame.select(
            pl.col(f"{party}_{field}").alias(field) for field in PARTY
        ).with_row_index("row")
        filled = pl.any_horizontal(pl.col(field).list.len() > 0 for field in PARTY)
        present = accounts.filter(filled)
        key = pl.concat_str([pl.col(field).list.join("\x1f") for field in PARTY], separator="\x1e")
        keyed = present.with_columns(key.alias("key"))
        distinct = keyed.unique("key", keep="first", maintain_order=True)
        sellers = distinct.select(
            pl.col("row").cast(pl.String).alias("id"),
            *(pl.lit("").alias(name) for name in _SINGLE[1:]),
            *(
                pl.col(name) if name in PARTY else pl.lit([], pl.List(pl.String)).alias(name)
                for name in FIELDS
                if name not in _SINGLE
            ),
        ).select(FIELDS)
        hits = self._screener.screen(sellers).unique(
            "account_id", keep="first", maintain_order=True
        )
        found = distinct.select("key", pl.col("row").cast(pl.String).alias("account_id")).join(
            hits.select("account_id", "report_id", "level", "probability", "contributors"),
            on="account_id",
            how="left",
        )
        best = (
            accounts.select("row")
            .join(keyed.select("row", "key"), on="row", how="left", maintain_order="left")
            .join(found.with_columns(there=pl.lit(1)), on="key", how="left", maintain_order="left")
        )
        there = pl.col("there").is_not_null()
        nothing = pl.lit(float("nan"))
        return best.select(
            pl.when(there).then(pl.col("probability").fill_null(0.0)).otherwise(nothing)
            .alias("probability"),
            pl.when(there).then(pl.col("contributors").fill_null(0).cast(pl.Float64))
            .otherwise(nothing).alias("contributors"),
            pl.col("report_id").fill_null("").alias("report"),
            pl.col("level").fill_null("").alias("level"),
        )  # fmt: skip

    def _shared(self, frame: pl.DataFrame) -> F64:
        """How many reported accounts are at an address or telephone of a shipment's parties."""
        shared = np.full(len(frame), np.nan)
        for party in PARTIES:
            own = frame.select(
                pl.col(f"{party}_{field}").alias(field) for field in ("country", *_HUBS)
            )
            present = own.select(
                pl.any_horizontal(pl.col(field).list.len() > 0 for field in _HUBS)
            ).to_series()
            most = (
                self._places(own)
                .join(self._hubs, on="place")
                .group_by("row")
                .agg(pl.col("accounts").max())
            )
            counted = np.where(present.to_numpy(), 0.0, np.nan)
            counted[most["row"].to_numpy()] = most["accounts"].to_numpy()
            shared = np.fmax(shared, counted)
        return shared

    def _places(self, accounts: pl.DataFrame) -> pl.DataFrame:
        """The normalised addresses and telephones of accounts, each with its row."""
        return pl.concat(
            accounts.with_row_index("row")
            .select(
                pl.col("row").cast(pl.Int64),
                normalise_column(
                    field, accounts[field], accounts["country"], self._default_country
                ).alias("place"),
            )
            .explode("place")
            .drop_nulls()
            .with_columns(pl.lit(f"{field} ") + pl.col("place"))
            for field in _HUBS
        )

    def _products(self, frame: pl.DataFrame) -> F64:
        """Whether a shipment has a product identifier or picture that was reported."""
        same = frame.select(
            pl.col("product_identifier")
            .list.eval(pl.element().is_in(sorted(self._identifiers)))
            .list.any()
            .alias("same")
        )["same"]
        known = (frame["product_identifier"].list.len() > 0).to_numpy()
        found = np.where(known, same.fill_null(value=False).to_numpy().astype(float), np.nan)
        pictured = np.flatnonzero((frame["image_hash"].list.len() > 0).to_numpy())
        for row in pictured.tolist():
            hashes = [h for h in frame["image_hash"][row].to_list() if len(h) == 64]
            near = self._near(hashes) if hashes else False
            found[row] = max(np.nan_to_num(found[row]), float(near))
        return found

    def _near(self, hashes: Sequence[str]) -> bool:
        if not len(self._pictures):
            return False
        distances = (_bits(hashes)[:, np.newaxis] != self._pictures[np.newaxis]).sum(axis=2)
        return bool((distances <= _PDQ_DISTANCE).any())

    def _brands(self, description: pl.Series) -> dict[str, F64]:
        """Whether a description names a reported brand, plainly or in disguise."""
        distinct = description.unique()
        texts = [text or "" for text in distinct.to_list()]
        padded = pl.Series([f" {_words(fold_text(text))} " for text in texts], dtype=pl.String)
        squeezed = pl.Series([_squeezed(_plain(text)) for text in texts], dtype=pl.String)
        named = _contains(padded, self._named)
        disguised = _contains(squeezed, self._disguised) & ~named
        table = pl.DataFrame({"description": distinct, "named": named, "disguised": disguised})
        joined = description.to_frame("description").join(
            table, on="description", how="left", nulls_equal=True, maintain_order="left"
        )
        missing = (description.fill_null("") == "").to_numpy()
        return {
            f"brand_{name}": np.where(missing, np.nan, joined[name].to_numpy().astype(float))
            for name in ("named", "disguised")
        }


def _chapters(report: Report) -> set[str]:
    categories: Iterable[str] = {*report.categories, *(p.category for p in report.products)} - {""}
    return {chapter for category in categories for chapter in CHAPTERS.get(category, ())}


def _plain(text: str) -> str:
    """Folded words, with letters that only look Latin as the Latin ones."""
    return _words(skeleton(text))


def _words(text: str) -> str:
    letters = (character if character.isalnum() else " " for character in text)
    return " ".join("".join(letters).split())


def _squeezed(line: str) -> str:
    """The letters of a line without what is between them, digits read as letters."""
    return "".join(_IMITATED.get(character, character) for character in line if character != " ")


def _contains(texts: pl.Series, patterns: Sequence[str]) -> pl.Series:
    if not patterns:
        return pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(texts))
    return texts.str.contains_any(list(patterns))


def _bits(hashes: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    if not hashes:
        return np.zeros((0, 256), np.uint8)
    raw = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8)
    return np.unpackbits(raw.reshape(len(hashes), -1), axis=1)
