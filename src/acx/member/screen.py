"""Screen own sellers against the replica, on this machine, without the network."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from acx.matching import MatchOptions
from acx.matching.crowd import Crowd, read_crowd
from acx.matching.index import Frames, Progress
from acx.matching.sellers import Sellers
from acx.matching.weights import load
from acx.member.errors import ReplicaError
from acx.member.index import SCREENED_STATES, ReportIndex, secret_of
from acx.member.replica import Replica
from acx.member.since_last import DIRECTORY
from acx.records.account import Account
from acx.records.files import AtomicFile
from acx.records.state import State

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

MATCHED: Final = ("account_id", "subject_id", "level", "probability", "reasons")
CROWD_FILE: Final = "sellers"
"""How common values are in the seller base that was screened last."""

_ROW: Final = (pl.String, pl.String, pl.Int64, pl.String)
_REPORT: Final = pl.Struct(
    {
        "conduct": pl.String,
        "confirmed_by": pl.List(pl.String),
        "confirmed_on": pl.String,
    }
)
"""What hits show of a report's JSON; the rest is passed over."""


class _Confirmed(msgspec.Struct, frozen=True):
    """The same, of one report."""

    conduct: str
    confirmed_by: tuple[str, ...]
    confirmed_on: str


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
    """What a replica says, indexed once and asked often.

    Attributes:
        warning: what to tell about the index; empty for nothing.
    """

    def __init__(
        self,
        replica: Replica,
        *,
        level: str = "possible",
        prior: float | None = None,
        default_country: str = "",
        weights: str = "",
        states: Sequence[State] = SCREENED_STATES,
        home: Path | None = None,
    ) -> None:
        """Open the index of the reports that can hit.

        Args:
            replica: what is known.
            level: weakest level to give.
            prior: share of accounts expected to be somebody reported; the matcher's by default.
            default_country: where national phone numbers are tried last.
            weights: file of estimated weights to match with; the shipped ones without.
            states: reports in these states can hit.
            home: the member's directory, if the replica is its: the index is kept there, and how
                common values are in the seller base.

        Raises:
            BadWeights: the file of weights is none.
        """
        self._replica = replica
        self._level = level
        self._states = states
        self._crowd_file = home / DIRECTORY / CROWD_FILE if home is not None else None
        self._secret = secret_of(replica)
        base = MatchOptions()
        options = MatchOptions(
            # A strong hit on a suspended report is shown as possible: all are asked for.
            level="possible",
            prior=base.prior if prior is None else prior,
            default_country=default_country,
            matching_key=replica.trust.matching_key,
            weights=load(weights).table() if weights else None,
        )
        self._index = ReportIndex.open(replica, options, keep=home is not None)
        self._crowd = self._kept_crowd()
        self.warning = f"{self._index.note}; done" if self._index.note else ""
        if self._crowd is not None:
            self._index.subjects.weigh_among(self._crowd)

    def __len__(self) -> int:
        return len(self._index.subjects)

    @property
    def log_size(self) -> int:
        """Entries of the log that are known."""
        return self._index.size

    def refresh(self) -> list[str]:
        """Catch up with the log; returns the reports that have changed."""
        return self._index.refresh(self._replica)

    def screen(
        self,
        accounts: Frames,
        carry: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> pl.DataFrame:
        """Hits of a seller base, most probable first.

        How common a value is among the accounts counts, so they come all at once. A file with a
        small part of the seller base that was screened last is weighed among that one's accounts.

        Args:
            accounts: columns as `acx.records.account.FIELDS`, and those to carry.
            carry: columns that hits show of their account.
            progress: told how many accounts were read, then how many of them were screened.

        Returns:
            `COLUMNS`, then those carried.
        """
        found = self._index.subjects.screen(
            accounts, observe=True, part_of=self._crowd, carry=carry, progress=progress
        )
        self._keep_crowd(self._index.subjects.crowd)
        return self._shown(found)

    def screen_more(self, accounts: pl.DataFrame) -> pl.DataFrame:
        """Hits of some more accounts of the seller base that was screened last, as `screen`."""
        return self._shown(self._index.subjects.screen(accounts))

    def check(self, account: Account) -> list[Hit]:
        """Hits of one account, most probable first."""
        hits = []
        for found in self._index.subjects.check(account):
            hit = self._standing(
                found.subject_id,
                account_id=found.account_id,
                level=found.level,
                probability=found.probability,
                reasons=tuple(found.reasons),
            )
            if hit is not None:
                hits.append(hit)
        return hits

    def shown(self, hit: Hit) -> Hit | None:
        """A hit that was found before, as its report stands now; None if it counts no more."""
        return self._standing(
            hit.report_id,
            account_id=hit.account_id,
            level=hit.level,
            probability=hit.probability,
            reasons=hit.reasons,
        )

    def _standing(self, report_id: str, *, level: str, **found: Any) -> Hit | None:
        view = self._replica.report(report_id)
        if view is None or view.state not in self._states:
            return None
        level = "possible" if view.state == "suspended" else level
        if LEVELS.index(level) > LEVELS.index(self._level):
            return None
        report = msgspec.json.decode(view.report_json, type=_Confirmed)
        return Hit(
            report_id=report_id,
            level=level,
            report_state=view.state,
            contributors=view.contributors,
            conduct=report.conduct,
            confirmed_by=report.confirmed_by,
            confirmed_on=report.confirmed_on,
            log_size=self.log_size,
            **found,
        )

    def sellers(self, accounts: Frames) -> Sellers:
        """Index a seller base, to be screened again and again as reports come."""
        sellers = self._index.subjects.sellers(accounts)
        self._keep_crowd(self._index.subjects.crowd)
        return sellers

    def screen_all(self, sellers: Sellers) -> pl.DataFrame:
        """Hits of an indexed seller base, as `screen` gives them."""
        return self._shown(self._index.subjects.screen_all(sellers))

    def screen_for(self, reports: Sequence[str], sellers: Sellers) -> pl.DataFrame:
        """Hits of a few reports in an indexed seller base: those among what `screen` gives."""
        return self._shown(self._index.subjects.screen_for(reports, sellers))

    def _shown(self, found: pl.DataFrame) -> pl.DataFrame:
        """Matches with the standing of their reports beside them."""
        carried = found.columns[len(MATCHED) :]
        standings = self._standings(found["subject_id"].unique(maintain_order=True))
        return (
            found.rename({"subject_id": "report_id"})
            # A report that was closed since the index was asked is not there.
            .join(standings, on="report_id", how="inner", maintain_order="left")
            .with_columns(
                level=pl.when(pl.col("report_state") == "suspended")
                .then(pl.lit("possible"))
                .otherwise("level"),
                log_size=pl.lit(self.log_size, pl.Int64),
            )
            .filter(pl.col("level").is_in(LEVELS[: LEVELS.index(self._level) + 1]))
            .select(*COLUMNS, *carried)
        )

    def _standings(self, reports: pl.Series) -> pl.DataFrame:
        with self._replica.snapshot():
            views = [self._replica.report(report) for report in reports.to_list()]
        rows = [
            (view.id, view.state, view.contributors, view.report_json.decode())
            for view in views
            if view is not None and view.report_json and view.state in self._states
        ]
        names = ("report_id", "report_state", "contributors", "json")
        return (
            pl.DataFrame(rows, schema=dict(zip(names, _ROW, strict=True)), orient="row")
            .with_columns(pl.col("json").str.json_decode(_REPORT))
            .unnest("json")
        )

    def _kept_crowd(self) -> Crowd | None:
        try:
            data = self._crowd_file.read_bytes() if self._crowd_file is not None else b""
        except OSError:
            return None
        return read_crowd(data, self._secret)

    def _keep_crowd(self, crowd: Crowd) -> None:
        self._crowd = crowd
        if self._crowd_file is not None:
            self._crowd_file.parent.mkdir(mode=0o700, exist_ok=True)
            with AtomicFile(self._crowd_file) as file:
                file.write(crowd.to_bytes(self._secret))


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
