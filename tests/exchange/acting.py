"""Members as the exchange meets them: they join, get credentials, sign events and post them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.credentials.credential import Credential
from acx.credentials.issuance import ClientRequest, CredentialResponse, MemberSecret
from acx.credentials.keys import SecretKey
from acx.credentials.presentation import present, presentation_tag
from acx.credentials.single_use import present_once, single_use_tag
from acx.exchange.admission.invites import Joined, JoinRequest
from acx.exchange.intake.intake import Acknowledgement
from acx.exchange.issuing.issuer import CredentialRequestBody, IssuedCredential
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
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
    DAILY_LIMIT,
    Answer,
    Body,
    Corroboration,
    Event,
    Outcome,
    Registration,
    Withdrawal,
    outcome_context,
    parse_event,
    public_key_text,
    rate_context,
    report_id,
    sign_event,
    stand_context,
)
from acx.records.invite import POSTING_ROLES, Invite, parse_invite
from acx.records.issuer_keys import request_context
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
    secret: MemberSecret = field(default_factory=MemberSecret.generate)
    nonce: int = 0
    token: str = ""
    credentials: dict[str, Credential] = field(default_factory=dict)

    @classmethod
    def invited(cls, exchange: Exchange, clock: SetClock, name: str, role: str) -> Actor:
        return cls(parse_invite(exchange.invite(name, role)), clock)

    def __post_init__(self) -> None:
        self.asked = ClientRequest.create(self.secret, request_context(self.invite.origin))

    @property
    def public(self) -> str:
        return public_key_text(self.key)

    @property
    def credential_request(self) -> str:
        return text(self.asked.request.encode())

    @property
    def join_request(self) -> JoinRequest:
        return JoinRequest(
            invite_id=self.invite.invite_id,
            secret=self.invite.secret,
            member_key=self.public,
            terms="1",
            credential_request=(
                self.credential_request if self.invite.role in POSTING_ROLES else ""
            ),
        )

    def join(self, service: Service) -> Joined:
        joined = service.join(self.join_request, self.public)
        self.token = joined.token
        if joined.credential is not None:
            self.keep(service, joined.credential)
        return joined

    def ask(self, service: Service, key: str = "") -> IssuedCredential:
        """Ask for the credential under a key, by default the one in use."""
        body = CredentialRequestBody(
            key=key or service.issuer.current.term.id, request=self.credential_request
        )
        return service.credential(body, self.public)

    def keep(self, service: Service, issued: IssuedCredential) -> None:
        """Take a credential out of what was issued."""
        secret_key = SecretKey.decode(issuer_key(service, issued.key))
        response = CredentialResponse.decode(base64.b64decode(issued.response))
        self.credentials[issued.key] = self.asked.finalize(response, secret_key.public_key)

    def credential(self, service: Service) -> tuple[str, Credential]:
        """The key in use, and the credential under it."""
        key = service.issuer.current.term.id
        if key not in self.credentials:
            self.keep(service, self.ask(service, key))
        return key, self.credentials[key]

    def report(self, service: Service, body: Report | None = None) -> Draft:
        """A report, signed and ready to post."""
        key = Ed25519PrivateKey.generate()
        stand = stand_context(report_id(public_key_text(key)), 1)
        return self.rated(service, key, body or about("Jo Doe"), [stand])

    def report_under(self, service: Service, key_id: str) -> Draft:
        """A report by the credential under some key, in use or not."""
        key = Ed25519PrivateKey.generate()
        stand = stand_context(report_id(public_key_text(key)), 1)
        nonce, self.nonce = self.nonce, self.nonce + 1
        return self.draft(
            service,
            key,
            "report",
            about("Jo Doe"),
            [stand],
            nonces={rate_context(self.clock.day): nonce},
            issuer_key=key_id,
        )

    def rated(
        self, service: Service, key: Ed25519PrivateKey, body: Body, contexts: list[str]
    ) -> Draft:
        nonce, self.nonce = self.nonce, self.nonce + 1
        rate = rate_context(self.clock.day)
        return self.draft(service, key, "report", body, contexts, nonces={rate: nonce})

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
        return self.draft(
            service,
            key or Ed25519PrivateKey.generate(),
            type_,
            body,
            [*contexts, *(stand_context(about_.report, v) for v in versions)],
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

    def draft(
        self,
        service: Service,
        key: Ed25519PrivateKey,
        type_: str,
        body: Body,
        contexts: list[str],
        *,
        nonces: dict[str, int] | None = None,
        issuer_key: str = "",
        report: str = "",
        ref: str = "",
        seq: int = 0,
    ) -> Draft:
        """An event with a tag for each context; those with a nonce are counted."""
        if not contexts and not nonces:
            return self.sign(key, type_, body, report=report, ref=ref, seq=seq)
        if issuer_key:
            name, credential = issuer_key, self.credentials[issuer_key]
        else:
            name, credential = self.credential(service)
        tags = {c: text(single_use_tag(credential, c.encode())) for c in contexts}
        for context, nonce in (nonces or {}).items():
            tags[context] = text(presentation_tag(credential, context.encode(), nonce))
        draft = self.sign(
            key, type_, body, tags=tags, issuer_key=name, report=report, ref=ref, seq=seq
        )
        show(draft, credential, contexts, nonces or {})
        return draft

    def register(self, seq: int) -> Draft:
        """A brand's registration, which needs no proof."""
        return self.sign(self.key, "registration", Registration(brand="Best"), seq=seq)

    def sign(self, key: Ed25519PrivateKey, type_: str, body: Body, **fields: Any) -> Draft:
        """An event without presentations."""
        event = sign_event(key, origin=self.invite.origin, type=type_, body=body, **fields)
        return Draft(self, key, event, {})


def show(draft: Draft, credential: Credential, contexts: list[str], nonces: dict[str, int]) -> None:
    """Make the presentations of an event."""
    message = hashlib.sha256(draft.event.raw).digest()
    for context in contexts:
        shown = present_once(credential, context=context.encode(), message=message)
        draft.presentations[context] = text(shown.encode())
    for context, nonce in nonces.items():
        counted = present(
            credential, context=context.encode(), limit=DAILY_LIMIT, nonce=nonce, message=message
        )
        draft.presentations[context] = text(counted.encode())


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def issuer_key(service: Service, key_id: str) -> bytes:
    """The secret key of an issuer key."""
    (secret,) = {key.secret for key in service.issuer.keys if key.term.id == key_id}
    return secret


@dataclass
class Draft:
    """An event that is signed and not yet posted."""

    actor: Actor
    key: Ed25519PrivateKey
    event: Event
    presentations: dict[str, str]

    @property
    def body(self) -> bytes:
        presentations = msgspec.json.encode(self.presentations)
        return b'{"event":%b,"presentations":%b}' % (self.event.raw, presentations)

    def post(self, service: Service) -> Acknowledgement:
        return service.post(self.body).result(60)


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
