"""The networks behind the reports of a replica, with a store's own sellers laid over them.

Everything happens on this machine; a ring says who shares what, never who reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import polars as pl

from acx.member.index import SCREENED_STATES
from acx.member.replica import Replica
from acx.networks.errors import UnknownRing
from acx.networks.links import HUB, LEAST_BITS, find_links
from acx.networks.rings import KEY_ACTORS, Ring, find_rings
from acx.records.account import LIST_FIELDS, SUBJECT_FIELDS

OWN: Final = "own:"
"""Before the id of an own seller, so that it is none of a report."""
_RING: Final = "ring-"
_LETTERS: Final = 10
_BATCH: Final = 20_000
_TEXT: Final = pl.String()
_TEXTS: Final = pl.List(pl.String())
_ACCOUNT: Final = {name: _TEXTS if name in LIST_FIELDS else _TEXT for name in SUBJECT_FIELDS}
_SAID: Final = {
    "conduct": _TEXT,
    "confirmed_on": _TEXT,
    "brands": _TEXTS,
    "categories": _TEXTS,
}
_REPORT: Final = pl.Struct({"account": pl.Struct(_ACCOUNT), **_SAID})
_STANDING: Final[dict[str, pl.DataType]] = {
    "id": _TEXT,
    "json": _TEXT,
    "report_state": _TEXT,
    "contributors": pl.Int64(),
    "first_index": pl.Int64(),
}
_SCHEMA: Final = {
    "id": _TEXT,
    **_ACCOUNT,
    **_SAID,
    "report_state": _TEXT,
    "contributors": pl.Int64(),
    "first_index": pl.Int64(),
}


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """An account of a ring.

    Attributes:
        id: the report's id, or `own:` and the store's own id.
        own: whether it is one of the store's own sellers, whom nobody reported.
        names: names and trade names.
        country: countries.
        conduct: what it did; empty for an own seller.
        confirmed_on: the month of the confirmation.
        brands: brands that were counterfeited.
        categories: kinds of goods.
        report_state: how the report stands.
        contributors: members that stand behind it.
        betweenness: share of the ring's shortest ways that go through it, 0 to 1.
        strength: bits of its links together.
    """

    id: str
    own: bool
    names: tuple[str, ...]
    country: tuple[str, ...]
    conduct: str
    confirmed_on: str
    brands: tuple[str, ...]
    categories: tuple[str, ...]
    report_state: str
    contributors: int
    betweenness: float
    strength: float


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A value that two accounts of a ring share.

    Attributes:
        a: an account's id.
        b: the other's.
        field: the field; `person` for a name that is an owner's, director's or the account's own.
        value: the normalised value, or its digest.
        sharers: accounts that have it, in and outside the ring.
        bits: what sharing it is worth.
    """

    a: str
    b: str
    field: str
    value: str
    sharers: int
    bits: float


class RingView(msgspec.Struct, frozen=True, kw_only=True):
    """A ring as people look at it.

    Attributes:
        id: `ring-` and the beginning of its earliest report's id, so that it keeps its name as it
            grows.
        accounts: key actors first.
        key_actors: ids of those that most goes through.
        links: what links whom.
        brands: brands that its reports name, most often named first.
        categories: likewise.
        first: the earliest month of a confirmation.
        last: the latest.
        reports: accounts that were reported.
        own_sellers: accounts that are the store's own.
        bridges: links to other rings of the same component.
    """

    id: str
    accounts: tuple[Node, ...]
    key_actors: tuple[str, ...]
    links: tuple[Link, ...]
    brands: tuple[str, ...]
    categories: tuple[str, ...]
    first: str
    last: str
    reports: int
    own_sellers: int
    bridges: int


@dataclass(frozen=True, slots=True)
class Networks:
    """The rings of a replica, as tables.

    Attributes:
        rings: a row for each, largest first: the fields of `RingView` but `accounts` and `links`.
        accounts: a row for each account of a ring: `ring`, and the fields of `Node`.
        links: a row for each shared value: `ring`, and the fields of `Link`.
        hubs: `field`, `value`, `sharers` of what links nobody because too many share it.
        reports: reports looked at.
        own_sellers: own sellers looked at.
        log_size: entries of the log that were known.
    """

    rings: pl.DataFrame
    accounts: pl.DataFrame
    links: pl.DataFrame
    hubs: pl.DataFrame
    reports: int
    own_sellers: int
    log_size: int

    def ring(self, name: str) -> RingView:
        """The ring of that name, or the ring that a report is in.

        Raises:
            UnknownRing: there is none.
        """
        of_report = self.accounts.filter(pl.col("id") == name)["ring"]
        ring = of_report[0] if len(of_report) else name
        row = self.rings.filter(pl.col("id") == ring)
        if row.is_empty():
            raise UnknownRing(f"{name}: no ring, and no report in one; `acx rings` lists them")
        return self._view(row.to_dicts()[0])

    def first(self, count: int) -> list[RingView]:
        """The largest rings."""
        return [self._view(row) for row in self.rings.head(count).to_dicts()]

    def _view(self, row: dict[str, Any]) -> RingView:
        of_ring = pl.col("ring") == row["id"]
        accounts = self.accounts.filter(of_ring).drop("ring").to_dicts()
        links = self.links.filter(of_ring).drop("ring").to_dicts()
        return msgspec.convert({**row, "accounts": accounts, "links": links}, RingView)


def find_networks(
    replica: Replica,
    sellers: pl.DataFrame | None = None,
    *,
    default_country: str = "",
    least: int = 2,
    least_bits: float = LEAST_BITS,
    hub: int = HUB,
) -> Networks:
    """Find the rings among the reports that stand, and own sellers linked to them.

    Args:
        replica: what is known.
        sellers: a store's own sellers; only those linked to a report are shown.
        default_country: where national numbers are tried last.
        least: accounts that a ring has at least.
        least_bits: links of less are left out.
        hub: accounts from which on a value links nobody.
    """
    frames = list(_frames(replica))
    reports = sum(len(frame) for frame in frames)
    if sellers is not None:
        frames.append(_own(sellers))
    accounts = pl.concat(frames)
    links = find_links(
        accounts,
        matching_key=replica.trust.matching_key,
        default_country=default_country,
        hub=hub,
        least_bits=least_bits,
    )
    # Own sellers among themselves are `acx match`'s to find.
    rings = [ring for ring in find_rings(links, least=least) if min(ring.nodes) < reports]
    nodes = _nodes(accounts, rings)
    names = nodes.group_by("number", maintain_order=True).agg(
        (
            pl.lit(_RING)
            + pl.col("id").sort_by("first_index", nulls_last=True).first().str.slice(0, _LETTERS)
        ).alias("ring")
    )
    nodes = nodes.join(names, on="number", maintain_order="left")
    return Networks(
        rings=_rings(nodes, rings),
        accounts=nodes.select("ring", *Node.__struct_fields__),
        links=_links(links.shared, nodes),
        hubs=links.hubs,
        reports=reports,
        own_sellers=0 if sellers is None else len(sellers),
        log_size=replica.size,
    )


def _nodes(accounts: pl.DataFrame, rings: list[Ring]) -> pl.DataFrame:
    """The accounts of rings: their number, ring's number and place, and what is told of them."""
    placed = pl.DataFrame(
        {
            "node": [node for ring in rings for node in ring.nodes],
            "number": [number for number, ring in enumerate(rings) for _ in ring.nodes],
            "betweenness": [value for ring in rings for value in ring.betweenness],
            "strength": [value for ring in rings for value in ring.strength],
        },
        schema={
            "node": pl.Int64,
            "number": pl.Int64,
            "betweenness": pl.Float64,
            "strength": pl.Float64,
        },
    )
    own = pl.col("first_index").is_null()
    return placed.hstack(accounts[placed["node"].to_numpy()]).with_columns(
        own.alias("own"), pl.col("name").list.concat("alias").alias("names")
    )


def _rings(nodes: pl.DataFrame, rings: list[Ring]) -> pl.DataFrame:
    reported = ~pl.col("own")
    table = nodes.group_by("number", maintain_order=True).agg(
        pl.col("ring").first().alias("id"),
        reported.sum().cast(pl.Int64).alias("reports"),
        pl.col("own").sum().cast(pl.Int64).alias("own_sellers"),
        pl.col("id").head(KEY_ACTORS).alias("key_actors"),
        pl.col("confirmed_on").filter(reported).min().fill_null("").alias("first"),
        pl.col("confirmed_on").filter(reported).max().fill_null("").alias("last"),
        pl.col("strength").sum().truediv(2).round(1).alias("bits"),
        *(_most_first(name) for name in ("brands", "categories")),
    )
    bridges = pl.Series("bridges", [ring.bridges for ring in rings], dtype=pl.Int64)
    return table.with_columns(bridges).drop("number")


def _most_first(name: str) -> pl.Expr:
    """The distinct values of a column of lists, those of most rows first."""
    flat = pl.col(name).explode().drop_nulls()
    return flat.value_counts(sort=True).struct.field(name).alias(name)


def _links(shared: pl.DataFrame, nodes: pl.DataFrame) -> pl.DataFrame:
    """The links whose ends are in one ring."""
    of_node = nodes.select("node", "ring", "id")
    return (
        shared.join(of_node, left_on="a", right_on="node", maintain_order="left")
        .join(of_node, left_on="b", right_on="node", suffix="_b", maintain_order="left")
        .filter(pl.col("ring") == pl.col("ring_b"))
        .select(
            "ring",
            pl.col("id").alias("a"),
            pl.col("id_b").alias("b"),
            "field",
            "value",
            pl.col("sharers").cast(pl.Int64),
            pl.col("bits").round(1),
        )
    )


def _frames(replica: Replica) -> Iterator[pl.DataFrame]:
    """Reports that stand, batch by batch; one frame at least."""
    rows: list[tuple[str, str, str, int, int]] = []
    first = True
    with replica.snapshot():
        for view in replica.reports(*SCREENED_STATES):
            if not view.report_json:
                continue
            standing = (view.state, view.contributors, view.first_index)
            rows.append((view.id, view.report_json.decode(), *standing))
            if len(rows) == _BATCH:
                yield _frame(rows)
                rows, first = [], False
    if rows or first:
        yield _frame(rows)


def _frame(rows: list[tuple[str, str, str, int, int]]) -> pl.DataFrame:
    return (
        pl.DataFrame(rows, schema=_STANDING, orient="row")
        .with_columns(pl.col("json").str.json_decode(_REPORT))
        .unnest("json")
        .unnest("account")
        .with_columns(pl.col(pl.String).fill_null(""), pl.col(_TEXTS).fill_null([]))
        .select(list(_SCHEMA))
    )


def _own(sellers: pl.DataFrame) -> pl.DataFrame:
    """Own sellers in the same columns; what only a report says is missing."""
    return sellers.select(
        (pl.lit(OWN) + pl.col("id")).alias("id"),
        *_ACCOUNT,
        *(
            pl.lit([] if type_ == _TEXTS else "", type_).alias(name)
            for name, type_ in _SAID.items()
        ),
        pl.lit("").alias("report_state"),
        pl.lit(0, pl.Int64).alias("contributors"),
        pl.lit(None, pl.Int64).alias("first_index"),
    ).select(list(_SCHEMA))
