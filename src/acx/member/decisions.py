"""Decisions about hits: what was known when a person decided, and which of them lost their basis.

A hit says «the same actor», never «guilty». Whoever blocks or removes an account does so as a
person and on a ground of the store's own; this module keeps both beside what the hit said, and
tells when a report that a decision rested on has fallen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from acx.member.errors import DecisionError
from acx.member.replica import Replica
from acx.member.since_last import DIRECTORY
from acx.member.wallet import Decision, Wallet

AGAINST: Final = ("blocked", "removed")
"""Actions that need a ground of the store's own."""
STANDING: Final = ("active", "disputed")
"""States of a report that a decision may go on resting on; `suspended` is no longer one."""
_KNOWN: Final = ("account_id", "report_id", "level", "reasons", "log_size")


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a hit said when it was found.

    Attributes:
        level: `exact`, `strong` or `possible`.
        reasons: `field:comparison:bits`: which fields agreed, and no values.
        log_size: of the replica it was found in.
    """

    level: str
    reasons: tuple[str, ...]
    log_size: int


def find_hit(
    home: Path, account: str, report: str, files: Sequence[str | Path] = ()
) -> Known | None:
    """What is known of a hit.

    Args:
        home: the member's directory; what its screenings with `--since-last` found is looked at.
        account: the store's own id.
        report: the report's id.
        files: HITS files to look at first, in any format that screening writes.

    Returns:
        The hit as it was found latest, or None if no screening that is left shows it.

    Raises:
        DecisionError: a file is no HITS file, or does not have the hit.
    """
    found = [known for file in files for known in _in_hits(_read(Path(file)), account, report)]
    if files and not found:
        raise DecisionError(
            f"{', '.join(map(str, files))}: no hit of {account} on report {report}; give the file "
            "that shows it"
        )
    if not found:
        kept = sorted((home / DIRECTORY).glob("*.parquet"))
        found = [known for file in kept for known in _in_hits(_read(file), account, report)]
    return max(found, key=lambda known: known.log_size, default=None)


def without_basis(wallet: Wallet, replica: Replica) -> Iterator[tuple[Decision, str]]:
    """Decisions against an account whose report no longer stands, with the state it is in.

    A later decision about the same hit settles it.
    """
    for decision in latest(wallet.decisions()):
        if decision.action in AGAINST:
            view = replica.report(decision.report)
            # An erasure names its report, so one that the log does not show any more has expired.
            state = view.state if view is not None else "expired"
            if state not in STANDING:
                yield decision, state


def without_ground(wallet: Wallet) -> Iterator[Decision]:
    """Decisions against an account for which no ground of the store's own is on record."""
    for decision in latest(wallet.decisions()):
        if decision.action in AGAINST and not decision.note.strip():
            yield decision


def latest(decisions: Iterable[Decision]) -> list[Decision]:
    """The last decision about each hit, in the order of the first."""
    last: dict[tuple[str, str], Decision] = {}
    for decision in decisions:
        last[decision.account, decision.report] = decision
    return list(last.values())


def _in_hits(hits: pl.DataFrame, account: str, report: str) -> Iterator[Known]:
    same = (pl.col("account_id") == account) & (pl.col("report_id") == report)
    for row in hits.filter(same).iter_rows(named=True):
        reasons = row["reasons"]
        if isinstance(reasons, str):
            reasons = [reason for reason in reasons.split(";") if reason]
        yield Known(
            level=row["level"], reasons=tuple(reasons or ()), log_size=int(row["log_size"] or 0)
        )


def _read(path: Path) -> pl.DataFrame:
    """The columns of a HITS file that a decision keeps; never a seller's values."""
    try:
        if path.suffix == ".parquet":
            hits = pl.read_parquet(path)
        elif path.suffix == ".csv":
            hits = pl.read_csv(path, infer_schema=False)
        else:
            hits = pl.read_ndjson(path)
        return hits.select(*_KNOWN).cast({"account_id": pl.String, "report_id": pl.String})
    except (OSError, pl.exceptions.PolarsError):
        raise DecisionError(
            f"{path}: no HITS file (CSV, Parquet or JSON Lines with {', '.join(_KNOWN)})"
        ) from None
