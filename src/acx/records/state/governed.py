"""One report at a time, for whoever keeps the entries elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from acx.records.state.fold import fold_report
from acx.records.state.governance import Governance
from acx.records.state.kept import Entry, keep
from acx.records.state.view import ReportView


class Governed:
    """What operators' events establish, and any report folded under it.

    The same fold as `Reports`, which keeps every entry in memory; here only operators' are.
    """

    def __init__(self, operators: Iterable[str]) -> None:
        """Start with nothing.

        Args:
            operators: public keys of the operators that founded the log.
        """
        self._governance = Governance(operators)

    def take(self, entry: Entry) -> tuple[int, ...]:
        """Take the next event that may govern; indices only rise, and others may be left out.

        Returns:
            Indices that are gone from here on.
        """
        before = len(self._governance.removals)
        self._governance.take(keep(entry))
        return tuple(i for _, gone in self._governance.removals[before:] for i in gone)

    def fold(self, report: str, entries: Iterable[Entry]) -> ReportView | None:
        """A report's view.

        Args:
            report: its id.
            entries: all that belong to it and are left, operators' among them, in log order.

        Returns:
            None if nothing of it is left to show.
        """
        return fold_report(report, [keep(entry) for entry in entries], self._governance)
