"""HOME: the operator's directory, its settings, its keys, and the mark it never goes below.

```
config.toml        settings
matching.key       the key under which members digest identifiers
keys/log.key       signs checkpoints
keys/service.key   signs the acts the service does by itself
keys/issuer.key    seals the keys that credentials are issued under, which are in the database
keys/operators/    a key per operator
keys/reading.key   key pages are published under it, and for whom; drawn when first published
public/            checkpoint, tiles, bundles: what anyone may read
high-water         the largest checkpoint ever signed; outside the database on purpose
exchange.sqlite    unless the database is elsewhere
restored           after `restore`, until `recover` has compared it with what was published
```
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import ipaddress
import os
import secrets
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta

from acx.exchange.durable import make_directory, sync_directory, write_durably
from acx.exchange.errors import HomeError

CONFIG_FILE: Final = "config.toml"
_SECRET_BYTES: Final = 32


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`config.toml`.

    Attributes:
        origin: the log's name, a host and path without scheme; it can never change.
        url: where members reach this exchange.
        database: empty for SQLite in the home, or `postgresql://USER:PASSWORD@HOST/NAME`.
        sandbox: an exchange to try things on; its origin says so too.
        relays: URLs that pass anonymous posts on, named in every invite.
        witnesses: a C2SP tlog-policy, named in every invite.
        webhook_networks: networks that are not public, such as `10.1.0.0/16`, to which members'
            webhooks may lead all the same, also without TLS.
        terms: version of the terms of membership in force.
        invite_days: how long an invite can be used.
        invites_daily: invites a day to roles that say something in the log; more take four eyes.
        answer_days: how long a contributor has to answer a dispute.
        decision_days: how long the operators have to decide it.
        appeal_days: how long a decision can be appealed.
        retention_years: how long a report is kept.
        attempt_retention_years: likewise, where nothing was sold or shipped.
        mail: how letters to the accused leave: `smtp://HOST[:PORT]`, `sendmail:COMMAND`, or empty
            for files in `outgoing/`.
        mail_from: whom they come from.
    """

    origin: Annotated[
        str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9._-]+)*$", max_length=255)
    ]
    url: Annotated[str, Meta(pattern=r"^https?://[^\s]+$", max_length=1024)]
    database: Annotated[str, Meta(max_length=1024)] = ""
    sandbox: bool = False
    relays: Annotated[tuple[Annotated[str, Meta(max_length=1024)], ...], Meta(max_length=16)] = ()
    witnesses: Annotated[str, Meta(max_length=8192)] = ""
    webhook_networks: Annotated[
        tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=64)
    ] = ()
    terms: Annotated[str, Meta(min_length=1, max_length=64)] = "1"
    invite_days: Annotated[int, Meta(ge=1, le=365)] = 14
    invites_daily: Annotated[int, Meta(ge=0)] = 50
    answer_days: Annotated[int, Meta(ge=1, le=365)] = 14
    decision_days: Annotated[int, Meta(ge=1, le=365)] = 30
    appeal_days: Annotated[int, Meta(ge=1, le=365)] = 30
    retention_years: Annotated[int, Meta(ge=1, le=100)] = 5
    attempt_retention_years: Annotated[int, Meta(ge=1, le=100)] = 2
    mail: Annotated[str, Meta(pattern=r"^(smtp://[^\s/]+|sendmail:.+)?$", max_length=1024)] = ""
    mail_from: Annotated[str, Meta(max_length=254)] = "disputes@localhost"


class Home:
    """Where things are in one operator's directory; reads and writes keys and settings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.public = path / "public"
        self.high_water = path / "high-water"
        self._keys = path / "keys"
        self._restored = path / "restored"
        self._matching = path / "matching.key"
        self._issuer = self._keys / "issuer.key"
        self._reading = self._keys / "reading.key"

    @classmethod
    def create(cls, path: Path, settings: Settings) -> Home:
        """Make the directory, its keys and its settings.

        Raises:
            HomeError: something is there already, or cannot be written.
        """
        home = cls(path)
        try:
            if path.exists() and any(path.iterdir()):
                raise HomeError(f"{path} is not empty: choose another --home")
            make_directory(path, mode=0o700)
            for directory in (home._keys, home._keys / "operators"):
                make_directory(directory, mode=0o700)
            make_directory(home.public, mode=0o755)
            for name in ("log", "service"):
                home._write_key(home._keys / f"{name}.key", Ed25519PrivateKey.generate())
            for file in (home._matching, home._issuer):
                home._write_secret(file)
            home.write_settings(settings)
        except OSError as error:
            raise HomeError(f"{path} cannot be written: {error.strerror}") from error
        return home

    def settings(self) -> Settings:
        """The settings, with `ACX_DATABASE` and `ACX_URL` above the file.

        Raises:
            HomeError: no exchange here, or a setting is not what it must be.
        """
        tree = self._written()
        for name in ("database", "url"):
            tree[name] = os.environ.get(f"ACX_{name.upper()}") or tree.get(name, "")
        return self._checked(tree)

    def change_settings(self, **changes: object) -> Settings:
        """Change settings in the file; what the environment says stays out of it.

        Raises:
            HomeError: no exchange here, or a setting is not what it must be; nothing has changed.
        """
        changed = self._checked(self._written() | changes)
        try:
            self.write_settings(changed)
        except OSError as error:
            raise HomeError(
                f"{self.path / CONFIG_FILE} cannot be written: {error.strerror}"
            ) from None
        return changed

    def _written(self) -> dict[str, object]:
        file = self.path / CONFIG_FILE
        try:
            return tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise HomeError(
                f"{self.path} holds no exchange: run `acx exchange init --home {self.path}`"
            ) from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise HomeError(f"{file} cannot be read: {error}") from None

    def _checked(self, tree: dict[str, object]) -> Settings:
        try:
            settings = msgspec.convert(tree, Settings)
            for network in settings.webhook_networks:
                ipaddress.ip_network(network)
        except (msgspec.ValidationError, ValueError) as error:
            raise HomeError(f"{self.path / CONFIG_FILE}: {error}") from None
        return settings

    def write_settings(self, settings: Settings) -> None:
        """Write `config.toml`."""
        write_durably(self.path / CONFIG_FILE, _config_text(settings).encode(), mode=0o600)

    @property
    def restored(self) -> str:
        """What a restored backup held, while nobody has compared it with what was published."""
        try:
            return self._restored.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def mark_restored(self, size: int) -> None:
        """Note down that the rows came from a backup."""
        write_durably(self._restored, f"{size} entries\n".encode(), mode=0o600)

    def unmark_restored(self) -> None:
        """The rows are known to be those of what was published."""
        self._restored.unlink(missing_ok=True)
        sync_directory(self.path)

    def log_key(self) -> Ed25519PrivateKey:
        """The key that signs checkpoints."""
        return self._read_key(self._keys / "log.key")

    def service_key(self) -> Ed25519PrivateKey:
        """The key that signs what the service does by itself."""
        return self._read_key(self._keys / "service.key")

    def operator_key(self, name: str) -> Ed25519PrivateKey:
        """The key of one operator, where it is kept on this machine."""
        return self._read_key(self._operator_file(name))

    def add_operator_key(self, name: str) -> Ed25519PrivateKey:
        """Make and keep a key for a new operator.

        Raises:
            HomeError: there is one of this name.
        """
        file = self._operator_file(name)
        if file.exists():
            raise HomeError(f"{file} exists: operator {name} has a key already")
        key = Ed25519PrivateKey.generate()
        self._write_key(file, key)
        return key

    def drop_operator_key(self, name: str) -> None:
        """Undo `add_operator_key`."""
        self._operator_file(name).unlink(missing_ok=True)

    def matching_key(self) -> str:
        """The matching key, base64."""
        return base64.b64encode(self._read_secret(self._matching)).decode()

    def issuer_key(self) -> bytes:
        """What the issuer's keys in the database are sealed under."""
        return self._read_secret(self._issuer)

    def add_issuer_key(self) -> None:
        """Make it, in a home that was made without."""
        if not self._issuer.exists():
            self._write_secret(self._issuer)

    def reading_key(self) -> bytes:
        """What key pages were published under last; empty before the first time."""
        return self._secret_bytes(self._reading) if self._reading.exists() else b""

    def keep_reading_key(self, kept: bytes) -> None:
        """Keep what key pages are published under from now on."""
        write_durably(self._reading, kept, mode=0o600)

    def _operator_file(self, name: str) -> Path:
        return self._keys / "operators" / f"{name}.key"

    @staticmethod
    def _write_secret(file: Path) -> None:
        text = base64.b64encode(secrets.token_bytes(_SECRET_BYTES)) + b"\n"
        write_durably(file, text, mode=0o600)

    def _read_secret(self, file: Path) -> bytes:
        text = self._secret_bytes(file).strip()
        with contextlib.suppress(binascii.Error):
            secret = base64.b64decode(text, validate=True)
            if len(secret) == _SECRET_BYTES:
                return secret
        raise HomeError(f"{file} is not base64 of 32 bytes: bring it back from a backup")

    def _write_key(self, file: Path, key: Ed25519PrivateKey) -> None:
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_durably(file, pem, mode=0o600)

    def _read_key(self, file: Path) -> Ed25519PrivateKey:
        try:
            key = serialization.load_pem_private_key(self._secret_bytes(file), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise HomeError(f"{file} is no PEM key: bring it back from a backup") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise HomeError(f"{file} is no Ed25519 key: bring it back from a backup")
        return key

    @staticmethod
    def _secret_bytes(file: Path) -> bytes:
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & 0o077:
                raise HomeError(f"{file} can be read by others (mode {mode:o}): chmod 600 {file}")
            return file.read_bytes()
        except FileNotFoundError:
            raise HomeError(f"{file} is missing: bring it back from a backup") from None
        except OSError as error:
            raise HomeError(f"{file} cannot be read: {error.strerror}") from None


def _config_text(settings: Settings) -> str:
    # JSON's strings, booleans and lists of strings are TOML's too.
    lines = [
        f"{name} = {msgspec.json.encode(value).decode()}"
        for name, value in msgspec.structs.asdict(settings).items()
    ]
    return "\n".join(lines) + "\n"
