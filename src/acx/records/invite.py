"""The invite: one line an operator hands to a new member, from which all trust begins."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from acx.errors import AcxError
from acx.records.event import PublicKey, canonical

PREFIX: Final = "acx1."
MAX_CHARACTERS: Final = 16 * 1024

Role = Literal["contributor", "receiver", "brand", "customs", "auditor"]
POSTING_ROLES: Final = frozenset({"contributor", "customs"})
"""Roles that post events under the common rate; the others read, or sign with a key on record."""


class InviteError(AcxError):
    """A line that is no invite, or one that was damaged on the way."""


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's name and the key its events are signed with."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    key: PublicKey


class Invite(msgspec.Struct, frozen=True, kw_only=True):
    """What a member has to know before it can trust anything an exchange says.

    Attributes:
        origin: the log's name; signatures are bound to it.
        url: where the exchange answers.
        log_key: C2SP vkey of the log.
        operators: who founded the log; it says itself who came later.
        witnesses: C2SP tlog-policy, or empty while no witness is asked for.
        relays: URLs that pass anonymous posts on.
        matching_key: base64 of the 32 bytes under which identifiers are digested.
        invite_id: names the invite; not secret.
        secret: proves possession of it, once.
        role: what the member may do.
        sandbox: whether this is an exchange to try things on.
    """

    origin: Annotated[str, Meta(min_length=1, max_length=255)]
    url: Annotated[str, Meta(pattern=r"^https?://[^\s]+$", max_length=1024)]
    log_key: Annotated[str, Meta(min_length=1, max_length=1024)]
    operators: Annotated[tuple[Operator, ...], Meta(max_length=64)]
    witnesses: Annotated[str, Meta(max_length=8192)]
    relays: Annotated[tuple[Annotated[str, Meta(max_length=1024)], ...], Meta(max_length=16)]
    matching_key: PublicKey
    invite_id: Annotated[str, Meta(min_length=1, max_length=128)]
    secret: Annotated[str, Meta(min_length=1, max_length=128)]
    role: Role
    sandbox: bool

    @property
    def matching_key_bytes(self) -> bytes:
        """The 32 bytes of the matching key."""
        return base64.b64decode(self.matching_key)


def format_invite(invite: Invite) -> str:
    """The line to hand over; short enough to paste, and with nothing to escape."""
    return PREFIX + base64.urlsafe_b64encode(canonical(invite)).decode().rstrip("=")


def parse_invite(line: str) -> Invite:
    """Read an invite.

    Args:
        line: as handed over; spaces and line breaks that mail put into it are forgiven.

    Raises:
        InviteError: the line is not whole, or is something else. It never shows the line, which
            holds a secret.
    """
    text = "".join(line.split())
    advice = "copy the whole line again, or ask the operator for a new invite"
    if not text.startswith(PREFIX):
        raise InviteError(f"this is no invite: one starts with {PREFIX!r}; {advice}")
    if len(text) > MAX_CHARACTERS:
        raise InviteError(f"invite is longer than {MAX_CHARACTERS} characters; {advice}")
    encoded = text[len(PREFIX) :]
    try:
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(data, type=Invite)
    except msgspec.ValidationError as error:
        raise InviteError(f"invite: {error}; {advice}") from None
    except (msgspec.DecodeError, UnicodeError, binascii.Error, ValueError, RecursionError):
        raise InviteError(f"the invite is damaged; {advice}") from None
