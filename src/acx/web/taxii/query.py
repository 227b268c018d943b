"""What a request for objects asks: filters, page, place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from starlette.datastructures import QueryParams

from acx.exchange.errors import MalformedRequest
from acx.exchange.feed.collection import MAX_OBJECTS, START, Position, Wanted

_MATCHES: Final = ("id", "type", "version", "spec_version")
_TIMESTAMP: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z")
_NUMBER: Final = re.compile(r"[0-9]{1,17}")
_NEXT: Final = re.compile(r"([0-9]{1,17})\.([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Query:
    """A request for objects.

    Attributes:
        limit: how many at most.
        after: where the page before ended.
        added_after: when what is asked for was added, strictly later; None for always.
        wanted: filters.
    """

    limit: int
    after: Position
    added_after: datetime | None
    wanted: Wanted


def parse_query(parameters: QueryParams, *, ids: tuple[str, ...] | None = None) -> Query:
    """Read the query.

    Args:
        parameters: as sent; those that TAXII does not know are ignored.
        ids: the objects that the path names, where it names one.

    Raises:
        MalformedRequest: a value that is out of range, or a filter nobody has.

    Source: TAXII 2.1, sections 3.4 and 5.4.
    """
    matches = _matches(parameters)
    added_after = parameters.get("added_after")
    return Query(
        limit=_limit(parameters.get("limit")),
        after=_after(parameters.get("next")),
        added_after=None if added_after is None else _moment("added_after", added_after),
        wanted=Wanted(
            ids=ids if ids is not None else matches.get("id"),
            types=_types(matches),
            versions=_versions(matches.get("version", ("last",))),
        ),
    )


def format_next(position: Position) -> str:
    """The value of `next` that goes on from a place."""
    return f"{max(0, position[0])}.{position[1]}"


def _matches(parameters: QueryParams) -> dict[str, tuple[str, ...]]:
    found = {}
    for name, text in parameters.items():
        if not name.startswith("match["):
            continue
        field = name.removeprefix("match[").removesuffix("]")
        if field not in _MATCHES:
            raise MalformedRequest(f"there is no such filter: match[] takes {', '.join(_MATCHES)}")
        found[field] = tuple(value.strip() for value in text.split(",") if value.strip())
    return found


def _types(matches: dict[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    if "2.1" not in matches.get("spec_version", ("2.1",)):
        return ()
    return matches.get("type")


def _versions(wanted: tuple[str, ...]) -> tuple[str, ...] | None:
    """Versions that are named; None for the newest, which is the only one there is."""
    named = []
    for version in wanted:
        if version in {"first", "last", "all"}:
            return None
        named.append(_moment("match[version]", version).isoformat(timespec="milliseconds"))
    return tuple(text.replace("+00:00", "Z") for text in named)


def _limit(text: str | None) -> int:
    if text is None:
        return MAX_OBJECTS
    if not _NUMBER.fullmatch(text) or int(text) == 0:
        raise MalformedRequest(f"limit is a number from 1 on; a page has {MAX_OBJECTS} at most")
    return min(int(text), MAX_OBJECTS)


def _after(text: str | None) -> Position:
    if text is None:
        return START
    found = _NEXT.fullmatch(text)
    if not found:
        raise MalformedRequest("next is what the page before gave: begin again without it")
    return int(found[1]), int(found[2])


def _moment(name: str, text: str) -> datetime:
    try:
        # Asked for by the pattern, and taken off, because years are what Python can refuse.
        moment = datetime.fromisoformat(text) if _TIMESTAMP.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        raise MalformedRequest(f"{name} is a time such as 2026-11-25T07:00:00.000Z, in UTC")
    return moment.astimezone(UTC)
