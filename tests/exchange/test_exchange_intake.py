"""What the log takes, and what it refuses and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.exchange.acting import (
    Actor,
    SetClock,
    about,
    check_log,
    feed,
    verify_acknowledgement,
)

from acx.credentials.errors import LimitExceeded
from acx.exchange.errors import (
    Erased,
    EventRefused,
    Forbidden,
    InvalidEvent,
    MalformedRequest,
    NotAuthorised,
    ReportClosed,
    Suspended,
    TagSpent,
    TooLarge,
    TooManyFollowUps,
    UnknownReport,
    WrongContexts,
    WrongDate,
    WrongIssuerKey,
    WrongSequence,
    WrongVersion,
)
from acx.exchange.intake.intake import MAX_POST_BYTES
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
from acx.records.event import (
    DAILY_LIMIT,
    Act,
    Assessment,
    Dispute,
    public_key_text,
    report_id,
    stand_context,
)

Join = Callable[..., Actor]


def test_a_report_is_acknowledged_with_a_proof_that_it_is_in_the_log(
    service: Service, join: Join
) -> None:
    actor = join("A")
    draft = actor.report(service)
    verify_acknowledgement(draft.post(service), draft)
    check_log(service, actor.invite.log_key)


def test_the_same_bytes_again_get_the_same_answer_whoever_sends_them(
    service: Service, join: Join
) -> None:
    draft = join("A").report(service)
    first = draft.post(service)
    join("B").report(service).post(service)
    assert draft.post(service) == first
    # It is in the log: nothing beside it is looked at any more.
    draft.presentations = {"nothing": "at all"}
    assert draft.post(service) == first


def test_an_event_is_in_the_feed_verbatim(service: Service, join: Join) -> None:
    draft = join("A").report(service)
    index = draft.post(service).index
    page = service.entries(index - 1, 1)
    assert draft.event.raw in page.entries[0][1]


def test_a_tag_is_spent_by_one_event(service: Service, join: Join) -> None:
    actor = join("A")
    actor.report(service).post(service)
    actor.nonce = 0
    with pytest.raises(TagSpent):
        actor.report(service).post(service)


def test_a_member_reports_as_often_a_day_as_it_has_numbers(service: Service, join: Join) -> None:
    actor = join("A")
    for _ in range(3):
        actor.report(service).post(service)
    actor.nonce = DAILY_LIMIT
    with pytest.raises(LimitExceeded, match="10000 presentations"):
        actor.report(service)


def test_two_members_tags_and_one_members_tags_of_a_day_all_differ(
    service: Service, join: Join
) -> None:
    drafts = [actor.report(service) for actor in (join("A"), join("B")) for _ in range(2)]
    drafts += [drafts[0].actor.report(service)]
    tags = [tag for draft in drafts for tag in draft.event.tags.values()]
    assert len(set(tags)) == len(tags)


def test_a_suspended_member_posts_until_the_key_changes_and_may_withdraw_after(
    exchange: Exchange, service: Service, join: Join, clock: SetClock
) -> None:
    actor, other = join("A"), join("B")
    posted = actor.report(service)
    posted.post(service)
    exchange.suspend("A")
    with pytest.raises(Suspended):
        service.member(actor.token)
    # Nobody can tell whose this is: that is what stops it only with the key.
    actor.report(service).post(service)
    exchange.rotate()
    service.issuer.refresh()
    clock.pass_(hours=50)
    with pytest.raises(Suspended):
        actor.report(service)
    late = actor.report_under(service, posted.event.key)
    with pytest.raises(WrongIssuerKey):
        late.post(service)
    other.report(service).post(service)
    actor.withdraw(service, posted).post(service)
    exchange.reinstate("A")
    actor.report(service).post(service)


@pytest.mark.parametrize("role", ["receiver", "auditor", "brand"])
def test_only_those_who_report_get_credentials(service: Service, join: Join, role: str) -> None:
    with pytest.raises(Forbidden):
        join("A", role).report(service)


@pytest.mark.parametrize(
    ("minutes", "taken"), [(-731, False), (-729, True), (0, True), (729, True), (731, False)]
)
def test_a_report_bears_todays_date_or_a_neighbours_near_midnight(
    service: Service, join: Join, clock: SetClock, minutes: int, *, taken: bool
) -> None:
    clock.pass_(days=1)
    draft = join("A").report(service)
    clock.pass_(minutes=minutes)
    if taken:
        draft.post(service)
    else:
        with pytest.raises(WrongDate, match="set the clock"):
            draft.post(service)


def test_an_event_carries_its_types_contexts_and_no_others(service: Service, join: Join) -> None:
    actor = join("A")
    key = Ed25519PrivateKey.generate()
    own = report_id(public_key_text(key))
    for contexts in ([], [stand_context(own, 2)], [stand_context(own, 1), stand_context(own, 2)]):
        with pytest.raises(WrongContexts):
            actor.rated(service, key, about("X"), contexts).post(service)


def test_a_report_key_opens_one_report(service: Service, join: Join) -> None:
    actor = join("A")
    draft = actor.report(service)
    draft.post(service)
    contexts = [stand_context(draft.event.report, 1)]
    with pytest.raises(ReportClosed):
        actor.rated(service, draft.key, about("Another"), contexts).post(service)


def test_another_member_corroborates_once(service: Service, join: Join) -> None:
    draft = join("A").report(service)
    draft.post(service)
    other = join("B")
    other.corroborate(service, draft.event).post(service)
    with pytest.raises(TagSpent):
        other.corroborate(service, draft.event).post(service)


def test_nobody_corroborates_its_own_report(service: Service, join: Join) -> None:
    actor = join("A")
    draft = actor.report(service)
    draft.post(service)
    with pytest.raises(TagSpent):
        actor.corroborate(service, draft.event).post(service)


def test_a_corroboration_is_of_the_current_version(service: Service, join: Join) -> None:
    actor = join("A")
    draft = actor.report(service)
    draft.post(service)
    actor.amend(service, draft, about("Jo Doe", email=("a@b.example",)), versions=(1, 2)).post(
        service
    )
    with pytest.raises(WrongVersion):
        join("B").corroborate(service, draft.event).post(service)
    join("C").corroborate(service, draft.event, version=2).post(service)


def test_an_amendment_that_adds_a_value_needs_the_new_versions_tag(
    service: Service, join: Join
) -> None:
    actor = join("A")
    draft = actor.report(service)
    draft.post(service)
    with pytest.raises(WrongContexts):
        actor.amend(service, draft, about("Jo Doe", alias=("More",))).post(service)
    actor.amend(service, draft, about("Jo Doe", alias=("More",)), versions=(1, 2)).post(service)
    actor.amend(service, draft, about("Jo Doe"), seq=2, versions=(2,)).post(service)


def test_amendments_are_the_report_keys(service: Service, join: Join) -> None:
    draft, other = join("A").report(service), join("B")
    draft.post(service)
    with pytest.raises(EventRefused):
        other.follow(service, "amendment", about("Me"), draft.event, versions=(1,)).post(service)


def test_a_report_takes_twenty_follow_ups(service: Service, join: Join) -> None:
    actor = join("A")
    draft = actor.report(service)
    draft.post(service)
    for seq in range(1, 21):
        actor.amend(service, draft, about("Jo Doe"), seq=seq).post(service)
    with pytest.raises(TooManyFollowUps):
        actor.amend(service, draft, about("Jo Doe"), seq=21).post(service)
    actor.withdraw(service, draft, seq=21).post(service)


@pytest.mark.parametrize("seq", [0, 2, 7])
def test_events_of_a_key_come_in_their_order(service: Service, join: Join, seq: int) -> None:
    actor = join("A")
    draft = actor.report(service)
    draft.post(service)
    with pytest.raises(WrongSequence):
        actor.withdraw(service, draft, seq=seq).post(service)


def test_a_withdrawal_needs_the_key_of_what_it_takes_back_and_nothing_else(
    service: Service, join: Join
) -> None:
    actor = join("A")
    draft = actor.report(service)
    draft.post(service)
    with pytest.raises(NotAuthorised):
        actor.withdraw(service, replace(draft, key=Ed25519PrivateKey.generate()), seq=0).post(
            service
        )
    withdrawal = actor.withdraw(service, draft)
    assert withdrawal.presentations == {}
    withdrawal.post(service)
    with pytest.raises(ReportClosed):
        actor.withdraw(service, draft, seq=2).post(service)


def test_nothing_follows_a_report_that_is_not_there(service: Service, join: Join) -> None:
    actor = join("A")
    never_posted = actor.report(service)
    for draft in (
        actor.corroborate(service, never_posted.event),
        actor.tell_outcome(service, never_posted.event),
        actor.withdraw(service, never_posted, seq=0),
    ):
        with pytest.raises(UnknownReport):
            draft.post(service)
    never_posted.post(service)
    join("B").corroborate(service, never_posted.event).post(service)


def test_an_outcome_is_replaced_by_the_same_members_next(service: Service, join: Join) -> None:
    draft = join("A").report(service)
    draft.post(service)
    other = join("B")
    first = other.tell_outcome(service, draft.event)
    second = other.tell_outcome(service, draft.event)
    assert first.event.tags == second.event.tags
    first.post(service)
    second.post(service)


@pytest.mark.parametrize("type_", ["dispute", "act"])
def test_operators_events_do_not_come_by_post(service: Service, join: Join, type_: str) -> None:
    actor = join("A")
    draft = actor.report(service)
    draft.post(service)
    body = Act(act="approved") if type_ == "act" else Dispute(code="not_me")
    with pytest.raises(Forbidden):
        actor.follow(service, type_, body, draft.event).post(service)


def test_a_brand_registers_and_assesses_with_the_key_it_joined_with(
    service: Service, join: Join
) -> None:
    draft = join("A").report(service)
    draft.post(service)
    brand = join("B", "brand")
    brand.register(0).post(service)
    with pytest.raises(WrongSequence):
        brand.register(0 + 2).post(service)
    brand.register(1).post(service)
    assessment = Assessment(assessment="confirmed")
    brand.follow(service, "assessment", assessment, draft.event, key=brand.key).post(service)
    with pytest.raises(NotAuthorised):
        brand.follow(service, "assessment", assessment, draft.event).post(service)


def test_a_signature_for_another_exchange_is_none_here(service: Service, join: Join) -> None:
    actor = join("A")
    actor.credential(service)
    actor.invite = msgspec.structs.replace(actor.invite, origin="other.example/log")
    with pytest.raises(InvalidEvent):
        actor.report(service).post(service)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"event":{}}',
        b'{"event":{},"presentations":{},"more":1}',
        b'{"event":' + b"[" * 5000 + b"]" * 5000 + b',"presentations":{}}',
        b'{"event":{},"presentations":{}}',
        b'{"event":"\xff","presentations":{}}',
        b'{"event":{"v":1e999},"presentations":{}}',
        b"\x00" * 1000,
    ],
    ids=range(11),
)
def test_a_hostile_post_is_refused_and_changes_nothing(
    service: Service, join: Join, body: bytes
) -> None:
    size = service.published.size
    with pytest.raises((MalformedRequest, InvalidEvent)):
        service.post(body).result()
    assert service.published.size == size


def test_an_event_that_is_not_canonical_is_refused(service: Service, join: Join) -> None:
    draft = join("A").report(service)
    spaced = draft.event.raw.replace(b":", b": ", 1)
    with pytest.raises(InvalidEvent, match="canonical"):
        service.post(b'{"event":%b,"presentations":{}}' % spaced).result()


def test_size_is_checked_before_anything_else(service: Service) -> None:
    with pytest.raises(TooLarge):
        service.post(b" " * (MAX_POST_BYTES + 1)).result()
    with pytest.raises(TooLarge):
        service.post(b'{"event":"%b","presentations":{}}' % (b"x" * 65536)).result()


def test_an_erased_event_is_not_acknowledged_again(
    exchange: Exchange, service: Service, join: Join
) -> None:
    actor = join("A")
    draft = actor.report(service)
    index = draft.post(service).index
    exchange.approve(exchange.erase(draft.event.report, "court_order", "ann"), "bob")
    with pytest.raises(Erased):
        draft.post(service)
    with pytest.raises(UnknownReport):
        join("B").corroborate(service, draft.event).post(service)
    assert set(feed(service)[index]) == {"index", "entry"}
    assert check_log(service, actor.invite.log_key).destroyed == 1
