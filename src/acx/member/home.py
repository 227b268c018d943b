"""A member's home: every command of the member's side, as one call with a plain result.

```
HOME/
  config.toml   the exchange, and settings
  wallet/       secrets: seed, token, which accounts were reported, the outbox
  replica/      the verified copy of the log; stands apart, opens without secrets
  screened/     what earlier screenings found, for --since-last
```

Nothing is printed here: progress comes by callback, results as frozen records, refusals as errors.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from acx.log.checkpoint import open_checkpoint
from acx.log.errors import LogError
from acx.log.note import Verifier
from acx.member.authorise import ExchangeTags
from acx.member.client import ExchangeClient, Poster
from acx.member.contribute import Draft, Planner, queue
from acx.member.errors import ExchangeError, NoMember, SettingError, Unreachable, WalletError
from acx.member.outbox import Outbox, Sent
from acx.member.replica import Replica, Trust
from acx.member.screen import Hit, Screener, require_fresh
from acx.member.seed import Seed
from acx.member.settings import CONFIG_FILE, Settings, read_config, resolve, write_config
from acx.member.sync import Progress, Synced, sync
from acx.member.vault import sync_directory, write_secret_file
from acx.member.verify import Compared, PublicFiles, Verified, compare, verify_replica
from acx.member.wallet import Contribution, Message, Wallet
from acx.records.account import Account
from acx.records.event import canonical
from acx.records.files.reports import ReportRow
from acx.records.invite import Invite, parse_invite
from acx.records.state import ReportView

WALLET: Final = "wallet"
REPLICA: Final = "replica"
TERMS: Final = "1"
"""Version of the terms of membership that joining accepts, unless another is named."""


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """A new membership.

    Attributes:
        member: the id the exchange gave.
        role: what the member may do.
        origin: the exchange's name.
        url: where it answers.
        sandbox: whether it is one to try things on.
        phrase: the recovery phrase; shown once, to be written down.
    """

    member: str
    role: str
    origin: str
    url: str
    sandbox: bool
    phrase: str


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file of reports.

    Attributes:
        drafts: for each row what was decided, and what leaves for it.
        reports: for each draft the report it opened or is about; empty where nothing was said.
        sent: what the outbox did; None for a dry run.
    """

    drafts: tuple[Draft, ...]
    reports: tuple[str, ...]
    sent: Sent | None


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


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification found: one's own copy, and another's word if it was asked for."""

    verified: Verified
    compared: Compared | None


class Member:
    """A member, at home."""

    def __init__(self, home: Path, settings: Settings, config: Mapping[str, Any]) -> None:
        """Use `open` or `join`."""
        self.home = home
        self.settings = settings
        self._config = config

    # -- joining --------------------------------------------------------------------------------

    @classmethod
    def join(
        cls,
        invite_line: str,
        home: Path,
        *,
        terms: str = TERMS,
        arguments: Mapping[str, Any] | None = None,
    ) -> Joined:
        """Become a member: keys are made here, and the invite is used up.

        Steps: (1) the invite is read; (2) whoever answers is the exchange it names; (3) the keys
        are on disk before they are used; (4) the exchange takes them; (5) the replica is laid out;
        (6) `config.toml` makes it a home. Run again after a lost answer, it goes on at (4).

        Args:
            invite_line: as the operator handed it over.
            home: a directory that is no home yet.
            terms: version of the terms of membership that are accepted.
            arguments: settings from the command line.

        Raises:
            InviteError: the line is damaged.
            NoMember: the directory is taken.
            ExchangeError: the exchange did not answer, or refused; nothing is left behind unless
                it may have taken the keys.
        """
        # (1)
        invite = parse_invite(invite_line)
        if (home / CONFIG_FILE).exists():
            raise NoMember(f"{home} is a member's home already; choose another --home")
        settings = resolve(home, arguments)
        url = settings.url or invite.url
        client = ExchangeClient(url, timeout=settings.timeout, proxy=settings.proxy)
        try:
            # (2)
            _recognise(client, invite)
            with _new_home(home) as kept:
                # (3)
                wallet = _wallet_for(home / WALLET, invite.origin, _passphrase(settings))
                kept.on_doubt = True
                # (4)
                joined = client.join(invite, wallet.seed().member_key(), terms)
                for name, value in (("token", joined.token), ("member", joined.member)):
                    wallet.keep_secret(name, value.encode())
                wallet.keep_secret("invite", canonical(invite))
                # (5)
                _replica_for(home / REPLICA, Trust.of(invite)).close()
                # (6)
                _write_config(home, invite, url, joined.role)
            phrase = wallet.seed().phrase()
            wallet.close()
        finally:
            client.close()
        return Joined(
            member=joined.member,
            role=joined.role,
            origin=invite.origin,
            url=url,
            sandbox=invite.sandbox,
            phrase=phrase,
        )

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

    @contextmanager
    def wallet(self) -> Iterator[Wallet]:
        """The wallet, opened."""
        wallet = Wallet.open(self.home / WALLET, _passphrase(self.settings))
        try:
            yield wallet
        finally:
            wallet.close()

    @contextmanager
    def replica(self, *, read_only: bool = False) -> Iterator[Replica]:
        """The replica, opened."""
        replica = Replica.open(self.home / REPLICA, read_only=read_only)
        try:
            yield replica
        finally:
            replica.close()

    @contextmanager
    def client(self, wallet: Wallet) -> Iterator[ExchangeClient]:
        """The exchange, asked as this member."""
        client = ExchangeClient(
            self.url,
            token=wallet.secret("token").decode(),
            member_key=wallet.seed().member_key(),
            timeout=self.settings.timeout,
            proxy=self.settings.proxy,
        )
        try:
            yield client
        finally:
            client.close()

    # -- the log --------------------------------------------------------------------------------

    def sync(self, progress: Progress | None = None) -> Synced:
        """Bring the replica up to the exchange's head, verified.

        Raises:
            ExchangeError: no or no proper answer; run it again to go on.
            InconsistentLog: the log contradicts itself; the replica is as before.
        """
        with self.wallet() as wallet, self.client(wallet) as client, self.replica() as replica:
            return self._sync(wallet, client, replica, progress)

    def _sync(
        self,
        wallet: Wallet,
        client: ExchangeClient,
        replica: Replica,
        progress: Progress | None = None,
    ) -> Synced:
        receipts = [
            message.receipt.partition("\n\n")[2]
            for message in wallet.messages(states=("acknowledged",))
            if message.index is not None and message.index >= replica.size
        ]
        return sync(
            replica,
            client,
            receipts=receipts,
            threads=self.settings.threads,
            progress=progress,
        )

    def verify(self, *, against: str = "", progress: Progress | None = None) -> Checked:
        """Recompute the replica from the ground up, and hold the exchange's word against it.

        Args:
            against: URL of an exchange, or file with a checkpoint of a fellow member's; nothing is
                asked over the network without it.
            progress: told how many entries are done.

        Raises:
            InconsistentLog: the log contradicts itself; what proves it is kept.
        """
        with self.replica() as replica, replica.keeping_evidence():
            verified = verify_replica(replica, threads=self.settings.threads, progress=progress)
            if not against:
                return Checked(verified=verified, compared=None)
            if not against.startswith(("http://", "https://")):
                return Checked(verified=verified, compared=compare(replica, _read_note(against)))
            client = ExchangeClient(
                against, timeout=self.settings.timeout, proxy=self.settings.proxy
            )
            try:
                compared = compare(replica, client.checkpoint(), PublicFiles(client))
            finally:
                client.close()
            return Checked(verified=verified, compared=compared)

    # -- reporting ------------------------------------------------------------------------------

    def report(
        self,
        rows: Sequence[ReportRow],
        *,
        dry_run: bool = False,
        at_once: bool = False,
        only_amend: bool = False,
        always_new: bool = False,
        progress: Progress | None = None,
    ) -> Reported:
        """Share confirmed counterfeiters; a rerun of the same rows sends only what changed.

        Args:
            rows: what was confirmed.
            dry_run: decide, and send nothing.
            at_once: without gaps (`--now`).
            only_amend: leave out rows that were not reported before.
            always_new: open a report even where another stands.
            progress: told how many messages went.
        """
        with self.wallet() as wallet, self.client(wallet) as client, self.replica() as replica:
            if not dry_run:
                self._sync(wallet, client, replica)
            planner = Planner(
                wallet,
                replica,
                default_country=self.settings.default_country,
                only_amend=only_amend,
                always_new=always_new,
            )
            drafts = planner.plan(rows)
            if dry_run:
                return Reported(
                    drafts=tuple(drafts),
                    reports=tuple(draft.report for draft in drafts),
                    sent=None,
                )
            reports = []
            for draft in drafts:
                messages = queue(wallet, [draft])
                reports.append(
                    wallet.contribution(messages[0].contribution).report
                    if messages
                    else draft.report
                )
            sent = self._outbox(wallet, client, replica).send(at_once=at_once, progress=progress)
            return Reported(drafts=tuple(drafts), reports=tuple(reports), sent=sent)

    def send(self, *, at_once: bool = False, progress: Progress | None = None) -> Sent:
        """Send what waits in the outbox."""
        with self.wallet() as wallet, self.client(wallet) as client, self.replica() as replica:
            return self._outbox(wallet, client, replica).send(at_once=at_once, progress=progress)

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

    def _outbox(self, wallet: Wallet, client: ExchangeClient, replica: Replica) -> Outbox:
        relays = self._exchange("relays")
        relay = "" if self.settings.direct or not relays else str(relays[0])
        carrier = Poster(
            relay or self.url,
            timeout=self.settings.timeout,
            proxy=self.settings.via,
            member_key=wallet.seed().member_key(),
        )
        return Outbox(
            wallet,
            replica,
            carrier,
            ExchangeTags(client, wallet),
            spacing=self.settings.spacing,
            follow_up_spacing=self.settings.follow_up_spacing,
            refresh=lambda: self._sync(wallet, client, replica),
        )

    def _exchange(self, name: str) -> Any:
        try:
            return self._config["exchange"][name]
        except (KeyError, TypeError):
            raise SettingError(
                f"{self.home / CONFIG_FILE}: [exchange] has no {name}; restore it, or join again"
            ) from None


def screen(
    replica: Replica,
    accounts: pl.DataFrame,
    *,
    settings: Settings,
    level: str = "possible",
    prior: float | None = None,
    carry: Sequence[str] = (),
) -> tuple[pl.DataFrame, str]:
    """Screen a seller base.

    Args:
        replica: what is known; no wallet is needed.
        accounts: the whole seller base, for how common a value is among its accounts counts.
        settings: `max_age` and `default_country` count.
        level: weakest level to give.
        prior: share of accounts expected to be somebody reported.
        carry: columns that hits show of their account.

    Returns:
        Hits, most probable first, and a warning or nothing.

    Raises:
        ReplicaError: the replica is too old.
    """
    warning = require_fresh(replica, settings.max_age)
    screener = Screener(replica, level=level, prior=prior, default_country=settings.default_country)
    return screener.screen(accounts, carry), warning


def check(
    replica: Replica,
    account: Account,
    *,
    settings: Settings,
    level: str = "possible",
    prior: float | None = None,
) -> tuple[list[Hit], str]:
    """Check one account, as at a sign-up: its hits, and a warning or nothing."""
    warning = require_fresh(replica, settings.max_age)
    screener = Screener(replica, level=level, prior=prior, default_country=settings.default_country)
    return screener.check(account), warning


class _Keep:
    """Whether what a failed join left has to stay, because the exchange may have taken the keys."""

    on_doubt = False


@contextmanager
def _new_home(home: Path) -> Iterator[_Keep]:
    """A directory that is gone again if joining fails, unless its keys may be in use."""
    existed = home.exists()
    wallet_existed = (home / WALLET).exists()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)
    keep = _Keep()
    try:
        yield keep
    except Unreachable as error:
        if error.sent and keep.on_doubt:
            raise Unreachable(
                f"{error}; the exchange may have taken the invite: run the same command again, the"
                f" keys are kept in {home / WALLET}",
                sent=True,
            ) from None
        _clear(home, existed, wallet_existed)
        raise
    except BaseException:
        _clear(home, existed, wallet_existed)
        raise


def _clear(home: Path, existed: bool, wallet_existed: bool) -> None:
    if not wallet_existed:
        for part in (WALLET, REPLICA):
            shutil.rmtree(home / part, ignore_errors=True)
        if not existed:
            home.rmdir()


def _recognise(client: ExchangeClient, invite: Invite) -> None:
    """Check that whoever answers signs as the invite says."""
    try:
        open_checkpoint(client.checkpoint(), Verifier.parse(invite.log_key))
    except LogError as error:
        raise ExchangeError(
            f"{client.url} is not the exchange of this invite ({error}); check the address, or ask"
            " the operator for a new invite"
        ) from None


def _wallet_for(directory: Path, origin: str, passphrase: bytes | None) -> Wallet:
    try:
        wallet = Wallet.open(directory, passphrase)
    except WalletError:
        return Wallet.create(directory, Seed.generate(origin), origin, passphrase)
    if wallet.origin != origin:
        raise WalletError(f"{directory} is a wallet for {wallet.origin}; choose another --home")
    return wallet


def _replica_for(directory: Path, trust: Trust) -> Replica:
    if not (directory / "replica.db").exists():
        return Replica.create(directory, trust)
    replica = Replica.open(directory)
    if replica.trust != trust:
        raise NoMember(f"{directory} is another exchange's replica; choose another --home")
    return replica


def _write_config(home: Path, invite: Invite, url: str, role: str) -> None:
    text = write_config(
        {
            "exchange": {
                "url": url,
                "origin": invite.origin,
                "log_key": invite.log_key,
                "role": role,
                "sandbox": invite.sandbox,
                "relays": invite.relays,
                "witnesses": invite.witnesses,
                "operators": [
                    {"name": operator.name, "key": operator.key} for operator in invite.operators
                ],
            },
            "settings": {},
        }
    )
    draft = home / f".{CONFIG_FILE}.new"
    draft.unlink(missing_ok=True)
    write_secret_file(draft, text.encode())
    draft.rename(home / CONFIG_FILE)
    sync_directory(home)


def _read_note(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: {error}; it should hold a checkpoint") from None


def _passphrase(settings: Settings) -> bytes | None:
    if not settings.passphrase_file:
        return None
    path = Path(settings.passphrase_file)
    try:
        passphrase = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise SettingError(f"{path}: {error.strerror}; it should hold the passphrase") from None
    if not passphrase:
        raise SettingError(f"{path} is empty; it should hold the passphrase")
    return passphrase


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
