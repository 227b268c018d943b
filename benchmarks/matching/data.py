"""Labelled data for matching: reported accounts, sellers, and who is who.

Real identities (`../shared/data/accounts/designated.jsonl` where it is, else the records that ship
with acx) are parted in two by a hash of the actor: **tune**, for whoever sets weights and
thresholds, and **test**, which tuning never sees. Both have come-backs, look-alikes and ordinary
sellers of `acx.demo`, drawn from different seeds. One actor stands on two lists now and then; such
entries are one actor here too, so finding the other entry is right and the halves share nobody.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final, Literal

import polars as pl
from anyascii import anyascii

from acx.demo.accounts import as_frame, by_row
from acx.demo.comebacks import ComeBack, come_backs
from acx.demo.identities import complete, example_identities, read_identities
from acx.demo.lookalikes import look_alikes
from acx.demo.sellers import PRESENT, ordinary
from acx.records.account import Account

Split = Literal["tune", "test"]
SEEDS: Final[dict[Split, int]] = {"tune": 7_000, "test": 90_000}
DESIGNATED: Final = Path(__file__).parents[3] / "shared/data/accounts/designated.jsonl"
BUILD: Final = Path(__file__).parents[2] / "build/matching"


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything.

    Attributes:
        subjects: reported accounts; real identities first, invented ones fill up.
        innocents: ordinary sellers.
        come_backs: sellers who are a reported real identity.
        invented_come_backs: sellers who are a reported invented identity (more scripts).
        look_alikes: innocents who resemble a reported actor.
    """

    subjects: int
    innocents: int
    come_backs: int = 3_000
    invented_come_backs: int = 1_500
    look_alikes: int = 3_000


SIZES: Final = {
    "small": Size(10_000, 15_000, 2_000, 800, 2_000),
    "tune": Size(20_000, 30_000),
    "test": Size(100_000, 30_000),
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """A data set on disk.

    Attributes:
        folder: where `subjects.parquet`, `sellers.parquet`, `truth.parquet` (`account_id`,
            `subject_id`, `changes`, `kept`), `look_alikes.parquet` (`account_id`, `resembles`,
            `kind`) and `actors.parquet` (`subject_id`, `actor`) are.
    """

    folder: Path

    @property
    def subjects(self) -> pl.DataFrame:
        """The reported accounts."""
        return pl.read_parquet(self.folder / "subjects.parquet")

    @property
    def sellers(self) -> pl.DataFrame:
        """The seller base."""
        return pl.read_parquet(self.folder / "sellers.parquet")

    @property
    def truth(self) -> pl.DataFrame:
        """Which sellers are which subjects, what was changed and what was kept."""
        return pl.read_parquet(self.folder / "truth.parquet")

    @property
    def look_alikes(self) -> pl.DataFrame:
        """Which innocents resemble whom, and how."""
        return pl.read_parquet(self.folder / "look_alikes.parquet")

    @property
    def actors(self) -> pl.DataFrame:
        """Which subjects are one actor."""
        return pl.read_parquet(self.folder / "actors.parquet")


def labelled(split: Split, size: Size) -> Labelled:
    """Make the data of a split at a size, or find it made.

    Args:
        split: which half of the identities.
        size: how much of everything.
    """
    sources = sorted((Path(__file__).parents[2] / "src/acx/demo").rglob("*.*"))
    stamp = hashlib.sha256(
        b"".join(path.read_bytes() for path in sources if path.suffix in {".py", ".toml"})
        + Path(__file__).read_bytes()
        + f"{split}{size}".encode()
    ).hexdigest()[:12]
    folder = BUILD / f"{split}-{size.subjects}-{size.innocents}-{stamp}"
    if not (folder / "actors.parquet").exists():
        _write(folder, split, size)
    return Labelled(folder)


def real_identities() -> list[Account]:
    """The real records there are."""
    return read_identities(DESIGNATED) if DESIGNATED.exists() else example_identities()


def _write(folder: Path, split: Split, size: Size) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    seed = SEEDS[split]
    actor_of = same_actors(real_identities())
    half = [each for each in real_identities() if split_of(actor_of[each.id]) == split]
    real = complete(half[: size.subjects], seed, domains="real")
    invented = ordinary(size.subjects - len(real), seed + 1, prefix="invented-", domains="real")
    some = by_row(invented.head(4 * size.invented_come_backs))
    telling = [each for each in some if _is_complete(each)]

    back = come_backs(real, size.come_backs, seed + 2, prefix="back-", domains="real")
    again = come_backs(telling, size.invented_come_backs, seed + 3, prefix="again-", domains="real")
    alike = look_alikes(real + telling, size.look_alikes, seed + 4, prefix="alike-", domains="real")
    innocents = ordinary(size.innocents, seed + 5, prefix="seller-", domains="real")
    returned = [each.account for each in [*back, *again]]
    sellers = pl.concat([as_frame(returned), as_frame(each.account for each in alike), innocents])

    pl.concat([as_frame(real), invented]).write_parquet(folder / "subjects.parquet")
    sellers.sample(fraction=1, shuffle=True, seed=seed).write_parquet(folder / "sellers.parquet")
    truth_of([*back, *again]).write_parquet(folder / "truth.parquet")
    pl.DataFrame(
        [(each.account.id, each.resembles, each.kind) for each in alike],
        schema=["account_id", "resembles", "kind"],
        orient="row",
    ).write_parquet(folder / "look_alikes.parquet")
    ids = [*(each.id for each in real), *invented["id"]]
    pl.DataFrame(
        {"subject_id": ids, "actor": [actor_of.get(each, each) for each in ids]}
    ).write_parquet(folder / "actors.parquet")


def _is_complete(account: Account) -> bool:
    """Whether a store would know the account well enough to report it."""
    return sum(bool(getattr(account, name)) for name in PRESENT) >= 7 and bool(
        account.bank_account or account.email or account.phone
    )


def truth_of(returned: Sequence[ComeBack]) -> pl.DataFrame:
    """Come-backs as a table: who is whom, what was changed, what was kept."""
    return pl.DataFrame(
        {
            "account_id": [each.account.id for each in returned],
            "subject_id": [each.subject_id for each in returned],
            "changes": [[change.kind for change in each.changes] for each in returned],
            "kept": [list(each.kept) for each in returned],
            "detail": [
                json.dumps(
                    [(c.kind, c.field, c.before, c.after) for c in each.changes], ensure_ascii=False
                )
                for each in returned
            ],
        },
        schema_overrides={"changes": pl.List(pl.String), "kept": pl.List(pl.String)},
    )


def split_of(actor: str) -> Split:
    """The half an actor belongs to, by a hash that no one chose."""
    digest = hashlib.sha256(f"acx matching split: {actor}".encode()).digest()
    return "tune" if digest[0] % 2 else "test"


def same_actors(identities: Sequence[Account]) -> dict[str, str]:
    """The actor of each record: records of the two lists that are one person or company.

    They are one where they share a document, or a birth date together with two words of a name, or
    a registration number together with a name, or the whole name and the country, unless that is a
    person's of two words.
    """
    parent = {each.id: each.id for each in identities}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    holders: dict[tuple[str, ...], str] = {}
    for each in identities:
        for key in _same_keys(each):
            first = holders.setdefault(key, each.id)
            parent[root(each.id)] = root(first)
    return {each.id: root(each.id) for each in identities}


def _same_keys(account: Account) -> Iterable[tuple[str, ...]]:
    names = {_folded(name) for name in account.name + account.alias} - {""}
    for name in sorted(names):
        if account.birth_date:
            yield ("born", account.birth_date, name)
            words = [word for word in name.split() if len(word) > 3]
            yield from (("born", account.birth_date, *pair) for pair in combinations(words, 2))
        for number in account.registration_no + account.tax_id + account.id_document:
            yield ("number", re.sub(r"\W", "", number).lower(), name)
        # Three words are rarely two people's in one country; a company's name is its own.
        if (len(name) > 5 and account.kind == "organization") or name.count(" ") > 1:
            for country in account.country:
                yield ("called", country, name)


def _folded(name: str) -> str:
    """Words in Latin letters, sorted; the acronym that one list puts in brackets left out."""
    name = re.sub(r"\([^)]*\)", "", name)
    return " ".join(sorted(re.findall(r"[a-z0-9]+", anyascii(name).lower())))
