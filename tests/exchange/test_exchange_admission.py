"""Invites, joining, tokens: who comes in, and who does not."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from tests.exchange.acting import Actor, SetClock, feed

from acx.exchange.errors import (
    GovernanceError,
    InviteExpired,
    InviteRefused,
    InviteUsed,
    MalformedRequest,
    OtherTerms,
    Unauthenticated,
)
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
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
