"""Texts of disputes: words and files that go to the operators alone, and into no log.

They belong to an answer, and are signed by the key that answered: so the operators learn no more of
who writes than they knew. They wait in the outbox, for a time of their own after the answer, and
are sealed when they leave, to those who are operators by then.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.member import evidence
from acx.member.errors import ContributionError, EvidenceError
from acx.member.replica import Replica
from acx.member.wallet import Contribution, Message, Wallet
from acx.records import sealed_text
from acx.records.state import Entry, Reports

TEXT: Final = "text"
"""Type of such a message in the outbox; no event has it."""
_MAX_BYTES: Final = sealed_text.SIZES[-1] - 4


def compose(wallet: Wallet, contribution: Contribution, text: str, files: Sequence[Path]) -> bytes:
    """What is to be said, as it waits in the outbox.

    Args:
        wallet: knows what was committed to.
        contribution: whose answer it belongs to.
        text: words.
        files: evidence against its account that is handed over.

    Raises:
        EvidenceError: a file was not committed to, or they are too large.
        ContributionError: there are too many words, or files.
    """
    exhibits = wallet.exhibits(contribution.account) if contribution.account else []
    message = sealed_text.Message(
        text=text, exhibits=tuple(evidence.hand_over(exhibits, path) for path in files)
    )
    body = msgspec.json.encode(message)
    if len(body) > _MAX_BYTES:
        raise EvidenceError(
            f"words and files have {len(body):,} bytes, and may have {_MAX_BYTES:,} at once (files "
            "grow by a third): hand over the rest with another `acx answer DISPUTE --evidence`"
        )
    try:
        msgspec.json.decode(body, type=sealed_text.Message)
    except msgspec.ValidationError as error:
        raise ContributionError(f"the text cannot be sent: {error}") from None
    return body


def put(wallet: Wallet, contribution: Contribution, dispute: str, body: bytes) -> Message:
    """Put a text into the outbox, after the answer it belongs to."""
    return wallet.put(Message(contribution=contribution.id, type=TEXT, body=body, ref=dispute))


def answer_to(wallet: Wallet, contribution: Contribution, dispute: str) -> Message | None:
    """Our answer to a dispute, on its way or in the log."""
    given = wallet.messages(
        contribution=contribution.id, states=("waiting", "sent", "acknowledged")
    )
    found = [message for message in given if (message.type, message.ref) == ("answer", dispute)]
    return found[-1] if found else None


def sealed(body: bytes, answer: str, key: Ed25519PrivateKey, replica: Replica) -> bytes:
    """A text as it is posted.

    Args:
        body: as `compose` made it.
        answer: id of the answer it belongs to.
        key: the one that answered.
        replica: says who the operators are.

    Raises:
        ContributionError: there is no operator to write to.
    """
    operators = readers(replica)
    if not operators:
        raise ContributionError("the log names no operator to write to: `acx sync`, and try again")
    origin = replica.trust.origin
    text = sealed_text.seal_text(
        msgspec.json.decode(body, type=sealed_text.Message),
        operators,
        origin=origin,
        about=answer,
    )
    signature = key.sign(sealed_text.text_statement(text, origin=origin, answer=answer))
    return msgspec.json.encode(
        {
            "answer": answer,
            "text": msgspec.Raw(text),
            "signature": base64.b64encode(signature).decode(),
        }
    )


def readers(replica: Replica) -> frozenset[str]:
    """Keys of the operators, by the log; not the one that founded it, which a server holds."""
    reports = Reports(replica.trust.operators)
    for index, event in replica.governing():
        reports.apply(Entry(index, event))
    return frozenset(reports.operators) - set(replica.trust.operators)
