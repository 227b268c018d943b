"""Screen own sellers against the replica, on this machine, without the network."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import polars as pl

from acx.matching import MatchOptions, SubjectIndex
from acx.matching.weights import load
from acx.member.errors import ReplicaError
from acx.member.replica import Replica
from acx.records.account import LIST_FIELDS, SUBJECT_FIELDS, Account
from acx.records.state import ReportView, State

SCREENED_STATES: Final[tuple[State, ...]] = ("active", "disputed", "suspended")
"""Reports that can hit; those of a suspended one are capped at `possible`."""
STALE_SECONDS: Final = 24 * 3600
LEVELS: Final = ("exact", "strong", "possible")

COLUMNS: Final = (
    "account_id",
    "report_id",
    "level",
    "probability",
    "reasons",
    "report_state",
    "contributors",
    "conduct",
    "confirmed_by",
    "confirmed_on",
    "log_size",
)
"""Columns of HITS, in their order; `change` follows with `--since-last`, carried columns last."""

_TEXTS: Final = pl.List(pl.String)
_ROW: Final = (pl.String, pl.String, pl.Int64, pl.String)
_REPORT: Final = pl.Struct(
    {
        "account": pl.Struct(
            {name: _TEXTS if name in LIST_FIELDS else pl.String() for name in SUBJECT_FIELDS}
        ),
        "conduct": pl.String,
        "confirmed_by": _TEXTS,
        "confirmed_on": pl.String,
    }
)
"""What screening takes of a report's JSON; the rest is passed over."""
_STANDING: Final = (
    "report_id",
    "report_state",
    "contributors",
    "conduct",
    "confirmed_by",
    "confirmed_on",
)


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A report about what is probably the same actor as an account.

    Attributes:
        account_id: the store's own id; empty for a sign-up.
        report_id: the report.
        level: `exact`, `strong` or `possible`.
        probability: calibrated for the stated prior.
        reasons: `field:comparison:bits`, strongest first.
        report_state: how the report stands.
        contributors: members that stand behind it.
        conduct: what the account did.
        confirmed_by: how it was confirmed.
        confirmed_on: the month.
        log_size: of the replica it was found in.
    """

    account_id: str
    report_id: str
    level: str
    probability: float
    reasons: tuple[str, ...]
    report_state: State
    contributors: int
    conduct: str
    confirmed_by: tuple[str, ...]
    confirmed_on: str
    log_size: int


class Screener:
    """What a replica says, indexed once and asked often."""

    def __init__(
        self,
        replica: Replica,
        *,
        level: str = "possible",
        prior: float | None = None,
        default_country: str = "",
        weights: str = "",
        states: Sequence[State] = SCREENED_STATES,
        reports: Iterable[str] | None = None,
    ) -> None:
        """Index the reports that can hit.

        Args:
            replica: what is known.
            level: weakest level to give.
            prior: share of accounts expected to be somebody reported; the matcher's by default.
            default_country: where national phone numbers are tried last.
            weights: file of estimated weights to match with; the shipped ones without.
            states: reports in these states can hit.
            reports: only these reports, for what has just changed.

        Raises:
            BadWeights: the file of weights is none.
        """
        self._level = level
        with replica.snapshot():
            self.log_size = replica.size
            self.synced = replica.synced
            views = (
                replica.reports(*states)
                if reports is None
                else [
                    view
                    for view in map(replica.report, reports)
                    if view is not None and view.state in states
                ]
            )
            subjects, standings = _tables(views)
        self._standings = standings
        base = MatchOptions()
        self._index = SubjectIndex.build(
            subjects,
            options=MatchOptions(
                # A strong hit on a suspended report is shown as possible: ask for all there is.
                level="possible" if "suspended" in standings["report_state"] else level,
                prior=base.prior if prior is None else prior,
                default_country=default_country,
                matching_key=replica.trust.matching_key,
                weights=load(weights).table() if weights else None,
            ),
        )

    def __len__(self) -> int:
        return len(self._standings)

    def screen(self, accounts: pl.DataFrame, carry: Sequence[str] = ()) -> pl.DataFrame:
        """Hits of a seller base, most probable first.

        How common a value is among the accounts counts, so they come all at once, and once.

        Args:
            accounts: columns as `acx.records.account.FIELDS`, and those to carry.
            carry: columns that hits show of their account.

        Returns:
            `COLUMNS`, then those carried.
        """
        self._index.observe(accounts)
        return self._shown(self._index.screen(accounts), accounts, carry)

    def check(self, account: Account) -> list[Hit]:
        """Hits of one account, most probable first."""
        accounts = accounts_frame([account])
        hits = self._shown(self._index.screen(accounts), accounts, ())
        return [msgspec.convert(row, Hit) for row in hits.iter_rows(named=True)]

    def _shown(
        self, found: pl.DataFrame, accounts: pl.DataFrame, carry: Sequence[str]
    ) -> pl.DataFrame:
        """Matches with the standing of their reports beside them."""
        hits = (
            found.rename({"subject_id": "report_id"})
            .join(self._standings, on="report_id", how="left", maintain_order="left")
            .with_columns(
                level=pl.when(pl.col("report_state") == "suspended")
                .then(pl.lit("possible"))
                .otherwise("level"),
                log_size=pl.lit(self.log_size, pl.Int64),
            )
            .filter(pl.col("level").is_in(LEVELS[: LEVELS.index(self._level) + 1]))
            .select(COLUMNS)
        )
        if not carry:
            return hits
        carried = accounts.select(pl.col("id").alias("account_id"), *carry)
        return hits.join(carried, on="account_id", how="left", maintain_order="left")


def require_fresh(replica: Replica, max_age_hours: float, now: float | None = None) -> str:
    """Whether a replica is recent enough to screen with.

    Args:
        replica: to be screened with.
        max_age_hours: hours after which to refuse; 0 never does.
        now: seconds since 1970; the clock's by default.

    Returns:
        A warning, where it is older than a day; else nothing.

    Raises:
        ReplicaError: it is too old, or was never synced.
    """
    if not replica.synced:
        raise ReplicaError(f"{replica.directory} was never synced; run `acx sync` first")
    age = (time.time() if now is None else now) - replica.synced
    if max_age_hours and age > max_age_hours * 3600:
        raise ReplicaError(
            f"the replica is {age / 3600:.0f} hours old, and {max_age_hours:g} are allowed;"
            " run `acx sync`, or raise --max-age"
        )
    if age > STALE_SECONDS:
        return f"the replica is {age / 3600:.0f} hours old; run `acx sync`"
    return ""


def accounts_frame(accounts: Iterable[Account]) -> pl.DataFrame:
    """Accounts as a frame, as files give them."""
    schema = {
        name: pl.String() if name in ("id", "kind", "birth_date") else pl.List(pl.String())
        for name in Account.__struct_fields__
    }
    rows = [
        {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in msgspec.structs.asdict(account).items()
        }
        for account in accounts
    ]
    return pl.DataFrame(rows, schema=schema)


def _tables(views: Iterable[ReportView]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Subjects as the matcher takes them, and the standing of their reports."""
    rows = [
        (view.id, view.state, view.contributors, view.report_json.decode())
        for view in views
        if view.report_json
    ]
    names = ("report_id", "report_state", "contributors", "json")
    # Parsed as a column: at a million reports, one by one takes minutes.
    frame = (
        pl.DataFrame(rows, schema=dict(zip(names, _ROW, strict=True)), orient="row")
        .with_columns(pl.col("json").str.json_decode(_REPORT))
        .unnest("json")
    )
    subjects = (
        frame.select(pl.col("report_id").alias("id"), "account")
        .unnest("account")
        .with_columns(pl.col(pl.String).fill_null(""), pl.col(_TEXTS).fill_null([]))
    )
    return subjects, frame.select(_STANDING)
