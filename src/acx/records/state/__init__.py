"""The fold: a report's state, as a function of the log's events (`docs/reference/records.md`).

The same code runs on the exchange and on every replica. It reads no clock: that a deadline has
passed is an event too. It trusts whoever hands it an entry to have verified the signature and the
place in the log; everything else it judges itself, and what it does not accept stays in the
timeline with the reason.

Two layers. Operators' events are taken first, in log order (`governance`): they say who is an
operator, what two operators have signed, and what is gone. The rest is folded report by report
(`fold`), as if what is gone had never been there, so that a log read afresh, without the erased
entries, gives the same views as one that was followed all along.
"""

from acx.records.state.governed import Governed
from acx.records.state.kept import Entry
from acx.records.state.reports import Reports, StateError
from acx.records.state.view import DisputeView, Ignored, ReportView, State, Step

__all__ = [
    "DisputeView",
    "Entry",
    "Governed",
    "Ignored",
    "ReportView",
    "Reports",
    "State",
    "StateError",
    "Step",
]
