"""What lets an event in: tags in its contexts, and the presentations that prove them ours to give.

Both are made here, from a credential in the wallet, and neither tells whose they are. The order
matters: the nonce of a rate tag is burnt before anything is made with it, tags go into the event,
and presentations are bound to the event's bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from acx.member.errors import ContributionError
from acx.records.event import DAILY_LIMIT, Event, canonical, rate_context

if TYPE_CHECKING:
    from acx.credentials.credential import Credential
    from acx.member.issuer_keys import IssuerKeys
    from acx.member.wallet import Wallet

NOTHING: Final = b"{}"
"""Presentations of an event without tags."""


class Authorisation(msgspec.Struct, frozen=True, kw_only=True):
    """What an event carries so that it is let in.

    Attributes:
        tags: context ► tag, as the event has them.
        issuer_key: id of the key whose credential they are made with; empty without tags.
        present: gives canonical JSON of what is posted beside the event, once it is signed.
    """

    tags: dict[str, str]
    issuer_key: str
    present: Callable[[Event], bytes]


class Authoriser(Protocol):
    """Makes authorisations."""

    def authorise(self, contexts: Sequence[str], *, day: str = "") -> Authorisation:
        """An authorisation for these contexts.

        Args:
            contexts: without the rate's.
            day: for a report, the day under whose rate it goes (`YYYY-MM-DD`).

        Raises:
            ContributionError: the day's rate is used up, or there is no credential to use now.
        """


class CredentialAuthoriser:
    """Authorises with the wallet's credential under the key of the moment."""

    def __init__(self, wallet: Wallet, keys: IssuerKeys) -> None:
        """The wallet counts the reports of each day, so that no nonce is used twice."""
        self._wallet = wallet
        self._keys = keys

    def authorise(self, contexts: Sequence[str], *, day: str = "") -> Authorisation:
        """See `Authoriser`."""
        from acx.credentials.presentation import presentation_tag
        from acx.credentials.single_use import single_use_tag

        if not contexts and not day:
            return Authorisation(tags={}, issuer_key="", present=lambda _: NOTHING)
        key, credential = self._keys.credential()
        tags = {c: _text(single_use_tag(credential, c.encode())) for c in contexts}
        nonces = {}
        if day:
            rate = rate_context(day)
            # Burnt, durably, before anything is made with it.
            (nonces[rate],) = self._wallet.burn_counters(1, rate)
            if nonces[rate] >= DAILY_LIMIT:
                raise ContributionError(
                    f"{DAILY_LIMIT} reports went out on {day}; the rest waits for tomorrow"
                )
            tags[rate] = _text(presentation_tag(credential, rate.encode(), nonces[rate]))
        return Authorisation(
            tags=tags,
            issuer_key=key,
            present=lambda event: _present(credential, contexts, nonces, event),
        )


def _present(
    credential: Credential, contexts: Sequence[str], nonces: dict[str, int], event: Event
) -> bytes:
    from acx.credentials.presentation import present
    from acx.credentials.single_use import present_once

    message = hashlib.sha256(event.raw).digest()
    presentations = {
        context: present_once(credential, context=context.encode(), message=message).encode()
        for context in contexts
    }
    for context, nonce in nonces.items():
        presentations[context] = present(
            credential, context=context.encode(), limit=DAILY_LIMIT, nonce=nonce, message=message
        ).encode()
    return canonical({context: _text(shown) for context, shown in presentations.items()})


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
