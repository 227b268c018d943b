"""Invites, joining, tokens: who comes in, and who does not."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select, text
from tests.exchange.acting import Actor, SetClock, feed

from acx.exchange.errors import (
    GovernanceError,
    InviteExpired,
    InviteRefused,
    InviteUsed,
    MalformedRequest,
    NotAuthorised,
    OtherTerms,
    Unauthenticated,
)
from acx.exchange.governance.admissions import NeedsTwo, _targets
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
from acx.exchange.storage.schema import members
from acx.records.event import Registration
from acx.records.http_signature import signed_record
from acx.records.invite import parse_invite

Join = Callable[..., Actor]


def test_an_invite_says_all_that_trust_needs(exchange: Exchange) -> None:
    invite = parse_invite(exchange.invite("A", "receiver"))
    assert invite.origin == exchange.settings.origin
    assert invite.url == exchange.settings.url
    assert invite.role == "receiver"
    # Those who came later are in the log, so that every member folds it alike.
    assert {operator.name for operator in invite.operators} == {"service"}
    assert invite.log_key.startswith(invite.origin + "+")
    assert len(invite.matching_key_bytes) == 32


def test_whoever_holds_an_invite_becomes_a_member(
    exchange: Exchange, service: Service, join: Join
) -> None:
    actor = join("A", "customs")
    (member,) = exchange.members()
    assert (member.name, member.role, member.status) == ("A", "customs", "active")
    assert service.member(actor.token) == member


def test_an_invite_is_used_once(exchange: Exchange, service: Service, clock: SetClock) -> None:
    first = Actor.invited(exchange, clock, "A", "contributor")
    first.join(service)
    second = Actor(first.invite, clock)
    with pytest.raises(InviteUsed):
        second.join(service)
    assert len(exchange.members()) == 1


def test_a_join_whose_answer_was_lost_is_made_again_with_a_fresh_token(
    exchange: Exchange, service: Service, clock: SetClock
) -> None:
    actor = Actor.invited(exchange, clock, "A", "contributor")
    lost = actor.join(service)
    again = actor.join(service)
    assert (again.member, again.role) == (lost.member, lost.role)
    assert service.member(again.token).name == "A"
    with pytest.raises(Unauthenticated):
        service.member(lost.token)


@pytest.mark.parametrize("days", [14, 15])
def test_an_invite_expires(
    exchange: Exchange, service: Service, clock: SetClock, days: int
) -> None:
    actor = Actor.invited(exchange, clock, "A", "contributor")
    clock.pass_(days=days)
    if days > exchange.settings.invite_days:
        with pytest.raises(InviteExpired):
            actor.join(service)
    else:
        actor.join(service)


@pytest.mark.parametrize("damage", [{"secret": "wrong"}, {"invite_id": "unknown"}])
def test_a_damaged_invite_admits_nobody_and_does_not_say_why(
    exchange: Exchange, service: Service, clock: SetClock, damage: dict[str, str]
) -> None:
    actor = Actor.invited(exchange, clock, "A", "contributor")
    request = msgspec.structs.replace(actor.join_request, **damage)
    with pytest.raises(InviteRefused, match="not known here"):
        service.join(request, actor.public)
    actor.join(service)


@pytest.mark.parametrize("terms", ["", "0", "2"])
def test_who_joins_accepts_the_terms_in_force(
    exchange: Exchange, service: Service, clock: SetClock, terms: str
) -> None:
    actor = Actor.invited(exchange, clock, "A", "contributor")
    with pytest.raises(OtherTerms, match="version '1'"):
        service.join(msgspec.structs.replace(actor.join_request, terms=terms), actor.public)


def test_nobody_joins_with_anothers_key(
    exchange: Exchange, service: Service, clock: SetClock
) -> None:
    actor = Actor.invited(exchange, clock, "A", "contributor")
    with pytest.raises(MalformedRequest):
        service.join(actor.join_request, "somebody else's")


def test_one_key_is_one_member(exchange: Exchange, service: Service, clock: SetClock) -> None:
    first = Actor.invited(exchange, clock, "A", "contributor")
    first.join(service)
    second = Actor.invited(exchange, clock, "B", "contributor")
    second.key = first.key
    with pytest.raises(InviteRefused):
        second.join(service)


def test_a_new_invite_for_a_name_makes_the_old_one_void(
    exchange: Exchange, service: Service, clock: SetClock
) -> None:
    old = Actor.invited(exchange, clock, "A", "contributor")
    new = Actor.invited(exchange, clock, "A", "contributor")
    with pytest.raises(InviteRefused):
        old.join(service)
    new.join(service)
    with pytest.raises(GovernanceError, match="member already"):
        exchange.invite("A")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "-a", "a\n", "x" * 128, " a"])
def test_names_are_plain(exchange: Exchange, name: str) -> None:
    with pytest.raises(GovernanceError, match="no name"):
        exchange.invite(name)


def test_roles_are_those_of_the_protocol(exchange: Exchange) -> None:
    with pytest.raises(GovernanceError, match="choose one of contributor"):
        exchange.invite("A", "admin")


def test_every_admission_is_on_record_without_a_name(
    exchange: Exchange, service: Service, join: Join
) -> None:
    size = service.published.size
    join("Unmistakable")
    exchange.suspend("Unmistakable")
    exchange.reinstate("Unmistakable")
    while service.published.size < size + 4:
        service.sequencer._stopping.wait(0.01)
    acts = [entry["event"]["body"]["act"] for entry in feed(service, size - 1)]
    assert acts == ["invited", "joined", "suspended", "reinstated"]
    assert "Unmistakable" not in str(feed(service))


def test_tokens_and_secrets_are_stored_as_digests_alone(
    exchange: Exchange, service: Service, join: Join
) -> None:
    actor = join("A")
    with exchange._database.read() as connection:
        for table in ("members", "invites"):
            stored = str(connection.execute(text(f"SELECT * FROM {table}")).all())  # noqa: S608
            assert actor.token not in stored
            assert actor.invite.secret not in stored


@pytest.mark.parametrize("token", ["", "x", "acxt_", "acxt_" + "a" * 43])
def test_a_token_that_was_never_given_is_nobodys(service: Service, token: str) -> None:
    with pytest.raises(Unauthenticated):
        service.member(token)


@pytest.mark.parametrize("name", ["nobody", ""])
def test_only_members_are_suspended(exchange: Exchange, name: str) -> None:
    with pytest.raises(GovernanceError, match="acx exchange members"):
        exchange.suspend(name)


def test_a_member_is_suspended_once(exchange: Exchange, join: Join) -> None:
    join("A")
    exchange.suspend("A")
    with pytest.raises(GovernanceError, match="already"):
        exchange.suspend("A")


def test_a_key_that_never_joined_gets_no_tags(
    exchange: Exchange, service: Service, clock: SetClock
) -> None:
    actor = Actor.invited(exchange, clock, "A", "contributor")
    actor.key = Ed25519PrivateKey.generate()
    with pytest.raises(Unauthenticated):
        actor.report(service)


# Grounds, groups, numbers, brands


def test_grounds_are_on_record_with_the_role_and_no_name(
    exchange: Exchange, service: Service
) -> None:
    exchange.admissions.invite("Store A", "contributor", criteria=["agreement", "marketplace"])
    exchange.admissions.invite("Store B", "receiver", by="ann")
    own, anns = (entry["event"] for entry in feed(service)[-2:])
    assert own["body"] == {
        "act": "invited",
        "code": "contributor",
        "target": "agreement,marketplace",
    }
    keys = {operator.name: operator.key for operator in exchange.operators()}
    assert (own["by"], anns["by"]) == (keys["service"], keys["ann"])
    with pytest.raises(GovernanceError, match="agreement, register"):
        exchange.admissions.invite("Store C", "contributor", criteria=["friend"])


def test_a_member_keeps_the_grounds_and_the_terms_it_signed(
    exchange: Exchange, service: Service, clock: SetClock
) -> None:
    line = exchange.admissions.invite("A", "contributor", criteria=["register"])
    actor = Actor(parse_invite(line), clock)
    headers = {"content-digest": "d", "signature-input": "i", "signature": "s"}
    service.join(actor.join_request, actor.public, signed_record(headers, b"the request"))
    (member,) = exchange.members()
    assert (member.criteria, member.terms) == (("register",), "1")
    with exchange._database.read() as connection:
        (kept,) = connection.execute(select(members.c.acceptance)).scalars()
    assert json.loads(kept) == {
        "headers": headers,
        "body": base64.b64encode(b"the request").decode(),
    }


def test_a_second_membership_of_a_group_takes_two_operators(
    exchange: Exchange, service: Service, clock: SetClock
) -> None:
    exchange.admissions.invite("Shop DE", "contributor", group="Big  Holding PLC")
    for group in ("big holding plc", "BIG HOLDING plc"):
        with pytest.raises(NeedsTwo, match="same economic group"):
            exchange.admissions.invite("Shop FR", "contributor", group=group)
    exchange.admissions.invite("Shop FR reads", "receiver", group="Big Holding PLC")
    proposal = exchange.admissions.propose(
        "Shop FR", "contributor", group="Big Holding PLC", by="ann"
    )
    with pytest.raises(GovernanceError, match="another operator"):
        exchange.approve(proposal.id, "ann")
    line = exchange.approve(proposal.id, "bob").result
    Actor(parse_invite(line), clock).join(service)
    assert not exchange.audit().problems


def test_invites_beyond_the_days_number_take_two_operators(
    exchange: Exchange, service: Service, clock: SetClock, home: Path
) -> None:
    service.close()
    config = home / "config.toml"
    config.write_text(config.read_text().replace("invites_daily = 50", "invites_daily = 2"))
    with Exchange.open(home, clock=clock) as opened:
        opened.invite("A")
        opened.invite("B", "customs")
        opened.invite("a reader", "receiver")
        with pytest.raises(NeedsTwo, match="today"):
            opened.invite("C")
        first, second = (opened.admissions.propose(name, "brand", by="ann") for name in "CD")
        assert parse_invite(opened.approve(first.id, "bob").result).role == "brand"
        assert parse_invite(opened.approve(second.id, "bob").result).role == "brand"
        assert not opened.audit().problems
        clock.pass_(days=1)
        opened.invite("E")


def test_proposals_of_one_operator_are_approved_in_their_order(
    exchange: Exchange, service: Service
) -> None:
    first, second = (exchange.admissions.propose(name, "receiver", by="ann") for name in "AB")
    with pytest.raises(GovernanceError, match="approve those first"):
        exchange.approve(second.id, "bob")
    exchange.approve(first.id, "bob")
    exchange.approve(second.id, "bob")


def test_a_brands_word_counts_once_two_have_verified_its_marks(
    exchange: Exchange, service: Service, clock: SetClock
) -> None:
    brand = Actor.invited(exchange, clock, "Best", "brand")
    brand.join(service)
    with pytest.raises(NotAuthorised, match="verif"):
        brand.register(0).post(service)
    proposal = exchange.admissions.verify("Best", ["EUTM:018000000", "USPTO:1234567"], "ann")
    exchange.approve(proposal.id, "bob")
    brand.register(0).post(service)
    assert exchange.members()[0].marks == ("EUTM:018000000", "USPTO:1234567")
    foreign = Registration(brand="Best", register_numbers=("EUTM:999",))
    with pytest.raises(NotAuthorised, match="EUTM:999"):
        brand.sign(brand.key, "registration", foreign, seq=1).post(service)
    owned = Registration(brand="Best", register_numbers=("USPTO:1234567",))
    brand.sign(brand.key, "registration", owned, seq=1).post(service)
    with pytest.raises(GovernanceError, match="verified already"):
        exchange.admissions.verify("Best", ["EUTM:1"], "ann")
    exchange.suspend("Best")
    with pytest.raises(NotAuthorised, match="good standing"):
        brand.register(2).post(service)
    assert not exchange.audit().problems


def test_many_marks_go_into_several_acts(exchange: Exchange, service: Service) -> None:
    numbers = [f"EUTM:{n:018}" for n in range(12)]
    assert ",".join(_targets(numbers)) == ",".join(numbers)
    assert all(len(target) <= 128 for target in _targets(numbers))


@pytest.mark.parametrize("number", ["", "018000000", "eutm:1", "EUTM:1,EUTM:2", "EUTM:"])
def test_a_mark_is_a_registers_number(exchange: Exchange, number: str) -> None:
    with pytest.raises(GovernanceError, match="register number"):
        exchange.admissions.verify("Best", [number], "ann")


def test_only_a_brand_is_verified(exchange: Exchange, service: Service, join: Join) -> None:
    join("A")
    with pytest.raises(GovernanceError, match="not as a brand"):
        exchange.admissions.verify("A", ["EUTM:1"], "ann")
    with pytest.raises(GovernanceError, match="no member"):
        exchange.admissions.verify("B", ["EUTM:1"], "ann")


def test_suspending_can_be_signed_by_an_operator(
    exchange: Exchange, service: Service, join: Join
) -> None:
    join("A")
    exchange.admissions.suspend("A", by="bob")
    keys = {operator.name: operator.key for operator in exchange.operators()}
    suspended = [e["event"] for e in feed(service) if e["event"]["body"].get("act") == "suspended"]
    assert [event["by"] for event in suspended] == [keys["bob"]]
