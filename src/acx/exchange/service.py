"""The exchange as an operator handles it: what each `acx exchange` command calls.

Commands work while the server runs and while it does not. What they decide is written in one
transaction with the events that say so (`sequencer.outbox`); the process that leads appends them.
If none does, the command leads for as long as that takes.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import secrets
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from acx.credentials.issuance import ClientRequest, MemberSecret, enrol
from acx.credentials.keys import SecretKey
from acx.credentials.presentation import presentation_tag
from acx.credentials.single_use import single_use_tag
from acx.exchange.admission.invites import NAME
from acx.exchange.admission.members import (
    Member,
)
from acx.exchange.backup.backup import Manifest, make_backup, restore_backup
from acx.exchange.backup.recovery import LogCopy, Recovered, recover_rows
from acx.exchange.clock import Clock, hour_text, utc_now
from acx.exchange.errors import GovernanceError, HomeError
from acx.exchange.feed.publication import Publication, publish
from acx.exchange.governance import proposals
from acx.exchange.governance.admissions import Admissions
from acx.exchange.governance.audit import Audited, RowsCopy, audit
from acx.exchange.governance.daily import Daily, Done
from acx.exchange.governance.decisions import Decisions, Refusal
from acx.exchange.governance.disputes import Disputes
from acx.exchange.governance.holdings import Subjects
from acx.exchange.governance.operators import (
    SERVICE,
    Operator,
    add_operator,
    list_operators,
)
from acx.exchange.governance.proposals import Approvable, Kind, Proposal
from acx.exchange.governance.retention import Retention
from acx.exchange.home import Home, Settings
from acx.exchange.issuing.keys import StoredKey, found_key, rotate
from acx.exchange.sequencer.lead import Lead
from acx.exchange.sequencer.outbox import Planned, plan
from acx.exchange.sequencer.sequencer import Published
from acx.exchange.storage.database import Database, database_url
from acx.exchange.storage.ledger import load_head
from acx.exchange.witnessing.policy import add_witness, remove_witness
from acx.log.checkpoint import read_checkpoint
from acx.log.note import Signer
from acx.log.tiles import CHECKPOINT_PATH
from acx.records import test_subject
from acx.records.event import (
    Act,
    Event,
    Terms,
    public_key_text,
    rate_context,
    report_id,
    short_id,
    sign_event,
    stand_context,
)
from acx.records.issuer_keys import request_context

if TYPE_CHECKING:
    from acx.exchange.serving import Following, Service

DEFAULT_URL: Final = "http://127.0.0.1:8440"


class Exchange(AbstractContextManager["Exchange"]):
    """One exchange, by its home.

    Attributes:
        home: its directory.
        settings: from its `config.toml`.
        admissions: who takes part, and on what grounds.
        disputes: opened, answered, decided.
        retention: what is erased, held, and expires.
        subjects: answers to those whom reports may be about.
    """

    def __init__(
        self, home: Home, settings: Settings, database: Database, *, clock: Clock = utc_now
    ) -> None:
        self.home = home
        self.settings = settings
        self._database = database
        self._clock = clock
        self._decisions = Decisions(home, settings, database, clock)
        self._deciding = self._decisions.deciding
        self._leading = self._decisions.leading
        self.admissions = Admissions(self._decisions)
        self.disputes = Disputes(self._decisions)
        self.retention = Retention(self._decisions)
        self.subjects = Subjects(self._decisions)
        self._approvable: dict[Kind, Approvable] = {
            "resolution": self.disputes,
            "erasure": self.retention,
            "invitation": self.admissions,
            "verification": self.admissions,
            "reenrolment": self.admissions,
        }

    @classmethod
    def init(
        cls,
        path: Path,
        *,
        origin: str = "",
        url: str = DEFAULT_URL,
        database: str = "",
        sandbox: bool = False,
        clock: Clock = utc_now,
    ) -> Self:
        """Make an exchange: its home, its keys, its tables, and the first entries of its log.

        Args:
            path: a directory that is empty, or not there yet.
            origin: the log's name for ever; by default one that says it is of this machine.
            url: where members will reach it.
            database: empty for SQLite in the home, or `postgresql://…`.
            sandbox: to try things on; its origin begins with `sandbox.` and it never mixes.
            clock: the time.

        Raises:
            HomeError: the directory is in use, or a setting is not what it must be.
            StorageError, Unavailable: the database is in use, or does not answer.
        """
        settings = _settings(origin, url, database, sandbox=sandbox)
        existed = path.exists()
        home = Home.create(path, settings)
        try:
            exchange = cls(home, settings, Database(database_url(database, path)), clock=clock)
            exchange._found()
        except BaseException:
            # Nothing half-done: the directory was empty, or not there.
            shutil.rmtree(path, ignore_errors=True)
            if existed:
                path.mkdir(mode=0o700)
            raise
        return exchange

    @classmethod
    def open(cls, path: Path, *, clock: Clock = utc_now) -> Self:
        """Open an exchange that is there.

        Raises:
            HomeError: none is, or its settings cannot be read.
            StorageError, Unavailable: its database is of another version, or does not answer.
        """
        home = Home(path)
        settings = home.settings()
        database = Database(database_url(settings.database, path))
        database.check_version()
        return cls(home, settings, database, clock=clock)

    def backup(self, target: Path) -> Manifest:
        """Write a backup, whether the server runs or not.

        Args:
            target: a directory that is not there yet.

        Raises:
            BackupError: it is there, or cannot be written.
        """
        return make_backup(self.home, self.settings, self._database, target, clock=self._clock)

    def publish(self, target: Path, *, keys: bool = True) -> Publication:
        """Bring a folder of plain files up to date; see `acx.exchange.feed.publication`."""
        return publish(self.home, self._database, target, clock=self._clock, keys=keys)

    @staticmethod
    def restore(source: Path, path: Path, *, database: str | None = None) -> Manifest:
        """Put a backup in place; `recover` has to follow before anything is signed.

        Args:
            source: the backup.
            path: the new home, empty or not there.
            database: another one than the backup's settings name, if given.

        Raises:
            BackupError: it is no backup, damaged, or of another version.
            HomeError, StorageError, Unavailable: home or database are in use, or do not answer.
        """
        return restore_backup(source, path, database=database)

    def recover(self, copy: LogCopy | None) -> Recovered:
        """Bring rows that are behind what was published up to date, and sign again.

        Args:
            copy: of the log, a member's replica for one. None asserts that nothing was published
                after what the rows hold: if that is wrong, the log forks, and every member sees it.

        Raises:
            RecoveryError: the copy is not enough, damaged, or of another history.
            LogError: the copy is another log's.
            LeadError: the server runs; it has to be stopped.
        """
        origin = self.settings.origin
        lead = Lead(self._database, self.home.path)
        try:
            if copy is None:
                with self._database.read() as connection:
                    size = load_head(connection).size
                recovered = Recovered(size, size, 0)
            else:
                recovered = recover_rows(self.home, self._database, origin, lead.fence, copy)
            self.home.unmark_restored()
        finally:
            lead.release()
        with self._leading() as settle:
            settle()
        return recovered

    @staticmethod
    def migrate_home(path: Path) -> None:
        """Bring the database of an exchange to this version of acx.

        Raises:
            HomeError: there is no exchange here.
            Unavailable: the database does not answer.
        """
        home = Home(path)
        database = Database(database_url(home.settings().database, path))
        try:
            home.add_issuer_key()
            database.migrate()
        finally:
            database.close()

    def __enter__(self) -> Self:
        """Nothing further."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the database back."""
        self.close()

    def close(self) -> None:
        """Give the database back."""
        self._database.close()

    def lead(self, listener: Callable[[Published], None] | None = None) -> Service:
        """Take the lead and serve, until the service is closed.

        Raises:
            LeadError: another process leads.
            LogBehind: the rows are behind what was signed.
        """
        # Imported here: what members are served with is of no use to a command.
        from acx.exchange.serving import Service

        return Service(
            self.home, self.settings, self._database, clock=self._clock, listener=listener
        )

    def follow(self) -> Following:
        """Serve what is read, beside the process that leads, until it is closed.

        Raises:
            LeadError: nothing was published so far.
        """
        from acx.exchange.serving import Following

        return Following(self.home, self.settings, self._database)

    def invite(self, name: str, role: str = "contributor") -> str:
        """Make an invite that one operator alone can make; see `Admissions.invite`."""
        return self.admissions.invite(name, role)

    def members(self) -> tuple[Member, ...]:
        """Every member, by name."""
        return self.admissions.members()

    def suspend(self, name: str) -> Member:
        """Stop a member from reading and posting, on record; see `Admissions.suspend`."""
        return self.admissions.suspend(name)

    def reinstate(self, name: str) -> Member:
        """Let a suspended member take part again, on record."""
        return self.admissions.reinstate(name)

    def rotate(self, *, emergency: bool = False) -> StoredKey:
        """Publish an issuer key out of turn: whoever is suspended cannot post from its start on.

        Args:
            emergency: start it in two hours rather than two days, because the key in use may be in
                somebody else's hands; members' wallets take that once a week.

        Raises:
            GovernanceError: there was an emergency within the last week.
        """
        with self._deciding() as connection:
            return rotate(connection, self.home.issuer_key(), self._clock(), emergency=emergency)

    def add_operator(self, name: str) -> Operator:
        """Make a key for a new operator and put it on record.

        Raises:
            GovernanceError: the name cannot be, or is taken.
        """
        if not NAME.fullmatch(name) or name == SERVICE:
            raise GovernanceError(
                f"{name!r} is no operator's name: up to 127 letters, digits, spaces and ._@-, a "
                "letter or digit first"
            )
        key = self.home.add_operator_key(name)
        try:
            with self._deciding() as connection:
                return add_operator(connection, name, key, hour=hour_text(self._clock()))
        except BaseException:
            self.home.drop_operator_key(name)
            raise

    def operators(self) -> tuple[Operator, ...]:
        """Every operator, the service's key among them."""
        with self._database.read() as connection:
            return list_operators(connection)

    @property
    def log_key(self) -> str:
        """C2SP vkey of the log, for witnesses and whoever verifies from outside."""
        return Signer(self.settings.origin, self.home.log_key()).verifier.vkey

    def add_witness(self, name: str, vkey: str, url: str, quorum: int | None = None) -> None:
        """Have one more witness cosign, on record; see `acx.exchange.witnessing.policy`."""
        self._configure(witnesses=add_witness(self.settings.witnesses, name, vkey, url, quorum))

    def remove_witness(self, name: str, quorum: int | None = None) -> None:
        """Ask a witness no more, on record."""
        self._configure(witnesses=remove_witness(self.settings.witnesses, name, quorum))

    def add_relay(self, url: str) -> None:
        """Name a relay in invites from now on, on record.

        Raises:
            GovernanceError: it is no relay's URL, or named already.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
            raise GovernanceError(f"{url!r} is no relay's URL: give http://HOST:PORT")
        if url in self.settings.relays:
            raise GovernanceError(f"{url} is named already")
        self._configure(relays=(*self.settings.relays, url))

    def remove_relay(self, url: str) -> None:
        """Name a relay no more, on record.

        Raises:
            GovernanceError: it is not named.
        """
        if url not in self.settings.relays:
            raise GovernanceError(f"{url} is no relay that is named; see acx exchange relay list")
        self._configure(relays=tuple(other for other in self.settings.relays if other != url))

    def _configure(self, **changes: object) -> None:
        """Change a setting that members' trust or ways rest on, on record."""
        (name,) = changes
        digest = hashlib.sha256(msgspec.json.encode(changes[name])).hexdigest()
        with self._deciding() as connection:
            plan(connection, Planned("act", Act(act="configured", code=name, target=digest)))
            self.settings = self.home.change_settings(**changes)
            self._decisions.settings = self.settings

    def erase(self, report: str, code: str, by: str) -> str:
        """Propose that a report be erased; give the proposal's id. See `Retention.erase`."""
        return self.retention.erase([report], code, by).id

    def approve(self, proposal_id: str, by: str) -> Proposal:
        """Approve another operator's proposal, and see it done: on record, and keys destroyed.

        Raises:
            GovernanceError: no such proposal, one's own, or one the log has overtaken.
            Unavailable: the server has not appended it in time; it will.
        """

        def undo(connection: Connection) -> None:
            proposals.reopen(connection, proposal_id)

        decisions = self._decisions
        with (
            decisions.attempt(by, "approved", proposal_id),
            decisions.recording(undo) as decision,
        ):
            signatory = decisions.signatory(decision.connection, by)
            proposal = proposals.approve(decision.connection, signatory, proposal_id)
            kind = self._approvable[proposal.kind]
            kind.check(decision.connection, proposal)
            proposals.check_order(decision.connection, proposal)
            signed: list[Event] = []
            for number, event in enumerate(proposal.events):
                signed += [event, signatory.approve(decision.connection, event, number)]
            decision.plan(*signed)
        return replace(proposal, result=kind.approved(proposal))

    def reject(self, proposal_id: str) -> None:
        """Drop a proposal that nobody has approved.

        Raises:
            GovernanceError: none waits under this id.
        """
        with self._database.write() as connection:
            proposals.reject(connection, proposal_id)

    def proposals(self) -> tuple[Proposal, ...]:
        """Every proposal, those that wait first."""
        with self._database.read() as connection:
            return proposals.list_proposals(connection)

    def expire(self, *, dry_run: bool = False) -> Done:
        """Do the day's work now: deadlines, retention, and what need not be kept.

        Raises:
            GovernanceError: the clock is behind the log.
        """
        with self._decisions.attempt(SERVICE, "expiry", ""):
            return Daily(self._decisions).run(dry_run=dry_run)

    def refusals(self) -> tuple[Refusal, ...]:
        """What operators tried and the rules do not allow."""
        return self._decisions.refusals()

    def audit(self) -> Audited:
        """Hold everything operators did against the rules, from this exchange's own log."""
        note = (self.home.public / CHECKPOINT_PATH).read_text(encoding="utf-8")
        with self._database.read() as connection:
            return audit(
                RowsCopy(connection, read_checkpoint(note)),
                origin=self.settings.origin,
                log_key=Signer(self.settings.origin, self.home.log_key()).verifier.vkey,
                founders=(self._decisions.founder,),
                invites_daily=self.settings.invites_daily,
            )

    def _found(self) -> None:
        """The first rows and entries of a new exchange."""
        now = self._clock()
        hour = hour_text(now)
        terms = _terms()
        with self._database.made(), self._deciding() as connection:
            add_operator(connection, SERVICE, self.home.service_key(), hour=hour)
            digest = hashlib.sha256(terms).hexdigest()
            key, published = found_key(connection, self.home.issuer_key(), now)
            plan(
                connection,
                Planned("act", Act(act="configured", code="founded")),
                Planned("terms", Terms(version=self.settings.terms, digest=digest)),
                published,
                self._test_report(key, now),
            )

    def _test_report(self, issuer_key: StoredKey, now: datetime) -> Event:
        """The report about the test subject, by a key and a member that are forgotten here."""
        key = Ed25519PrivateKey.generate()
        rate = rate_context(now.strftime("%Y-%m-%d"))
        stand = stand_context(report_id(public_key_text(key)), 1)
        asked = ClientRequest.create(MemberSecret.generate(), request_context(self.settings.origin))
        secret_key = SecretKey.decode(issuer_key.secret)
        credential = asked.finalize(enrol(secret_key, asked.request), secret_key.public_key)
        tags = {
            rate: presentation_tag(credential, rate.encode(), 0),
            stand: single_use_tag(credential, stand.encode()),
        }
        return sign_event(
            key,
            origin=self.settings.origin,
            type="report",
            body=test_subject.REPORT,
            tags={context: base64.b64encode(tag).decode() for context, tag in tags.items()},
            issuer_key=issuer_key.term.id,
        )


def _settings(origin: str, url: str, database: str, *, sandbox: bool) -> Settings:
    name = origin or f"acx.localhost/{short_id(secrets.token_bytes(32))[:8]}"
    if sandbox and not name.startswith("sandbox."):
        name = f"sandbox.{name}"
    try:
        return msgspec.convert(
            {"origin": name, "url": url, "database": database, "sandbox": sandbox}, Settings
        )
    except msgspec.ValidationError as error:
        raise HomeError(f"settings: {error}") from None


def _terms() -> bytes:
    return importlib.resources.files("acx.exchange.governance").joinpath("terms.md").read_bytes()
