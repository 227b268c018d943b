"""Reports as one state of the log has them, for whoever decides about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, select

from acx.exchange.errors import GovernanceError
from acx.exchange.storage.ledger import LogRow, parsed, read_governing, read_reports
from acx.exchange.storage.schema import entries
from acx.records.event import Act, Event
from acx.records.state import Entry, Reports, ReportView


class Docket:
    """Some reports, folded, and the hours at which their events were taken.

    Attributes:
        reports: the fold.
        hours: place ► UTC hour at which these reports' events were taken.
    """

    def __init__(self, connection: Connection, founder: str, reports: Iterable[str]) -> None:
        """Read and fold.

        Args:
            connection: the log, in one state.
            founder: the key that made the first operators.
            reports: ids; those that are none are not there afterwards.
        """
        self.reports = Reports((founder,))
        self.hours: dict[int, str] = {}
        self._places: dict[str, int] = {}
        self._take(read_governing(connection))
        self._take(read_reports(connection, reports))

    def standing(self, report: str) -> ReportView:
        """A report whose content is in the log.

        Raises:
            GovernanceError: there is none of this id, or it is gone.
        """
        view = self.reports.get(report)
        if view is None:
            raise GovernanceError(f"no report {report[:64]!r} is in the log: check its id")
        if not view.report_json:
            raise GovernanceError(f"report {report} is {view.state}: nothing of it is left")
        return view

    def hour_of(self, event_id: str) -> str:
        """The UTC hour at which an event was taken."""
        return self.hours[self._places[event_id]]

    def _take(self, rows: Iterable[LogRow]) -> None:
        for row in rows:
            event = parsed(row)
            if event is not None:
                self.reports.apply(Entry(row.index, event))
                self.hours[row.index] = row.at
                self._places[event.id] = row.index


def acts_about_reports(connection: Connection) -> Iterator[tuple[Event, Act]]:
    """The operators' acts that are about a report, in order."""
    ids = select(entries.c.report).where(entries.c.type == "act", entries.c.report != "")
    for row in read_reports(connection, connection.execute(ids.distinct()).scalars().all()):
        event = parsed(row)
        if event is not None and event.type == "act" and event.known:
            body = event.body()
            if isinstance(body, Act):
                yield event, body
