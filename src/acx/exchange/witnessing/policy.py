"""The witness policy in the settings, as commands edit it: any k of the witnesses named."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from acx.exchange.errors import GovernanceError
from acx.log.cosignature import WitnessKey
from acx.log.errors import LogError
from acx.log.policy import NO_WITNESSES, Group, Policy, Witness, parse_policy

_GROUP: Final = "witnesses"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def read_policy(text: str) -> Policy:
    """The policy of the settings; empty text asks for no witness.

    Raises:
        GovernanceError: it is none.
    """
    try:
        return parse_policy(text or NO_WITNESSES)
    except LogError as error:
        raise GovernanceError(f"config.toml, witnesses: {error}") from None


def add_witness(text: str, name: str, vkey: str, url: str, quorum: int | None) -> str:
    """The policy with one more witness, or with another key or address of one.

    Args:
        text: as it is.
        name: what the operator calls the witness.
        vkey: its key.
        url: where it answers.
        quorum: how many must cosign; by default more than half of all.

    Raises:
        GovernanceError: something of it cannot be, or the policy was written by hand.
    """
    policy = _editable(text)
    if not _NAME.fullmatch(name) or name in (_GROUP, "none"):
        raise GovernanceError(
            f"{name!r} is no witness's name: up to 63 of a-z, 0-9 and ._-, such as 'auditor'"
        )
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise GovernanceError(f"{url!r} is no URL of a witness: give --url http(s)://HOST[:PORT]")
    try:
        witness = Witness(WitnessKey.parse(vkey), url.rstrip("/"))
    except LogError as error:
        raise GovernanceError(f"the key of {name}: {error}") from None
    return _written(replace(policy, witnesses={**policy.witnesses, name: witness}), quorum)


def remove_witness(text: str, name: str, quorum: int | None) -> str:
    """The policy without a witness.

    Raises:
        GovernanceError: there is none of this name, or the policy was written by hand.
    """
    policy = _editable(text)
    if name not in policy.witnesses:
        known = ", ".join(policy.witnesses) or "none"
        raise GovernanceError(f"there is no witness {name!r}; the policy names {known}")
    left = {other: witness for other, witness in policy.witnesses.items() if other != name}
    return _written(replace(policy, witnesses=left), quorum)


def threshold(policy: Policy) -> int:
    """How many of the policy's witnesses must cosign, where it is one of k of n; else 0."""
    group = policy.groups.get(policy.quorum)
    return group.threshold if group else int(policy.quorum in policy.witnesses)


def _editable(text: str) -> Policy:
    policy = read_policy(text)
    if policy.logs or set(policy.groups) - {_GROUP} or policy.quorum not in ("", _GROUP):
        raise GovernanceError(
            "the witness policy in config.toml was written by hand: change it there"
        )
    return policy


def _written(policy: Policy, quorum: int | None) -> str:
    """The policy as text, once it is known to be one."""
    names = tuple(policy.witnesses)
    if not names:
        return ""
    count = quorum if quorum is not None else len(names) // 2 + 1
    if not 1 <= count <= len(names):
        raise GovernanceError(f"--quorum {count} where there are {len(names)} witnesses")
    group = Group(count, names)
    lines = [f"witness {name} {w.key.vkey} {w.url}" for name, w in policy.witnesses.items()]
    lines += [f"group {_GROUP} {group.threshold} {' '.join(names)}", f"quorum {_GROUP}"]
    text = "\n".join(lines) + "\n"
    read_policy(text)
    return text
