"""Becoming a member: from an invite to a home with keys, a token and an empty replica."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from acx.log.checkpoint import open_checkpoint
from acx.log.errors import LogError
from acx.log.note import Verifier
from acx.member.client import ExchangeClient
from acx.member.errors import ExchangeError, NoMember, SettingError, Unreachable, WalletError
from acx.member.replica import Replica, Trust
from acx.member.seed import Seed
from acx.member.settings import CONFIG_FILE, Settings, resolve, write_config
from acx.member.vault import sync_directory, write_secret_file
from acx.member.wallet import Wallet
from acx.records.event import canonical
from acx.records.invite import Invite, parse_invite

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
            wallet = _wallet_for(home / WALLET, invite.origin, read_passphrase(settings))
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
