"""A copy of the log behind a URL: another server of the same log, read as a member reads it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

import httpx
import msgspec
from msgspec import Meta

from acx.exchange.errors import RecoveryError
from acx.log.checkpoint import Checkpoint, read_checkpoint
from acx.log.entry import entry_of
from acx.log.errors import LogError

_PAGE: Final = 1_000
_TIMEOUT_SECONDS: Final = 60.0


class _Entry(msgspec.Struct, frozen=True):
    index: Annotated[int, Meta(ge=0)]
    at: str = ""
    event: msgspec.Raw = msgspec.Raw(b"")
    k: str = ""
    entry: str = ""


class _Page(msgspec.Struct, frozen=True):
    entries: tuple[_Entry, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class HttpEntry:
    """An entry that came over HTTP (`acx.exchange.backup.recovery.CopiedEntry`)."""

    index: int
    entry: bytes
    at: str
    k: bytes
    event: bytes


class HttpCopy:
    """A log at a URL.

    Attributes:
        checkpoint: as it is published there when this is made.
    """

    def __init__(self, url: str, token: str) -> None:
        """Ask for the checkpoint.

        Args:
            url: of the server.
            token: a member's.

        Raises:
            RecoveryError: it does not answer, or with something else.
        """
        self._url = url.rstrip("/")
        self._token = token
        try:
            self.checkpoint: Checkpoint | None = read_checkpoint(self._get("/checkpoint").text)
        except LogError as error:
            raise RecoveryError(f"{url} publishes no checkpoint: {error}") from None

    def entries(self, after: int = -1) -> Iterator[HttpEntry]:
        """Entries after a place, up to the checkpoint."""
        stop = self.checkpoint.size if self.checkpoint else 0
        while after + 1 < stop:
            answer = self._get(f"/v1/events?after={after}&limit={_PAGE}")
            try:
                page = msgspec.json.decode(answer.content, type=_Page)
                entries = [_entry(entry) for entry in page.entries if entry.index < stop]
            except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error) as error:
                raise RecoveryError(f"{self._url} gave no page of a log: {error}") from None
            if not entries:
                raise RecoveryError(f"{self._url} has no entry {after + 1}, and signed {stop}")
            yield from entries
            after = entries[-1].index

    def _get(self, path: str) -> httpx.Response:
        try:
            answer = httpx.get(
                self._url + path,
                headers={"Authorization": f"Bearer {self._token}"},
                timeout=_TIMEOUT_SECONDS,
                trust_env=False,
            )
            answer.raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RecoveryError(f"{self._url} does not give the log: {error}") from None
        return answer


def _entry(entry: _Entry) -> HttpEntry:
    if entry.entry:
        committed = base64.b64decode(entry.entry, validate=True)
        return HttpEntry(entry.index, committed, "", b"", b"")
    k, event = base64.b64decode(entry.k, validate=True), bytes(entry.event)
    return HttpEntry(entry.index, entry_of(k, entry.at, event), entry.at, k, event)
