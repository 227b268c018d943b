"""A referral: what law enforcement and customs need of a ring or a report, checkable offline.

A folder that stands alone. Everything in it comes from the replica; it says what members confirmed
and never who they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from acx import __version__
from acx.interchange import Stix
from acx.log.checkpoint import Checkpoint
from acx.log.entry import salt_of
from acx.log.proof import LogProof
from acx.log.tiles import inclusion_path
from acx.member.errors import ReplicaError
from acx.member.hours import hours_of
from acx.member.networks import Networks, RingView, find_networks
from acx.member.replica import Replica
from acx.networks.errors import UnknownRing
from acx.networks.page import ring_page
from acx.records.account import SUBJECT_FIELDS
from acx.records.files import AtomicFile, write_table
from acx.records.report import Report
from acx.records.state import ReportView

FOLDER: Final = "proofs"
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8886 }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere }
code { font-size: .85em; overflow-wrap: anywhere } bdi { unicode-bidi: isolate }
@media print { body { max-width: none; font-size: 10pt } tr { break-inside: avoid } }
"""

_WHAT: Final = """
<p>Accounts that members of an anti-counterfeiting exchange confirmed as selling or trying to sell
counterfeits. A report says what was confirmed and by which standard of proof; it does not say who
confirmed it. Each can be disputed, and says how it stands.</p>"""
_LINKS: Final = """<p>Values that few accounts of the exchange share;
<a href="network.html">as a picture</a>.</p>"""
_REST: Final = """
<h2>To check that this is what the log holds</h2>
<p><code>python3 verify.py</code> needs Python and nothing else, and no network: no file has changed
since the manifest; each event was signed by its own key and stands at its place in the log, under
a checkpoint that the log's key has signed. Compare <code>log.vkey</code> with the exchange's by
another way.</p>
<h2>To learn more</h2>
<p>Evidence stays with whoever confirmed; commitments prove later that it was held. Ask the operator
of the exchange, naming the report: through the report's key it reaches the member without knowing
who that is, and the member may answer or stay unknown. Bank accounts, identity documents, devices
and addresses of the internet are keyed digests (<code>h1:…</code>): the operator can say whether a
value that you hold is the same.</p>
<h2>Chain of custody</h2>
<p><code>manifest.json</code> lists every file with its SHA-256. Whoever hands this on notes date,
name, and the SHA-256 of <code>manifest.json</code> itself.</p>"""


class Referral(msgspec.Struct, frozen=True, kw_only=True):
    """What was written.

    Attributes:
        reports: reports that are referred.
        events: events whose place in the log is proved.
        files: files written, the manifest among them.
        log_size: entries of the checkpoint that all proofs lead to.
    """

    reports: int
    events: int
    files: int
    log_size: int


def refer(replica: Replica, name: str, directory: Path, *, default_country: str = "") -> Referral:
    """Write a referral.

    Args:
        replica: what is known.
        name: a ring, or a report; a report's id refers that report alone.
        directory: a folder of its own; made if it is not there.
        default_country: where national numbers are tried last.

    Raises:
        UnknownRing: neither a ring nor a report whose content is left.
        ReplicaError: the replica is empty.
        Unwritable: the system refuses.
    """
    _trusted(replica)
    networks, ring = None, None
    if replica.report(name) is None:
        networks = find_networks(replica, default_country=default_country)
        ring = networks.ring(name)
    with replica.snapshot():
        checkpoint = _trusted(replica)
        ids = [name] if ring is None else [node.id for node in ring.accounts]
        views = [view for view in map(replica.report, ids) if view is not None and view.report_json]
        if not views:
            raise UnknownRing(f"{name}: nothing is left of this report that could be referred")
        out = _Folder(directory)
        events = list(_proved(replica, checkpoint.note, checkpoint.size, views))
        for stem, parts in events:
            for suffix, data in parts.items():
                out.write(f"{FOLDER}/{stem}{suffix}", data)
        out.write("checkpoint", checkpoint.note.encode())
        out.write("log.vkey", f"{replica.trust.log_key}\n".encode())
        verifier = (files("acx.networks") / "verify_referral.py").read_bytes()
        out.write("verify.py", verifier)
        told = [_told(view) for view in views]
        out.table("accounts.csv", pl.DataFrame([_row(view) for view in views]))
        if networks is not None and ring is not None:
            links = [msgspec.to_builtins(link) for link in ring.links]
            out.table("links.csv", pl.DataFrame(links))
            out.write("network.html", _picture(networks, ring).encode())
        out.write("stix.json", _stix(replica, views))
        made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")
        summary = {
            "subject": name,
            "made": made,
            "made_with": f"acx {__version__}",
            "origin": checkpoint.origin,
            "log_size": checkpoint.size,
            "ring": ring,
            "reports": told,
        }
        out.write("referral.json", msgspec.json.encode(summary))
        out.write("index.html", _page(summary, views, ring).encode())
        out.manifest(made, checkpoint.origin)
    return Referral(
        reports=len(views), events=len(events), files=len(out.files) + 1, log_size=checkpoint.size
    )


def _trusted(replica: Replica) -> Checkpoint:
    checkpoint = replica.checkpoint
    if checkpoint is None:
        raise ReplicaError("the replica is empty; sync first")
    return checkpoint


class _Folder:
    """Writes files and remembers their digests."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files: dict[str, str] = {}
        (directory / FOLDER).mkdir(parents=True, exist_ok=True)

    def write(self, name: str, data: bytes) -> None:
        with AtomicFile(self.directory / name) as file:
            file.write(data)
        self.files[name] = hashlib.sha256(data).hexdigest()

    def table(self, name: str, frame: pl.DataFrame) -> None:
        lists = [column for column, kind in frame.schema.items() if kind == pl.List]
        path = self.directory / name
        write_table([frame], path, joiners=dict.fromkeys(lists, "|"))
        self.files[name] = hashlib.sha256(path.read_bytes()).hexdigest()

    def manifest(self, made: str, origin: str) -> None:
        custody = {"made": made, "origin": origin, "files": self.files}
        with AtomicFile(self.directory / "manifest.json") as file:
            file.write(msgspec.json.format(msgspec.json.encode(custody), indent=1))


def _proved(
    replica: Replica, note: str, size: int, views: Sequence[ReportView]
) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Every event of reports that is left: its bytes, what opens its entry, and the proof."""
    tiles = replica.tiles()
    for view in views:
        for step in view.timeline:
            stored = replica.entry(step.index)
            if not stored.event or step.index >= size:
                continue
            about = {
                "origin": replica.trust.origin,
                "report": view.id,
                "type": step.type,
                "index": step.index,
                "at": stored.at,
                "salt": salt_of(stored.k).hex(),
            }
            path = tuple(inclusion_path(tiles, step.index, size))
            yield (
                f"{step.index:09}-{step.type or 'unknown'}",
                {
                    ".json": msgspec.json.encode(about),
                    ".event": stored.event,
                    ".tlog-proof": LogProof(step.index, path, note).text.encode(),
                },
            )


def _report(view: ReportView) -> Report:
    report = view.report
    assert report is not None  # noqa: S101 -- only those whose content is left
    return report


def _told(view: ReportView) -> dict[str, Any]:
    return {
        "report": view.id,
        "state": view.state,
        "contributors": view.contributors,
        "first_index": view.first_index,
        "last_index": view.last_index,
        "disputes": [dispute.id for dispute in view.disputes],
        "said": msgspec.Raw(view.report_json),
    }


def _row(view: ReportView) -> dict[str, Any]:
    report = _report(view)
    account = msgspec.structs.asdict(report.account)
    return {
        "report": view.id,
        "state": view.state,
        "contributors": view.contributors,
        "conduct": report.conduct,
        "confirmed_by": list(report.confirmed_by),
        "confirmed_on": report.confirmed_on,
        "brands": list(report.brands),
        "categories": list(report.categories),
        **{
            name: list(account[name]) if isinstance(account[name], tuple) else account[name]
            for name in SUBJECT_FIELDS
        },
        "index": view.first_index,
    }


def _picture(networks: Networks, ring: RingView) -> str:
    return ring_page(
        {
            "rings": [ring],
            "found": len(networks.rings),
            "reports": networks.reports,
            "log_size": networks.log_size,
        }
    )


def _stix(replica: Replica, views: Sequence[ReportView]) -> bytes:
    stix = Stix(replica.trust.origin, hours_of(replica))
    objects: dict[str, Any] = {made["id"]: made for made in stix.common}
    for view in views:
        objects |= {made["id"]: made for made in stix.report(view)}
    bundle = {
        "type": "bundle",
        "id": stix.bundle_id(replica.size),
        "objects": list(objects.values()),
    }
    return msgspec.json.encode(bundle)


def _page(
    summary: dict[str, Any], views: Sequence[ReportView], ring: RingView | None
) -> str:  # fmt: skip
    """The summary that people read and print; every value is escaped."""
    parts = [
        f"<h1>Referral: {_text(summary['subject'])}</h1>",
        _WHAT,
        _table(
            ("", ""),
            [
                ("Exchange", summary["origin"]),
                ("Made", f"{summary['made']}, {summary['made_with']}"),
                ("Log", f"{summary['log_size']} entries; checkpoint in this folder"),
                ("Accounts", len(views)),
                *(
                    [
                        ("Brands", ", ".join(ring.brands)),
                        ("Goods", ", ".join(ring.categories)),
                        ("Confirmed", f"{ring.first} to {ring.last}"),
                        ("Key actors", ", ".join(ring.key_actors)),
                    ]
                    if ring
                    else []
                ),
            ],
        ),
        "<h2>Accounts</h2>",
    ]
    for view in views:
        report = _report(view)
        account = msgspec.structs.asdict(report.account)
        parts.append(f"<h3>{_text(', '.join(report.account.name) or view.id)}</h3>")
        rows: list[tuple[str, object]] = [
            ("report", f"{view.id}, place {view.first_index} in the log"),
            ("stands", f"{view.state}; contributors: at least {view.contributors}"),
            ("conduct", report.conduct),
            ("confirmed", f"{report.confirmed_on} by {', '.join(report.confirmed_by)}"),
            ("brands", ", ".join(report.brands)),
            ("goods", ", ".join(report.categories)),
        ]
        for name in SUBJECT_FIELDS:
            value = account[name]
            rows.append((name, value if isinstance(value, str) else "; ".join(value)))
        rows += [
            (f"evidence: {item.kind}", f"SHA-256 commitment {item.commitment}")
            for item in report.evidence
        ]
        parts.append(_table(("", ""), [row for row in rows if row[1]]))
    if ring is not None:
        parts += [
            "<h2>What links them</h2>",
            _LINKS,
            _table(
                ("a", "b", "what", "value", "shared by", "bits"),
                [
                    (link.a, link.b, link.field, link.value, link.sharers, link.bits)
                    for link in ring.links
                ],
            ),
        ]
    parts.append(_REST)
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Referral</title><style>{_STYLE}</style><main>{''.join(parts)}</main></html>\n"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head) if any(head) else ""
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{f'<tr>{top}</tr>' if top else ''}{body}</table>"


def _text(value: object) -> str:
    return f"<bdi>{escape(str(value))}</bdi>"
