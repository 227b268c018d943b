"""A log written straight into the tables, for what only reads it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import URL, Connection, create_engine, delete, insert

from acx.exchange.feed.collection import Collection
from acx.exchange.storage.database import Database
from acx.exchange.storage.schema import entries, event_keys, metadata
from acx.log.entry import draw_key, seal
from acx.records.account import Subject
from acx.records.event import (
    Act,
    Body,
    Corroboration,
    Dispute,
    Erasure,
    Event,
    Expiry,
    Lapse,
    Outcome,
    Resolution,
    Withdrawal,
    outcome_context,
    public_key_text,
    report_id,
    sign_event,
    stand_context,
)
from acx.records.report import Report

ORIGIN = "test.acx.example/log"


def about(name: str, **more: Any) -> Report:
    """A report about somebody of this name."""
    more = {"email": (f"{name.lower()}@shop.example",)} | more
    return Report(
        account=Subject(name=(name,), **more),
        conduct="sold_counterfeits",
        confirmed_by=("test_buy",),
        confirmed_on="2026-10",
    )


@dataclass
class Reported:
    """A report of the log, and the key that may amend it."""

    key: Ed25519PrivateKey
    id: str
    event: Event
    index: int


@dataclass
class WrittenLog:
    """The tables, and who signs."""

    database: Database
    hour: str = "2026-11-25T07Z"
    size: int = 0
    keys: dict[str, Ed25519PrivateKey] = field(default_factory=dict)
    signed: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def founded(cls, url: URL) -> WrittenLog:
        engine = create_engine(url)
        metadata.create_all(engine)
        engine.dispose()
        log = cls(Database(url))
        log.keys = {name: Ed25519PrivateKey.generate() for name in ("service", "ann", "bob")}
        log.act("configured", "founded")
        for name in ("ann", "bob"):
            log.act("operator_added", target=public_key_text(log.keys[name]))
        return log

    def collection(self) -> Collection:
        return Collection(self.database, ORIGIN, public_key_text(self.keys["service"]))

    def append(self, *events: Event) -> int:
        """Append events in one commit; gives the index of the first."""
        with self.database.write() as connection:
            for event in events:
                self._insert(connection, event)
        return self.size - len(events)

    def act(
        self, act: str, code: str = "", *, target: str = "", ref: str = "", by: str = "service"
    ) -> int:
        return self.append(self._signed(by, "act", Act(act=act, code=code, target=target), ref=ref))

    def report(self, body: Report) -> Reported:
        key = Ed25519PrivateKey.generate()
        report = report_id(public_key_text(key))
        event = sign_event(
            key,
            origin=ORIGIN,
            type="report",
            body=body,
            tags={stand_context(report, 1): f"tag of {report}"},
            issuer_key="k",
        )
        self.signed[public_key_text(key), report] = 1
        return Reported(key, report, event, self.append(event))

    def amend(self, reported: Reported, body: Report) -> int:
        """Replaced by one that says more: a new version."""
        tags = {stand_context(reported.id, version): f"tag of {reported.id}" for version in (1, 2)}
        return self.append(self._follow(reported.key, reported, "amendment", body, tags=tags))

    def withdraw(self, reported: Reported) -> int:
        body = Withdrawal(reason="error")
        return self.append(self._follow(reported.key, reported, "withdrawal", body))

    def corroborate(self, reported: Reported, member: str = "other") -> int:
        body = Corroboration(version=1, confirmed_by=("court",), confirmed_on="2026-11")
        tags = {stand_context(reported.id, 1): f"{member}'s tag"}
        key = Ed25519PrivateKey.generate()
        return self.append(self._follow(key, reported, "corroboration", body, tags=tags))

    def outcome(self, reported: Reported, member: str = "other") -> int:
        tags = {outcome_context(reported.id): f"{member}'s tag"}
        key = Ed25519PrivateKey.generate()
        body = Outcome(outcome="blocked")
        return self.append(self._follow(key, reported, "outcome", body, tags=tags))

    def dispute(self, reported: Reported) -> Event:
        event = self._signed("ann", "dispute", Dispute(code="not_counterfeit"), reported.id)
        self.append(event)
        return event

    def lapse(self, reported: Reported, dispute: Event) -> int:
        return self.append(self._signed("service", "lapse", Lapse(), reported.id, dispute.id))

    def uphold(self, reported: Reported, dispute: Event) -> int:
        """Decided for the accused: the approval's index."""
        body = Resolution(decision="upheld", code="mistaken_identity")
        proposal = self._signed("ann", "resolution", body, reported.id, dispute.id)
        self.append(proposal)
        return self.act("approved", ref=proposal.id, by="bob")

    def erase(self, reported: Reported) -> int:
        """Erased, its keys destroyed: the approval's index."""
        body = Erasure(indices=(reported.index,), code="mistake")
        proposal = self._signed("ann", "erasure", body, reported.id)
        self.append(proposal)
        index = self.act("approved", ref=proposal.id, by="bob")
        self._destroy(reported.index)
        return index

    def expire(self, *reported: Reported) -> int:
        """Expired, in one event that names none of them."""
        indices = tuple(sorted(each.index for each in reported))
        index = self.append(self._signed("service", "expiry", Expiry(indices=indices)))
        self._destroy(*indices)
        return index

    def _insert(self, connection: Connection, event: Event) -> None:
        k = draw_key()
        sealed = seal(event.raw, self.hour, k)
        row = {
            "index": self.size,
            "event_id": event.id,
            "type": event.type,
            "report": event.report,
            "by": event.by,
            "seq": event.seq,
            "at": self.hour,
            "entry": sealed.entry,
            "ciphertext": sealed.ciphertext,
        }
        connection.execute(insert(entries), row)
        connection.execute(insert(event_keys), {"index": self.size, "k": k})
        self.size += 1

    def _destroy(self, *indices: int) -> None:
        with self.database.write() as connection:
            connection.execute(delete(event_keys).where(event_keys.c.index.in_(indices)))

    def _signed(self, by: str, type_: str, body: Body, report: str = "", ref: str = "") -> Event:
        return self._sign(self.keys[by], type_, body, report, ref, {})

    def _follow(
        self,
        key: Ed25519PrivateKey,
        reported: Reported,
        type_: str,
        body: Body,
        *,
        tags: dict[str, str] | None = None,
    ) -> Event:
        return self._sign(key, type_, body, reported.id, "", tags or {})

    def _sign(
        self,
        key: Ed25519PrivateKey,
        type_: str,
        body: Body,
        report: str,
        ref: str,
        tags: dict[str, str],
    ) -> Event:
        place = public_key_text(key), report
        seq, self.signed[place] = self.signed[place], self.signed[place] + 1
        return sign_event(
            key,
            origin=ORIGIN,
            type=type_,
            body=body,
            report=report,
            ref=ref,
            seq=seq,
            tags=tags,
            issuer_key="k" if tags else "",
        )
