"""What the log holds about somebody: for the answer to a data subject, and for the accused's page.

There is no index of people: events stand sealed, and whoever asks has each opened in turn. That
takes some tens of microseconds a report, and happens seldom.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from acx.exchange.clock import hour_text, parse_hour, years_after
from acx.exchange.errors import GovernanceError
from acx.exchange.governance.decisions import Decisions
from acx.exchange.governance.docket import Docket
from acx.exchange.governance.operators import SERVICE
from acx.exchange.governance.retention import held, retention_years
from acx.exchange.home import Settings
from acx.exchange.sequencer.outbox import Planned
from acx.exchange.storage.ledger import read_places
from acx.exchange.storage.schema import entries, event_keys
from acx.records.account import DIGESTED_FIELDS, SCALAR_FIELDS, SUBJECT_FIELDS
from acx.records.event import Act
from acx.records.state import ReportView, State

# `acx.records.normalise` is imported where it is used: it brings polars, and every command of an
# operator comes by here.

SEARCHED: Final = tuple(
    name for name in SUBJECT_FIELDS if name not in {"kind", "country", "image_hash"}
)
"""Fields whose values belong to somebody."""
_PAGE: Final = 2_000

Account = Mapping[str, Any]
Matches = Callable[[Account], Iterator[tuple[str, str]]]


class _Body(msgspec.Struct, frozen=True):
    account: dict[str, Any]


class _Event(msgspec.Struct, frozen=True):
    """So much of an event as says whom it is about."""

    report: str
    body: _Body


_EVENT: Final = msgspec.json.Decoder(_Event)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for.

    Attributes:
        matches: field and value of an account that are what is looked for.
        needle: lower-case ASCII that an account in ASCII holds if it matches; empty if none is
            known. Most events are passed over by it without being read.
    """

    matches: Matches
    needle: bytes


@dataclass(frozen=True, slots=True)
class Holding:
    """A report that holds what was looked for.

    Attributes:
        report: its id.
        state: its state.
        values: the values found, by field.
        categories: the other fields that hold something.
        conduct: what its subject is said to have done.
        confirmed_by: by what standards of proof, of all who stand behind it.
        confirmed_on: in which month.
        taken: UTC hour at which it came into the log.
        kept_until: UTC hour at which it expires; empty while it is held.
        held: why it may not go, or empty.
        disputes: how many there were.
        account: everything it holds, for whoever has been identified; empty otherwise.
    """

    report: str
    state: State
    values: Mapping[str, tuple[str, ...]]
    categories: tuple[str, ...]
    conduct: str
    confirmed_by: tuple[str, ...]
    confirmed_on: str
    taken: str
    kept_until: str
    held: str
    disputes: int
    account: Account = field(default_factory=dict)


def value_wanted(
    value: str, matching_key: bytes, fields: tuple[str, ...] = SEARCHED, country: str = ""
) -> Wanted:
    """Look for a value, in every field that it can be a value of.

    Args:
        value: in any writing.
        matching_key: of the exchange.
        fields: where it is looked for.
        country: in which national numbers are read.

    Raises:
        GovernanceError: it can be a value of none.
    """
    from acx.records.normalise import NotNormalisable, digest_all, normalise_all

    writings: dict[str, frozenset[str]] = {}
    for name in fields:
        try:
            if name in DIGESTED_FIELDS:
                writings[name] = frozenset(digest_all(name, value, matching_key, (), country))
            else:
                writings[name] = frozenset(normalise_all(name, value, (), country))
        except NotNormalisable:
            continue
    if not writings:
        raise GovernanceError("nothing can be looked for: this is no value of any field")

    def matches(account: Account) -> Iterator[tuple[str, str]]:
        countries = tuple(account.get("country", ()))
        for name, wanted in writings.items():
            for recorded in _values(account, name):
                if _normal(name, recorded, countries) in wanted:
                    yield name, recorded

    email = next(iter(writings.get("email", ())), "")
    domain = email.rpartition("@")[2]
    # A value with an @ can be a name or an alias too, written as it is: it holds the domain then.
    return Wanted(matches, domain.encode() if domain.isascii() else b"")


def domain_wanted(domain: str) -> Wanted:
    """Look for a registered domain: of websites, and of e-mail addresses."""
    from acx.records.normalise import registered_domain

    def matches(account: Account) -> Iterator[tuple[str, str]]:
        for name in ("website", "email"):
            for recorded in _values(account, name):
                host = _normal(name, recorded, ()).rpartition("@")[2]
                if host and registered_domain(host) == domain:
                    yield name, recorded

    return Wanted(matches, domain.encode())


def holdings(
    connection: Connection, founder: str, settings: Settings, wanted: Wanted, *, full: bool = False
) -> tuple[Holding, ...]:
    """The reports that hold what is wanted, the oldest first.

    Args:
        connection: the log, in one state.
        founder: the key that made the first operators.
        settings: how long reports are kept.
        wanted: what is looked for.
        full: with everything that they hold.
    """
    found: dict[str, dict[str, dict[str, None]]] = {}
    for report, name, value in _search(connection, wanted):
        found.setdefault(report, {}).setdefault(name, {})[value] = None
    if not found:
        return ()
    docket = Docket(connection, founder, found)
    holds = held(connection)
    return tuple(
        _holding(docket, view, values, settings, holds, full=full)
        for report, values in found.items()
        if (view := docket.reports.get(report)) is not None
    )


def _search(connection: Connection, wanted: Wanted) -> Iterator[tuple[str, str, str]]:
    query = (
        select(entries.c.index)
        .join(event_keys, event_keys.c.index == entries.c.index)
        .where(entries.c.type.in_(("report", "amendment")))
        .order_by(entries.c.index)
    )
    places = connection.execute(query).scalars().all()
    for start in range(0, len(places), _PAGE):
        for row in read_places(connection, places[start : start + _PAGE]):
            raw = row.event_bytes()
            if raw is None or (raw.isascii() and wanted.needle not in raw.lower()):
                continue
            event = _EVENT.decode(raw)
            for name, value in wanted.matches(event.body.account):
                yield event.report, name, value


class Subjects:
    """Answers to those whom reports may be about."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions

    def answer(
        self,
        value: str,
        name: str = "",
        *,
        country: str = "",
        full: bool = False,
        by: str = SERVICE,
    ) -> tuple[Holding, ...]:
        """What is held about a value; that somebody was answered is on record, the value is not.

        Args:
            value: an e-mail address, a phone number, a name, …, in any writing.
            name: the field it is a value of; by default, any.
            country: in which national numbers are read.
            full: with everything in these reports: for a person an operator has identified.
            by: the operator who answers.

        Raises:
            GovernanceError: it can be a value of no field, or there is no such operator.
        """
        decisions = self._decisions
        key = base64.b64decode(decisions.home.matching_key())
        wanted = value_wanted(value, key, (name,) if name else SEARCHED, country)
        with decisions.database.read() as connection:
            decisions.signatory(connection, by)
            found = holdings(connection, decisions.founder, decisions.settings, wanted, full=full)
        what = "full" if full else "categories"
        act = Act(
            act="subject_answered", code=what if found else "nothing", count=max(1, len(found))
        )
        with decisions.recording() as decision:
            signatory = decisions.signatory(decision.connection, by)
            decision.plan(
                Planned("act", act)
                if by == SERVICE
                else signatory.sign(decision.connection, "act", act)
            )
        return found


def _holding(
    docket: Docket,
    view: ReportView,
    values: Mapping[str, Mapping[str, None]],
    settings: Settings,
    holds: Mapping[str, str],
    *,
    full: bool,
) -> Holding:
    report = view.report
    account = msgspec.to_builtins(report.account) if report else {}
    taken = docket.hours[view.first_index]
    years = retention_years(settings, report.conduct if report else "")
    proofs = set(report.confirmed_by if report else ())
    proofs |= {proof for c in view.corroborations for proof in c.confirmed_by}
    return Holding(
        report=view.id,
        state=view.state,
        values={name: tuple(found) for name, found in values.items()},
        categories=tuple(
            name for name in SUBJECT_FIELDS if account.get(name) and name not in values
        ),
        conduct=report.conduct if report else "",
        confirmed_by=tuple(sorted(proofs)),
        confirmed_on=report.confirmed_on if report else "",
        taken=taken,
        kept_until=("" if view.id in holds else hour_text(years_after(parse_hour(taken), years))),
        held=holds.get(view.id, ""),
        disputes=len(view.disputes),
        account=account if full else {},
    )


def _values(account: Account, name: str) -> tuple[str, ...]:
    value = account.get(name, ())
    return (value,) if name in SCALAR_FIELDS and value else tuple(value)


def _normal(name: str, value: str, countries: tuple[str, ...]) -> str:
    from acx.records.normalise import NotNormalisable, normalise

    try:
        return normalise(name, value, countries)
    except NotNormalisable:
        return ""
