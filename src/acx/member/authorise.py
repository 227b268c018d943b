"""What lets an event in: tags in its contexts, and the presentations that go with them.

Anonymous credentials will compute both here in the wallet. Until then the exchange makes the tags,
and `ExchangeTags` asks it for them; nothing else on the member's side changes then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from acx.member.client import Tags
from acx.member.errors import ContributionError
from acx.member.wallet import Wallet
from acx.records.event import canonical, rate_context

DAILY_LIMIT: Final = 10_000


class Authorisation(msgspec.Struct, frozen=True, kw_only=True):
    """What an event carries so that it is let in.

    Attributes:
        tags: context ► tag, as the event has them.
        issuer_key: id of the key they were made under; empty without tags.
        presentations: canonical JSON of what is posted beside the event.
    """

    tags: dict[str, str]
    issuer_key: str
    presentations: bytes


class Authoriser(Protocol):
    """Makes authorisations."""

    def authorise(self, contexts: Sequence[str], *, day: str = "") -> Authorisation:
        """An authorisation for these contexts.

        Args:
            contexts: without the rate's.
            day: for a report, the day under whose rate it goes (`YYYY-MM-DD`).

        Raises:
            ContributionError: the day's rate is used up.
            ExchangeError: no or no proper answer.
        """


class TagSource(Protocol):
    """Where tags come from."""

    def tags(self, contexts: Sequence[str]) -> Tags:
        """Tags for these contexts."""


class ExchangeTags:
    """Tags that the exchange makes, asked for with the member key."""

    def __init__(self, source: TagSource, wallet: Wallet) -> None:
        """The wallet counts the reports of each day, so that no rate tag is used twice."""
        self._source = source
        self._wallet = wallet

    def authorise(self, contexts: Sequence[str], *, day: str = "") -> Authorisation:
        """See `Authoriser`."""
        if not contexts and not day:
            return Authorisation(tags={}, issuer_key="", presentations=b"{}")
        rated, presentations = "", b"{}"
        if day:
            (number,) = self._wallet.burn_counters(1, rate_context(day))
            if number >= DAILY_LIMIT:
                raise ContributionError(
                    f"{DAILY_LIMIT} reports went out on {day}; the rest waits for tomorrow"
                )
            rated = f"{rate_context(day)}/{number}"
            presentations = canonical({rate_context(day): number})
        answer = self._source.tags([*contexts, rated] if rated else contexts)
        tags = {context: answer.tags[context] for context in contexts}
        if rated:
            tags[rate_context(day)] = answer.tags[rated]
        return Authorisation(tags=tags, issuer_key=answer.key, presentations=presentations)
