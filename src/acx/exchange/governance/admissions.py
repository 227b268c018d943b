"""Admission: who may be invited by one operator, what takes two, and on what grounds.

On record stand the role and the grounds, never a name. Invites to roles whose word counts in the
log are bounded a day; beyond, and for a second membership of one economic group, two operators
sign. A brand's word counts once two have verified its registered marks.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Connection, select

from acx.exchange.admission.invites import create_invite
from acx.exchange.admission.members import (
    ACTIVE,
    SUSPENDED,
    Member,
    list_members,
    member_called,
    set_status,
    verify_marks,
)
from acx.exchange.clock import hour_text, years_after
from acx.exchange.errors import GovernanceError
from acx.exchange.governance import codes, proposals
from acx.exchange.governance.decisions import Decisions
from acx.exchange.governance.operators import SERVICE, Signatory, list_operators
from acx.exchange.governance.proposals import Approvable, Proposal
from acx.exchange.home import Home
from acx.exchange.issuing.issuer import holders
from acx.exchange.issuing.keys import replace_coming
from acx.exchange.sequencer.outbox import Planned, waiting
from acx.exchange.storage.ledger import acts_at
from acx.exchange.storage.schema import invites, members
from acx.log.note import Signer
from acx.records.event import Act, Event
from acx.records.invite import POSTING_ROLES, Invite, format_invite
from acx.records.invite import Operator as InviteOperator

COUNTED_ROLES: Final = POSTING_ROLES | {"brand"}
"""Roles whose word counts in the log."""
_NUMBER: Final = re.compile(r"[A-Z]{2,8}:[A-Za-z0-9][A-Za-z0-9/.-]{0,40}")
_MAX_TARGET: Final = 128


class NeedsTwo(GovernanceError):
    """An invite that one operator alone cannot make."""


class _Invitation(msgspec.Struct, frozen=True):
    """What an approval needs to make an invite, and the log does not hold."""

    name: str
    role: str
    criteria: tuple[str, ...]
    group: bytes


class Admissions(Approvable):
    """Who takes part in one exchange."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions

    def invite(
        self,
        name: str,
        role: str,
        *,
        criteria: Iterable[str] = (),
        group: str = "",
        by: str = SERVICE,
    ) -> str:
        """Make an invite; an earlier one for the name that nobody used is void.

        Args:
            name: what the operator will call the member.
            role: what it may do.
            criteria: on what grounds, of `codes.ADMISSION`.
            group: the company at the head of its economic group; by default, itself.
            by: who signs.

        Returns:
            The line to hand over.

        Raises:
            NeedsTwo: one operator alone cannot make it; see `propose`.
            GovernanceError: the name, the role or a ground cannot be.
        """
        decisions = self._decisions
        wanted = self._invitation(name, role, criteria, group)
        with decisions.attempt(by, "invited", ""), decisions.recording() as decision:
            connection = decision.connection
            reason = self._needs_two(connection, wanted)
            if reason:
                raise NeedsTwo(f"{reason}: two operators make this invite (--as NAME proposes it)")
            decision.plan(self._signed(connection, by, _invited(wanted)))
            return self._make(connection, wanted)

    def propose(
        self, name: str, role: str, *, criteria: Iterable[str] = (), group: str = "", by: str
    ) -> Proposal:
        """Propose an invite that takes two operators; its approval gives the line.

        Raises:
            GovernanceError: the name, the role or a ground cannot be.
        """
        decisions = self._decisions
        wanted = self._invitation(name, role, criteria, group)
        with decisions.attempt(by, "invited", ""), decisions.database.write() as connection:
            signatory = decisions.signatory(connection, by)
            event = self._reserved(connection, signatory, _invited(wanted), 0)
            return proposals.propose(
                connection,
                signatory,
                "invitation",
                [event],
                code=role,
                now=decisions.clock(),
                details=msgspec.json.encode(wanted).decode(),
            )

    def verify(self, name: str, numbers: Sequence[str], by: str) -> Proposal:
        """Propose that a brand's registered marks count as verified: its word counts from then on.

        Args:
            name: what the operator calls the member.
            numbers: of the registered marks, `EUTM:…`, `USPTO:…`, looked up by the operator.
            by: the operator who signs.

        Raises:
            GovernanceError: no such brand, verified already, or a number that is none.
        """
        decisions = self._decisions
        for number in numbers:
            if not _NUMBER.fullmatch(number):
                raise GovernanceError(
                    f"{number[:64]!r} is no register number: write REGISTER:NUMBER, EUTM:018000000"
                )
        if not numbers:
            raise GovernanceError("name the registered marks that were looked up")
        with decisions.attempt(by, "verified", ""), decisions.database.write() as connection:
            self._unverified(connection, name)
            signatory = decisions.signatory(connection, by)
            events = [
                self._reserved(
                    connection,
                    signatory,
                    Act(act="verified", code="brand", target=target),
                    number,
                )
                for number, target in enumerate(_targets(numbers))
            ]
            return proposals.propose(
                connection,
                signatory,
                "verification",
                events,
                code="brand",
                now=decisions.clock(),
                details=msgspec.json.encode((name, tuple(numbers))).decode(),
            )

    def reenrol(self, name: str, by: str) -> Proposal:
        """Propose that a member get a new wallet for one that is lost, recovery phrase and all.

        Its approval gives the invite to join with. The member is one and the same, but the new
        wallet's tags are not the old one's: it could stand behind a report a second time. So two
        operators sign, it is on record, and a year has to pass before the next.

        Args:
            name: what the operator calls the member.
            by: the operator who signs.

        Raises:
            GovernanceError: no such member in good standing, or it had a new one within the year.
        """
        decisions = self._decisions
        with decisions.attempt(by, "reenrolled", ""), decisions.database.write() as connection:
            member = self._reenrollable(connection, name)
            signatory = decisions.signatory(connection, by)
            act = Act(act="reenrolled", code=member.role, target=member.id)
            return proposals.propose(
                connection,
                signatory,
                "reenrolment",
                [self._reserved(connection, signatory, act, 0)],
                code=member.role,
                now=decisions.clock(),
                details=name,
            )

    def check(self, connection: Connection, proposal: Proposal) -> None:
        """See that what was proposed can still be done."""
        if proposal.kind == "reenrolment":
            self._reenrollable(connection, proposal.details)
        if proposal.kind == "verification":
            self._unverified(connection, _verification(proposal)[0])

    def approved(self, proposal: Proposal) -> str:
        """Make the invite, or let the brand's word count."""
        if proposal.kind == "reenrolment":
            with self._decisions.database.write() as connection:
                member = self._reenrollable(connection, proposal.details)
                known = _Invitation(member.name, member.role, member.criteria, b"")
                return self._make(connection, known, member.id)
        if proposal.kind == "invitation":
            wanted = msgspec.json.decode(proposal.details, type=_Invitation)
            with self._decisions.database.write() as connection:
                return self._make(connection, wanted)
        name, numbers = _verification(proposal)
        with self._decisions.recording() as decision:
            brand = member_called(decision.connection, name)
            verify_marks(decision.connection, brand.id, numbers)
            admitted = Act(act="joined", code="brand", target=brand.key)
            decision.plan(Planned("act", admitted, proposal.events[0].id))
        return f"{name}: admitted as a brand with {', '.join(numbers)}"

    def suspend(self, name: str, by: str = SERVICE) -> Member:
        """Stop a member from reading and posting, on record.

        Raises:
            GovernanceError: no such member, or suspended already.
        """
        decisions = self._decisions
        with decisions.attempt(by, "suspended", ""), decisions.recording() as decision:
            connection = decision.connection
            member, act = set_status(connection, name, SUSPENDED)
            decision.plan(self._signed(connection, by, act))
            # It would come back with the next key, if it has a credential under that already.
            replace_coming(
                connection,
                decisions.home.issuer_key(),
                decisions.clock(),
                holders(connection, member.id),
            )
        return member

    def reinstate(self, name: str, by: str = SERVICE) -> Member:
        """Let a suspended member take part again, on record.

        Raises:
            GovernanceError: no such member, or not suspended.
        """
        decisions = self._decisions
        with decisions.attempt(by, "reinstated", ""), decisions.recording() as decision:
            member, act = set_status(decision.connection, name, ACTIVE)
            decision.plan(self._signed(decision.connection, by, act))
        return member

    def members(self) -> tuple[Member, ...]:
        """Every member, by name."""
        with self._decisions.database.read() as connection:
            return list_members(connection)

    def _invitation(self, name: str, role: str, criteria: Iterable[str], group: str) -> _Invitation:
        grounds = tuple(codes.checked(code, codes.ADMISSION, "admission") for code in criteria)
        digest = _group_digest(self._decisions.home, group or name)
        return _Invitation(name, role, grounds, digest)

    def _needs_two(self, connection: Connection, wanted: _Invitation) -> str:
        """Why two operators must sign; empty if one is enough."""
        if wanted.role not in COUNTED_ROLES:
            return ""
        for table in (members, invites):
            other = select(table.c.name).where(
                table.c.group_digest == wanted.group, table.c.name != wanted.name
            )
            if connection.execute(other).first():
                return "a member of the same economic group was invited before"
        today = hour_text(self._decisions.clock())[:10]
        if self._invited_on(connection, today) >= self._decisions.settings.invites_daily:
            return f"{self._decisions.settings.invites_daily} were invited today already"
        return ""

    def _invited_on(self, connection: Connection, day: str) -> int:
        """Invites of a day to roles whose word counts, those that are still to be appended too."""
        acts = [event.body() for event in acts_at(connection, day)]
        acts += [
            event.body() if isinstance(event, Event) else event.body
            for decision in waiting(connection, self._decisions.settings.invites_daily + 1)
            for event in decision.events
            if event.type == "act"
        ]
        return sum(
            isinstance(act, Act) and act.act == "invited" and act.code in COUNTED_ROLES
            for act in acts
        )

    def _reenrollable(self, connection: Connection, name: str) -> Member:
        member = member_called(connection, name)
        if member.status != ACTIVE:
            raise GovernanceError(f"{name} is {member.status}")
        year_ago = hour_text(years_after(self._decisions.clock(), -1))
        if member.reenrolled > year_ago:
            raise GovernanceError(
                f"{name} got a new wallet at {member.reenrolled}: once a year is what members are "
                "promised, as each can count once more"
            )
        return member

    def _make(self, connection: Connection, wanted: _Invitation, member: str = "") -> str:
        settings, home = self._decisions.settings, self._decisions.home
        fresh = create_invite(
            connection,
            wanted.name,
            wanted.role,
            now=self._decisions.clock(),
            days=settings.invite_days,
            criteria=",".join(wanted.criteria),
            group_digest=wanted.group or None,
            member=member,
        )
        invite = Invite(
            origin=settings.origin,
            url=settings.url,
            log_key=Signer(settings.origin, home.log_key()).verifier.vkey,
            # Those who came later are in the log: whoever joins when, all fold it alike.
            operators=tuple(
                InviteOperator(name=operator.name, key=operator.key)
                for operator in list_operators(connection)
                if operator.name == SERVICE
            ),
            witnesses=settings.witnesses,
            relays=settings.relays,
            matching_key=home.matching_key(),
            invite_id=fresh.invite_id,
            secret=fresh.secret,
            role=fresh.role,
            sandbox=settings.sandbox,
        )
        return format_invite(invite)

    def _unverified(self, connection: Connection, name: str) -> None:
        member = member_called(connection, name)
        if member.role != "brand":
            raise GovernanceError(f"{name} was invited as a {member.role}, not as a brand")
        if member.marks:
            raise GovernanceError(f"{name} is verified already, by {', '.join(member.marks)}")
        if member.status != ACTIVE:
            raise GovernanceError(f"{name} is {member.status}")

    def _signed(self, connection: Connection, by: str, act: Act) -> Event | Planned:
        if by == SERVICE:
            return Planned("act", act)
        return self._decisions.signatory(connection, by).sign(connection, "act", act)

    def _reserved(
        self, connection: Connection, signatory: Signatory, act: Act, number: int
    ) -> Event:
        after = proposals.reserved(connection, signatory, "") + number
        return signatory.sign(connection, "act", act, after=after)


def _invited(wanted: _Invitation) -> Act:
    return Act(act="invited", code=wanted.role, target=",".join(wanted.criteria)[:_MAX_TARGET])


def _targets(numbers: Sequence[str]) -> Iterable[str]:
    """The numbers, as many to an act as it holds."""
    target = ""
    for number in numbers:
        longer = f"{target},{number}" if target else number
        if len(longer) > _MAX_TARGET:
            yield target
            longer = number
        target = longer
    yield target


def _verification(proposal: Proposal) -> tuple[str, tuple[str, ...]]:
    return msgspec.json.decode(proposal.details, type=tuple[str, tuple[str, ...]])


def _group_digest(home: Home, group: str) -> bytes:
    """A group's name as a digest that says nothing without the service's key."""
    # Imported where it is used: it comes with polars, and every command comes by here.
    from acx.records.normalise import fold_text

    seed = home.service_key().private_bytes(
        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    )
    key = HKDF(hashes.SHA256(), 32, salt=None, info=b"acx-economic-group/v1").derive(seed)
    return hmac.digest(key, " ".join(fold_text(group).split()).encode(), "sha256")
