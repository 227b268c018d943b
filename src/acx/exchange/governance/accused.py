"""What somebody can ask who may be in the record, having shown an address or a domain to be theirs.

It is told the value that it has shown, and of the rest of each report the categories alone: a
record may hold a victim's stolen identity, and who controls one value need not be whom the others
belong to. Before the proof, everybody is told the same, whether there is a record or not.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from acx.errors import AcxError
from acx.exchange.governance import codes, filings
from acx.exchange.governance.control import (
    Claim,
    ClaimRefused,
    DomainCheck,
    Kind,
    Proof,
    ProofRefused,
    Seals,
    claim,
    email_address,
)
from acx.exchange.governance.decisions import Decisions
from acx.exchange.governance.holdings import Holding, domain_wanted, holdings, value_wanted
from acx.exchange.governance.letters import Letters
from acx.records.sealed_text import Message

MAX_TEXT: Final = 20_000
"""Characters of a filing."""

_log = logging.getLogger("acx.exchange.accused")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim that is still to be shown.

    Attributes:
        kind: an address or a domain.
        value: normalised.
        sealed: for the browser to keep.
        line: what is to be published, for a domain.
    """

    kind: Kind
    value: str
    sealed: str
    line: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What somebody sees who has shown a claim.

    Attributes:
        kind: an address or a domain.
        value: normalised.
        sealed: for the browser to keep; with it something can be filed.
        holdings: the reports that hold the value.
    """

    kind: Kind
    value: str
    sealed: str
    holdings: tuple[Holding, ...]


class Accused:
    """Answers those who may be in the record of one exchange."""

    def __init__(self, decisions: Decisions, check: DomainCheck | None = None) -> None:
        """Answer from now on.

        Args:
            decisions: of the exchange.
            check: looks at domains; by default on the Internet.
        """
        self._decisions = decisions
        self._check = check or DomainCheck()
        self._seals = Seals(decisions.home.service_key(), decisions.settings.origin)
        self._letters = Letters(decisions.home, decisions.settings, decisions.clock)
        # One at a time: whoever asks waits for no letter, and nobody can tell whose left.
        self._post = ThreadPoolExecutor(1, thread_name_prefix="acx-letters")

    def close(self) -> None:
        """Send what is to be sent, and stop."""
        self._post.shutdown()

    def claim(self, text: str) -> Claimed:
        """Claim an address or a domain; to an address, a code is sent.

        Raises:
            ClaimRefused: it is neither, or a domain that many share.
        """
        found = claim(text, self._now())
        _log.info("claimed", extra={"kind": found.kind})
        if found.kind == "email":
            self._post.submit(self._send_code, found)
        return self._claimed(found)

    def resume(self, sealed: str) -> Claimed:
        """A claim to come back to.

        Raises:
            ProofRefused: it is none of ours, or too old.
        """
        return self._claimed(self._seals.open_claim(sealed, self._now()))

    def show(self, sealed: str, code: str) -> Shown:
        """Show a claim: by the code that was sent, or by the line that is published.

        Raises:
            ProofRefused: it is not shown.
        """
        claimed = self._seals.open_claim(sealed, self._now())
        if claimed.kind == "email":
            if not self._seals.is_code(claimed, code):
                raise ProofRefused("this is not the code that was sent")
        elif not self._check.shows(claimed.value, self._seals.line(claimed)):
            raise ProofRefused(
                "the line is not there yet: the DNS may take an hour to tell; keep this page"
            )
        _log.info("shown", extra={"kind": claimed.kind})
        found = self._holdings(claimed.kind, claimed.value)
        reports = tuple(holding.report for holding in found)
        proof = Proof(claimed.kind, claimed.value, self._now(), reports)
        return Shown(claimed.kind, claimed.value, self._seals.seal(proof), found)

    def file(self, sealed: str, report: str, code: str, text: str, contact: str = "") -> str:
        """File something about a report that holds what was shown; give the filing's id.

        Raises:
            ProofRefused: nothing was shown, or not about this report.
            ClaimRefused: the contact is no address, or the text too long.
            GovernanceError: the code is none, or nobody can read filings yet.
        """
        proof = self._seals.open_proof(sealed, self._now())
        if report not in proof.reports:
            raise ProofRefused("this report does not hold what you have shown")
        codes.checked(code, codes.DISPUTE, "a dispute")
        if len(text) > MAX_TEXT:
            raise ClaimRefused(f"write at most {MAX_TEXT} characters")
        address = email_address(contact) if contact.strip() else ""
        if not address and proof.kind == "email":
            address = proof.value
        shown = f"Shown: {proof.kind} {proof.value}\n\n{text}"
        with self._decisions.database.write() as connection:
            filing = filings.file(
                connection,
                origin=self._decisions.settings.origin,
                report=report,
                code=code,
                proved_by=proof.kind,
                message=Message(text=shown, contact=address),
                now=self._decisions.clock(),
            )
        _log.info("filed", extra={"kind": proof.kind})
        return filing.id

    def _holdings(self, kind: Kind, value: str) -> tuple[Holding, ...]:
        wanted = domain_wanted(value) if kind == "domain" else value_wanted(value, b"", ("email",))
        with self._decisions.database.read() as connection:
            found = holdings(connection, self._decisions.founder, self._decisions.settings, wanted)
        return tuple(holding for holding in found if holding.conduct)

    def _claimed(self, found: Claim) -> Claimed:
        line = self._seals.line(found) if found.kind == "domain" else ""
        return Claimed(found.kind, found.value, self._seals.seal(found), line)

    def _send_code(self, claimed: Claim) -> None:
        origin = self._decisions.settings.origin
        try:
            self._letters.send(
                claimed.value,
                f"Your code: {self._seals.code(claimed)}",
                _CODE_LETTER.format(code=self._seals.code(claimed), origin=origin),
            )
        except AcxError:
            # The log has it; who asked is told the same as everybody.
            return

    def _now(self) -> int:
        return int(self._decisions.clock().timestamp())


_CODE_LETTER: Final = """\
Somebody, probably you, asked {origin} what it holds about this address.

Your code is {code}. It can be used for half an hour, on the page where you asked.

If it was not you, do nothing: without the code nobody is told anything.
"""
