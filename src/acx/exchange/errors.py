"""What the exchange refuses, and why: one class per problem a caller can tell apart.

`acx.web.exchange_api.problems` gives each a problem type and a status; a command prints the message
and exits with the class's code.
"""

from __future__ import annotations

from typing import ClassVar

from acx.errors import AcxError


class ExchangeError(AcxError):
    """The exchange could not do what it was asked."""


class HomeError(ExchangeError):
    """The operator's directory is missing, unreadable, damaged or open to others."""


class StorageError(ExchangeError):
    """The database cannot be reached, or is not of this version."""


class LeadError(ExchangeError):
    """Another process appends to the log, or took over from this one."""


class LogBehind(ExchangeError):
    """The database holds less than was already published: signing now would fork the log."""

    exit_code: ClassVar[int] = 5


class Unavailable(ExchangeError):
    """Nothing is wrong with the request; the same bytes can be sent again in a while."""


class Refused(ExchangeError):
    """A request that is understood and will not be done."""


class Unauthenticated(Refused):
    """No token or signature, or one that is nobody's."""


class Forbidden(Refused):
    """The caller is known, and may not do this."""


class Suspended(Forbidden):
    """The member is suspended; an operator can reinstate it."""


class RateLimited(Refused):
    """More requests than one caller may make."""


class InviteRefused(Refused):
    """The invite is unknown, its secret is wrong, or it is not the caller's."""


class InviteExpired(Refused):
    """The invite is too old."""


class InviteUsed(Refused):
    """Somebody has joined with this invite already."""


class ForeignCommitment(Refused):
    """A credential is asked for over another secret than the member enrolled with."""


class OtherTerms(Refused):
    """Other terms of membership are in force than those that were accepted."""


class NoSuchWebhook(Refused):
    """No webhook of the caller's has this id."""


class TooManyWebhooks(Refused):
    """The member has as many webhooks as it may have."""


class MalformedRequest(Refused):
    """The request is not what the protocol describes."""


class TooLarge(MalformedRequest):
    """The request is over a limit in bytes."""


class EventRefused(Refused):
    """An event the log does not take."""


class InvalidEvent(EventRefused):
    """The event is malformed, or its signature is not its key's."""


class WrongContexts(EventRefused):
    """The event carries other tags than its type needs."""


class WrongDate(WrongContexts):
    """The report is dated of another day than this one."""


class WrongIssuerKey(EventRefused):
    """The issuer key that is named is not in use, or there is none such."""


class MissingPresentation(EventRefused):
    """The event's tags and the presentations beside it are not of the same contexts."""


class MalformedPresentation(EventRefused):
    """Bytes that are no presentation, as anybody can see."""


class PresentationLength(MalformedPresentation):
    """A presentation is shorter or longer than any under its limit."""


class PresentationPoint(MalformedPresentation):
    """A presentation holds what is no point of the curve in its one writing."""


class PresentationIdentity(MalformedPresentation):
    """A presentation holds the group's identity, which stands for nothing."""


class PresentationNumber(MalformedPresentation):
    """A presentation holds a number that is not below the group's order."""


class InvalidPresentation(EventRefused):
    """No credential gives the presentation, for this event, key and context; which, is not said."""


class UnknownReport(EventRefused):
    """The report the event belongs to is not in the log."""


class ReportClosed(EventRefused):
    """The report takes no such event any more."""


class WrongSequence(EventRefused):
    """The event is not the next one its key signs for this report."""


class WrongVersion(EventRefused):
    """The event is about another version of the report than the current one."""


class TooManyFollowUps(EventRefused):
    """The report has as many amendments and answers as it may have."""


class TagSpent(EventRefused):
    """The tag is in the log already, with another event."""


class NotAuthorised(EventRefused):
    """The event is signed by a key that has no say in what it is about."""


class Erased(EventRefused):
    """The event was in the log and has been erased; it cannot be acknowledged again."""


class BackupError(ExchangeError):
    """A backup that cannot be made, or is none."""


class PublicationError(ExchangeError):
    """A folder that the log cannot be published to."""


class RecoveryError(ExchangeError):
    """A copy of the log from which the exchange cannot be brought up to date."""


class GovernanceError(ExchangeError):
    """An operator's act that the rules do not allow."""
