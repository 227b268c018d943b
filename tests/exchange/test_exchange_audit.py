"""The audit: what operators did, from the log alone; and the answers to data subjects."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.exchange.acting import Actor, Draft, about, feed
from tests.exchange.founding import Founded

from acx.exchange.errors import GovernanceError
from acx.exchange.governance.audit import Audited, audit
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
from acx.log.checkpoint import Checkpoint, sign_checkpoint
from acx.log.entry import entry_of
from acx.log.merkle import Frontier, hash_leaf
from acx.log.note import Signer
from acx.records.event import (
    Act,
    Body,
    Erasure,
    Event,
    Resolution,
    public_key_text,
    sign_event,
)

Join = Callable[..., Actor]


@pytest.fixture
def founded(founded_on_sqlite: Founded) -> Founded:
    return founded_on_sqlite


def test_every_act_is_in_the_audit_with_both_who_signed(
    exchange: Exchange, service: Service, join: Join
) -> None:
    draft = posted(service, join("A"))
    dispute = exchange.disputes.open(draft.event.report, "not_me", "ann").id
    proposal = exchange.disputes.decide(dispute, "upheld", "other_person", "ann")
    exchange.approve(proposal.id, "bob")
    found = exchange.audit()
    assert not found.problems
    names = {operator.key: operator.name for operator in exchange.operators()}
    (resolution,) = [act for act in found.acts if act.type == "resolution"]
    assert (names[resolution.by], names[resolution.approved_by]) == ("ann", "bob")
    assert json.loads(resolution.says) == {"code": "other_person", "decision": "upheld"}
    assert found.counts["operator_added"] == 2
    assert found.invited["contributor"] == found.joined["contributor"] == 1
    assert (found.quality.reports, found.quality.upheld, found.quality.upheld_share) == (1, 1, 1.0)


def test_an_erasure_leaves_a_sound_audit_and_names_nobody(
    exchange: Exchange, service: Service, join: Join
) -> None:
    draft = posted(service, join("A"))
    exchange.approve(exchange.erase(draft.event.report, "court_order", "ann"), "bob")
    found = exchange.audit()
    assert (found.gone, found.problems) == (1, [])
    assert "Jo Doe" not in str(found)


def test_the_figures_outlast_what_is_erased(
    exchange: Exchange, service: Service, join: Join
) -> None:
    actor = join("A")
    fallen, standing, kept = (posted(service, actor) for _ in range(3))
    for draft, first in ((fallen, "dismissed"), (standing, "upheld")):
        dispute = exchange.disputes.open(draft.event.report, "not_me", "ann").id
        codes = {"dismissed": "standard_met", "upheld": "genuine"}
        for decision in (first, "upheld" if first == "dismissed" else "dismissed"):
            proposal = exchange.disputes.decide(
                dispute,
                decision,  # type: ignore[arg-type]
                codes[decision],
                "ann",
            )
            exchange.approve(proposal.id, "bob")
            if decision == first:
                exchange.disputes.appeal(dispute)
    before = exchange.audit().quality
    assert (before.reports, before.disputed, before.upheld, before.dismissed) == (3, 2, 1, 1)
    reports = [draft.event.report for draft in (fallen, standing)]
    exchange.approve(exchange.retention.erase(reports, "court_order", "ann").id, "bob")
    assert exchange.audit().quality == before
    exchange.approve(exchange.erase(kept.event.report, "court_order", "ann"), "bob")
    assert exchange.audit().quality.reports == 2


class Forged:
    """A log that a dishonest operator writes: every act signed, and the tree signed over it."""

    def __init__(self) -> None:
        self.keys = {name: Ed25519PrivateKey.generate() for name in ("founder", "ann", "eve")}
        self.events: list[tuple[bytes, bytes]] = []
        self.checkpoint: Checkpoint | None = None
        self._signer = Signer("forged.example", Ed25519PrivateKey.generate())
        self._seqs: dict[tuple[str, str], int] = {}
        self.add("founder", "act", Act(act="configured", code="founded"))
        self.add(
            "founder",
            "act",
            Act(act="operator_added", target=public_key_text(self.keys["ann"])),
        )

    def add(
        self,
        name: str,
        kind: str,
        body: Body,
        *,
        ref: str = "",
        report: str = "",
        seq: int | None = None,
        origin: str = "forged.example",
    ) -> Event:
        place = self._seqs.get((name, report), 0)
        self._seqs[name, report] = place + 1
        event = sign_event(
            self.keys[name],
            origin=origin,
            type=kind,
            body=body,
            ref=ref,
            report=report,
            seq=place if seq is None else seq,
        )
        self.events.append((event.raw, bytes(32)))
        return event

    def entries(self, after: int = -1):  # type: ignore[no-untyped-def]
        for index, (raw, k) in enumerate(self.events):
            if index > after:
                yield _Entry(index, entry_of(k, "2026-10-01T00Z", raw or b"lost"), raw, k)

    def audit(self, invites_daily: int = 50) -> Audited:
        tree = Frontier()
        for entry in self.entries():
            tree.append(hash_leaf(entry.entry))
        checkpoint = Checkpoint("forged.example", tree.size, tree.root())
        note = sign_checkpoint(checkpoint, self._signer)
        self.checkpoint = replace(checkpoint, note=note)
        return audit(
            self,
            origin="forged.example",
            log_key=self._signer.verifier.vkey,
            founders=(public_key_text(self.keys["founder"]),),
            invites_daily=invites_daily,
        )


class _Entry:
    at = "2026-10-01T00Z"

    def __init__(self, index: int, entry: bytes, event: bytes, k: bytes) -> None:
        self.index, self.entry, self.event, self.k = index, entry, event, k


@pytest.fixture
def log() -> Forged:
    return Forged()


def test_an_honest_log_has_no_problems(log: Forged) -> None:
    invited = log.add("ann", "act", Act(act="invited", code="contributor"))
    log.add("founder", "act", Act(act="approved", code="act"), ref=invited.id)
    assert log.audit().problems == []


def test_what_two_must_sign_and_one_did_is_told(log: Forged) -> None:
    log.add("ann", "erasure", Erasure(indices=(0,), code="court_order"))
    log.add("ann", "resolution", Resolution(decision="upheld", code="genuine"))
    log.add("ann", "act", Act(act="verified", code="brand", target="EUTM:1"))
    told = log.audit().problems
    assert [p.partition(":")[0].partition(",")[0] for p in told] == [
        "entry 2",
        "entry 3",
        "entry 4",
    ]


def test_ones_own_approval_counts_for_nothing(log: Forged) -> None:
    erasure = log.add("ann", "erasure", Erasure(indices=(0,), code="court_order"))
    log.add("ann", "act", Act(act="approved"), ref=erasure.id)
    assert any("own_proposal" in problem for problem in log.audit().problems)
    assert any("approved by nobody else" in problem for problem in log.audit().problems)


def test_an_act_of_a_stranger_is_told(log: Forged) -> None:
    log.add("eve", "act", Act(act="invited", code="contributor"))
    assert any("not_an_operator" in problem for problem in log.audit().problems)


def test_an_act_out_of_its_operators_order_is_told(log: Forged) -> None:
    log.add("ann", "act", Act(act="invited", code="receiver"), seq=3)
    assert any("out_of_order" in problem for problem in log.audit().problems)


def test_an_act_signed_for_another_exchange_is_told(log: Forged) -> None:
    log.add("ann", "act", Act(act="invited", code="receiver"), origin="elsewhere.example")
    assert any("signature" in problem for problem in log.audit().problems)


def test_what_is_withheld_is_told(log: Forged) -> None:
    log.add("ann", "act", Act(act="invited", code="receiver"))
    log.events[2] = (b"", bytes(32))
    assert log.audit().problems == ["entry 2 is withheld: nothing says that it was erased"]


def test_another_tree_than_was_signed_is_told(log: Forged) -> None:
    log.audit()
    signed = log.checkpoint
    log.add("ann", "act", Act(act="invited", code="receiver"))
    found = audit(
        _With(log, signed),
        origin="forged.example",
        log_key=log._signer.verifier.vkey,
        founders=(public_key_text(log.keys["founder"]),),
        invites_daily=50,
    )
    assert any("not those of the signed" in problem for problem in found.problems)


class _With:
    def __init__(self, log: Forged, checkpoint: Checkpoint | None) -> None:
        self.checkpoint = checkpoint
        self.entries = log.entries


def test_invites_beyond_the_daily_number_take_two_and_readers_are_not_counted(log: Forged) -> None:
    for _ in range(3):
        log.add("ann", "act", Act(act="invited", code="contributor"))
        log.add("ann", "act", Act(act="invited", code="receiver"))
    assert len(log.audit(invites_daily=2).problems) == 1
    assert log.audit(invites_daily=3).problems == []


def test_a_brand_takes_two_who_verified_its_marks(log: Forged) -> None:
    verified = log.add("ann", "act", Act(act="verified", code="brand", target="EUTM:1"))
    log.add("founder", "act", Act(act="joined", code="brand", target="k"), ref=verified.id)
    assert any("did not verify" in problem for problem in log.audit().problems)


def test_a_data_subject_is_told_what_is_held_and_not_by_whom(
    exchange: Exchange, service: Service, join: Join
) -> None:
    actor = join("A")
    body = about("Jo Doe", email=("jo@example.com",), phone=("+4930123456",), country=("DE",))
    draft = actor.report(service, body)
    draft.post(service)
    posted(service, actor)
    size = len(feed(service))
    (holding,) = exchange.subjects.answer(" JO@Example.com ")
    assert holding.values == {"email": ("jo@example.com",)}
    assert holding.categories == ("name", "phone", "country")
    assert (holding.report, holding.state) == (draft.event.report, "active")
    assert holding.kept_until[:4] == str(int(holding.taken[:4]) + 5)
    assert not holding.account
    assert exchange.subjects.answer("030 123456", country="DE")[0].report == holding.report
    assert exchange.subjects.answer("nobody@example.com") == ()
    acts = [entry["event"]["body"] for entry in feed(service)[size:]]
    assert acts == [
        {"act": "subject_answered", "code": "categories"},
        {"act": "subject_answered", "code": "categories"},
        {"act": "subject_answered", "code": "nothing"},
    ]


def test_all_of_a_report_is_told_only_on_an_operators_word(
    exchange: Exchange, service: Service, join: Join
) -> None:
    draft = posted(service, join("A"))
    (holding,) = exchange.subjects.answer("Jo Doe", full=True, by="ann")
    assert holding.account["name"] == ("Jo Doe",)
    assert feed(service)[-1]["event"]["body"] == {"act": "subject_answered", "code": "full"}
    assert holding.report == draft.event.report
    with pytest.raises(GovernanceError, match="no operator"):
        exchange.subjects.answer("Jo Doe", by="nobody")


def test_what_was_amended_away_is_held_still(
    exchange: Exchange, service: Service, join: Join
) -> None:
    actor = join("A")
    draft = actor.report(service, about("Jo Doe", email=("old@example.com",)))
    draft.post(service)
    actor.amend(service, draft, about("Jo Doe")).post(service)
    assert exchange.subjects.answer("old@example.com")[0].report == draft.event.report


def test_a_value_of_no_field_is_told_as_such(exchange: Exchange) -> None:
    with pytest.raises(GovernanceError, match="no value"):
        exchange.subjects.answer("not an address", "email")


def posted(service: Service, actor: Actor) -> Draft:
    draft = actor.report(service)
    draft.post(service)
    return draft
