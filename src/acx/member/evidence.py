"""Evidence: files that stay with the store, and how it proves later that it held them.

A report carries a commitment to each file and nothing of the file. Whoever is shown the file and
the proof can check that the report named it from the day it stands in the log; nobody can guess a
file from its commitment, because 32 random bytes are hashed with it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from acx.member.errors import EvidenceError
from acx.member.wallet import Exhibit, Wallet
from acx.records import report as records
from acx.records import sealed_text
from acx.records.event import Id
from acx.records.state import ReportView

NONCE_BYTES: Final = 32
MAX_PROOF_BYTES: Final = 4096
_BLOCK: Final = 1 << 20


class Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What opens a commitment, together with the file.

    Attributes:
        report: id of the report that carries the commitment.
        kind: what the file is.
        commitment: as the report has it.
        nonce: the random bytes, hex.
        version: of this format.
    """

    report: Id
    kind: Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,31}$(?!\n)")]
    commitment: records.Digest
    nonce: records.Digest
    version: Annotated[int, Meta(ge=1, le=1)] = 1


def commit(path: Path, nonce: bytes) -> tuple[str, int]:
    """The commitment to a file, and the file's size in bytes.

    Args:
        path: the file; read in blocks, whatever its size.
        nonce: 32 random bytes.

    Raises:
        EvidenceError: the file cannot be read, or is empty.
    """
    digest = hashlib.sha256(nonce)
    size = 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise EvidenceError(f"{path}: {error.strerror}; nothing was kept of it") from None
    if not size:
        raise EvidenceError(f"{path} is empty: give the file that is the evidence")
    return digest.hexdigest(), size


def add(wallet: Wallet, account: str, paths: Sequence[Path], kind: str) -> list[Exhibit]:
    """Commit to files against an account; all of them are kept, or none.

    The same file again, of the same kind and against the same account, is the exhibit that is
    there: a nightly rerun commits to nothing twice.

    Raises:
        EvidenceError: a file cannot be read or is empty, or the kind is no code.
    """
    known = [exhibit for exhibit in wallet.exhibits(account) if exhibit.kind == kind]
    kept: list[Exhibit] = []
    for path in paths:
        exhibit = _matching(known, path)
        if exhibit is None:
            nonce = secrets.token_bytes(NONCE_BYTES)
            commitment, size = commit(path, nonce)
            exhibit = Exhibit(
                account=account,
                kind=kind,
                commitment=commitment,
                nonce=nonce,
                file=str(path.absolute()),
                size=size,
            )
            known.append(exhibit)
        kept.append(exhibit)
    for exhibit in kept:
        evidence_of(exhibit)
    with wallet.transaction():
        return [exhibit if exhibit.id else wallet.keep_exhibit(exhibit) for exhibit in kept]


def evidence_of(exhibit: Exhibit) -> records.Evidence:
    """What a report says of an exhibit.

    Raises:
        EvidenceError: its kind is no code.
    """
    try:
        return msgspec.convert(exhibit, records.Evidence, from_attributes=True)
    except msgspec.ValidationError:
        raise EvidenceError(
            f"--kind {exhibit.kind[:40]!r}: a kind is a short code such as invoice or "
            "test_buy_photo, lower case letters and underscores"
        ) from None


def merged(
    stated: Sequence[records.Evidence], exhibits: Sequence[Exhibit]
) -> tuple[records.Evidence, ...]:
    """The evidence of a report: what its row states, then what the wallet holds besides."""
    ours = {exhibit.commitment: evidence_of(exhibit) for exhibit in exhibits}
    return (
        *(ours.pop(evidence.commitment, evidence) for evidence in stated),
        *ours.values(),
    )


def prove(exhibits: Sequence[Exhibit], report: str, path: Path) -> Proof:
    """The proof that we committed to a file.

    Args:
        exhibits: those against the report's account.
        report: the report's id.
        path: the file, as it was then.

    Raises:
        EvidenceError: it is none of them, or no longer what it was.
    """
    exhibit = _matching(exhibits, path)
    if exhibit is None:
        raise EvidenceError(
            f"{path} is none of the {len(exhibits)} files that were committed to for report "
            f"{report}: it was changed since, or never added (`acx evidence list` shows them)"
        )
    return Proof(
        report=report,
        kind=exhibit.kind,
        commitment=exhibit.commitment,
        nonce=exhibit.nonce.hex(),
    )


def hand_over(exhibits: Sequence[Exhibit], path: Path) -> sealed_text.Exhibit:
    """A file, with what opens the commitment to it.

    Args:
        exhibits: those against the account that the dispute is about.
        path: the file, as it was when it was committed to.

    Raises:
        EvidenceError: it is none of them, or no longer what it was.
    """
    exhibit = _matching(exhibits, path)
    if exhibit is None:
        raise EvidenceError(
            f"{path} is none of the {len(exhibits)} files that were committed to against this "
            "account: it was changed since, or never added (`acx evidence list`, `add`)"
        )
    if exhibit.size > sealed_text.SIZES[-1]:
        raise EvidenceError(f"{path} has {exhibit.size:,} bytes: too large to be handed over")
    return sealed_text.Exhibit(kind=exhibit.kind, nonce=exhibit.nonce, file=path.read_bytes())


def parse_proof(data: bytes) -> Proof:
    """Read a proof.

    Raises:
        EvidenceError: it is none.
    """
    if len(data) > MAX_PROOF_BYTES:
        raise EvidenceError("too large for a proof: give the file that `acx evidence prove` wrote")
    try:
        return msgspec.json.decode(data, type=Proof)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EvidenceError(f"no proof of evidence: {error}") from None


def check(proof: Proof, path: Path, view: ReportView | None) -> None:
    """Check a proof against its file and the report in the log.

    Raises:
        EvidenceError: the file is another one, or the report does not carry the commitment.
    """
    commitment, _ = commit(path, bytes.fromhex(proof.nonce))
    if not hmac.compare_digest(commitment, proof.commitment):
        raise EvidenceError(f"{path} is not the file that was committed to")
    report = view.report if view is not None else None
    if report is None:
        raise EvidenceError(
            f"the log has no report {proof.report}, or its content is gone: the proof holds for "
            "the file, and for no report"
        )
    if not any(
        (evidence.commitment, evidence.kind) == (proof.commitment, proof.kind)
        for evidence in report.evidence
    ):
        raise EvidenceError(f"report {proof.report} does not carry this commitment")


def _matching(exhibits: Sequence[Exhibit], path: Path) -> Exhibit | None:
    for exhibit in exhibits:
        commitment, _ = commit(path, exhibit.nonce)
        if hmac.compare_digest(commitment, exhibit.commitment):
            return exhibit
    return None
