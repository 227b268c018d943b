"""Becoming a member: from an invite to a home with keys, a token and an empty replica."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from acx.log.checkpoint import open_checkpoint
from acx.log.errors import LogError
from acx.log.note import Verifier
from acx.member.client import ExchangeClient
from acx.member.client import Joined as JoinAnswer
from acx.member.errors import (
    ExchangeError,
    NoMember,
    Refused,
    SettingError,
    Unreachable,
    WalletError,
)
from acx.member.issuer_keys import keep_answer, mark_joined
from acx.member.recovery import mark_restored
from acx.member.replica import Replica, Trust
from acx.member.seed import Seed
from acx.member.settings import CONFIG_FILE, Settings, resolve, write_config
from acx.member.vault import sync_directory, write_secret_file
from acx.member.wallet import DATABASE_FILE, Wallet
from acx.records.event import canonical
from acx.records.invite import POSTING_ROLES, Invite, parse_invite

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


def join(
    invite_line: str,
    home: Path,
    *,
    terms: str = TERMS,
    phrase: str = "",
    arguments: Mapping[str, Any] | None = None,
) -> Joined:
    """Become a member: keys are made here, and the invite is used up.

    Steps: (1) the invite is read; (2) whoever answers is the exchange it names; (3) the keys are on
    disk before they are used; (4) the exchange takes them; (5) the replica is laid out; (6)
    `config.toml` makes it a home. Run again after a lost answer, it goes on at (4); run again at
    home with the invite that made it, it gets a fresh token.

    Args:
        invite_line: as the operator handed it over.
        home: a directory that is no home yet.
        terms: version of the terms of membership that are accepted.
        phrase: recovery phrase of a lost wallet, whose keys are made again; what they signed is
            found by the next sync.
        arguments: settings from the command line.

    Raises:
        InviteError: the line is damaged.
        NoMember: the directory is taken.
        WalletError: the phrase is wrong, or the wallet that is there does not open.
        ExchangeError: the exchange did not answer, or refused; nothing is left behind unless it may
            have taken the keys.
    """
    # (1)
    invite = parse_invite(invite_line)
    seed = Seed.from_phrase(phrase, invite.origin) if phrase else None
    settings = resolve(home, arguments)
    url = settings.url or invite.url
    at_home = (home / CONFIG_FILE).exists()
    if at_home and not _made_by(home, invite, settings):
        raise NoMember(f"{home} is a member's home already; choose another --home")
    client = ExchangeClient(url, timeout=settings.timeout, proxy=settings.proxy)
    try:
        # (2)
        size = _recognise(client, invite)
        with _new_home(home) as new:
            # (3)
            passphrase = read_passphrase(settings)
            wallet = _wallet_for(home / WALLET, invite.origin, passphrase, seed)
            # (4)
            joined = _ask(client, invite, wallet, terms, size, new)
            # (5)
            _replica_for(home / REPLICA, Trust.of(invite)).close()
            # (6)
            if not at_home:
                _write_config(home, invite, url, joined.role)
        shown = "" if at_home else wallet.seed().phrase()
        wallet.close()
    finally:
        client.close()
    return Joined(
        member=joined.member,
        role=joined.role,
        origin=invite.origin,
        url=url,
        sandbox=invite.sandbox,
        phrase=shown,
    )


def restore(
    home: Path,
    backup: Path,
    passphrase: bytes,
    *,
    arguments: Mapping[str, Any] | None = None,
) -> None:
    """Make a home from a backup of its wallet; the same passphrase opens it from now on.

    What was signed after the backup is found by the next sync. Reports wait for the next day, so
    that no rate tag is used twice.

    Args:
        home: a directory that is no home yet.
        backup: what `acx wallet backup` made.
        passphrase: that it was made with.
        arguments: settings from the command line.

    Raises:
        NoMember: the directory is taken.
        WalletError: the backup does not open.
    """
    if (home / CONFIG_FILE).exists():
        raise NoMember(f"{home} is a member's home already; choose another --home")
    settings = resolve(home, arguments)
    with _new_home(home):
        wallet = Wallet.restore(home / WALLET, backup, passphrase)
        invite = msgspec.json.decode(wallet.secret("invite"), type=Invite)
        mark_restored(wallet)
        _replica_for(home / REPLICA, Trust.of(invite)).close()
        role = wallet.secret("role").decode()
        _write_config(home, invite, settings.url or invite.url, role)
        wallet.close()


def read_passphrase(settings: Settings) -> bytes | None:
    """The wallet's passphrase, where a file with one is set.

    Raises:
        SettingError: the file is missing or empty.
    """
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


class _NewHome:
    """Whether what a failed join left has to stay, because the exchange may know the keys."""

    keep = False


@contextmanager
def _new_home(home: Path) -> Iterator[_NewHome]:
    """A directory that is as before if joining fails, unless its keys may be in use."""
    existed, wallet_existed = home.exists(), (home / WALLET).exists()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)
    new = _NewHome()
    try:
        yield new
    except BaseException:
        if not new.keep and not wallet_existed:
            for part in (WALLET, REPLICA):
                shutil.rmtree(home / part, ignore_errors=True)
            if not existed:
                home.rmdir()
        raise


def _ask(
    client: ExchangeClient,
    invite: Invite,
    wallet: Wallet,
    terms: str,
    size: int,
    new: _NewHome,
) -> JoinAnswer:
    """Let the exchange take the wallet's keys, and keep what it answers."""
    seed, request = wallet.seed(), b""
    if invite.role in POSTING_ROLES:
        request = seed.credential_request().request.encode()
    new.keep = True
    try:
        joined = client.join(invite, seed.member_key(), terms, request)
    except Refused:
        new.keep = False
        raise
    except ExchangeError as error:
        new.keep = not isinstance(error, Unreachable) or error.sent
        if not new.keep:
            raise
        raise ExchangeError(
            f"{error}; it may have taken the invite: run the same command again, the keys are kept"
            f" in {wallet.directory}"
        ) from None
    with wallet.transaction():
        for name in ("token", "member", "role"):
            wallet.keep_secret(name, getattr(joined, name).encode())
        wallet.keep_secret("invite", canonical(invite))
        mark_joined(wallet, size, time.time())
        if joined.credential is not None:
            keep_answer(wallet, joined.credential)
    return joined


def _made_by(home: Path, invite: Invite, settings: Settings) -> bool:
    """Whether a home was made by this invite."""
    wallet = Wallet.open(home / WALLET, read_passphrase(settings))
    try:
        return wallet.has_secret("invite") and wallet.secret("invite") == canonical(invite)
    finally:
        wallet.close()


def _recognise(client: ExchangeClient, invite: Invite) -> int:
    """Check that whoever answers signs as the invite says; give the size of the log."""
    try:
        checkpoint = open_checkpoint(client.checkpoint(), Verifier.parse(invite.log_key))
    except LogError as error:
        raise ExchangeError(
            f"{client.url} is not the exchange of this invite ({error}); check the address, or ask"
            " the operator for a new invite"
        ) from None
    return checkpoint.size


def _wallet_for(
    directory: Path, origin: str, passphrase: bytes | None, seed: Seed | None
) -> Wallet:
    """A new wallet, or the one an earlier attempt left."""
    if (directory / DATABASE_FILE).exists():
        wallet = Wallet.open(directory, passphrase)
        if wallet.origin != origin:
            raise WalletError(f"{directory} is a wallet for {wallet.origin}; choose another --home")
        return wallet
    wallet = Wallet.create(directory, seed or Seed.generate(origin), origin, passphrase)
    if seed is not None:
        mark_restored(wallet)
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
