"""Which issuer keys a member believes, and its credentials under them.

A key is believed by what the verified replica holds, never by what the exchange says when it is
asked. The rules, which the code cites by number:

(1) Its `key` event is signed by an operator, and its id is its own.
(2) A checkpoint with the policy's cosignatures covers it, so it is everybody's.
(3) It is old enough: a day; an hour in an emergency, of which one a week counts. Its age is what
    the log says, and no more than since we last saw a log without it.
(4) The founding key counts at once: it stood there before the first admission, and before ours.

Credentials are fetched ahead of need, at a time drawn when the key is first believed, and never
because something waits to be sent.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from secrets import SystemRandom
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from acx.member.errors import ContributionError, ExchangeError, ForgedCredential
from acx.records.event import IssuerKey
from acx.records.invite import POSTING_ROLES
from acx.records.issuer_keys import (
    PublishedKey,
    Term,
    believed_from,
    in_force,
    issuer_key_id,
    parse_hour,
    usable,
)
from acx.records.state import Entry, Reports

if TYPE_CHECKING:
    from acx.credentials.credential import Credential
    from acx.member.client import IssuedCredential
    from acx.member.replica import Replica
    from acx.member.wallet import Wallet

LOOK_SECONDS: Final = 60.0
"""How often one who stays connected looks whether a credential is due."""
SPARE: Final = timedelta(hours=1)
"""Before a key starts, a credential under it should be there."""
_JOINED: Final = "issuer-keys/joined"
_LAST_LOOK: Final = "issuer-keys/last-look"
_SYSTEM_RANDOM: Final = SystemRandom()


class Issuer(Protocol):
    """Issues credentials."""

    def credential(self, key: str, request: bytes) -> IssuedCredential:
        """A credential under a key."""


class _Noticed(msgspec.Struct, frozen=True):
    """What the wallet keeps of a key.

    Attributes:
        since: the log did not have it before, in seconds since 1970; 0 where we cannot know.
        due: when its credential is to be fetched; 0 until that is drawn.
    """

    since: float = 0.0
    due: float = 0.0


@dataclass(frozen=True, slots=True)
class Believed:
    """The issuer keys at a moment, as far as they are believed.

    Attributes:
        now: the moment.
        terms: of the keys that are believed.
        objections: id ► why a key is not believed yet.
    """

    now: datetime
    terms: tuple[Term, ...]
    objections: dict[str, str]

    @property
    def current(self) -> str:
        """Id of the key to use now.

        Raises:
            ContributionError: none is believed; with what is missing.
        """
        term = in_force(self.terms, self.now)
        if term is None:
            why = "; ".join(f"{key[:8]} {reason}" for key, reason in self.objections.items())
            raise ContributionError(
                "no issuer key of the exchange is believed yet, and under another one our reports"
                f" could be told from others': {why or 'the replica holds none, run acx sync'}"
            )
        return term.id

    @property
    def usable(self) -> list[Term]:
        """The key to use now and those to come, in the order in which they start."""
        return usable(self.terms, self.now)


def fetching_time(starts: datetime, now: float, random: Random = _SYSTEM_RANDOM) -> float:
    """When to fetch a credential, drawn evenly from what is left until its key starts.

    Args:
        starts: when its key does.
        now: the moment at which the key is first believed, in seconds since 1970.
        random: what is drawn from.
    """
    return random.uniform(now, max(now, (starts - SPARE).timestamp()))


def mark_joined(wallet: Wallet, size: int, now: float) -> None:
    """Note how large the log was when we joined: what it did not hold then is no founding key."""
    if not wallet.has_secret(_JOINED):
        with wallet.transaction():
            wallet.keep_secret(_JOINED, str(size).encode())
            wallet.keep_secret(_LAST_LOOK, msgspec.json.encode((now, size)))


def keep_answer(wallet: Wallet, answer: IssuedCredential) -> None:
    """Keep what the exchange issued, until the key that it names is believed."""
    wallet.keep_secret(f"answer/{answer.key}", answer.response.encode())


class IssuerKeys:
    """The issuer keys in a replica, and a wallet's credentials under them."""

    def __init__(
        self, wallet: Wallet, replica: Replica, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Nothing is read yet.

        Args:
            wallet: keeps the credentials.
            replica: says which keys there are.
            clock: seconds since 1970.
        """
        self._wallet = wallet
        self._replica = replica
        self._clock = clock
        self._reports = Reports(replica.trust.operators)
        self._read = 0
        self._next_look = 0.0

    @property
    def may_post(self) -> bool:
        """Whether our role gets credentials."""
        return self._wallet.secret("role").decode() in POSTING_ROLES

    def believed(self) -> Believed:
        """Judge every key of the replica."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        published = self._published()
        ages = believed_from(published)
        cosigned = self._replica.cosigned_size
        terms: list[Term] = []
        objections: dict[str, str] = {}
        for item in published:
            key = item.key.id
            if item.index >= cosigned:  # (2)
                objections[key] = "is under no checkpoint that enough witnesses have cosigned"
            elif ages[key] > now:  # (3)
                objections[key] = f"counts from {ages[key]:%Y-%m-%d %H:%M} UTC on"
            else:
                starts = max(parse_hour(item.key.not_before), ages[key])
                terms.append(Term(item.index, key, starts))
        return Believed(now, tuple(terms), objections)

    def credential(self) -> tuple[str, Credential]:
        """Id of the key to use now, and our credential under it.

        Raises:
            ContributionError: there is none; with what to do.
            ForgedCredential: the exchange issued it with another key than the log's.
        """
        if not self.may_post:
            role = self._wallet.secret("role").decode()
            raise ContributionError(f"this membership ({role}) reads and does not report")
        current = self.believed().current
        credential = self._credential(current)
        if credential is None:
            raise ContributionError(
                f"there is no credential under the exchange's present key {current[:8]}: acx sync"
                " fetches it, and what waits in the outbox goes then"
            )
        return current, credential

    def renew(self, issuer: Issuer) -> None:
        """After a sync: note what keys are new, and fetch the credentials that are due.

        Raises:
            ExchangeError: no or no proper answer; the next sync asks again.
            ForgedCredential: as above.
        """
        self._notice()
        if not self.may_post:
            return
        for term in self.believed().usable:
            if self._credential(term.id) is None and self._due(term) <= self._clock():
                request = self._wallet.seed().credential_request().request
                keep_answer(self._wallet, issuer.credential(term.id, request.encode()))
                self._credential(term.id)

    def keep_renewed(self, issuer: Issuer) -> None:
        """As `renew`, for one who stays connected: called as often as one likes, and patient."""
        if self._clock() >= self._next_look:
            self._next_look = self._clock() + LOOK_SECONDS
            with suppress(ExchangeError):
                self.renew(issuer)

    def _credential(self, key: str) -> Credential | None:
        """The credential under a believed key, taken out of the answer where that is to do."""
        from acx.credentials.credential import Credential
        from acx.credentials.errors import CredentialError
        from acx.credentials.issuance import CredentialResponse
        from acx.credentials.keys import PublicKey

        wallet = self._wallet
        if wallet.has_secret(f"credential/{key}"):
            return Credential.decode(wallet.secret(f"credential/{key}"))
        if not wallet.has_secret(f"answer/{key}"):
            return None
        (public_key,) = {item.public_key for _, item, _ in self._events() if item.id == key}
        try:
            credential = (
                wallet.seed()
                .credential_request()
                .finalize(
                    CredentialResponse.decode(_base64(wallet.secret(f"answer/{key}"))),
                    PublicKey.decode(_base64(public_key.encode())),
                )
            )
        except (CredentialError, binascii.Error) as error:
            raise ForgedCredential(
                f"what the exchange issued is no credential under the key {key[:8]} that the log"
                f" names ({error}); tell the operator and the other members"
            ) from None
        wallet.keep_secret(f"credential/{key}", credential.encode())
        return credential

    def _due(self, term: Term) -> float:
        """When the credential under a key is to be fetched; drawn once."""
        with self._wallet.transaction():
            noticed = self._noticed(term.id)
            if not noticed.due:
                noticed = msgspec.structs.replace(
                    noticed, due=fetching_time(term.starts, self._clock())
                )
                self._keep(term.id, noticed)
        return noticed.due

    def _notice(self) -> None:
        """Note which keys are new: none is older than the log that we last saw without it."""
        events, seen = self._events(), self._replica.size
        with self._wallet.transaction():
            last, size = msgspec.json.decode(
                self._wallet.secret(_LAST_LOOK), type=tuple[float, int]
            )
            for index, key, _ in events:
                if index >= size and not self._wallet.has_secret(_name(key.id)):
                    self._keep(key.id, _Noticed(since=last))
            if seen >= size:
                self._wallet.keep_secret(_LAST_LOOK, msgspec.json.encode((self._clock(), seen)))

    def _published(self) -> list[PublishedKey]:
        """The log's keys, each no older than we know it to be."""
        joined = int(self._wallet.secret(_JOINED))
        found: list[PublishedKey] = []
        for index, key, founding in self._events():
            since = datetime.fromtimestamp(self._noticed(key.id).since, UTC)
            taken = max(parse_hour(self._replica.entry(index).at), since)  # (3)
            found.append(PublishedKey(index, taken, key, founding and index < joined))  # (4)
        return found

    def _events(self) -> list[tuple[int, IssuerKey, bool]]:
        """The operators' keys, and whether each stands before the first admission: rule 1."""
        size = self._replica.size
        if size > self._read:
            for index, event in self._replica.governing(self._read):
                self._reports.apply(Entry(index, event))
            self._read = size
        return [item for item in self._reports.issuer_keys if _is_its_own(item[1])]

    def _noticed(self, key: str) -> _Noticed:
        if not self._wallet.has_secret(_name(key)):
            return _Noticed()
        return msgspec.json.decode(self._wallet.secret(_name(key)), type=_Noticed)

    def _keep(self, key: str, noticed: _Noticed) -> None:
        self._wallet.keep_secret(_name(key), msgspec.json.encode(noticed))


def _is_its_own(key: IssuerKey) -> bool:
    try:
        return issuer_key_id(_base64(key.public_key.encode())) == key.id
    except binascii.Error:
        return False


def _base64(text: bytes) -> bytes:
    return base64.b64decode(text, validate=True)


def _name(key: str) -> str:
    return f"issuer-keys/{key}"
