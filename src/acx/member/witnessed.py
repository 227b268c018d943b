"""How far witnesses have seen what a replica holds, and when that is cause for a warning."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

import msgspec

from acx.log.cosignature import cosigned_at
from acx.log.policy import NO_WITNESSES, Policy, parse_policy
from acx.member.replica import Replica

PATIENCE_SECONDS: Final = 3600.0
"""How long witnesses may lag behind before it is told."""


class Witnessed(msgspec.Struct, frozen=True, kw_only=True):
    """What witnesses say of a replica.

    Attributes:
        size: entries under a checkpoint that the policy's quorum has cosigned.
        cosigners: names, in the policy, of those who cosigned it.
        witnesses: how many the policy names.
        at: when the last of them did, in seconds since 1970; 0 for never.
    """

    size: int
    cosigners: tuple[str, ...]
    witnesses: int
    at: int


def policy_of(replica: Replica) -> Policy:
    """The policy of the invite.

    Raises:
        MalformedPolicy: it is none.
    """
    return parse_policy(replica.trust.policy or NO_WITNESSES)


def witnessed(replica: Replica) -> Witnessed:
    """What witnesses say of a replica, each cosignature verified anew.

    Raises:
        BadSignature: a cosignature is not its witness's: the replica was changed.
    """
    policy, cosigned = policy_of(replica), replica.cosigned
    cosignatures = policy.cosignatures(cosigned.note) if cosigned else []
    return Witnessed(
        size=cosigned.size if cosigned else 0,
        cosigners=tuple(sorted({name for name, _ in cosignatures})),
        witnesses=len(policy.witnesses),
        at=max((cosigned_at(signature) for _, signature in cosignatures), default=0),
    )


def warning_of(replica: Replica, now: float | None = None) -> str:
    """What to tell if witnesses lag behind for long; empty if not, or if none are asked for.

    Args:
        replica: up to date.
        now: seconds since 1970.
    """
    if not policy_of(replica).quorum:
        return ""
    found = witnessed(replica)
    behind = replica.size - found.size
    now = time.time() if now is None else now
    if not behind or now - found.at < PATIENCE_SECONDS:
        return ""
    since = datetime.fromtimestamp(found.at, UTC).strftime("since %Y-%m-%dT%H:%MZ")
    return (
        f"the witnesses of the invite have not cosigned the newest {behind} of {replica.size}"
        f" entries {since if found.at else 'so far'}: nobody vouches that every member is shown the"
        " same, and no new issuer key counts; ask the operator, and compare with another member"
        " (acx verify --against)"
    )
