"""What the fold says of a report."""

from __future__ import annotations

from typing import Literal

import msgspec

from acx.records.event import Corroboration
from acx.records.report import Report

State = Literal["active", "disputed", "suspended", "withdrawn", "rejected", "expired", "erased"]
Ignored = Literal[
    "",
    "already_open",
    "an_operator",
    "decided",
    "follow_ups",
    "no_report",
    "not_a_brand",
    "not_an_operator",
    "not_its_key",
    "nothing_to_approve",
    "out_of_order",
    "own_proposal",
    "own_report",
    "tag",
    "unknown_ref",
    "unreadable",
    "version",
    "waiting",
    "withdrawn",
]
"""Why an event has no effect (`docs/reference/records.md` explains each); empty if it has."""


class Step(msgspec.Struct, frozen=True):
    """An event in a report's timeline.

    Attributes:
        index: its place in the log.
        id: the event's id.
        type: its type; empty if this code cannot read it.
        ignored: why it has no effect; empty if it has.
    """

    index: int
    id: str
    type: str
    ignored: Ignored


class DisputeView(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute, as it stands.

    Attributes:
        id: id of the `dispute` event, which answers, lapses, resolutions and appeals refer to.
        index: its place in the log.
        code: why the accused contests the report.
        stage: `open`, or as it was decided; `upheld` means that the accused was right.
        lapsed: whether it is open past its deadline.
        appealed: whether it has been appealed, so that the next decision is the last.
        since: place of what opened it last, the dispute or the appeal: deadlines count from there.
        decided: place of the approval that decided it last; -1 before the first.
        answers: id of the report's or corroboration's event ► what its contributor answered since
            the dispute was last opened.
    """

    id: str
    index: int
    code: str
    stage: Literal["open", "upheld", "dismissed"]
    lapsed: bool
    appealed: bool
    since: int
    decided: int
    answers: dict[str, Literal["stands", "withdraws"]]


class ReportView(msgspec.Struct, frozen=True, kw_only=True):
    """A report's state after the events folded so far.

    Attributes:
        id: the report's id.
        state: as in `docs/reference/records.md`.
        version: the current version; 0 once the content is gone.
        report_json: the current version's body, as its contributor signed it; empty once gone.
        contributors: number of members that stand behind the current version.
        corroborations: what other members confirmed of the current version, in log order.
        first_index: place of the first event that is left.
        last_index: place of the last.
        disputes: every dispute, in log order.
        awaiting_answer: ids of open disputes that the report's contributor, who still stands
            behind it, has not answered: the wallet's inbox.
        outcomes: outcome ► number of members that reported it.
        assessments: brand's key ► what the brand says.
        upgrade_needed: whether the report has events that this code cannot read.
        timeline: every event that is left, in log order.
    """

    id: str
    state: State
    version: int = 0
    report_json: bytes = b""
    contributors: int = 0
    corroborations: tuple[Corroboration, ...] = ()
    first_index: int
    last_index: int
    disputes: tuple[DisputeView, ...] = ()
    awaiting_answer: tuple[str, ...] = ()
    outcomes: dict[str, int] = {}
    assessments: dict[str, str] = {}
    upgrade_needed: bool = False
    timeline: tuple[Step, ...] = ()

    @property
    def report(self) -> Report | None:
        """The current version's report, None once its content is gone; parsed at each call."""
        return _REPORT.decode(self.report_json) if self.report_json else None


_REPORT = msgspec.json.Decoder(Report)
