"""Reports as STIX 2.1 objects.

Each report is a fixed set of objects, whose ids follow from the report's id alone: whatever happens
to the report is a new version of the same objects, on the exchange, on a replica and in an export.

- A report that stands (`active`, `disputed`, `suspended`) gives all that STIX has words for, and
  the rest in one extension.
- One that does not (`withdrawn`, `rejected`, `expired`, `erased`) gives the same objects `revoked`
  and without anything that was said, so that a reader who keeps the newest version forgets the
  rest. Observables cannot be revoked; they are no longer given.

Nobody who reported is named: everything is by the exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from acx.interchange.extension import (
    ACX_IDENTITY,
    EXTENSION,
    EXTENSION_DEFINITION,
    TLP_AMBER_STRICT,
    Extension,
)
from acx.interchange.observables import INDICATED, observables, pattern
from acx.interchange.stix_ids import stix_id
from acx.records.account import Subject
from acx.records.report import Report
from acx.records.state import DisputeView, ReportView

Object = dict[str, Any]
"""A STIX object, ready to be written as JSON."""

STANDING: Final = frozenset({"active", "disputed", "suspended"})
"""States of a report that is there to act on."""

ROLES: Final = (
    {"subject": "identity", "actor": "threat-actor", "report": "report"}
    | dict.fromkeys(INDICATED, "indicator")
    | {"attributed-to": "relationship"}
    | {f"indicates/{kind}": "relationship" for kind in INDICATED}
    | {"contributors": "sighting", "outcomes": "sighting"}
)
"""Role of an object among a report's ► its type."""

_SEEN: Final = ("blocked", "removed", "kept")
"""Outcomes of members that met the actor."""
_CLASSES: Final = {"person": "individual", "organization": "organization", "": "unknown"}
_WHAT: Final = {
    "email-addr": "E-mail addresses",
    "domain-name": "Domains",
    "url": "Pages",
    "ipv4-addr": "Addresses of servers",
}
_NOBODYS: Final = {
    "email-addr": "revoked@revoked.invalid",
    "domain-name": "revoked.invalid",
    "url": "https://revoked.invalid/",
    "ipv4-addr": "192.0.2.0",
}
"""Values that nobody has, for a pattern that looks for nothing: importers may drop `revoked`.

Source: RFC 2606, section 2; RFC 5737, section 3.
"""


class Stix:
    """The STIX objects of one exchange's reports.

    Attributes:
        origin: the log's name.
        hour_of: the UTC hour of a place in the log.
        identity: the exchange, which all objects are by.
        common: what every report's objects refer to.
    """

    def __init__(self, origin: str, hour_of: Callable[[int], str]) -> None:
        """Make objects of one log's reports.

        Args:
            origin: the log's name.
            hour_of: the UTC hour, `YYYY-MM-DDTHHZ`, of a place in the log.
        """
        self.origin = origin
        self.hour_of = hour_of
        founded = timestamp(hour_of(0))
        self.identity: Object = {
            "type": "identity",
            "spec_version": "2.1",
            "id": stix_id("identity", "exchange", origin),
            "created": founded,
            "modified": founded,
            "name": origin,
            "description": "An anti-counterfeiting exchange. Its members report anonymously.",
            "identity_class": "organization",
            "object_marking_refs": [TLP_AMBER_STRICT["id"]],
        }
        self.common: tuple[Object, ...] = (
            TLP_AMBER_STRICT,
            ACX_IDENTITY,
            EXTENSION_DEFINITION,
            self.identity,
        )

    def report(self, view: ReportView, *, opened: int = -1, changed: int = -1) -> list[Object]:
        """The objects of one report, those first that others refer to.

        Args:
            view: its state.
            opened: place of the event that opened it, where the view has lost it.
            changed: place of what changed it last, where that is not in its timeline.
        """
        made = _Made(self, view, opened, changed)
        report = view.report if view.state in STANDING else None
        return list(made.gone() if report is None else made.standing(report))

    def bundle_id(self, log_size: int) -> str:
        """The id of a bundle of everything, as of a size of the log."""
        return stix_id("bundle", self.origin, str(log_size))


def slots(report: str) -> dict[str, str]:
    """The ids that a report's objects have, by role; it need not have all of them.

    Notes are the disputes', and observables belong to everybody who has the same value.

    Args:
        report: the report's id.
    """
    ids = _Slots(report)
    return {role: ids[role] for role in ROLES}


class _Slots(dict[str, str]):
    """The same, each made when it is asked for."""

    def __init__(self, report: str) -> None:
        super().__init__()
        self._report = report

    def __missing__(self, role: str) -> str:
        self[role] = identifier = stix_id(ROLES[role], self._report, role)
        return identifier


def note_id(dispute: str) -> str:
    """The id of the note that tells of a dispute.

    Args:
        dispute: the event's id.
    """
    return stix_id("note", dispute)


class _Made:
    """One report's objects being made."""

    def __init__(self, stix: Stix, view: ReportView, opened: int, changed: int) -> None:
        self._stix = stix
        self._view = view
        self._ids = _Slots(view.id)
        opened = opened if opened >= 0 else view.first_index
        decided = [dispute.decided for dispute in view.disputes]
        self._changed = max(changed, view.last_index, *decided)
        hour = stix.hour_of(opened)
        # A version is later than the one before even within an hour: by a millisecond for each
        # entry in between.
        later = max(hour, stix.hour_of(self._changed))
        self._created = timestamp(hour)
        self._modified = timestamp(later, self._changed - opened)
        self._description = ""
        self._may_have_had = view.state not in STANDING or any(
            step.type == "amendment" for step in view.timeline
        )

    def standing(self, report: Report) -> Iterator[Object]:
        """What a report says that is there to act on."""
        subject = report.account
        found = list(observables(subject))
        self._description = _description(self._view, report)
        said = [self._subject(subject), self._actor(report), self._relation("attributed-to")]
        marked = {"spec_version": "2.1", "object_marking_refs": [TLP_AMBER_STRICT["id"]]}
        said += [observable | marked for observable in found]
        for kind in INDICATED:
            values = [made["value"] for made in found if made["type"] == kind]
            if values:
                said += self._indicator(kind, values, report)
        said += self._sightings()
        yield from said
        if self._may_have_had:
            told = {made["id"] for made in said}
            yield from (
                revoked
                for revoked in self._revoked()
                if revoked["id"] not in told and revoked["type"] in {"indicator", "relationship"}
            )
        yield self._report(report, [made["id"] for made in said])
        yield from map(self._note, self._view.disputes)

    def gone(self) -> Iterator[Object]:
        """What is left to say of a report that no longer stands."""
        yield from self._revoked()
        for step in self._view.timeline:
            if step.type == "dispute":
                content = f"The report is {self._view.state}."
                yield self._about_dispute(step.id, step.index, content) | {"revoked": True}

    def _subject(self, subject: Subject) -> Object:
        contact = [
            f"{field.replace('_', ' ')}: {value}"
            for field in ("phone", "email", "address", "website", "contact")
            for value in getattr(subject, field)
        ]
        made = self._slot(
            "subject",
            name=_name(subject) or _label(self._view.id),
            identity_class=_CLASSES[subject.kind],
            extensions={EXTENSION: Extension(account=subject)},
        )
        if contact:
            made["contact_information"] = "\n".join(contact)
        return made

    def _actor(self, report: Report) -> Object:
        names = list(dict.fromkeys((*report.account.name, *report.account.alias)))
        made = self._slot(
            "actor",
            # Of the report and not of the person: importers merge actors of one name, and two
            # people of one name are two.
            name=_label(self._view.id),
            description=self._description,
            labels=self._labels(report),
        )
        if names:
            made["aliases"] = names
        return made

    def _indicator(self, kind: str, values: list[str], report: Report) -> list[Object]:
        made = self._slot(
            kind,
            name=f"{_WHAT[kind]} of {_label(self._view.id)}",
            description=self._description,
            # Whose they are, and not that whatever is found there is malicious.
            indicator_types=["attribution"],
            pattern=pattern(kind, values),
            pattern_type="stix",
            pattern_version="2.1",
            valid_from=self._created,
            labels=self._labels(report),
        )
        if self._view.state == "suspended":
            made["valid_until"] = self._modified
        return [made, self._relation(f"indicates/{kind}")]

    def _relation(self, role: str) -> Object:
        relationship, _, kind = role.partition("/")
        source = self._ids[kind] if kind else self._ids["actor"]
        target = self._ids["actor"] if kind else self._ids["subject"]
        return self._slot(
            role, relationship_type=relationship, source_ref=source, target_ref=target
        )

    def _sightings(self) -> Iterator[Object]:
        view = self._view
        sighting = {
            "sighting_of_ref": self._ids["actor"],
            "where_sighted_refs": [self._stix.identity["id"]],
            "summary": True,
        }
        yield self._slot("contributors", count=view.contributors, **sighting)
        if any(step.type == "outcome" and not step.ignored for step in view.timeline):
            yield self._slot(
                "outcomes",
                count=sum(view.outcomes.get(outcome, 0) for outcome in _SEEN),
                extensions={EXTENSION: Extension(outcomes=view.outcomes)},
                **sighting,
            )

    def _report(self, report: Report, refs: list[str]) -> Object:
        view = self._view
        return self._slot(
            "report",
            name=f"Report on {_label(view.id)}",
            description=self._description,
            report_types=["threat-actor"],
            published=self._created,
            object_refs=refs,
            labels=self._labels(report),
            extensions={
                EXTENSION: Extension(
                    log=self._stix.origin,
                    report=view.id,
                    index=view.first_index,
                    changed=self._changed,
                    state=view.state,
                    version=view.version,
                    contributors=view.contributors,
                    conduct=report.conduct,
                    confirmed_by=report.confirmed_by,
                    confirmed_on=report.confirmed_on,
                    corroborations=view.corroborations,
                    brands=report.brands,
                    categories=report.categories,
                    evidence=report.evidence,
                    products=report.products,
                    assessments=view.assessments,
                )
            },
        )

    def _note(self, dispute: DisputeView) -> Object:
        stage = {
            "open": "open, its deadline has passed" if dispute.lapsed else "open",
            "upheld": "decided for the accused",
            "dismissed": "decided against the accused",
        }[dispute.stage]
        appeal = ", under appeal" if dispute.appealed and dispute.stage == "open" else ""
        content = f"Dispute {dispute.id} ({dispute.code}): {stage}{appeal}."
        return self._about_dispute(dispute.id, dispute.index, content)

    def _about_dispute(self, dispute: str, index: int, content: str) -> Object:
        made = self._object(
            "note",
            note_id(dispute),
            abstract="The accused contests the report",
            content=content,
            object_refs=[self._ids["report"], self._ids["actor"]],
        )
        made["created"] = max(self._created, timestamp(self._stix.hour_of(index)))
        return made

    def _revoked(self) -> Iterator[Object]:
        """The same objects, saying nothing but that they are no longer so."""
        label = f"{_label(self._view.id)}: {self._view.state}"
        yield self._slot("subject", name=label, identity_class="unknown", revoked=True)
        yield self._slot("actor", name=label, revoked=True)
        yield self._relation("attributed-to") | {"revoked": True}
        for kind in INDICATED:
            yield self._slot(
                kind,
                name=f"{_WHAT[kind]} of {label}",
                description="There is nothing to look for any more.",
                indicator_types=["unknown"],
                pattern=pattern(kind, [_NOBODYS[kind]]),
                pattern_type="stix",
                pattern_version="2.1",
                valid_from=self._created,
                revoked=True,
            )
            yield self._relation(f"indicates/{kind}") | {"revoked": True}
        for role in ("contributors", "outcomes"):
            yield self._slot(role, sighting_of_ref=self._ids["actor"], revoked=True)
        yield self._slot(
            "report",
            name=f"Report on {label}",
            report_types=["threat-actor"],
            published=self._created,
            object_refs=[self._ids["subject"], self._ids["actor"]],
            revoked=True,
        )

    def _labels(self, report: Report) -> list[str]:
        return [report.conduct, self._view.state]

    def _slot(self, role: str, **properties: Any) -> Object:
        return self._object(ROLES[role], self._ids[role], **properties)

    def _object(self, kind: str, identifier: str, **properties: Any) -> Object:
        return {
            "type": kind,
            "spec_version": "2.1",
            "id": identifier,
            "created_by_ref": self._stix.identity["id"],
            "created": self._created,
            "modified": self._modified,
            "object_marking_refs": [TLP_AMBER_STRICT["id"]],
            **properties,
        }


def timestamp(hour: str, milliseconds: int = 0) -> str:
    """A STIX timestamp.

    Args:
        hour: `YYYY-MM-DDTHHZ`.
        milliseconds: after it.
    """
    if milliseconds < 3_600_000:
        minutes, rest = divmod(milliseconds, 60_000)
        return f"{hour[:13]}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}Z"
    moment = datetime.strptime(hour, "%Y-%m-%dT%HZ") + timedelta(milliseconds=milliseconds)  # noqa: DTZ007 -- UTC on both sides
    return moment.isoformat(timespec="milliseconds") + "Z"


def _name(subject: Subject) -> str:
    return next(iter((*subject.name, *subject.alias)), "")


def _label(report: str) -> str:
    return f"acx {report}"


def _description(view: ReportView, report: Report) -> str:
    subject = _name(report.account) or "An account without a name"
    parts = [f"{subject}: {_words(report.conduct)}"]
    if report.brands:
        parts.append(f"brands: {', '.join(report.brands)}")
    confirmed = ", ".join(map(_words, report.confirmed_by))
    parts.append(f"confirmed by {confirmed} in {report.confirmed_on}")
    members = (
        "one member stands" if view.contributors == 1 else f"{view.contributors} members stand"
    )
    parts.append(f"{members} behind it")
    if view.state != "active":
        parts.append(view.state)
    return "; ".join(parts) + "."


def _words(code: str) -> str:
    return code.replace("_", " ")
