"""The demo's stage: store A's reports, and the seller bases of stores A, B and C.

Store A (apparel) reports; B (home goods) and C (cosmetics) have sellers among whom some of the
reported actors have come back. Everybody's ids are the store's own, so only the truth tells.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from acx.demo.accounts import as_frame, rng_for
from acx.demo.comebacks import Change, ComeBack, come_backs
from acx.demo.identities import complete, example_identities
from acx.demo.lookalikes import LookAlike, look_alikes
from acx.demo.sellers import ordinary
from acx.errors import AcxError
from acx.records.account import Account

STORES: Final[Mapping[str, str]] = {"A": "apparel", "B": "home goods", "C": "cosmetics"}


class TooFewExamples(AcxError):
    """More reports were asked for than there are example identities."""


class ReportRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the file that `acx report` takes: an account in the clear, and its confirmation."""

    account: Account
    conduct: str
    confirmed_by: tuple[str, ...]
    confirmed_on: str
    brands: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Truth:
    """Who is who among a store's sellers.

    Attributes:
        account_id: the store's id of the account.
        subject_id: store A's id of the reported account that it is.
        changes: what was changed, in order.
        kept: fields in which something of the reported account is still to be seen.
    """

    account_id: str
    subject_id: str
    changes: tuple[Change, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the demo plays with.

    Attributes:
        reports: what store A reports.
        sellers: by store, its seller base (`acx.demo.sellers.SCHEMA`).
        truth: by store, which of its sellers are reported actors.
        look_alikes: by store, innocents who resemble one.
    """

    reports: tuple[ReportRow, ...]
    sellers: Mapping[str, pl.DataFrame]
    truth: Mapping[str, tuple[Truth, ...]]
    look_alikes: Mapping[str, tuple[LookAlike, ...]]


_CONDUCTS: Final = (
    "sold_counterfeits",
    "sold_counterfeits",
    "shipped_counterfeits",
    "attempted_to_sell",
    "reoffended",
)
_CONFIRMATIONS: Final = (
    ("test_buy", "rights_owner"),
    ("test_buy",),
    ("rights_owner",),
    ("customs_seizure", "rights_owner"),
    ("laboratory", "test_buy"),
    ("court",),
    ("documents_forged",),
)
_GOODS: Final = (
    (("Northpeak Outdoor",), ("apparel",)),
    (("Velora",), ("apparel", "bags_and_leather")),
    (("Strideon",), ("footwear",)),
    (("Maison Aurel",), ("bags_and_leather", "jewellery")),
    (("Kestrel Denim", "Strideon"), ("apparel", "footwear")),
    (("Lumière d'Or",), ("cosmetics", "perfumes")),
)
"""Invented brands, so that nobody's name is linked with a counterfeit."""


def scenario(reported: int = 20, sellers_per_store: int = 3000, seed: int = 2026) -> Scenario:
    """Set the stage.

    Args:
        reported: how many accounts store A reports, at most as many as there are examples.
        sellers_per_store: size of each store's seller base, come-backs and look-alikes included.
        seed: the same seed sets the same stage.

    Raises:
        TooFewExamples: `reported` is larger than the number of examples.
    """
    rng = rng_for(seed, "scenario")
    examples = example_identities()
    if reported > len(examples):
        raise TooFewExamples(f"{reported} reports asked for, there are {len(examples)} examples")
    chosen = rng.sample(examples, reported)
    actors = [
        msgspec.structs.replace(actor, id=f"A-{number:05d}")
        for number, actor in enumerate(complete(chosen, seed), start=1)
    ]
    reports = tuple(_report(actor, rng) for actor in actors)
    sellers, truth, resembling = {}, {}, {}
    for number, store in enumerate(STORES):
        own = actors if store == "A" else []
        returning = [] if store == "A" else _returning(actors, seed + number, rng)
        alike = look_alikes(actors, max(sellers_per_store // 100, 3), seed + 10 * number)
        rest = max(sellers_per_store - len(returning) - len(alike) - len(own), 0)
        base = pl.concat(
            [
                as_frame([*own, *(back.account for back in returning)]),
                as_frame(each.account for each in alike),
                ordinary(rest, seed + number),
            ]
        )
        base, names = _renamed(base, store, keep=len(own), seed=seed + number)
        sellers[store] = base
        first = len(own)
        truth[store] = tuple(
            Truth(names[first + place], back.subject_id, back.changes, back.kept)
            for place, back in enumerate(returning)
        )
        first += len(returning)
        resembling[store] = tuple(
            LookAlike(
                msgspec.structs.replace(each.account, id=names[first + place]),
                each.resembles,
                each.kind,
            )
            for place, each in enumerate(alike)
        )
    return Scenario(reports, sellers, truth, resembling)


def write_scenario(
    directory: Path, reported: int = 20, sellers_per_store: int = 3000, seed: int = 2026
) -> Scenario:
    """Write a scenario: `A/reports.jsonl`, and each store's `sellers.jsonl` and `truth.jsonl`.

    Args:
        directory: where to; made if it is not there.
        reported: as for `scenario`.
        sellers_per_store: as for `scenario`.
        seed: as for `scenario`.
    """
    stage = scenario(reported, sellers_per_store, seed)
    for store in STORES:
        folder = directory / store
        folder.mkdir(parents=True, exist_ok=True)
        stage.sellers[store].write_ndjson(folder / "sellers.jsonl")
        _write_lines(folder / "truth.jsonl", stage.truth[store])
    _write_lines(directory / "A" / "reports.jsonl", stage.reports)
    return stage


def _write_lines(path: Path, rows: Sequence[Any]) -> None:
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


def _returning(actors: Sequence[Account], seed: int, rng: random.Random) -> list[ComeBack]:
    """Most of the reported actors come back at a store, a few twice."""
    some = rng.sample(list(actors), max(round(0.7 * len(actors)), 1)) if actors else []
    return come_backs(some, round(1.2 * len(some)), seed)


def _renamed(
    base: pl.DataFrame, store: str, keep: int, seed: int
) -> tuple[pl.DataFrame, list[str]]:
    """Give all sellers ids of the store and shuffle them; the first `keep` have theirs already."""
    rng = rng_for(seed, "ids")
    numbers = [f"{store}-{number:05d}" for number in range(keep + 1, len(base) + 1)]
    rng.shuffle(numbers)
    names = base["id"].to_list()[:keep] + numbers
    order = list(range(len(base)))
    rng.shuffle(order)
    return base.with_columns(pl.Series("id", names, dtype=pl.String))[order], names


def _report(actor: Account, rng: random.Random) -> ReportRow:
    brands, categories = rng.choice(_GOODS)
    return ReportRow(
        account=actor,
        conduct=rng.choice(_CONDUCTS),
        confirmed_by=rng.choice(_CONFIRMATIONS),
        confirmed_on=f"2026-{rng.randint(1, 7):02d}",
        brands=brands,
        categories=categories,
    )
