"""What operators' events establish, in the order of the log.

Who is an operator at which index, what a second operator has approved, which keys are brands', and
which entries are gone. It rests on operators' events alone, and those are never erased (they hold
no personal data): so a log read afresh, without what has been erased since, establishes the same.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from acx.records.event import Act, Erasure, Expiry, IssuerKey
from acx.records.state.kept import Kept
from acx.records.state.view import Ignored

Gone = Literal["erased", "expired"]
TWO_SIGNATURES: Final = frozenset({"resolution", "erasure"})
"""Types that take effect only once a second operator has approved them."""

_ACT: Final = msgspec.json.Decoder(Act)
_ERASURE: Final = msgspec.json.Decoder(Erasure)
_EXPIRY: Final = msgspec.json.Decoder(Expiry)
_ISSUER_KEY: Final = msgspec.json.Decoder(IssuerKey)
_ADMITTING: Final = frozenset({"invited", "joined"})


class Governance:
    """The operators' part of the fold.

    Attributes:
        operators: keys of the operators after the last event taken.
        verdicts: for each event that an operator's key signed, by index, why it is ignored; empty
            if it is not.
        approvals: id of an event ► index at which a second operator approved it.
        proposals: events that a second operator has approved, or may, by id.
        erased: indices that erasures in force list.
        expired: indices that expiries list.
        named: report ► how it left, where an erasure or expiry in force names the report.
        removals: for each erasure or expiry in force, the index from which it is, and what it took.
        issuer_keys: keys under which credentials are issued, by index.
        first_admission: index of the first act by which somebody could join, -1 before it.
        last_index: index of the last event taken, -1 before the first.
    """

    def __init__(self, operators: Iterable[str]) -> None:
        self.operators: set[str] = set(operators)
        self.verdicts: dict[int, Ignored] = {}
        self.approvals: dict[str, int] = {}
        self.proposals: dict[str, Kept] = {}
        self.erased: set[int] = set()
        self.expired: set[int] = set()
        self.named: dict[str, Gone] = {}
        self.removals: list[tuple[int, tuple[int, ...]]] = []
        self.issuer_keys: dict[int, IssuerKey] = {}
        self.first_admission = -1
        self.last_index = -1
        self._expected: dict[tuple[str, str], int] = {}
        self._brands: dict[str, list[tuple[int, bool]]] = {}
        self._gone_in_order: list[int] | None = []

    def take(self, kept: Kept) -> None:
        """Take the next event; indices only rise.

        An event that no operator's key signed is nobody's here, whatever its type.
        """
        self.last_index = kept.index
        if kept.by not in self.operators:
            return
        self.verdicts[kept.index] = verdict = self.objection(kept)
        if verdict == "out_of_order":
            return
        self._expected[kept.by, kept.report] = kept.seq + 1
        if verdict:
            return
        if kept.type == "act":
            self._act(kept, _ACT.decode(kept.body))
        elif kept.type in TWO_SIGNATURES:
            self.proposals[kept.id] = kept
        elif kept.type == "expiry":
            self._remove(kept, _EXPIRY.decode(kept.body).indices, kept.index, "expired")
        elif kept.type == "key":
            self.issuer_keys[kept.index] = _ISSUER_KEY.decode(kept.body)

    def objection(self, kept: Kept) -> Ignored:
        """Why an event would be ignored if it came next; empty if it would not."""
        if kept.by not in self.operators:
            return "not_an_operator"
        if kept.seq != self._expected.get((kept.by, kept.report), 0):
            return "out_of_order"
        if not kept.type:
            return "unreadable"
        if not kept.governs:
            return "an_operator"
        if kept.type == "act" and _ACT.decode(kept.body).act == "approved":
            proposal = self.proposals.get(kept.ref)
            if proposal is None or proposal.id in self.approvals:
                return "nothing_to_approve"
            if proposal.by == kept.by:
                return "own_proposal"
        return ""

    def next_seq(self, by: str, report: str) -> int:
        """The `seq` that an operator's next event for a report must have."""
        return self._expected.get((by, report), 0)

    def is_gone(self, index: int) -> bool:
        """Whether an erasure or expiry in force lists an index."""
        return index in self.erased or index in self.expired

    def gone_between(self, after: int, before: int) -> int:
        """How many entries between two indices, both excluded, are gone."""
        if self._gone_in_order is None:
            self._gone_in_order = sorted(self.erased | self.expired)
        gone = self._gone_in_order
        return max(0, bisect_left(gone, before) - bisect_right(gone, after))

    def is_brand(self, key: str, index: int) -> bool:
        """Whether a key was an admitted brand's at an index."""
        changes = self._brands.get(key, [])
        place = bisect_right(changes, index, key=lambda change: change[0])
        return place > 0 and changes[place - 1][1]

    def _act(self, kept: Kept, act: Act) -> None:
        if act.act in _ADMITTING and self.first_admission < 0:
            self.first_admission = kept.index
        match act.act:
            case "operator_added":
                self.operators.add(act.target)
            case "operator_removed":
                self.operators.discard(act.target)
            case "approved":
                self._approve(kept)
                return
            case "joined" if act.code == "brand":
                self._brands.setdefault(act.target, []).append((kept.index, True))
            case "suspended" | "reinstated" if act.target in self._brands:
                self._brands[act.target].append((kept.index, act.act == "reinstated"))
            case _:
                pass
        # It has its effect at once; that another operator stands behind it is for auditors.
        self.proposals[kept.id] = kept

    def _approve(self, kept: Kept) -> None:
        proposal = self.proposals[kept.ref]
        self.approvals[proposal.id] = kept.index
        if proposal.type == "erasure":
            self._remove(proposal, _ERASURE.decode(proposal.body).indices, kept.index, "erased")

    def _remove(self, kept: Kept, indices: tuple[int, ...], since: int, gone: Gone) -> None:
        # Only what came before: an erasure cannot reach into the future. Nor operators' events,
        # on which it rests itself.
        reached = tuple(i for i in indices if i < kept.index and i not in self.verdicts)
        (self.erased if gone == "erased" else self.expired).update(reached)
        if kept.report and self.named.get(kept.report) != "erased":
            self.named[kept.report] = gone
        self.removals.append((since, reached))
        self._gone_in_order = None
