"""What can go wrong on the member's side, in two trees that tell whose fault it is.

`MemberError` and its kin are ours or the network's: correct something and run it again (exit 1).
What descends from `acx.log.errors.InconsistentLog` is the exchange's: it broke a promise, and what
proves it is kept (exit 5).
"""

from __future__ import annotations

from acx.errors import AcxError
from acx.log.errors import InconsistentLog


class MemberError(AcxError):
    """Something on this side has to be put right first."""


class SettingError(MemberError):
    """A setting that is not what it must be."""


class NoMember(MemberError):
    """A directory that is no member's, or already is one."""


class WalletError(MemberError):
    """The wallet cannot be opened, or does not hold what was asked for."""


class ReplicaError(MemberError):
    """The replica cannot be opened, is too old, or does not hold what was asked for."""


class MemoryFailure(MemberError):
    """Whom the store checked, and what was told, cannot be kept or read."""


class TokenError(MemberError):
    """A token of the local service that is not there, or cannot be kept."""


class ContributionError(MemberError):
    """A row or follow-up that cannot go out as it is."""


class EvidenceError(MemberError):
    """A file that is not the evidence it is given for, or a proof that proves nothing."""


class DecisionError(MemberError):
    """A decision that cannot be recorded, or a statement that cannot be made of it."""


class BrandError(MemberError):
    """What a brand wants to say, and cannot say so."""


class ExchangeError(AcxError):
    """The exchange could not be asked, or said no."""


class Unreachable(ExchangeError):
    """No answer: the exchange is down, too slow, or the address is wrong.

    Attributes:
        sent: whether the request may have arrived all the same.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Refused(ExchangeError):
    """The exchange answered with a problem (RFC 9457).

    Attributes:
        status: HTTP status.
        problem: last part of the problem's `type`, such as `tag-spent`; empty if it named none.
    """

    def __init__(self, message: str, *, status: int, problem: str) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem


class BadAnswer(ExchangeError):
    """An answer that is not what the protocol says; nothing was taken from it."""


class Withheld(InconsistentLog):
    """An entry's body is missing, and no erasure or expiry on the log says why."""


class InvalidEntry(InconsistentLog):
    """The log holds an entry that no honest exchange would have taken."""


class ForgedCredential(InconsistentLog):
    """A credential that the exchange issued with another key than the one that the log names."""


class BadReceipt(InconsistentLog):
    """A receipt that does not prove what was acknowledged."""
