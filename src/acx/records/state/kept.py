"""What the fold keeps of an event: enough to fold again, in as little memory as that takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from sys import intern
from typing import Final

import msgspec

from acx.records.event import OPERATOR_TYPES, Event, outcome_context, stand_context

OUTCOME_TAG: Final = 0
"""Number that stands for the context `outcome/REPORT`; versions, from 1, for `stand/REPORT/N`."""

_VERSION = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Entry:
    """An event and its place in the log, both verified by whoever hands it to the fold.

    Attributes:
        index: the place, counted from 0; a log has one event at a place.
        event: the event.
    """

    index: int
    event: Event


class Kept(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An event without what the fold has no use for.

    Attributes:
        index: its place in the log.
        id: the event's id.
        type: its type; empty for one this code cannot read.
        report: the report it belongs to.
        ref: the event it is about.
        seq: its number among its key's events for the report.
        by: the key that signed it.
        tags: `(version, tag)` for each `stand` context, `(OUTCOME_TAG, tag)` for `outcome`.
        body: the body's JSON, parsed when it is needed.
    """

    index: int
    id: str
    type: str
    report: str
    ref: str
    seq: int
    by: str
    tags: tuple[tuple[int, str], ...]
    body: bytes

    @property
    def governs(self) -> bool:
        """Whether it is of a type that only operators sign."""
        return self.type in OPERATOR_TYPES

    def tag(self, context: int) -> str:
        """Its tag for a version of the report (or `OUTCOME_TAG`); empty if it carries none."""
        for number, tag in self.tags:
            if number == context:
                return tag
        return ""


def keep(entry: Entry) -> Kept:
    """What the fold keeps of an entry."""
    event = entry.event
    return Kept(
        index=entry.index,
        id=event.id,
        type=intern(event.type) if event.known else "",
        report=event.report,
        ref=event.ref,
        seq=event.seq,
        by=event.by,
        tags=tuple(_numbered(event)),
        body=event.body_json if event.known else b"",
    )


def _numbered(event: Event) -> Sequence[tuple[int, str]]:
    numbered = []
    prefix = stand_context(event.report, 1)[:-1]
    for context, tag in event.tags.items():
        if context.startswith(prefix) and _VERSION.fullmatch(context, len(prefix)):
            numbered.append((int(context[len(prefix) :]), tag))
        elif context == outcome_context(event.report):
            numbered.append((OUTCOME_TAG, tag))
    return sorted(numbered)
