"""Reports as FollowTheMoney entities, which nomenklatura and yente load as a dataset.

Only reports to act on (`active`, `disputed`): a list has no way to say «perhaps». Digests stay out,
for they match nothing outside acx, and so do `related` names: an entity of their own would be a hit
on somebody whom nobody reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from acx.interchange.observables import email, website
from acx.records.account import Subject
from acx.records.report import Report
from acx.records.state import ReportView

Entity = dict[str, Any]
"""An entity, ready to be written as a line of JSON."""

LISTED: Final = frozenset({"active", "disputed"})
"""States of reports that are exported."""
ENTITIES_FILE: Final = "entities.ftm.json"
MEDIA_TYPE: Final = "application/json+ftm"

_SCHEMATA: Final = {"person": "Person", "organization": "Organization", "": "LegalEntity"}
_ISSUED: Final = re.compile(r"^([A-Z]{2}):(.+)$", re.DOTALL)


class Ftm:
    """The entities of one exchange's reports.

    Attributes:
        dataset: name of the dataset: the log's, in the letters that such names may have.
    """

    def __init__(self, origin: str, hour_of: Callable[[int], str]) -> None:
        """Make entities of one log's reports.

        Args:
            origin: the log's name.
            hour_of: the UTC hour, `YYYY-MM-DDTHHZ`, of a place in the log.
        """
        self.dataset = "acx_" + re.sub(r"[^a-z0-9]+", "_", origin.lower()).strip("_")
        self._origin = origin
        self._hour_of = hour_of

    def entities(self, view: ReportView) -> Iterator[Entity]:
        """The subject, what the exchange says of it, and its accounts elsewhere.

        Args:
            view: a report's state.
        """
        report = view.report
        if report is None or view.state not in LISTED:
            return
        subject = report.account
        identifier = f"acx-{view.id}"
        topics = ["crime.fraud" if "court" in report.confirmed_by else "poi"]
        yield self._entity(
            view,
            identifier,
            _SCHEMATA[subject.kind],
            _properties(subject) | {"topics": topics, "notes": [_note(view, report)]},
        )
        yield self._entity(
            view,
            f"{identifier}-risk",
            "Risk",
            {
                "entity": [identifier],
                "authority": [self._origin],
                "reason": [report.conduct, *report.confirmed_by],
                "status": [view.state],
                "startDate": [report.confirmed_on],
                "topics": topics,
            },
        )
        for number, (service, username) in enumerate(_accounts(subject)):
            yield self._entity(
                view,
                f"{identifier}-account-{number}",
                "UserAccount",
                {"owner": [identifier], "service": [service], "username": [username]},
            )

    def index(self, *, log_size: int, entities: int, subjects: int, checksum: str) -> Entity:
        """The dataset's metadata, `index.json`.

        Args:
            log_size: of the log the entities are of.
            entities: lines of the file.
            subjects: how many of them are subjects of a report.
            checksum: SHA-1 of the file, hex, which is what yente verifies.
        """
        hour = self._hour_of(max(0, log_size - 1))
        return {
            "name": self.dataset,
            "title": f"Confirmed counterfeiters, {self._origin}",
            "summary": "Sellers whom members of an anti-counterfeiting exchange have confirmed to "
            "trade in counterfeits. For the member's own organisation only.",
            "category": "lists",
            "version": f"{hour[:10].replace('-', '')}{hour[11:13]}{log_size:010}",
            "updated_at": _moment(hour),
            "entity_count": entities,
            "thing_count": subjects,
            "resources": [
                {"name": ENTITIES_FILE, "mime_type": MEDIA_TYPE, "checksum": checksum},
            ],
        }

    def _entity(
        self, view: ReportView, identifier: str, schema: str, properties: dict[str, list[str]]
    ) -> Entity:
        names = properties.get("name") or properties.get("alias") or properties.get("username")
        return {
            "id": identifier,
            "caption": names[0] if names else identifier,
            "schema": schema,
            "properties": {name: values for name, values in properties.items() if values},
            "datasets": [self.dataset],
            "referents": [],
            "first_seen": _moment(self._hour_of(view.first_index)),
            "last_change": _moment(self._hour_of(view.last_index)),
            "target": schema in _SCHEMATA.values(),
        }


def _properties(subject: Subject) -> dict[str, list[str]]:
    countries = [_normal("country", value) for value in subject.country]
    registered = [_issued(n) for n in _all("registration_no", subject)]
    properties = {
        "name": list(subject.name),
        "alias": list(subject.alias),
        "email": [email(written) or written for written in subject.email],
        "phone": _all("phone", subject),
        "address": list(subject.address),
        "country": [country.lower() for country in countries if country],
        "taxNumber": [number for _, number in map(_issued, _all("tax_id", subject))],
        "registrationNumber": [number for _, number in registered],
        "jurisdiction": [country.lower() for country, _ in registered if country],
        "website": [
            value if kind == "url" else f"https://{value}/"
            for written in subject.website
            for kind, value in website(written)
        ],
    }
    if subject.kind == "person" and subject.birth_date:
        properties["birthDate"] = [subject.birth_date]
    return {name: list(dict.fromkeys(values)) for name, values in properties.items()}


def _all(field: str, subject: Subject) -> list[str]:
    """A field's values in their normal form; those that have none as they are."""
    return [_normal(field, v, subject.country) or v for v in getattr(subject, field)]


def _normal(field: str, value: str, countries: tuple[str, ...] = ()) -> str:
    # Imported here: it brings polars, and every server of an exchange comes by here.
    from acx.records.normalise import NotNormalisable, normalise

    try:
        return normalise(field, value, countries)
    except NotNormalisable:
        return ""


def _issued(number: str) -> tuple[str, str]:
    """Issuing country, if the number says it, and the number itself."""
    found = _ISSUED.match(number)
    return (found[1], found[2]) if found else ("", number)


def _accounts(subject: Subject) -> Iterator[tuple[str, str]]:
    for value in (*subject.contact, *subject.handle):
        service, colon, username = value.partition(":")
        if colon and username:
            yield service, username


def _note(view: ReportView, report: Report) -> str:
    words = [
        report.conduct.replace("_", " "),
        "confirmed by " + ", ".join(report.confirmed_by).replace("_", " "),
        f"members behind it: {view.contributors}",
    ]
    if report.brands:
        words.insert(1, "brands: " + ", ".join(report.brands))
    return f"acx report {view.id}: {'; '.join(words)}."


def _moment(hour: str) -> str:
    return f"{hour[:13]}:00:00"
