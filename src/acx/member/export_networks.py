"""Rings as files: tables, GraphML, JSON, and a page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from acx.interchange.graphml import graphml
from acx.member.networks import Networks
from acx.networks.page import ring_page
from acx.records.files import AtomicFile, write_table

SHOWN: Final = 300
"""Rings on the page, the largest; the tables have all."""
_JOINERS: Final = dict.fromkeys(("names", "country", "brands", "categories", "key_actors"), "|")


def export_networks(networks: Networks, directory: Path) -> list[Path]:
    """Write rings to a directory.

    Args:
        networks: what was found.
        directory: made if it is not there; files of the same names are replaced.

    Returns:
        The files: `index.html`, `rings.csv`, `accounts.csv`, `links.csv`, `hubs.csv`,
        `rings.graphml`, `rings.json`.

    Raises:
        Unwritable: the system refuses.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name in ("rings", "accounts", "links", "hubs"):
        path = directory / f"{name}.csv"
        write_table([getattr(networks, name)], path, joiners=_JOINERS)
        written.append(path)
    shown = networks.first(SHOWN)
    page = ring_page(
        {
            "rings": shown,
            "found": len(networks.rings),
            "reports": networks.reports,
            "log_size": networks.log_size,
        }
    )
    for name, data in (
        ("rings.graphml", _graphml(networks)),
        ("rings.json", msgspec.json.encode(shown)),
        ("index.html", page.encode()),
    ):
        path = directory / name
        with AtomicFile(path) as file:
            file.write(data)
        written.append(path)
    return written


def _graphml(networks: Networks) -> bytes:
    nodes = (
        (
            row["id"],
            {
                "label": row["names"][0] if row["names"] else row["id"],
                "ring": row["ring"],
                "own": row["own"],
                "conduct": row["conduct"],
                "confirmed_on": row["confirmed_on"],
                "brands": ", ".join(row["brands"]),
                "contributors": row["contributors"],
                "betweenness": row["betweenness"],
                "strength": row["strength"],
            },
        )
        for row in networks.accounts.iter_rows(named=True)
    )
    edges = (
        (
            row["a"],
            row["b"],
            {"field": row["field"], "value": row["value"], "weight": row["bits"]},
        )
        for row in networks.links.iter_rows(named=True)
    )
    return graphml(nodes, edges)
