"""After a wallet was restored: find in the log what its keys have signed.

A backup is older than what was said since, and a recovery phrase knows nothing of it. The keys
follow from the seed and a counter, so whatever they signed can be recognised, and no key is used a
second time.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

import msgspec

from acx.member.replica import Replica
from acx.member.wallet import Contribution, Kind, Wallet
from acx.records.event import Event, public_key_text

GAP: Final = 1000
"""Keys in a row that signed nothing, after which no later one is looked for."""
RESTORED: Final = "restored"
RECOVERED: Final = "recovered"
_OPENING: Final[dict[str, Kind]] = {
    "report": "report",
    "corroboration": "corroboration",
    "outcome": "outcome",
}


def mark_restored(wallet: Wallet, now: float | None = None) -> None:
    """Note that the wallet may not know all it said, and on which day."""
    wallet.keep_secret(RESTORED, day_of(time.time() if now is None else now).encode())


def restored_on(wallet: Wallet) -> str:
    """The day on which the wallet was restored; empty if it never was."""
    return wallet.secret(RESTORED).decode() if wallet.has_secret(RESTORED) else ""


def needs_recovery(wallet: Wallet) -> bool:
    """Whether what the keys signed was not yet looked for."""
    return wallet.has_secret(RESTORED) and not wallet.has_secret(RECOVERED)


def day_of(moment: float) -> str:
    """The UTC day of a moment, `YYYY-MM-DD`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def recover(wallet: Wallet, replica: Replica) -> int:
    """Take up what the wallet's keys have signed and the wallet does not know.

    Args:
        wallet: restored.
        replica: up to date.

    Returns:
        The number of contributions found. Which of the store's accounts they are about, only the
        store's own file can tell: a row that hits one of them is recognised as its own report.
    """
    signed: dict[str, list[tuple[int, Event]]] = {}
    for entry in replica.entries():
        event = replica.event_of(entry)
        if event is not None:
            signed.setdefault(event.by, []).append((entry.index, event))
    known = {contribution.counter: contribution for contribution in wallet.contributions()}
    seed = wallet.seed()
    found = 0
    counter = unused = 0
    while unused < GAP:
        events = signed.get(public_key_text(seed.contribution_key(counter)), [])
        unused = 0 if events else unused + 1
        if events:
            contribution = _contribution(counter, [event for _, event in events])
            before = known.get(counter)
            if before is None:
                found += contribution is not None
            elif contribution is not None:
                contribution = msgspec.structs.replace(
                    before,
                    event=contribution.event,
                    next_seq=max(before.next_seq, contribution.next_seq),
                    state=contribution.state if before.state == "open" else before.state,
                )
            if contribution is not None:
                wallet.store(contribution)
            wallet.burn_counters_to(counter + 1)
        counter += 1
    wallet.keep_secret(RECOVERED, b"yes")
    return found


def _contribution(counter: int, events: list[Event]) -> Contribution | None:
    opening = events[0]
    if opening.type not in _OPENING:
        return None
    return Contribution(
        kind=_OPENING[opening.type],
        counter=counter,
        report=opening.report,
        event=opening.id,
        next_seq=max(event.seq for event in events) + 1,
        state="withdrawn" if any(event.type == "withdrawal" for event in events) else "open",
    )
