"""What is said: drafts of reports and corroborations, and follow-ups, into the outbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from acx.member.errors import ContributionError
from acx.member.replica import Replica
from acx.member.wallet import Contribution, Kind, Message, Wallet
from acx.records.event import (
    Answer,
    Corroboration,
    Outcome,
    Withdrawal,
    canonical,
    public_key_text,
    report_id,
)
from acx.records.state import DisputeView, ReportView

if TYPE_CHECKING:
    from acx.records.leak import Finding

STANDING: Final = ("active", "disputed", "suspended")


Action = Literal["report", "amend", "corroborate", "unchanged", "withdrawn", "rejected"]
_OPENING: Final[dict[str, Kind]] = {"report": "report", "corroborate": "corroboration"}
"""Actions that open something, under a key of its own."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said about one row, and exactly what would leave for it.

    Attributes:
        action: what to do; the last three say nothing.
        account: the store's own id, which does not leave.
        report: the report it is about; empty for one that is still to be opened.
        leaves: the body of the event, as canonical JSON; empty where nothing leaves.
        digest: of the row's report, to tell a change next time.
        version: of the report it is about.
        contribution: what it changes or follows up; 0 for a new one.
        field: for a rejected row, the field at fault.
        reason: why nothing or something else is said.
        findings: what in the row would have named us, and what was done about it.
        file: where the row stands.
        line: its line there.
    """

    action: Action
    account: str
    report: str = ""
    leaves: bytes = b""
    digest: str = ""
    version: int = 1
    contribution: int = 0
    field: str = ""
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    file: str = ""
    line: int = 0


def corroboration(
    wallet: Wallet,
    replica: Replica,
    report: str,
    *,
    confirmed_by: Sequence[str],
    confirmed_on: str,
    account: str = "",
) -> Draft:
    """A draft that stands behind a report of somebody else, in its present version.

    Raises:
        ContributionError: the report does not stand, is our own, or we stand behind it already.
    """
    view = require_standing(replica, report)
    for contribution in wallet.contributions(report=report):
        if contribution.kind == "report":
            raise ContributionError(f"report {report} is our own")
        if (
            contribution.kind == "corroboration"
            and contribution.state == "open"
            and contribution.version == view.version
        ):
            raise ContributionError(f"we stand behind report {report} already")
    content = {
        "version": view.version,
        "confirmed_by": tuple(confirmed_by),
        "confirmed_on": confirmed_on,
    }
    try:
        body = msgspec.convert(content, Corroboration)
    except msgspec.ValidationError as error:
        raise ContributionError(f"corroboration of {report}: {error}") from None
    return Draft(
        action="corroborate",
        account=account,
        report=report,
        leaves=canonical(body),
        version=view.version,
    )


def require_standing(replica: Replica, report: str) -> ReportView:
    """A report that can be followed up.

    Raises:
        ContributionError: there is none of this id, or it is closed.
    """
    view = replica.report(report)
    if view is None:
        raise ContributionError(f"the log has no report {report}; check the id, or run `acx sync`")
    if view.state not in STANDING:
        raise ContributionError(f"report {report} is {view.state}; it takes no more")
    return view


def open_disputes(
    wallet: Wallet, replica: Replica, *, answered: bool = False
) -> Iterator[tuple[Contribution, ReportView, DisputeView]]:
    """Open disputes about what we stand behind, and have not answered; or those that we have."""
    for contribution in wallet.contributions():
        if contribution.kind == "outcome" or not (contribution.state == "open" or answered):
            continue
        view = replica.report(contribution.report)
        if view is None or not contribution.event:
            continue
        # What the replica has not seen yet it cannot show as answered.
        said = {
            message.ref
            for message in wallet.messages(contribution=contribution.id)
            if (message.type, message.state != "failed") == ("answer", True)
            and (answered or message.index is None or message.index >= replica.size)
        }
        for dispute in view.disputes:
            ours = dispute.id in said or (not answered and contribution.event in dispute.answers)
            if dispute.stage == "open" and ours == answered:
                yield contribution, view, dispute


def answering(wallet: Wallet, replica: Replica, dispute: str, *, again: bool) -> Contribution:
    """What we said that an open dispute is about, in the version that an answer speaks for.

    Args:
        wallet: what we said.
        replica: how it stands.
        dispute: its id.
        again: we have answered, and have more to say to the operators.

    Raises:
        ContributionError: no such dispute is about anything of ours.
    """
    for contribution, view, found in open_disputes(wallet, replica, answered=again):
        if found.id == dispute:
            if contribution.kind == "report" and view.version:
                return msgspec.structs.replace(contribution, version=view.version)
            return contribution
    raise ContributionError(
        f"{dispute} is no open dispute that we have answered; say --stands or --withdraws too"
        if again
        else f"{dispute} is no open dispute that awaits our answer; `acx inbox` lists them"
    )


def queue(wallet: Wallet, drafts: Sequence[Draft]) -> list[Message | None]:
    """Put drafts that say something into the outbox, all of them durably or none.

    Returns:
        For each draft its message, which may have taken the place of one that was never sent; None
        where there is nothing to say.
    """
    opening = [draft for draft in drafts if draft.action in _OPENING]
    counters = iter(wallet.burn_counters(len(opening)))
    messages: list[Message | None] = []
    with wallet.transaction():
        for draft in drafts:
            message = None
            if draft.action in _OPENING:
                contribution = Contribution(
                    kind=_OPENING[draft.action],
                    counter=next(counters),
                    report=draft.report,
                    account=draft.account,
                    version=draft.version,
                    digest=draft.digest,
                )
                message = _open(wallet, contribution, draft.leaves)
            elif draft.action == "amend":
                message = _amend(wallet, draft)
            elif draft.contribution:
                # Nothing to say; but now the wallet knows whose report it is.
                _link(wallet, draft)
            messages.append(message)
    return messages


def follow_up(
    wallet: Wallet,
    contribution: Contribution,
    event_type: Literal["withdrawal", "answer"],
    body: Withdrawal | Answer,
    ref: str = "",
) -> Message | None:
    """Put a follow-up of something we said into the outbox.

    Returns:
        The message; None where what it takes back was never sent, and is now not going to be.
    """
    with wallet.transaction():
        waiting = wallet.messages(contribution=contribution.id, states=("waiting",))
        sent = wallet.messages(contribution=contribution.id, states=("sent", "acknowledged"))
        if event_type == "withdrawal":
            for message in waiting:
                wallet.drop(message)
            wallet.store(msgspec.structs.replace(contribution, state="withdrawn"))
            if not sent:
                return None
            # Without a reference it would be the report that is withdrawn.
            ref = "" if contribution.kind == "report" else contribution.event
        return wallet.put(
            Message(contribution=contribution.id, type=event_type, body=canonical(body), ref=ref)
        )


def outcome(wallet: Wallet, report: str, body: Outcome, account: str = "") -> Message:
    """Put an outcome into the outbox; a later one about the same report replaces it."""
    (counter,) = wallet.burn_counters(1)
    contribution = Contribution(kind="outcome", counter=counter, report=report, account=account)
    return _open(wallet, contribution, canonical(body))


def own_contribution(wallet: Wallet, identifier: str) -> Contribution:
    """The open contribution that a person names: by report, by event, or by own account id.

    Raises:
        ContributionError: there is none.
    """
    found = [
        contribution
        for contribution in (
            *wallet.contributions(report=identifier),
            *wallet.contributions(account=identifier),
        )
        if contribution.state == "open" and contribution.kind != "outcome"
    ]
    found += [
        contribution
        for contribution in wallet.contributions()
        if contribution.event == identifier and contribution.state == "open"
    ]
    if not found:
        raise ContributionError(
            f"{identifier} is nothing of ours that stands; `acx reports` lists what is"
        )
    return found[-1]


def _open(wallet: Wallet, contribution: Contribution, body: bytes) -> Message:
    """Keep what a new key stands for, and its first message."""
    if contribution.kind == "report":
        key = wallet.seed().contribution_key(contribution.counter)
        contribution = msgspec.structs.replace(contribution, report=report_id(public_key_text(key)))
    with wallet.transaction():
        contribution = wallet.store(contribution)
        return wallet.put(Message(contribution=contribution.id, type=contribution.kind, body=body))


def _amend(wallet: Wallet, draft: Draft) -> Message:
    with wallet.transaction():
        contribution = _link(wallet, draft)
        # What waits has not been said yet: say the new thing instead.
        waiting = wallet.messages(contribution=contribution.id, states=("waiting",))
        changeable = [m for m in waiting if m.type in ("report", "amendment")]
        message = (
            msgspec.structs.replace(changeable[-1], body=draft.leaves)
            if changeable
            else Message(contribution=contribution.id, type="amendment", body=draft.leaves)
        )
        return wallet.put(message)


def _link(wallet: Wallet, draft: Draft) -> Contribution:
    contribution = wallet.contribution(draft.contribution)
    account = contribution.account or draft.account
    return wallet.store(msgspec.structs.replace(contribution, account=account, digest=draft.digest))
