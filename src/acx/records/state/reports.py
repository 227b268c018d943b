"""All reports: events in, in any order of arrival; views out."""

from __future__ import annotations

import hashlib
from bisect import insort
from collections.abc import Iterable, Iterator
from itertools import chain
from operator import attrgetter
from typing import BinaryIO, Final

import msgspec

from acx.errors import AcxError
from acx.records.event import BODIES, VERSION, Act, Event, IssuerKey, Registration
from acx.records.state import fold
from acx.records.state.governance import TWO_SIGNATURES, Governance
from acx.records.state.kept import Entry, Kept, keep
from acx.records.state.view import Ignored, ReportView

_BY_INDEX: Final = attrgetter("index")
_ACT: Final = msgspec.json.Decoder(Act)
_REGISTRATION: Final = msgspec.json.Decoder(Registration)
_BLOCK: Final = 4096
_FORMAT: Final = f"acx-state/v1 {VERSION} {' '.join(sorted(BODIES))}"
_NOTHING: Final[frozenset[str]] = frozenset()


class StateError(AcxError):
    """A stored fold that cannot be used; the log still can."""


class Reports:
    """Every report's state, as a fold over the events applied so far.

    The state is a pure function of the *set* of entries: neither their order of arrival nor a
    repetition matters. Whoever applies an entry has verified it: that the log holds the event at
    that index, and that its signature is its key's.

    Entries are kept as they are, and a report is folded when it is asked for; so applying one is
    cheap, and nothing can go out of step.
    """

    def __init__(self, operators: Iterable[str]) -> None:
        """Start with nothing.

        Args:
            operators: public keys of the operators that founded the log, as the invite names
                them; events that they sign add and remove others.
        """
        self._founders = tuple(sorted(set(operators)))
        self._governance = Governance(self._founders)
        self._by_index: dict[int, Kept] = {}
        self._by_report: dict[str, list[Kept]] = {}
        # What may govern, in log order, and the keys that make an event one that may.
        self._governing: list[Kept] = []
        self._operators_ever = set(self._founders)
        self._about_none: list[Kept] = []
        self._unreadable: set[int] = set()
        # Reports whose view depends on who governs when.
        self._governed: set[str] = set()
        # Reports with events that wait for others: what is gone may explain the gap.
        self._incomplete: set[str] = set()
        self._highest = -1
        self._frontier = 0
        self._dropped: set[int] = set()
        self._removals_done = 0

    def apply(self, entry: Entry) -> frozenset[str]:
        """Take an entry.

        Args:
            entry: verified; one that was applied before changes nothing.

        Returns:
            Ids of the reports whose view may have changed; none is missing. A view that is None
            now belongs to a report that is gone.
        """
        if entry.index in self._by_index or entry.index in self._dropped:
            return _NOTHING
        kept = keep(entry)
        changed = self._insert(kept)
        self._highest = max(self._highest, kept.index)
        if self._may_govern(kept):
            changed |= self._govern(kept)
        self._settle()
        return changed

    def get(self, report: str) -> ReportView | None:
        """A report's view; None if there is no such report, or nothing of it is left to show."""
        events = self._by_report.get(report)
        return None if not events else fold.fold_report(report, events, self._governance)

    def __iter__(self) -> Iterator[ReportView]:
        """Every report's view, in the order of the first events that are left of them."""
        gone = self._governance.is_gone
        first = {
            report: next((kept.index for kept in events if not gone(kept.index)), -1)
            for report, events in self._by_report.items()
        }
        for report in sorted(first, key=first.__getitem__):
            view = self.get(report)
            if view is not None:
                yield view

    def objection(self, event: Event) -> Ignored:
        """Why the fold would ignore an event if it came next in the log.

        The exchange refuses what the fold would ignore, and a wallet does not send it.

        Returns:
            One of `acx.records.state.Ignored`; empty if the event would take effect. `waiting`
            means that it would, once another operator approves it.
        """
        kept = keep(Entry(index=self._highest + 1, event=event))
        governance = self._governance
        if kept.report:
            events = self._by_report.get(kept.report, ())
            return fold.objection(kept.report, events, governance, kept)
        if kept.by in governance.operators:
            return governance.objection(kept)
        return self._register(self._chains_about_none(), kept)

    def next_seq(self, by: str, report: str = "") -> int:
        """The `seq` that a key's next event must have.

        Args:
            by: the key, as in events.
            report: the report it is for; empty for events about none.
        """
        if by in self._governance.operators:
            return self._governance.next_seq(by, report)
        if not report:
            return self._chains_about_none().next_seq(by)
        return fold.next_seq(report, self._by_report.get(report, ()), self._governance, by)

    def is_gone(self, index: int) -> bool:
        """Whether an erasure or expiry in force lists an index: its key is to be destroyed."""
        return self._governance.is_gone(index)

    @property
    def operators(self) -> frozenset[str]:
        """Public keys of the operators as of now."""
        return frozenset(self._governance.operators)

    @property
    def issuer_keys(self) -> tuple[tuple[int, IssuerKey, bool], ...]:
        """Keys under which credentials are issued: place, key, whether before any admission."""
        governance = self._governance
        first = governance.first_admission
        return tuple(
            (index, key, first < 0 or index < first)
            for index, key in sorted(governance.issuer_keys.items())
        )

    @property
    def registrations(self) -> dict[str, Registration]:
        """Key of each admitted brand ► the last that it registered."""
        chains = fold.Chains(self._governance)
        return {
            kept.by: _REGISTRATION.decode(kept.body)
            for kept in self._members_about_none()
            if not self._register(chains, kept)
        }

    @property
    def awaiting_approval(self) -> dict[str, int]:
        """Ids of resolutions and erasures that wait for a second operator ► their index."""
        governance = self._governance
        return {
            proposal.id: proposal.index
            for proposal in governance.proposals.values()
            if proposal.type in TWO_SIGNATURES and proposal.id not in governance.approvals
        }

    @property
    def unreadable(self) -> int:
        """Number of events that this code cannot read: if any, «upgrade needed»."""
        return sum(not self.is_gone(index) for index in self._unreadable)

    def write_to(self, stream: BinaryIO) -> None:
        """Write everything applied so far, so that `read_from` need not go through the log."""
        digest = hashlib.sha256()
        entries = list(self._by_index.values())
        blocks: Iterable[object] = (
            entries[start : start + _BLOCK] for start in range(0, len(entries), _BLOCK)
        )
        for block in chain([(_FORMAT, self._founders)], blocks):
            data = msgspec.msgpack.encode(block)
            digest.update(data)
            stream.write(len(data).to_bytes(4, "big") + data)
        stream.write(bytes(4) + digest.digest())

    @classmethod
    def read_from(cls, stream: BinaryIO) -> Reports:
        """Read what `write_to` wrote.

        Raises:
            StateError: cut short, damaged, or by code that read other events: fold the log again.
        """
        digest = hashlib.sha256()
        decoder = msgspec.msgpack.Decoder(list[Kept])
        try:
            header = _read_block(stream, digest)
            form, founders = msgspec.msgpack.decode(header, type=tuple[str, tuple[str, ...]])
            if form != _FORMAT:
                raise StateError("the stored state was made by another version: fold the log again")
            reports = cls(founders)
            while block := _read_block(stream, digest):
                for kept in decoder.decode(block):
                    reports._restore(kept)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StateError(f"the stored state is damaged ({error}): fold the log again") from None
        if stream.read(32) != digest.digest():
            raise StateError("the stored state is damaged: fold the log again")
        reports._rebuild_governance()
        reports._settle()
        return reports

    def _restore(self, kept: Kept) -> None:
        self._insert(kept)
        self._highest = max(self._highest, kept.index)
        if self._may_govern(kept):
            insort(self._governing, kept, key=_BY_INDEX)
            self._admit_operators(kept)

    def _insert(self, kept: Kept) -> frozenset[str]:
        self._by_index[kept.index] = kept
        if not kept.type:
            self._unreadable.add(kept.index)
        if not kept.report:
            if not kept.governs:
                insort(self._about_none, kept, key=_BY_INDEX)
            return _NOTHING
        if kept.type == "assessment" or self._may_govern(kept):
            self._governed.add(kept.report)
        events = self._by_report.setdefault(kept.report, [])
        opens = events or kept.type == "report"
        follows = not kept.seq or kept.seq == sum(other.by == kept.by for other in events)
        if not (opens and follows):
            self._incomplete.add(kept.report)
        if not events or kept.index > events[-1].index:
            events.append(kept)
        else:
            insort(events, kept, key=_BY_INDEX)
        return frozenset((kept.report,))

    def _may_govern(self, kept: Kept) -> bool:
        return kept.governs or kept.by in self._operators_ever

    def _govern(self, kept: Kept) -> frozenset[str]:
        """Let an event that may govern do so; return the reports that may change by it."""
        governance = self._governance
        insort(self._governing, kept, key=_BY_INDEX)
        if self._admit_operators(kept) or kept.index < governance.last_index:
            return self._rebuild_governance()
        removals = len(governance.removals)
        governance.take(kept)
        changed = set()
        if kept.ref in governance.proposals:
            changed.add(governance.proposals[kept.ref].report)
        if len(governance.removals) > removals:
            changed |= self._reports_at(governance.removals[-1][1]) | self._incomplete
        if kept.index < self._highest:
            changed |= self._governed
        return frozenset(changed - {""})

    def _rebuild_governance(self) -> frozenset[str]:
        """Take what may govern afresh, because something came late."""
        before, self._governance = self._governance, Governance(self._founders)
        for kept in self._governing:
            self._governance.take(kept)
        self._removals_done = 0
        after = self._governance
        moved = (before.erased ^ after.erased) | (before.expired ^ after.expired)
        return frozenset((self._reports_at(moved) | self._incomplete | self._governed) - {""})

    def _admit_operators(self, kept: Kept) -> bool:
        """Note the keys that `kept` may make operators; return whether events of theirs are here.

        What a key signed as an operator governs, whatever its type: a later acx may know it.
        """
        found = False
        acts = [kept]
        while acts:
            act = acts.pop()
            if act.type != "act" or act.by not in self._operators_ever:
                continue
            body = _ACT.decode(act.body)
            if body.act != "operator_added" or body.target in self._operators_ever:
                continue
            self._operators_ever.add(body.target)
            for signed in self._by_index.values():
                if signed.by == body.target and signed.governs:
                    acts.append(signed)
                elif signed.by == body.target:
                    insort(self._governing, signed, key=_BY_INDEX)
                    found = True
        return found

    def _reports_at(self, indices: Iterable[int]) -> set[str]:
        return {self._by_index[i].report for i in indices if i in self._by_index}

    def _settle(self) -> None:
        """Drop what is gone for good: once nothing lower can come and undo its erasure."""
        governance = self._governance
        while self._frontier in self._by_index or governance.is_gone(self._frontier):
            self._frontier += 1
        removals = governance.removals
        while (
            self._removals_done < len(removals)
            and removals[self._removals_done][0] < self._frontier
        ):
            for index in removals[self._removals_done][1]:
                self._drop(index)
            self._removals_done += 1

    def _drop(self, index: int) -> None:
        self._dropped.add(index)
        kept = self._by_index.pop(index, None)
        if kept is None:
            return
        self._unreadable.discard(index)
        if self._may_govern(kept):
            # A stranger's, of an operator's type: an operator's own is never gone.
            self._governing.remove(kept)
        if not kept.report:
            if not kept.governs:
                self._about_none.remove(kept)
            return
        events = self._by_report[kept.report]
        events.remove(kept)
        if not events:
            del self._by_report[kept.report]
            self._incomplete.discard(kept.report)
        elif kept.type == "report":
            self._incomplete.add(kept.report)

    def _register(self, chains: fold.Chains, kept: Kept) -> Ignored:
        """Why an event about no report that no operator signed is ignored; empty if it is not."""
        if chains.admit(kept) is None:
            return "out_of_order"
        if not kept.type:
            return "unreadable"
        if kept.governs:
            return "not_an_operator"
        if kept.type != "registration":
            return "no_report"
        return "" if self._governance.is_brand(kept.by, kept.index) else "not_a_brand"

    def _chains_about_none(self) -> fold.Chains:
        chains = fold.Chains(self._governance)
        for kept in self._members_about_none():
            chains.admit(kept)
        return chains

    def _members_about_none(self) -> Iterator[Kept]:
        governance = self._governance
        for kept in self._about_none:
            if kept.index not in governance.verdicts and not governance.is_gone(kept.index):
                yield kept


def _read_block(stream: BinaryIO, digest: hashlib._Hash) -> bytes:
    prefix = stream.read(4)
    size = int.from_bytes(prefix, "big")
    block = stream.read(size)
    if len(prefix) < 4 or len(block) < size:
        raise StateError("the stored state is cut short: fold the log again")
    digest.update(block)
    return block
