"""The rules of the fold once more, as slowly and plainly as they can be written.

One pass over the whole log, in its order, with every question answered by looking back through
what has been accepted so far; nothing is kept up to date. `docs/reference/records.md` in Python.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from acx.records.event import MAX_FOLLOW_UPS, Event, report_id
from acx.records.state import Entry, ReportView

OPERATORS_SIGN = {
    "dispute", "resolution", "appeal", "lapse", "expiry", "erasure", "key", "act", "terms",
}  # fmt: skip

Facts = dict[str, Any]


def facts(view: ReportView) -> Facts:
    """A view, as the reference gives it."""
    return {
        "state": view.state,
        "version": view.version,
        "body": view.report_json,
        "contributors": view.contributors,
        "disputes": [
            (d.id, d.stage, d.lapsed, d.appealed, sorted(d.answers.items())) for d in view.disputes
        ],
        "awaiting": sorted(view.awaiting_answer),
        "outcomes": view.outcomes,
        "assessments": view.assessments,
        "events": [(step.index, step.id) for step in view.timeline],
    }


def effects(view: ReportView) -> Facts:
    """A view without its list of events, to which an event without effect belongs too."""
    return {name: fact for name, fact in facts(view).items() if name != "events"}


def reference(entries: Iterable[Entry], operators: Iterable[str]) -> dict[str, Facts]:
    """Every report that is shown, after these entries."""
    log = sorted(entries, key=lambda entry: entry.index)
    # An operator's events come first: they say what is gone, and are never gone themselves.
    governed = _Governed(log, set(operators))
    left = [entry for entry in log if entry.index not in governed.gone]
    reports = {entry.event.report for entry in left} - {""}
    shown = {report: _Report(report, left, governed).facts() for report in reports}
    return {report: found for report, found in shown.items() if found is not None}


def body(event: Event) -> dict[str, Any]:
    tree: dict[str, Any] = msgspec.json.decode(event.body_json)
    return tree


class _Governed:
    def __init__(self, log: list[Entry], operators: set[str]) -> None:
        self.accepted: list[Entry] = []
        self.signed_by_operators: set[int] = set()
        self.brands: list[tuple[int, str, bool]] = []
        self.erased: set[int] = set()
        self.expired: set[int] = set()
        self.names: list[tuple[str, str]] = []
        for entry in log:
            event = entry.event
            if event.by not in operators:
                continue
            self.signed_by_operators.add(entry.index)
            before = [e.event for e in self.accepted]
            place = sum(e.by == event.by and e.report == event.report for e in before)
            if event.seq != place:
                continue
            self.accepted.append(entry)
            if not event.known:
                continue
            if event.type == "expiry":
                self._remove(entry, self.expired, "expired")
            if event.type == "act":
                self._act(entry, body(event), operators)

    def _act(self, entry: Entry, act: dict[str, Any], operators: set[str]) -> None:
        target = act.get("target", "")
        if act["act"] == "operator_added":
            operators.add(target)
        if act["act"] == "operator_removed":
            operators.discard(target)
        if act["act"] == "joined" and act.get("code") == "brand":
            self.brands.append((entry.index, target, True))
        if act["act"] in {"suspended", "reinstated"} and target in {
            key for _, key, _ in self.brands
        }:
            self.brands.append((entry.index, target, act["act"] == "reinstated"))
        if act["act"] == "approved" and self.approved(entry.event.ref) == entry.index:
            proposal = next(e for e in self.accepted if e.event.id == entry.event.ref)
            if proposal.event.type == "erasure":
                self._remove(proposal, self.erased, "erased")

    @property
    def gone(self) -> set[int]:
        return self.erased | self.expired

    def approved(self, proposal_id: str) -> int | None:
        """Index of the first act by which another operator approves a proposal made before."""
        for place, proposal in enumerate(self.accepted):
            if proposal.event.id != proposal_id or not proposal.event.known:
                continue
            if proposal.event.type not in {"resolution", "erasure", "act"}:
                continue
            if proposal.event.type == "act" and body(proposal.event)["act"] == "approved":
                continue
            for act in self.accepted[place + 1 :]:
                if (
                    act.event.known
                    and act.event.type == "act"
                    and body(act.event)["act"] == "approved"
                    and act.event.ref == proposal_id
                    and act.event.by != proposal.event.by
                ):
                    return act.index
        return None

    def is_brand(self, key: str, index: int) -> bool:
        changes = [admitted for i, brand, admitted in self.brands if brand == key and i < index]
        return bool(changes) and changes[-1]

    def _remove(self, listing: Entry, gone: set[int], how: str) -> None:
        for index in body(listing.event)["indices"]:
            if index < listing.index and index not in self.signed_by_operators:
                gone.add(index)
        self.names.append((listing.event.report, how))


class _Report:
    def __init__(self, report: str, left: list[Entry], governed: _Governed) -> None:
        self.id = report
        self.governed = governed
        self.events = [entry for entry in left if entry.event.report == report]
        self.in_order: list[Entry] = []
        self.opening: Event | None = None
        self.content = b""
        self.versions: dict[int, str] = {}  # version ► the contributor's own tag
        self.follow_ups: Counter[str] = Counter()
        self.corroborations: list[tuple[Event, int, str]] = []
        self.withdrawn: set[str] = set()
        self.outcomes: list[tuple[str, Event]] = []
        self.assessments: dict[str, str] = {}
        self.disputes: dict[str, Facts] = {}
        moments = [(entry.index, False, entry) for entry in self.events]
        for entry in self.events:
            approved = governed.approved(entry.event.id)
            if entry.event.type == "resolution" and approved is not None:
                moments.append((approved, True, entry))
        for _, decides, entry in sorted(moments, key=lambda moment: moment[:2]):
            if decides:
                self._decide(entry.event)
            elif entry.index in governed.signed_by_operators:
                if entry in governed.accepted and entry.event.known and self.versions:
                    self._operator(entry)
            elif self._in_order(entry) and entry.event.known:
                self._member(entry)

    def facts(self) -> Facts | None:
        events = [(entry.index, entry.event.id) for entry in self.events]
        if self.opening is None:
            gone = self._gone()
            return gone and {
                "state": gone, "version": 0, "body": b"", "contributors": 0, "disputes": [],
                "awaiting": [], "outcomes": {}, "assessments": {}, "events": events,
            }  # fmt: skip
        open_disputes = [d for d in self.disputes.values() if d["stage"] == "open"]
        if any(d["stage"] == "upheld" for d in self.disputes.values()):
            state = "rejected"
        elif not self._contributors():
            state = "withdrawn"
        elif not open_disputes:
            state = "active"
        elif any(d["lapsed"] for d in open_disputes) and len(self._contributors()) == 1:
            state = "suspended"
        else:
            state = "disputed"
        return {
            "state": state,
            "version": max(self.versions),
            "body": self.content,
            "contributors": len(self._contributors()),
            "disputes": [
                (name, d["stage"], d["lapsed"], d["appealed"], sorted(d["answers"].items()))
                for name, d in self.disputes.items()
            ],
            "awaiting": sorted(
                name
                for name, d in self.disputes.items()
                if d["stage"] == "open"
                and self.opening.id not in self.withdrawn
                and self.opening.id not in d["answers"]
            ),
            "outcomes": dict(sorted(Counter(
                body(event)["outcome"]
                for tag, event in {tag: (tag, event) for tag, event in self.outcomes}.values()
                if event.id not in self.withdrawn
            ).items())),
            "assessments": dict(sorted(self.assessments.items())),
            "events": events,
        }  # fmt: skip

    def _gone(self) -> Any:
        by_operators = [entry for entry in self.events if entry in self.governed.accepted]
        by_operators = [entry for entry in by_operators if entry.event.known]
        by_operators = [e for e in by_operators if e.event.type in OPERATORS_SIGN]
        by_operators = [e for e in by_operators if not self._approves_nothing(e)]
        if not by_operators:
            return None
        named = [how for report, how in self.governed.names if report == self.id]
        if named:
            return "erased" if "erased" in named else "expired"
        return "expired" if any(i < by_operators[0].index for i in self.governed.gone) else None

    def _approves_nothing(self, entry: Entry) -> bool:
        event = entry.event
        if event.type != "act" or body(event)["act"] != "approved":
            return False
        return self.governed.approved(event.ref) != entry.index

    def _in_order(self, entry: Entry) -> bool:
        theirs = [e for e in self.in_order if e.event.by == entry.event.by]
        last_seq, last_index = (theirs[-1].event.seq, theirs[-1].index) if theirs else (-1, -1)
        missing = entry.event.seq - last_seq - 1
        holes = [i for i in self.governed.gone if last_index < i < entry.index]
        if missing < 0 or missing > len(holes):
            return False
        self.in_order.append(entry)
        return True

    def _missing_before(self, entry: Entry) -> int:
        theirs = [e for e in self.in_order if e.event.by == entry.event.by]
        before = theirs[-2].event.seq if len(theirs) > 1 else -1
        return theirs[-1].event.seq - before - 1

    def _stand_tags(self, event: Event) -> dict[int, str]:
        prefix = f"stand/{self.id}/"
        return {
            int(context.removeprefix(prefix)): tag
            for context, tag in event.tags.items()
            if context.startswith(prefix)
        }

    def _contributors(self) -> set[str]:
        version = max(self.versions)
        assert self.opening is not None
        tags = {
            tag
            for event, of, tag in self.corroborations
            if of == version and event.id not in self.withdrawn
        }
        if self.opening.id not in self.withdrawn:
            tags.add(self.versions[version])
        return tags

    def _member(self, entry: Entry) -> None:
        event = entry.event
        tags = self._stand_tags(event)
        if event.type == "report" and self.opening is None:
            if report_id(event.by) == self.id and 1 in tags:
                self.opening, self.content, self.versions = event, event.body_json, {1: tags[1]}
        elif self.opening is None or event.type in OPERATORS_SIGN | {"report", "registration"}:
            return
        elif event.type == "amendment":
            self._amend(entry, tags)
        elif event.type == "corroboration":
            self._corroborate(event, tags)
        elif event.type == "outcome":
            tag = event.tags.get(f"outcome/{self.id}")
            if tag:
                self.outcomes = [(t, e) for t, e in self.outcomes if t != tag] + [(tag, event)]
        elif event.type == "assessment" and self.governed.is_brand(event.by, entry.index):
            self.assessments[event.by] = body(event)["assessment"]
        elif event.type == "withdrawal":
            target = event.ref or self.opening.id
            said = [self.opening, *(e for e, _, _ in self.corroborations)]
            said += [e for _, e in self.outcomes]
            if any(e.id == target and e.by == event.by for e in said):
                self.withdrawn.add(target)
        elif event.type == "answer":
            self._answer(event, tags)

    def _corroborate(self, event: Event, tags: dict[int, str]) -> None:
        version = body(event)["version"]
        own = self.versions[max(self.versions)]
        if version == max(self.versions) and tags.get(version, own) != own:
            self.corroborations.append((event, version, tags[version]))

    def _amend(self, entry: Entry, tags: dict[int, str]) -> None:
        event = entry.event
        assert self.opening is not None
        version = max(self.versions)
        if event.by != self.opening.by or self.opening.id in self.withdrawn:
            return
        if self.follow_ups[event.by] == MAX_FOLLOW_UPS:
            return
        if version in tags:
            if tags[version] != self.versions[version]:
                return
            before, after = _values(self.content), _values(event.body_json)
            if not after <= before:
                if version + 1 not in tags:
                    return
                self.versions[version + 1] = tags[version + 1]
        else:
            # Only where amendments in between are gone.
            if not tags or not version < min(tags) <= version + self._missing_before(entry):
                return
            if max(tags) > min(tags) + 1:
                return
            self.versions[max(tags)] = tags[max(tags)]
        self.content = event.body_json
        self.follow_ups[event.by] += 1

    def _answer(self, event: Event, tags: dict[int, str]) -> None:
        assert self.opening is not None
        dispute = self.disputes.get(event.ref)
        if dispute is None or dispute["stage"] != "open":
            return
        version = max(self.versions)
        said = [(self.opening, version, self.versions[version]), *self.corroborations]
        for contribution, of, tag in reversed(said):
            if contribution.by == event.by and contribution.id not in self.withdrawn:
                if tags.get(of) != tag:
                    continue
                if self.follow_ups[event.by] == MAX_FOLLOW_UPS:
                    return
                dispute["answers"][contribution.id] = body(event)["answer"]
                if body(event)["answer"] == "withdraws":
                    self.withdrawn.add(contribution.id)
                self.follow_ups[event.by] += 1
                return

    def _operator(self, entry: Entry) -> None:
        event = entry.event
        if event.type == "dispute":
            self.disputes[event.id] = {
                "stage": "open", "lapsed": False, "appealed": False, "answers": {}, "proposed": [],
            }  # fmt: skip
        dispute = self.disputes.get(event.ref)
        if dispute is None:
            return
        if event.type == "lapse" and dispute["stage"] == "open":
            dispute["lapsed"] = True
        if event.type == "resolution" and dispute["stage"] == "open":
            dispute["proposed"].append(event.id)
        if event.type == "appeal" and dispute["stage"] != "open" and not dispute["appealed"]:
            dispute.update(stage="open", lapsed=False, appealed=True, answers={}, proposed=[])

    def _decide(self, event: Event) -> None:
        dispute = self.disputes.get(event.ref)
        if dispute and dispute["stage"] == "open" and event.id in dispute["proposed"]:
            dispute["stage"] = body(event)["decision"]


def _values(report: bytes) -> set[tuple[str, str]]:
    account = msgspec.json.decode(report)["account"]
    return {
        (name, repr(value))
        for name, values in account.items()
        for value in (values if isinstance(values, list) else [values])
        if value != ""
    }
