"""Members as the exchange meets them: they ask for tags, sign events and post them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.exchange.admission.invites import Joined, JoinRequest
from acx.exchange.intake.intake import Acknowledgement
from acx.exchange.service import Exchange
from acx.exchange.serving import Service, TagsRequest
from acx.log.checkpoint import open_checkpoint
from acx.log.entry import entry_of
from acx.log.errors import MissingFile
from acx.log.fsck import Report as FsckReport
from acx.log.fsck import fsck
from acx.log.merkle import hash_leaf
from acx.log.note import Verifier
from acx.log.proof import parse_proof, verify_proof
from acx.log.tiles import DirectoryReader
from acx.records.account import Subject
from acx.records.event import (
    Answer,
    Body,
    Corroboration,
    Event,
    Outcome,
    Withdrawal,
    outcome_context,
    parse_event,
    public_key_text,
    rate_context,
    report_id,
    sign_event,
    stand_context,
)
from acx.records.http_signature import sign_request, verify_request
from acx.records.invite import Invite, parse_invite
from acx.records.report import Report
from acx.records.state import Entry, Reports


class SetClock:
    """A clock that a test sets."""

    def __init__(self, moment: datetime | None = None) -> None:
        self.moment = moment or datetime.now(UTC).replace(hour=12, minute=0)

    def __call__(self) -> datetime:
        return self.moment

    def pass_(self, **time_: float) -> None:
        self.moment += timedelta(**time_)

    @property
    def day(self) -> str:
        return self.moment.strftime("%Y-%m-%d")


def about(*names: str, **more: Any) -> Report:
    """A report about an account of this name."""
    return Report(
        account=Subject(name=names, **more),
        conduct="sold_counterfeits",
        confirmed_by=("test_buy",),
        confirmed_on="2026-10",
    )


@dataclass
class Actor:
    """A member, who can post what it likes through a service."""

    invite: Invite
    clock: SetClock
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    nonce: int = 0
    token: str = ""

    @classmethod
    def invited(cls, exchange: Exchange, clock: SetClock, name: str, role: str) -> Actor:
        return cls(parse_invite(exchange.invite(name, role)), clock)

    @property
    def public(self) -> str:
        return public_key_text(self.key)

    @property
    def join_request(self) -> JoinRequest:
        return JoinRequest(
            invite_id=self.invite.invite_id,
            secret=self.invite.secret,
            member_key=self.public,
            terms="1",
        )

    def join(self, service: Service) -> Joined:
        joined = service.join(self.join_request, self.public)
        self.token = joined.token
        return joined

    def tags(self, service: Service, *contexts: str) -> dict[str, str]:
        return service.tags(TagsRequest(contexts=contexts), self.public).tags

    def report(self, service: Service, body: Report | None = None) -> Draft:
        """A report, signed and ready to post."""
        key = Ed25519PrivateKey.generate()
        stand = stand_context(report_id(public_key_text(key)), 1)
        return self.rated(service, key, body or about("Jo Doe"), [stand])

    def rated(
        self, service: Service, key: Ed25519PrivateKey, body: Body, contexts: list[str]
    ) -> Draft:
        rate = rate_context(self.clock.day)
        numbered = f"{rate}/{self.nonce}"
        nonce, self.nonce = self.nonce, self.nonce + 1
        tags = self.tags(service, numbered, *contexts)
        tags[rate] = tags.pop(numbered)
        return self._draft(service, key, "report", body, tags=tags, presentations={rate: nonce})

    def follow(
        self,
        service: Service,
        type_: str,
        body: Body,
        about_: Event,
        *,
        key: Ed25519PrivateKey | None = None,
        seq: int = 0,
        ref: str = "",
        versions: tuple[int, ...] = (),
        contexts: tuple[str, ...] = (),
    ) -> Draft:
        """An event about another one's report."""
        wanted = [*contexts, *(stand_context(about_.report, v) for v in versions)]
        return self._draft(
            service,
            key or Ed25519PrivateKey.generate(),
            type_,
            body,
            tags=self.tags(service, *wanted) if wanted else {},
            report=about_.report,
            ref=ref,
            seq=seq,
        )

    def corroborate(self, service: Service, about_: Event, *, version: int = 1) -> Draft:
        body = Corroboration(version=version, confirmed_by=("court",), confirmed_on="2026-11")
        return self.follow(service, "corroboration", body, about_, versions=(version,))

    def tell_outcome(self, service: Service, about_: Event) -> Draft:
        return self.follow(
            service,
            "outcome",
            Outcome(outcome="blocked"),
            about_,
            contexts=(outcome_context(about_.report),),
        )

    def amend(
        self,
        service: Service,
        draft: Draft,
        body: Report,
        *,
        seq: int = 1,
        versions: tuple[int, ...] = (1,),
    ) -> Draft:
        return self.follow(
            service, "amendment", body, draft.event, key=draft.key, seq=seq, versions=versions
        )

    def withdraw(self, service: Service, draft: Draft, *, seq: int = 1) -> Draft:
        body = Withdrawal(reason="error")
        return self.follow(service, "withdrawal", body, draft.event, key=draft.key, seq=seq)

    def answer(self, service: Service, draft: Draft, dispute: Event, *, seq: int = 1) -> Draft:
        return self.follow(
            service,
            "answer",
            Answer(answer="stands"),
            draft.event,
            key=draft.key,
            seq=seq,
            ref=dispute.id,
            versions=(1,),
        )

    def _draft(
        self,
        service: Service,
        key: Ed25519PrivateKey,
        type_: str,
        body: Body,
        *,
        tags: dict[str, str],
        presentations: dict[str, int] | None = None,
        report: str = "",
        ref: str = "",
        seq: int = 0,
    ) -> Draft:
        event = sign_event(
            key,
            origin=self.invite.origin,
            type=type_,
            body=body,
            report=report,
            ref=ref,
            seq=seq,
            tags=tags,
            issuer_key=service.tag_key if tags else "",
        )
        return Draft(self, key, event, presentations or {})


@dataclass
class Draft:
    """An event that is signed and not yet posted."""

    actor: Actor
    key: Ed25519PrivateKey
    event: Event
    presentations: dict[str, int]

    @property
    def body(self) -> bytes:
        presentations = msgspec.json.encode(self.presentations)
        return b'{"event":%b,"presentations":%b}' % (self.event.raw, presentations)

    def headers(self, now: int | None = None) -> dict[str, str]:
        return sign_request(
            self.actor.key,
            method="POST",
            path="/v1/events",
            body=self.body,
            created=int(time.time()) if now is None else now,
        )

    def poster(self) -> str:
        """Verifies who signed the request, as the web does."""
        headers = {name.lower(): value for name, value in self.headers().items()}
        now = int(time.time())
        return verify_request(
            headers, method="POST", path="/v1/events", body=self.body, now=now
        ).key

    def post(self, service: Service) -> Acknowledgement:
        return service.post(self.body, self.poster).result(60)


def verify_acknowledgement(acknowledgement: Acknowledgement, draft: Draft) -> None:
    """What a member checks of the exchange's word."""
    k = msgspec.convert(acknowledgement.k, bytes)
    leaf = hash_leaf(entry_of(k, acknowledgement.at, draft.event.raw))
    proof = parse_proof(acknowledgement.receipt)
    assert proof.index == acknowledgement.index
    assert acknowledgement.event == draft.event.id
    verify_proof(proof, leaf, Verifier.parse(draft.actor.invite.log_key))


@dataclass
class KeyPages:
    """The key pages of a service, as files."""

    service: Service

    def read(self, path: str) -> bytes:
        number = int(path.removeprefix("keys/").replace("/", "").replace("x", ""))
        pages = self.service.keys(number * 256 - 1)
        data = pages.data[: 256 * 33]
        if not data:
            raise MissingFile(path)
        return data


def check_log(service: Service, vkey: str) -> FsckReport:
    """Rebuild the published log from its files; it must be exactly what was signed."""
    report = fsck(DirectoryReader(service.public), Verifier.parse(vkey), keys=KeyPages(service))
    assert report.sound, report.problems
    assert (
        open_checkpoint(service.published.note, Verifier.parse(vkey)).size == report.checkpoint.size
    )
    return report


def feed(service: Service, after: int = -1) -> list[dict[str, Any]]:
    """Every entry after a place, as a member reads it."""
    entries: list[dict[str, Any]] = []
    while page := service.entries(after, 1000).entries:
        entries += [json.loads(rendered) for _, rendered in page]
        after = page[-1][0]
    return entries


def event_at(service: Service, index: int) -> Event:
    """The event at a place, as a member reads it."""
    rendered = service.entries(index - 1, 1).entries[0][1]
    return parse_event(rendered.partition(b'"event":')[2].rpartition(b',"index":')[0])


def folded(service: Service) -> Reports:
    """The fold of the feed, as a replica makes it."""
    entries = [
        Entry(entry["index"], event_at(service, entry["index"]))
        for entry in feed(service)
        if "event" in entry
    ]
    # The service's key founded the log: it signed the first entry.
    reports = Reports((entries[0].event.by,))
    for entry in entries:
        reports.apply(entry)
    return reports


MakeExchange = Callable[..., Exchange]
