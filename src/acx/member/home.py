"""A member's home: every command of the member's side, as one call with a plain result.

```
HOME/
  config.toml   the exchange, and settings
  wallet/       secrets: seed, token, which accounts were reported, the outbox
  replica/      the verified copy of the log; stands apart, opens without secrets
  screened/     what earlier screenings found, for --since-last
```

Nothing is printed here: progress comes by callback, results as frozen records, refusals as errors.
What brings tables and matching along is imported where it is used, so that `acx sync` stays quick.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from acx.log.errors import MissingFile
from acx.log.tiles import DirectoryReader, TileReader
from acx.member import evidence, texts
from acx.member.authorise import CredentialAuthoriser
from acx.member.client import ExchangeClient
from acx.member.contribute import (
    Draft,
    answering,
    corroboration,
    follow_up,
    open_disputes,
    outcome,
    own_contribution,
    queue,
    require_standing,
)
from acx.member.errors import (
    BrandError,
    DecisionError,
    EvidenceError,
    ExchangeError,
    MemoryFailure,
    NoMember,
    ReplicaError,
    SettingError,
)
from acx.member.issuer_keys import IssuerKeys
from acx.member.join import REPLICA, TERMS, WALLET, Joined, join, read_passphrase, restore
from acx.member.outbox import Outbox, Sending, Sent, check_acknowledged, forget_gone
from acx.member.poster import Poster
from acx.member.recovery import needs_recovery, recover
from acx.member.replica import Replica
from acx.member.settings import CONFIG_FILE, Settings, read_config, resolve
from acx.member.spacing import Spacing, reading_shows, reads_before_posting
from acx.member.static import Keys, KeysOfExchange, SealedKeys, Site, StaticFeed
from acx.member.sync import Copy, Progress, Synced, sync
from acx.member.tunnel import Hop, parse_hop
from acx.member.verify import (
    Compared,
    PublicFiles,
    Verified,
    compare,
    compare_keys,
    published_checkpoint,
    read_checkpoint_file,
    verify_replica,
)
from acx.member.wallet import Contribution, Decision, Exhibit, Message, Wallet
from acx.records.event import Answer, Outcome, Registration, Withdrawal, public_key_text
from acx.records.report import Standard
from acx.records.state import ReportView

if TYPE_CHECKING:
    import polars as pl

    from acx.matching.index import Frames
    from acx.matching.index import Progress as Screening
    from acx.member.brand import Brand
    from acx.member.deliver import Channel
    from acx.member.planner import Planner
    from acx.member.screen import Hit, Screener
    from acx.member.statement import Terms
    from acx.member.watch import Item, SellerBase
    from acx.records.account import Account
    from acx.records.files.reports import ReportRow
    from acx.records.leak import Contributor

__all__ = [
    "REPLICA",
    "TERMS",
    "WALLET",
    "Checked",
    "Compared",
    "Confirmation",
    "InboxItem",
    "Joined",
    "Member",
    "OwnReport",
    "Reported",
    "Sent",
    "Synced",
    "Verified",
    "check",
    "screen",
]


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file of reports.

    Attributes:
        drafts: for each row what was decided, and what leaves for it.
        reports: for each draft the report it opened or is about; empty where nothing was said.
        sent: what the outbox did; None for a dry run.
        warnings: what to know about the leak lint.
    """

    drafts: tuple[Draft, ...]
    reports: tuple[str, ...]
    sent: Sent | None
    warnings: tuple[str, ...] = ()


class OwnReport(msgspec.Struct, frozen=True, kw_only=True):
    """Something we said, and how it stands.

    Attributes:
        kind: `report`, `corroboration` or `outcome`.
        account: our own id of the account; empty where none is known.
        report: the report's id.
        state: the report's state in the replica; empty while it is not there.
        contributors: members that stand behind it.
        version: its current version; 0 while it is not there.
        standing: `waiting`, `open`, `withdrawn` or `failed`: where our own word stands.
        disputes: ids of open disputes that await our answer.
    """

    kind: str
    account: str
    report: str
    state: str
    contributors: int
    version: int
    standing: str
    disputes: tuple[str, ...]


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """That we confirmed the actor of somebody else's report ourselves.

    Attributes:
        report: the report's id.
        confirmed_by: standards of proof that we met.
        confirmed_on: the month.
        account: our own id of the account; it does not leave.
    """

    report: str
    confirmed_by: tuple[Standard, ...]
    confirmed_on: str
    account: str = ""


class InboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that waits for us to act.

    Attributes:
        kind: `dispute` (answer it), `refused` (the exchange did not take a message), `fallen` (a
            decision rested on a report that fell: decide again) or `ground` (a decision has no
            ground of our own on record).
        account: our own id of the account, where one is known.
        report: the report.
        dispute: id of the dispute, to answer.
        code: why the accused contests the report.
        lapsed: whether the deadline has passed.
        problem: why a message was refused, or what is wrong with a decision.
    """

    kind: str
    account: str
    report: str
    dispute: str = ""
    code: str = ""
    lapsed: bool = False
    problem: str = ""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification found.

    Attributes:
        verified: of our own copy.
        compared: with another's checkpoint; None if none was asked for.
        keys: keys that the exchange still has as we were given them; None if it was not asked.
    """

    verified: Verified
    compared: Compared | None = None
    keys: int | None = None


class Member:
    """A member, at home."""

    def __init__(self, home: Path, settings: Settings, config: Mapping[str, Any]) -> None:
        """Use `open` or `join`."""
        self.home = home
        self.settings = settings
        self._config = config

    # -- opening --------------------------------------------------------------------------------

    @staticmethod
    def join(
        invite_line: str,
        home: Path,
        *,
        terms: str = TERMS,
        phrase: str = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> Joined:
        """Become a member; see `acx.member.join.join`."""
        return join(invite_line, home, terms=terms, phrase=phrase, arguments=arguments)

    @staticmethod
    def restore(
        home: Path,
        backup: Path,
        passphrase: bytes,
        *,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """Make a home from a backup of its wallet; see `acx.member.join.restore`."""
        restore(home, backup, passphrase, arguments=arguments)

    @classmethod
    def open(cls, home: Path, arguments: Mapping[str, Any] | None = None) -> Member:
        """Open a home.

        Args:
            home: the directory.
            arguments: settings from the command line, by name; None counts as not given.

        Raises:
            NoMember: it is none.
            SettingError: a setting is wrong.
        """
        if not (home / CONFIG_FILE).exists():
            raise NoMember(f"{home} is no member's home; run `acx join INVITE --home {home}`")
        return cls(home, resolve(home, arguments), read_config(home / CONFIG_FILE))

    # -- parts ----------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where the exchange answers."""
        return self.settings.url or str(self._exchange("url"))

    @property
    def role(self) -> str:
        """What the member may do."""
        return str(self._exchange("role"))

    @property
    def contributor(self) -> Contributor:
        """Who we are: what must not leave.

        From `[contributor]` in `config.toml`, with the words of the setting `lint_words`.

        Raises:
            SettingError: the table is wrong.
        """
        from acx.records.leak import Contributor, LeakError

        try:
            profile = msgspec.convert(self._config.get("contributor", {}), Contributor)
            more = filter(None, map(str.strip, self.settings.lint_words.split(",")))
            return msgspec.structs.replace(profile, words=(*profile.words, *more))
        except (msgspec.ValidationError, LeakError) as error:
            raise SettingError(f"{self.home / CONFIG_FILE}: [contributor]: {error}") from None

    @contextmanager
    def wallet(self) -> Iterator[Wallet]:
        """The wallet, opened."""
        with closing(Wallet.open(self.home / WALLET, read_passphrase(self.settings))) as wallet:
            yield wallet

    @contextmanager
    def replica(self, *, read_only: bool = False) -> Iterator[Replica]:
        """The replica, opened."""
        with closing(Replica.open(self.home / REPLICA, read_only=read_only)) as replica:
            yield replica

    @contextmanager
    def client(self, wallet: Wallet) -> Iterator[ExchangeClient]:
        """The exchange, asked as this member."""
        opened = ExchangeClient(
            self.url,
            token=wallet.secret("token").decode(),
            member_key=wallet.seed().member_key(),
            timeout=self.settings.timeout,
            proxy=self.settings.proxy,
        )
        with closing(opened) as client:
            yield client

    # -- the log --------------------------------------------------------------------------------

    def sync(self, progress: Progress | None = None) -> Synced:
        """Bring the replica up to the exchange's head, verified.

        Raises:
            ExchangeError: no or no proper answer; run it again to go on.
            InconsistentLog: the log contradicts itself; the replica is as before.
        """
        with self.wallet() as wallet, self.client(wallet) as client, self.replica() as replica:
            return self._sync(wallet, client, replica, progress)

    def sync_from(self, source: str, progress: Progress | None = None) -> Synced:
        """Bring the replica up to date from the log's files, as verified as from the exchange.

        Args:
            source: URL or directory of what `acx exchange publish` wrote. Where it holds no key
                pages, they come from the exchange, and so does what is newer than the files.
            progress: told how far it is.

        Raises:
            LogError, ExchangeError: a file is missing, damaged, or cannot be fetched.
            InconsistentLog: a file was changed on the way, or the log contradicts itself; the
                replica is as before.
        """
        with (
            self.wallet() as wallet,
            self.client(wallet) as client,
            self.replica() as replica,
            self._files(source) as files,
        ):
            origin, member_key = replica.trust.origin, wallet.seed().member_key()
            keys: Keys
            try:
                keys, complete = SealedKeys(files, member_key, origin), True
            except MissingFile:
                keys, complete = KeysOfExchange(client), False
            processes = self.settings.threads or os.cpu_count() or 1
            with StaticFeed(files, keys, replica.trust.log_key, processes=processes) as feed:
                synced = sync(
                    replica,
                    feed,
                    receipts=_receipts(wallet),
                    threads=self.settings.threads,
                    progress=progress,
                    copy=Copy(feed.as_of, complete),
                )
                size = feed.size
            if not complete:
                rest = self._sync(wallet, client, replica, progress)
                changed = tuple(sorted({*synced.changed, *rest.changed}))
                return msgspec.structs.replace(rest, since=synced.since, changed=changed)
            with replica.keeping_evidence():
                check_acknowledged(wallet, replica)
            forget_gone(wallet, replica, synced.since)
            if size < replica.size:
                older = (
                    f"{source} holds {size} entries, and the replica {replica.size} already: it is"
                    " older; ask who publishes it"
                )
                warnings = [text for text in (synced.warning, older) if text]
                synced = msgspec.structs.replace(synced, warning="; ".join(warnings))
            return synced

    @contextmanager
    def _files(self, source: str) -> Iterator[TileReader]:
        """The log's files at a URL or in a directory."""
        if source.startswith(("http://", "https://")):
            with self._anyone(source) as client:
                yield Site(client)
        else:
            yield DirectoryReader(Path(source))

    def _sync(
        self,
        wallet: Wallet,
        client: ExchangeClient,
        replica: Replica,
        progress: Progress | None = None,
    ) -> Synced:
        synced = sync(
            replica,
            client,
            receipts=_receipts(wallet),
            threads=self.settings.threads,
            progress=progress,
        )
        with replica.keeping_evidence():
            check_acknowledged(wallet, replica)
        forget_gone(wallet, replica, synced.since)
        if needs_recovery(wallet):
            recover(wallet, replica)
        try:
            IssuerKeys(wallet, replica).renew(client)
        except ExchangeError as error:
            # What is read is good all the same; reports wait where they need it.
            missing = f"a credential that is due was not issued: {error}"
            warnings = [text for text in (synced.warning, missing) if text]
            synced = msgspec.structs.replace(synced, warning="; ".join(warnings))
        if replica.index_is_due:
            from acx.member.index import update

            update(replica, patience=0)
        return synced

    def backup(self, path: Path, passphrase: bytes) -> None:
        """Write the wallet to one new file that the passphrase opens.

        Raises:
            WalletError: the file exists or cannot be written.
        """
        with self.wallet() as wallet:
            wallet.backup(path, passphrase)

    def verify(self, *, against: str = "", progress: Progress | None = None) -> Checked:
        """Recompute the replica from the ground up, and hold the exchange's word against it.

        Args:
            against: URL of the exchange, of a mirror of its files or of a witness; or file with a
                fellow member's checkpoint or receipt, or its replica. Nothing is asked over the
                network for a file or without it. The member's own exchange is asked for its key
                pages too.
            progress: told how many entries are done.

        Raises:
            InconsistentLog: the log contradicts itself; what proves it is kept.
        """
        with self.replica() as replica, replica.keeping_evidence():
            verified = verify_replica(replica, threads=self.settings.threads, progress=progress)
            if not against:
                return Checked(verified=verified)
            if not against.startswith(("http://", "https://")):
                note = read_checkpoint_file(Path(against))
                return Checked(verified=verified, compared=compare(replica, note))
            if against.rstrip("/") == self.url.rstrip("/"):
                with self.wallet() as wallet, self.client(wallet) as client:
                    compared = compare(replica, client.checkpoint(), PublicFiles(client))
                    keys = compare_keys(replica, client)
                return Checked(verified=verified, compared=compared, keys=keys)
            with self._anyone(against) as client, self._anyone(self.url) as exchange:
                note, has_files = published_checkpoint(client, replica.trust.origin)
                files = PublicFiles(client if has_files else exchange)
                return Checked(verified=verified, compared=compare(replica, note, files))

    @contextmanager
    def _anyone(self, url: str) -> Iterator[ExchangeClient]:
        """Somebody's public files, asked as anybody can."""
        opened = ExchangeClient(url, timeout=self.settings.timeout, proxy=self.settings.proxy)
        with closing(opened) as client:
            yield client

    def checkpoint(self) -> str:
        """The newest trusted checkpoint, with its cosignatures, for others to compare with.

        Raises:
            ReplicaError: nothing was synced so far.
        """
        with self.replica(read_only=True) as replica:
            newest, cosigned = replica.checkpoint, replica.cosigned
        if newest is None:
            raise ReplicaError(f"{self.home} was never synced; run `acx sync` first")
        return cosigned.note if cosigned and cosigned.size == newest.size else newest.note

    @property
    def log_key(self) -> str:
        """C2SP vkey of the log, from the invite."""
        with self.replica(read_only=True) as replica:
            return replica.trust.log_key

    # -- reporting ------------------------------------------------------------------------------

    def report(
        self,
        rows: Sequence[ReportRow],
        *,
        dry_run: bool = False,
        at_once: bool = False,
        only_amend: bool = False,
        always_new: bool = False,
        progress: Sending | None = None,
    ) -> Reported:
        """Share confirmed counterfeiters; a rerun of the same rows sends only what changed.

        Args:
            rows: what was confirmed.
            dry_run: decide, and send nothing.
            at_once: without waiting (`--now`).
            only_amend: leave out rows that were not reported before.
            always_new: open a report even where another stands.
            progress: told how the sending goes.
        """
        plan = partial(self._planner, only_amend=only_amend, always_new=always_new)
        if dry_run:
            with self.wallet() as wallet, self.replica() as replica:
                drafts = plan(wallet, replica).plan(rows)
            return Reported(
                drafts=tuple(drafts),
                reports=tuple(draft.report for draft in drafts),
                sent=None,
                warnings=_lint_warnings(self.contributor),
            )
        with self._sending(at_once=at_once, progress=progress) as (wallet, replica, send):
            drafts = plan(wallet, replica).plan(rows)
            reports = [
                wallet.contribution(message.contribution).report if message else draft.report
                for draft, message in zip(drafts, queue(wallet, drafts), strict=True)
            ]
            sent = send()
            return Reported(
                drafts=tuple(drafts),
                reports=tuple(reports),
                sent=sent,
                warnings=_lint_warnings(self.contributor),
            )

    def corroborate(
        self,
        confirmations: Sequence[Confirmation],
        *,
        at_once: bool = False,
        progress: Sending | None = None,
    ) -> Sent:
        """Stand behind reports of others, each in its present version.

        Args:
            confirmations: what was confirmed.
            at_once: without waiting (`--now`).
            progress: told how the sending goes.

        Raises:
            ContributionError: a report does not stand, is our own, or we stand behind it already.
        """
        spoken_of = [item.report for item in confirmations]
        knows = partial(_knows_reports, spoken_of)
        sending = self._sending(at_once=at_once, progress=progress, knows=knows)
        with sending as (wallet, replica, send):
            drafts = [
                corroboration(
                    wallet,
                    replica,
                    item.report,
                    confirmed_by=item.confirmed_by,
                    confirmed_on=item.confirmed_on,
                    account=item.account,
                )
                for item in confirmations
            ]
            queue(wallet, drafts)
            return send()

    def amend(
        self,
        report: str,
        row: ReportRow,
        *,
        at_once: bool = False,
        progress: Sending | None = None,
    ) -> Sent:
        """Put a whole new report in the place of one of ours.

        Args:
            report: its id, or our own id of the account.
            row: what it should say.
            at_once: without waiting (`--now`).
            progress: told how the sending goes.

        Raises:
            ContributionError: it is none of ours that stands, or the row cannot leave.
        """
        with self._sending(at_once=at_once, progress=progress) as (wallet, replica, send):
            queue(wallet, [self._planner(wallet, replica).amendment(report, row)])
            return send()

    def withdraw(
        self,
        report: str,
        reason: Literal["error", "duplicate", "cleared"],
        *,
        at_once: bool = False,
        progress: Sending | None = None,
    ) -> Sent:
        """Take back a report or corroboration; what was never sent is just not sent.

        Args:
            report: its id, the event's, or our own id of the account.
            reason: `error`, `duplicate` or `cleared`.
            at_once: without waiting (`--now`).
            progress: told how the sending goes.

        Raises:
            ContributionError: it is none of ours that stands.
        """
        with self._sending(at_once=at_once, progress=progress) as (wallet, _, send):
            contribution = own_contribution(wallet, report)
            follow_up(wallet, contribution, "withdrawal", Withdrawal(reason=reason))
            return send()

    def answer(
        self,
        dispute: str,
        answer: Literal["stands", "withdraws"] | None,
        *,
        text: str = "",
        files: Sequence[Path] = (),
        at_once: bool = False,
        progress: Sending | None = None,
    ) -> Sent:
        """Answer a dispute of a report we stand behind.

        Args:
            dispute: its id.
            answer: where we stand now; None to say more to the operators after an answer.
            text: words for the operators alone.
            files: evidence that is handed over to them for this dispute.
            at_once: without waiting (`--now`).
            progress: told how the sending goes.

        Raises:
            ContributionError: no open dispute of this id is about a report of ours.
            EvidenceError: a file was not committed to, or they are too large.
        """
        knows = partial(_knows_dispute, dispute, answer is None)
        sending = self._sending(at_once=at_once, progress=progress, knows=knows)
        with sending as (wallet, replica, send):
            contribution = answering(wallet, replica, dispute, again=answer is None)
            words = texts.compose(wallet, contribution, text, files) if text or files else b""
            with wallet.transaction():
                if answer is not None:
                    wallet.store(contribution)
                    body = Answer(answer=answer)
                    follow_up(wallet, contribution, "answer", body, ref=dispute)
                if words:
                    texts.put(wallet, contribution, dispute, words)
            return send()

    def outcome(
        self,
        outcomes: Sequence[tuple[str, Literal["blocked", "removed", "no_match", "kept"]]],
        *,
        at_once: bool = False,
        progress: Sending | None = None,
    ) -> Sent:
        """Say what we did about reports; a later word about the same report replaces it.

        Args:
            outcomes: report and outcome.
            at_once: without waiting (`--now`).
            progress: told how the sending goes.
        """
        knows = partial(_knows_reports, [report for report, _ in outcomes])
        sending = self._sending(at_once=at_once, progress=progress, knows=knows)
        with sending as (wallet, replica, send):
            for report, _ in outcomes:
                require_standing(replica, report)
            for report, said in outcomes:
                outcome(wallet, report, Outcome(outcome=said))
            return send()

    def decide(
        self,
        account: str,
        report: str,
        action: Literal["blocked", "removed", "no_match", "kept"],
        *,
        by: str = "",
        note: str = "",
        hits: Sequence[Path] = (),
        tell: bool = False,
        at_once: bool = False,
        progress: Sending | None = None,
    ) -> Sent | None:
        """Record what a person decided about a hit; it stays here unless `tell` says otherwise.

        What the hit said is kept beside it: level, reasons, how much of the log was known.

        Args:
            account: the store's own id.
            report: the report that was hit.
            action: what was done.
            by: who decided.
            note: why, in the store's own words; never leaves.
            hits: HITS files that show the hit; by default what `--since-last` keeps is looked at.
            tell: let an anonymous outcome say it too.
            at_once: without waiting (`--now`).
            progress: told how the sending goes.

        Raises:
            ContributionError: the log has no such report, or it fell and was not decided on before.
            DecisionError: the HITS files do not show the hit.
        """
        from acx.member.decisions import AGAINST, find_hit

        with self.wallet() as wallet, self.replica() as replica:
            again = any(d.report == report for d in wallet.decisions(account))
            # Whoever was blocked because of a report that fell must be able to be let in again.
            if action in AGAINST or not again:
                require_standing(replica, report)
            known = find_hit(self.home, account, report, hits)
            wallet.record(
                Decision(
                    account=account,
                    report=report,
                    action=action,
                    by=by,
                    note=note,
                    level=known.level if known else "",
                    reasons=known.reasons if known else (),
                    log_size=known.log_size if known else replica.size,
                )
            )
        if not tell:
            return None
        return self.outcome([(report, action)], at_once=at_once, progress=progress)

    # -- brands ---------------------------------------------------------------------------------

    def register_brand(self, path: Path, *, dry_run: bool = False) -> tuple[Registration, int]:
        """Publish what is a brand's own, by name.

        Args:
            path: TOML or JSON; see `acx.member.brand.read_registration`.
            dry_run: read it, and publish nothing.

        Returns:
            What was published, and its place in the log; -1 for a dry run.

        Raises:
            BrandError: this membership is no brand's, or the file says something impossible.
        """
        from acx.member.brand import read_registration

        with self._speaking() as (brand, replica):
            registration = read_registration(path, replica.trust.matching_key)
            return registration, -1 if dry_run else brand.register(registration).index

    def assess(self, report: str, assessment: Literal["confirmed", "refuted"]) -> int:
        """Say of a report, as the brand, whether the goods were counterfeit.

        Returns:
            The place of the word in the log.

        Raises:
            BrandError: this membership is no brand's.
            ContributionError: there is no such report that stands.
        """
        with self._speaking() as (brand, _):
            return brand.assess(report, assessment).index

    def about_brand(self, names: Sequence[str], *, unassessed: bool = False) -> list[ReportView]:
        """Reports that stand and name a brand, looked up in the replica."""
        from acx.member.brand import about

        with self.wallet() as wallet, self.replica() as replica:
            by = public_key_text(wallet.seed().member_key()) if unassessed else ""
            return list(about(replica, names, by))

    @contextmanager
    def _speaking(self) -> Iterator[tuple[Brand, Replica]]:
        """A brand with its replica up to date."""
        from acx.member.brand import Brand

        if self.role != "brand":
            raise BrandError(
                f"this membership is a {self.role}'s: a brand's is invited as --role brand"
            )
        with self.wallet() as wallet, self.client(wallet) as client, self.replica() as replica:
            self._sync(wallet, client, replica)
            key = wallet.seed().member_key()
            yield Brand(replica, self._poster(), key, wallet.origin), replica

    # -- evidence -------------------------------------------------------------------------------

    def add_evidence(self, account: str, paths: Sequence[Path], kind: str) -> list[Exhibit]:
        """Commit to files against an account; its next report carries the commitments.

        Raises:
            EvidenceError: a file cannot be read or is empty, or the kind is no code.
        """
        with self.wallet() as wallet:
            return evidence.add(wallet, account, paths, kind)

    def exhibits(self, account: str = "") -> list[Exhibit]:
        """Files that were committed to, oldest first; against one account if asked for."""
        with self.wallet() as wallet:
            return wallet.exhibits(account)

    def let_go(self, commitment: str) -> Exhibit:
        """Note that a file is no longer kept; the next report says so.

        Raises:
            EvidenceError: no such commitment is ours.
        """
        with self.wallet() as wallet, wallet.transaction():
            for exhibit in wallet.exhibits():
                if exhibit.commitment == commitment:
                    return wallet.keep_exhibit(msgspec.structs.replace(exhibit, held=False))
        raise EvidenceError(f"{commitment[:64]} is no commitment of ours; see `acx evidence list`")

    def prove_evidence(self, report: str, path: Path) -> evidence.Proof:
        """The proof that we held a file when we reported.

        Args:
            report: the report's id, or our own id of the account.
            path: the file.

        Raises:
            ContributionError: the report is none of ours that stands.
            EvidenceError: the file is none that was committed to.
        """
        with self.wallet() as wallet:
            contribution = own_contribution(wallet, report)
            exhibits = wallet.exhibits(contribution.account) if contribution.account else []
            return evidence.prove(exhibits, contribution.report, path)

    def statement(
        self,
        account: str,
        report: str,
        terms: Terms,
        *,
        countries: Sequence[str] = (),
    ) -> tuple[str, dict[str, Any]]:
        """The statement of reasons for the last decision about a hit, and its public record.

        Args:
            account: the store's own id.
            report: the report that was hit.
            terms: what the store adds.
            countries: for the public record, where the restriction holds.

        Raises:
            DecisionError: nothing was decided, nothing restricted, or a ground is missing.
        """
        from acx.member.decisions import latest
        from acx.member.statement import render, transparency_record

        with self.wallet() as wallet, self.replica() as replica:
            found = [d for d in latest(wallet.decisions(account)) if d.report == report]
            if not found:
                raise DecisionError(
                    f"no decision about {account}:{report} is on record: `acx decide` first"
                )
            view = replica.report(report)
            stands = view is not None and view.state not in {"withdrawn", "rejected"}
            text = render(found[0], terms, view.report if view is not None and stands else None)
            puid = f"{report}-{found[0].id}"
            return text, transparency_record(found[0], terms, countries=countries, puid=puid)

    def decisions(self, account: str = "") -> list[Decision]:
        """What was decided, oldest first; about one account if asked for."""
        with self.wallet() as wallet:
            return wallet.decisions(account)

    def inbox(self) -> list[InboxItem]:
        """What waits for us to act: disputes, refusals, decisions that lost what they rest on."""
        with self.wallet() as wallet, self.replica() as replica:
            items = [
                InboxItem(
                    kind="dispute",
                    account=contribution.account,
                    report=contribution.report,
                    dispute=dispute.id,
                    code=dispute.code,
                    lapsed=dispute.lapsed,
                )
                for contribution, _, dispute in open_disputes(wallet, replica)
            ]
            for message in wallet.messages(states=("failed",)):
                contribution = wallet.contribution(message.contribution)
                items.append(
                    InboxItem(
                        kind="refused",
                        account=contribution.account,
                        report=contribution.report,
                        problem=message.problem,
                    )
                )
            return items + _about_decisions(wallet, replica)

    def watch(
        self,
        sellers: pl.DataFrame | SellerBase | None = None,
        *,
        level: str = "possible",
        prior: float | None = None,
        base: str = "",
        channels: Sequence[Channel] = (),
        say: Callable[[str], object] = lambda _: None,
        left: Event | None = None,
    ) -> Iterator[Item]:
        """Follow the log for ever; see `acx.member.watch.watch`.

        Args:
            sellers: own sellers, to look for new hits in.
            level: weakest level of hits to tell.
            prior: share of accounts expected to be somebody reported.
            base: name of the seller base, for the next watch to go on where this one ends.
            channels: where alerts are delivered besides.
            say: told, from other threads, what could not be delivered.
            left: ends it, within a second, when another thread sets it.
        """
        from acx.member.deliver import Courier
        from acx.member.watch import Remembering, watch

        remembering = Remembering(
            home=self.home,
            base=base,
            days=self.settings.remember_checked,
            channels=tuple(channel.name for channel in channels),
        )
        with (
            self.wallet() as wallet,
            self.client(wallet) as client,
            self.replica() as replica,
            closing(Courier(self.home, base, channels, say)) as courier,
        ):
            yield from watch(
                replica,
                client,
                sellers,
                level=level,
                prior=prior,
                default_country=self.settings.default_country,
                weights=self.settings.weights,
                threads=self.settings.threads,
                home=self.home,
                remembering=remembering,
                queued=courier.wake,
                renew=partial(IssuerKeys(wallet, replica).keep_renewed, client),
                left=left,
            )

    def follow(self, left: Event) -> Iterator[Item]:
        """Keep the replica up to date until `left` is set, and tell nobody of hits."""
        from acx.member.watch import watch

        with self.wallet() as wallet, self.client(wallet) as client, self.replica() as replica:
            yield from watch(
                replica,
                client,
                threads=self.settings.threads,
                renew=partial(IssuerKeys(wallet, replica).keep_renewed, client),
                left=left,
            )

    @contextmanager
    def _sending(
        self,
        *,
        at_once: bool,
        progress: Sending | None = None,
        knows: Callable[[Wallet, Replica], bool] = lambda *_: True,
    ) -> Iterator[tuple[Wallet, Replica, Callable[[], Sent]]]:
        """What saying something takes, and what sends it.

        Reading is done under the member's name, so beside a post it would tell whose that is: it
        is left out unless the replica is old, `knows` says that it lacks what is spoken of, or
        haste was asked for. The connection that read is closed before anything is posted.
        """
        with self.wallet() as wallet, self.replica() as replica:
            old = reads_before_posting(replica.synced, time.time())
            if at_once or old or not knows(wallet, replica):
                self._read(wallet, replica)
            shows = reading_shows(
                replica.synced, replica.synced_before, time.time(), self.settings.delay
            )

            def send() -> Sent:
                sent = self._outbox(wallet, replica).send(at_once=at_once, progress=progress)
                posted = bool(sent.acknowledged or sent.failed)
                return msgspec.structs.replace(sent, read=shows and posted)

            yield wallet, replica, send

    def _read(self, wallet: Wallet, replica: Replica) -> None:
        with self.client(wallet) as client:
            self._sync(wallet, client, replica)

    def _planner(
        self,
        wallet: Wallet,
        replica: Replica,
        *,
        only_amend: bool = False,
        always_new: bool = False,
    ) -> Planner:
        from acx.member.planner import Planner

        return Planner(
            wallet,
            replica,
            contributor=self.contributor,
            default_country=self.settings.default_country,
            only_amend=only_amend,
            always_new=always_new,
        )

    def send(self, *, at_once: bool = False, progress: Sending | None = None) -> Sent:
        """Send what waits in the outbox."""
        with self.wallet() as wallet, self.replica() as replica:
            return self._outbox(wallet, replica).send(at_once=at_once, progress=progress)

    def outbox(self) -> list[Message]:
        """Everything that is or was on its way, oldest first."""
        with self.wallet() as wallet:
            return wallet.messages()

    def reports(self) -> list[OwnReport]:
        """Everything we said, and how it stands."""
        with self.wallet() as wallet, self.replica() as replica:
            unsettled = {
                message.contribution
                for message in wallet.messages(states=("waiting", "sent"))
                if message.type in ("report", "corroboration", "outcome")
            }
            return [
                _own_report(
                    contribution,
                    replica.report(contribution.report),
                    waiting=contribution.id in unsettled,
                )
                for contribution in wallet.contributions()
            ]

    def _outbox(self, wallet: Wallet, replica: Replica) -> Outbox:
        return Outbox(
            wallet,
            replica,
            self._poster(),
            CredentialAuthoriser(wallet, IssuerKeys(wallet, replica)),
            spacing=Spacing(
                self.settings.spacing, self.settings.follow_up_spacing, self.settings.delay
            ),
            refresh=partial(self._read, wallet, replica),
        )

    def _poster(self) -> Poster:
        proxy = self.settings.proxy
        return Poster(
            self.url,
            timeout=self.settings.timeout,
            before=[parse_hop(proxy)] if proxy else [],
            relays=self._relays(),
        )

    def _relays(self) -> list[Hop]:
        """Who passes anonymous posts on; nobody where the settings say `direct`."""
        if self.settings.via:
            return [parse_hop(self.settings.via)]
        return [] if self.settings.direct else [parse_hop(url) for url in self._exchange("relays")]

    def _exchange(self, name: str) -> Any:
        try:
            return self._config["exchange"][name]
        except (KeyError, TypeError):
            raise SettingError(
                f"{self.home / CONFIG_FILE}: [exchange] has no {name}; restore it, or join again"
            ) from None


def screen(
    replica: Replica,
    accounts: Frames,
    *,
    settings: Settings,
    level: str = "possible",
    prior: float | None = None,
    carry: Sequence[str] = (),
    home: Path | None = None,
    progress: Screening | None = None,
) -> tuple[pl.DataFrame, str]:
    """Screen a seller base.

    Args:
        replica: what is known; no wallet is needed.
        accounts: the whole seller base, for how common a value is among its accounts counts.
        settings: `max_age`, `default_country` and `weights` count.
        level: weakest level to give.
        prior: share of accounts expected to be somebody reported.
        carry: columns that hits show of their account.
        home: the member's directory, if the replica is its; see `acx.member.screen.Screener`.
        progress: told how many accounts were read, then how many of them were screened.

    Returns:
        Hits, most probable first, and a warning or nothing.

    Raises:
        ReplicaError: the replica is too old.
    """
    screener, warning = _screener(replica, settings, level, prior, home)
    return screener.screen(accounts, carry, progress), warning


def check(
    replica: Replica,
    account: Account,
    *,
    settings: Settings,
    level: str = "possible",
    prior: float | None = None,
    home: Path | None = None,
) -> tuple[list[Hit], str]:
    """Check one account, as at a sign-up: its hits, and a warning or nothing.

    With `home`, digests of the account are remembered there, so that a later report on it alerts.
    """
    screener, warning = _screener(replica, settings, level, prior, home)
    hits = screener.check(account)
    if home is not None:
        from acx.member.checked import remember
        from acx.member.memory import Memory

        try:
            with closing(Memory.open(home)) as memory:
                remember(
                    memory,
                    account,
                    hits,
                    log_size=screener.log_size,
                    matching_key=replica.trust.matching_key,
                    days=settings.remember_checked,
                    default_country=settings.default_country,
                )
        except MemoryFailure as error:
            # The answer is what was asked for.
            warning = "; ".join(filter(None, (warning, f"not remembered: {error}")))
    return hits, warning


def _screener(
    replica: Replica, settings: Settings, level: str, prior: float | None, home: Path | None
) -> tuple[Screener, str]:
    from acx.member.screen import Screener, require_fresh

    warning = require_fresh(replica, settings.max_age)
    screener = Screener(
        replica,
        level=level,
        prior=prior,
        default_country=settings.default_country,
        weights=settings.weights,
        home=home,
    )
    return screener, "; ".join(filter(None, (warning, screener.warning)))


def _receipts(wallet: Wallet) -> list[str]:
    """Checkpoints that the exchange has signed for us, and that the log must lead to."""
    # Below the proof, a receipt holds the checkpoint that it was signed under.
    return [message.receipt.partition("\n\n")[2] for message in wallet.unchecked()]


def _lint_warnings(contributor: Contributor) -> tuple[str, ...]:
    from acx.records.leak import unsought

    if contributor == type(contributor)():
        return ("config.toml has no [contributor]: this store's own names and domains may leave",)
    return tuple(
        f"[contributor] {word!r} is too short or general to be looked for; give a longer form"
        for word in unsought(contributor)
    )


def _about_decisions(wallet: Wallet, replica: Replica) -> list[InboxItem]:
    from acx.member.decisions import without_basis, without_ground

    fallen = [
        InboxItem(
            kind="fallen",
            account=decision.account,
            report=decision.report,
            problem=f"{decision.action}; this decision rested on a report that is now {state}",
        )
        for decision, state in without_basis(wallet, replica)
    ]
    groundless = [
        InboxItem(
            kind="ground",
            account=decision.account,
            report=decision.report,
            problem=f"{decision.action}; no ground of our own is on record (--statement FILE)",
        )
        for decision in without_ground(wallet)
    ]
    return fallen + groundless


def _own_report(contribution: Contribution, view: ReportView | None, *, waiting: bool) -> OwnReport:
    ours = contribution.kind == "report" and contribution.state == "open"
    return OwnReport(
        kind=contribution.kind,
        account=contribution.account,
        report=contribution.report,
        state=view.state if view else "",
        contributors=view.contributors if view else 0,
        version=view.version if view else 0,
        standing="waiting" if waiting else contribution.state,
        disputes=view.awaiting_answer if view and ours else (),
    )


def _knows_reports(reports: Sequence[str], _wallet: Wallet, replica: Replica) -> bool:
    return all(replica.report(report) is not None for report in reports)


def _knows_dispute(dispute: str, answered: bool, wallet: Wallet, replica: Replica) -> bool:
    return any(
        found.id == dispute for _, _, found in open_disputes(wallet, replica, answered=answered)
    )
