"""No member counts twice behind a report, whatever it does; held with real credentials."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.exchange.acting import Actor, Draft, SetClock, about, folded
from tests.exchange.founding import Founded, fast_directory

from acx.exchange.errors import EventRefused, Suspended
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
from acx.records.event import Withdrawal

MEMBERS = ("A", "B", "C", "D")
REPORTER = "A"

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("corroborate"), st.sampled_from(MEMBERS)),
        st.tuples(st.just("corroborate from a copy"), st.sampled_from(MEMBERS)),
        st.tuples(st.just("corroborate the old version"), st.sampled_from(MEMBERS)),
        st.tuples(st.just("withdraw"), st.sampled_from(MEMBERS)),
        st.tuples(st.just("add a value"), st.just(REPORTER)),
        st.tuples(st.just("change the rest"), st.just(REPORTER)),
        st.tuples(st.just("rotate"), st.just("")),
    ),
    min_size=4,
    max_size=14,
)


class Stage:
    """An exchange with members, for reports one after the other."""

    def __init__(self, exchange: Exchange, service: Service, clock: SetClock) -> None:
        self.exchange, self.service, self.clock = exchange, service, clock
        self.actors = {}
        for name in MEMBERS:
            self.actors[name] = Actor.invited(exchange, clock, name, "contributor")
            self.actors[name].join(service)

    def rotate(self) -> None:
        self.exchange.rotate()
        self.clock.pass_(hours=50)
        self.service.issuer.refresh()


@pytest.fixture(scope="module")
def stage(founded_on_sqlite: Founded) -> Iterator[Stage]:
    with fast_directory() as directory, ExitStack() as stack:
        founded_on_sqlite.copy(directory / "home")
        clock = SetClock()
        exchange = stack.enter_context(Exchange.open(directory / "home", clock=clock))
        service = stack.enter_context(exchange.lead())
        yield Stage(exchange, service, clock)


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_contributors_are_the_members_that_stand_and_no_more(
    stage: Stage, steps: list[tuple[str, str]]
) -> None:
    service, actors = stage.service, stage.actors
    reporter = actors[REPORTER]
    draft = reporter.report(service)
    draft.post(service)
    version, seq, values = 1, 1, ["Jo Doe"]
    # Who stands behind the current version, and by which corroboration.
    standing: dict[str, Draft] = {REPORTER: draft}
    spent: set[tuple[str, int]] = {(REPORTER, 1)}
    for step, name in steps:
        if step == "rotate":
            stage.rotate()
        elif step.startswith("corroborate"):
            actor = copy.deepcopy(actors[name]) if step.endswith("copy") else actors[name]
            of = max(1, version - 1) if step.endswith("old version") else version
            said = actor.corroborate(service, draft.event, version=of)
            allowed = of == version and (name, version) not in spent
            if _posted(said, service):
                assert allowed, (step, name)
                standing[name] = said
                spent.add((name, version))
            else:
                assert not allowed, (step, name)
        elif step == "withdraw":
            if name != REPORTER and name in standing:
                said = standing.pop(name)
                taken_back = actors[name].follow(
                    service,
                    "withdrawal",
                    Withdrawal(reason="error"),
                    draft.event,
                    key=said.key,
                    seq=1,
                    ref=said.event.id,
                )
                assert _posted(taken_back, service)
        else:
            if step == "add a value":
                values.append(f"Name {len(values)}")
            versions = (version, version + 1) if step == "add a value" else (version,)
            amended = reporter.amend(service, draft, about(*values), seq=seq, versions=versions)
            assert _posted(amended, service)
            seq += 1
            if step == "add a value":
                version += 1
                standing = {REPORTER: draft}
                spent.add((REPORTER, version))
        view = folded(service).get(draft.event.report)
        assert view is not None
        assert view.contributors == len(standing), (step, name)
        assert view.version == version


def _posted(draft: Draft, service: Service) -> bool:
    try:
        draft.post(service)
    except EventRefused:
        return False
    return True


def test_nobody_lends_its_secret_to_a_second_membership(stage: Stage) -> None:
    """Who joins under two names with one wallet counts once: the tags are the secret's."""
    service = stage.service
    first = Actor.invited(stage.exchange, stage.clock, "twice", "contributor")
    first.join(service)
    second = Actor.invited(stage.exchange, stage.clock, "again", "contributor")
    second.secret, second.asked = first.secret, first.asked
    second.join(service)
    draft = stage.actors[REPORTER].report(service)
    draft.post(service)
    assert _posted(first.corroborate(service, draft.event), service)
    assert not _posted(second.corroborate(service, draft.event), service)


def test_a_suspended_member_stands_where_it_stood_and_nowhere_new(stage: Stage) -> None:
    service, actor = stage.service, Actor.invited(stage.exchange, stage.clock, "E", "contributor")
    actor.join(service)
    drafts = [stage.actors[REPORTER].report(service) for _ in range(2)]
    for draft in drafts:
        draft.post(service)
    assert _posted(actor.corroborate(service, drafts[0].event), service)
    under = service.issuer.current.term.id
    stage.exchange.suspend("E")
    stage.rotate()
    with pytest.raises(Suspended):
        actor.corroborate(service, drafts[1].event)
    late = actor.report_under(service, under)
    assert not _posted(late, service)
    views = [folded(service).get(draft.event.report) for draft in drafts]
    assert [view.contributors for view in views if view is not None] == [2, 1]


def test_a_member_that_makes_up_a_key_of_its_own_stands_behind_nothing(stage: Stage) -> None:
    draft = stage.actors[REPORTER].report(stage.service)
    draft.post(stage.service)
    stranger = Actor(stage.actors["B"].invite, stage.clock, key=Ed25519PrivateKey.generate())
    stranger.credentials = dict(stage.actors["C"].credentials)
    honest = stage.actors["C"].corroborate(stage.service, draft.event)
    forged = Draft(stranger, honest.key, honest.event, {})
    forged.presentations = dict.fromkeys(honest.presentations, "A" * 348)
    assert not _posted(forged, stage.service)
    assert _posted(honest, stage.service)
