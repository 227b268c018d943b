"""Issuer keys and credentials: who gets one, under which key, and from when it counts."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from tests.exchange.acting import Actor, SetClock, feed, issuer_key

from acx.credentials.issuance import ClientRequest, CredentialResponse, MemberSecret
from acx.credentials.keys import PublicKey
from acx.exchange.errors import (
    Forbidden,
    ForeignCommitment,
    GovernanceError,
    HomeError,
    InvalidPresentation,
    MalformedRequest,
    Suspended,
    TagSpent,
    WrongIssuerKey,
)
from acx.exchange.issuing.issuer import CredentialRequestBody
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
from acx.records.invite import parse_invite
from acx.records.issuer_keys import issuer_key_id, request_context

Join = Callable[..., Actor]


def published(service: Service) -> list[dict[str, str]]:
    return [e["event"]["body"] for e in feed(service) if e["event"]["type"] == "key"]


def go_to(service: Service, clock: SetClock, moment: datetime) -> None:
    """Let a time come, and the service see to its keys as it does by itself."""
    clock.moment = moment
    service.issuer.refresh()
    service.sequencer.wake()
    size = len(service.issuer.keys)
    while len(published(service)) < size:
        service.sequencer._stopping.wait(0.01)


def begins(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


def test_the_founding_key_stands_before_anybody_can_join(service: Service) -> None:
    events = [entry["event"] for entry in feed(service)]
    kinds = [e["body"].get("act", e["type"]) for e in events]
    assert kinds.index("key") < len(kinds)
    assert "invited" not in kinds
    (key,) = published(service)
    public = base64.b64decode(key["public_key"])
    assert len(public) == 99
    assert key["id"] == issuer_key_id(public) == service.issuer.current.term.id


def test_joining_brings_a_credential_under_the_key_of_the_log(
    exchange: Exchange, service: Service, clock: SetClock
) -> None:
    actor = Actor.invited(exchange, clock, "A", "contributor")
    issued = service.join(actor.join_request, actor.public).credential
    assert issued is not None
    (key,) = published(service)
    response = CredentialResponse.decode(base64.b64decode(issued.response))
    public = PublicKey.decode(base64.b64decode(key["public_key"]))
    assert actor.asked.finalize(response, public).m1 == actor.secret.m1


def test_asked_again_the_stored_answer_comes_byte_for_byte(
    exchange: Exchange, service: Service, clock: SetClock
) -> None:
    actor = Actor.invited(exchange, clock, "A", "contributor")
    first = service.join(actor.join_request, actor.public).credential
    assert actor.ask(service) == first
    actor.asked = ClientRequest.create(actor.secret, request_context(actor.invite.origin))
    assert actor.ask(service) == first
    assert service.join(actor.join_request, actor.public).credential == first


def test_no_second_secret_is_issued_for(service: Service, join: Join) -> None:
    actor = join("A")
    other = MemberSecret.generate()
    actor.asked = ClientRequest.create(other, request_context(actor.invite.origin))
    with pytest.raises(ForeignCommitment, match="another secret"):
        actor.ask(service)


@pytest.mark.parametrize("damage", ["not base64", "short", "identity", "off the curve", "forged"])
def test_a_request_that_is_none_is_refused(service: Service, join: Join, damage: str) -> None:
    actor = join("A")
    good = actor.asked.request.encode()
    raw = {
        "short": good[:-1],
        "identity": bytes(33) + good[33:],
        "off the curve": good[:33] + b"\x02" + b"\xff" * 32 + good[66:],
        "forged": good[:-1] + bytes([good[-1] ^ 1]),
    }.get(damage, b"")
    request = base64.b64encode(raw).decode() if raw else "?"
    # Under a key nothing is stored for, so that the proof is looked at.
    service.issuer.refresh()
    with service._database.write() as connection:
        connection.execute(text("DELETE FROM credentials"))
    body = CredentialRequestBody(key=service.issuer.current.term.id, request=request)
    with pytest.raises(MalformedRequest):
        service.credential(body, actor.public)


@pytest.mark.parametrize("role", ["receiver", "auditor", "brand"])
def test_roles_that_do_not_post_get_none(
    exchange: Exchange, service: Service, clock: SetClock, role: str
) -> None:
    actor = Actor.invited(exchange, clock, "A", role)
    assert actor.join(service).credential is None
    with pytest.raises(Forbidden, match="gets no credentials"):
        actor.ask(service)


def test_who_may_post_enrols_when_it_joins_and_others_do_not(
    exchange: Exchange, service: Service, clock: SetClock
) -> None:
    for role, other in (("contributor", "receiver"), ("receiver", "contributor")):
        actor = Actor.invited(exchange, clock, role, role)
        twin = Actor.invited(exchange, clock, other, other)
        request = actor.join_request
        changed = type(request)(
            invite_id=request.invite_id,
            secret=request.secret,
            member_key=request.member_key,
            terms="1",
            credential_request=twin.join_request.credential_request,
        )
        with pytest.raises(MalformedRequest, match="credential_request"):
            service.join(changed, actor.public)


def test_a_suspended_member_gets_none_by_any_door(
    exchange: Exchange, service: Service, join: Join
) -> None:
    actor = join("A")
    exchange.suspend("A")
    with pytest.raises(Suspended):
        actor.ask(service)
    with pytest.raises(Suspended):
        service.join(actor.join_request, actor.public)


def test_the_next_quarters_key_is_published_two_weeks_before(
    service: Service, join: Join, clock: SetClock
) -> None:
    go_to(service, clock, begins(2027, 1) - timedelta(days=14, hours=1))
    assert len(published(service)) == 1
    go_to(service, clock, begins(2027, 1) - timedelta(days=14))
    assert [key["not_before"] for key in published(service)][1:] == ["2027-01-01T00Z"]
    go_to(service, clock, begins(2027, 1) - timedelta(days=3))
    assert len(published(service)) == 2


def test_a_server_that_was_away_publishes_late_and_gives_wallets_their_time(
    service: Service, clock: SetClock
) -> None:
    go_to(service, clock, begins(2027, 1) + timedelta(days=3, minutes=5))
    assert published(service)[1]["not_before"] == "2027-01-06T01Z"


def test_tags_stay_the_same_under_the_next_key(
    service: Service, join: Join, clock: SetClock
) -> None:
    actor, other = join("A"), join("B")
    draft = other.report(service)
    draft.post(service)
    before = actor.corroborate(service, draft.event)
    before.post(service)
    go_to(service, clock, begins(2027, 1) - timedelta(days=10))
    coming = published(service)[1]["id"]
    actor.keep(service, actor.ask(service, coming))
    go_to(service, clock, begins(2027, 1) + timedelta(hours=1))
    after = actor.corroborate(service, draft.event)
    assert after.event.key == coming != before.event.key
    assert after.event.tags == before.event.tags
    with pytest.raises(TagSpent):
        after.post(service)


@pytest.mark.parametrize(
    ("minutes", "taken"), [(-11, "old"), (-9, "both"), (9, "both"), (11, "new")]
)
def test_around_a_change_of_keys_both_are_taken(
    service: Service, join: Join, clock: SetClock, minutes: int, taken: str
) -> None:
    actor = join("A")
    old = service.issuer.current.term.id
    go_to(service, clock, begins(2027, 1) - timedelta(days=10))
    new = published(service)[1]["id"]
    actor.keep(service, actor.ask(service, new))
    go_to(service, clock, begins(2027, 1) + timedelta(minutes=minutes))
    for key, name in ((old, "old"), (new, "new")):
        draft = actor.report_under(service, key)
        if taken in {name, "both"}:
            draft.post(service)
        else:
            with pytest.raises(WrongIssuerKey, match="authorise the event anew"):
                draft.post(service)


def test_a_key_nobody_published_is_told(service: Service, join: Join) -> None:
    actor = join("A")
    with pytest.raises(WrongIssuerKey, match="no credentials"):
        actor.ask(service, "another")
    actor.credentials["another"] = actor.credential(service)[1]
    with pytest.raises(WrongIssuerKey, match="has no issuer key"):
        actor.report_under(service, "another").post(service)


def test_no_credential_is_issued_under_a_key_that_is_over(
    service: Service, join: Join, clock: SetClock
) -> None:
    actor = join("A")
    old = service.issuer.current.term.id
    go_to(service, clock, begins(2027, 1) + timedelta(days=5))
    go_to(service, clock, begins(2027, 1) + timedelta(days=9))
    with pytest.raises(WrongIssuerKey):
        actor.ask(service, old)


def test_a_rotation_voids_what_was_published_and_has_not_started(
    exchange: Exchange, service: Service, clock: SetClock
) -> None:
    go_to(service, clock, begins(2027, 1) - timedelta(days=10))
    voided = published(service)[1]["id"]
    key = exchange.rotate()
    assert key.term.starts == begins(2027, 1) - timedelta(days=8)
    go_to(service, clock, begins(2027, 1) - timedelta(days=7))
    assert service.issuer.current.term.id == key.term.id
    ids = [item["id"] for item in published(service)]
    assert len(ids) == 4
    go_to(service, clock, begins(2027, 1) + timedelta(days=1))
    assert service.issuer.current.term.id == ids[3] != voided
    acts = [e["event"]["body"].get("act") for e in feed(service)]
    assert "rotated" in acts


def test_an_emergency_starts_in_two_hours_and_is_had_once_a_week(
    exchange: Exchange, service: Service, clock: SetClock
) -> None:
    clock.moment = clock.moment.replace(minute=30)
    key = exchange.rotate(emergency=True)
    assert timedelta(hours=2) <= key.term.starts - clock.moment < timedelta(hours=3)
    clock.pass_(days=6, hours=23)
    with pytest.raises(GovernanceError, match="one a week"):
        exchange.rotate(emergency=True)
    exchange.rotate()
    clock.pass_(hours=1)
    exchange.rotate(emergency=True)


def test_suspension_reaches_the_key_to_come(
    exchange: Exchange, service: Service, join: Join, clock: SetClock
) -> None:
    actor, other = join("A"), join("B")
    go_to(service, clock, begins(2027, 1) - timedelta(days=10))
    coming = published(service)[1]["id"]
    for member in (actor, other):
        member.keep(service, member.ask(service, coming))
    exchange.suspend("A")
    go_to(service, clock, begins(2027, 1) + timedelta(hours=1))
    late = actor.report_under(service, coming)
    with pytest.raises(WrongIssuerKey):
        late.post(service)
    other.report(service).post(service)


def test_a_member_without_a_credential_to_come_costs_nobody_a_new_key(
    exchange: Exchange, service: Service, join: Join, clock: SetClock
) -> None:
    join("A")
    go_to(service, clock, begins(2027, 1) - timedelta(days=10))
    before = len(published(service))
    exchange.suspend("A")
    service.issuer.refresh()
    assert len(published(service)) == before


def test_the_keys_are_sealed_and_go_with_a_backup(
    exchange: Exchange, service: Service, join: Join, cleanup: ExitStack
) -> None:
    actor = join("A")
    key = service.issuer.current
    with exchange._database.read() as connection:
        stored = connection.execute(text("SELECT sealed FROM issuer_keys")).scalar_one()
    for start in range(0, 128, 32):
        assert key.secret[start : start + 32] not in bytes(stored)
    exchange.backup(exchange.home.path.parent / "backup")
    home = exchange.home.path.parent / "restored"
    Exchange.restore(exchange.home.path.parent / "backup", home, database="")
    restored = cleanup.enter_context(Exchange.open(home))
    restored.recover(None)
    with restored.lead() as again:
        assert issuer_key(again, key.term.id) == key.secret
        actor.report(again).post(again)
    (home / "keys" / "issuer.key").write_text("AAAA" * 10 + "AAA=\n")
    with Exchange.open(home) as damaged, pytest.raises(HomeError, match="one backup"):
        damaged.lead()


def test_a_lost_wallet_is_replaced_by_two_on_record_once_a_year(
    exchange: Exchange, service: Service, join: Join, clock: SetClock
) -> None:
    lost, other = join("A"), join("B")
    draft = other.report(service)
    draft.post(service)
    lost.corroborate(service, draft.event).post(service)
    proposal = exchange.admissions.reenrol("A", "ann").id
    with pytest.raises(GovernanceError, match="another operator"):
        exchange.approve(proposal, "ann")
    found = Actor(parse_invite(exchange.approve(proposal, "bob").result), clock)
    assert found.join(service).member == lost_id(exchange)
    # It could stand behind the report once more: that is why it takes two, and a year.
    found.corroborate(service, draft.event).post(service)
    with pytest.raises(TagSpent):
        found.corroborate(service, draft.event).post(service)
    with pytest.raises(GovernanceError, match="once a year"):
        exchange.admissions.reenrol("A", "ann")
    acts = [e["event"]["body"] for e in feed(service) if e["event"]["type"] == "act"]
    assert [act["target"] for act in acts if act["act"] == "reenrolled"] == [lost_id(exchange)]
    clock.pass_(days=367)
    exchange.admissions.reenrol("A", "ann")


def lost_id(exchange: Exchange) -> str:
    return next(member.id for member in exchange.members() if member.name == "A")


def test_a_replaced_wallet_can_ask_for_nothing_any_more(
    exchange: Exchange, service: Service, join: Join, clock: SetClock
) -> None:
    lost = join("A")
    proposal = exchange.admissions.reenrol("A", "ann").id
    found = Actor(parse_invite(exchange.approve(proposal, "bob").result), clock)
    found.join(service)
    with pytest.raises(Exception, match="no member's key"):
        lost.ask(service)
    found.report(service).post(service)
    # Until the key changes, what it holds is good: nobody can tell whose it is.
    lost.report(service).post(service)
    stolen, another = lost.report(service), found.report(service)
    stand = next(context for context in stolen.presentations if context.startswith("stand"))
    stolen.presentations = another.presentations | {stand: stolen.presentations[stand]}
    del stolen.presentations[next(c for c in another.presentations if c.startswith("stand"))]
    with pytest.raises(InvalidPresentation):
        stolen.post(service)
