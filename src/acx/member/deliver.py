"""Alerts to where a store works: a command of its own, or a webhook of its own.

They wait in the home's memory until they are delivered, in their order, so that neither a slow
command nor a dead endpoint holds the watch up, and a restart loses none. After a crash one may be
told twice: every alert has an id that stays.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import random
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import httpx
import msgspec

from acx.errors import AcxError
from acx.member.errors import SettingError
from acx.member.memory import DIRECTORY, Memory, Waiting
from acx.member.vault import write_secret_file

SECRET_FILE: Final = "webhook-secret"  # noqa: S105 -- a name
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 -- what all begin with
SECRET_BYTES: Final = 32
COMMAND_SECONDS: Final = 30.0
WEBHOOK_SECONDS: Final = 15.0
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 300.0
GIVE_UP_SECONDS: Final = 3 * 24 * 3600.0
LEAVE_SECONDS: Final = 5.0
"""How long the end of a watch waits for what is just being delivered."""


class Undelivered(Exception):
    """An alert was not taken.

    Attributes:
        again: whether it is worth another attempt.
    """

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


class Channel(Protocol):
    """A way to the store."""

    @property
    def name(self) -> str:
        """Tells it from others."""

    def deliver(self, alert: Waiting) -> None:
        """Tell an alert.

        Raises:
            Undelivered: it was not taken.
        """


class Command:
    """Runs a command for each alert, without a shell, with one JSON object on standard input."""

    name: Final = "exec"

    def __init__(self, arguments: Sequence[str], timeout: float = COMMAND_SECONDS) -> None:
        """Nothing is run yet.

        Args:
            arguments: the program and what it is given.
            timeout: seconds after which it is ended, with whatever it has started.
        """
        self._arguments = list(arguments)
        self._timeout = timeout

    def deliver(self, alert: Waiting) -> None:
        """Run the command; what it prints goes to standard error."""
        try:
            process = subprocess.Popen(  # noqa: S603 -- the store's own command, and no shell
                self._arguments, stdin=subprocess.PIPE, stdout=2, start_new_session=True
            )
        except OSError as error:
            reason = f"{self._arguments[0]} cannot be run: {error.strerror or error}"
            raise Undelivered(reason, again=False) from None
        try:
            process.communicate(with_id(alert) + b"\n", timeout=self._timeout)
        except subprocess.TimeoutExpired:
            raise Undelivered(
                f"{self._arguments[0]} took longer than {self._timeout:g} s and was ended",
                again=False,
            ) from None
        finally:
            # Whatever it started is of its group, and ends with it.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode:
            reason = f"{self._arguments[0]} ended with exit code {process.returncode}"
            raise Undelivered(reason, again=False)


class Webhook:
    """Posts each alert to an address of the store's own, signed.

    The address is the owner's choice, so one in the own network is as good as any; what it answers
    with is not read, and where it points is not followed.

    Source: Standard Webhooks 1.0.0 (symmetric signatures, `v1`).
    """

    name: Final = "webhook"

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        timeout: float = WEBHOOK_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is posted yet.

        Args:
            url: where to.
            secret: `whsec_…`.
            timeout: seconds of silence after which an attempt has failed.
            clock: seconds since 1970.

        Raises:
            SettingError: the address or the secret is none.
        """
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise SettingError(f"--webhook {url!r} is no address ({error})") from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise SettingError(f"--webhook {url!r}: give an address that begins with https://")
        self._url = parsed
        self._key = secret_bytes(secret)
        self._clock = clock
        self._http = httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False)

    def deliver(self, alert: Waiting) -> None:
        """Post the alert."""
        body = msgspec.json.encode(
            {
                "type": f"acx.{msgspec.json.decode(alert.body)['kind']}",
                "timestamp": datetime.fromtimestamp(alert.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "data": msgspec.Raw(with_id(alert)),
            }
        )
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "acx",
            **signed_headers(self._key, alert.id, int(self._clock()), body),
        }
        host = self._url.host
        try:
            with self._http.stream("POST", self._url, content=body, headers=headers) as answer:
                status = answer.status_code
        except httpx.TimeoutException:
            raise Undelivered(f"{host} did not answer in time", again=True) from None
        except httpx.HTTPError as error:
            reason = f"{host} cannot be reached ({str(error) or type(error).__name__})"
            raise Undelivered(reason, again=True) from None
        if 300 <= status < 400:
            raise Undelivered(f"{host} points elsewhere, which is not followed", again=True)
        if not 200 <= status < 300:
            raise Undelivered(f"{host} answered {status}", again=True)


def with_id(alert: Waiting) -> bytes:
    """What an alert says, and its id."""
    said = msgspec.json.decode(alert.body, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({"id": alert.id, **said})


def signed_headers(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "Webhook-Id": message_id,
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": f"v1,{signature}",
    }


def secret_bytes(secret: str) -> bytes:
    """The key that a secret stands for.

    Raises:
        SettingError: it is none.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.strip().startswith(SECRET_PREFIX) or not 24 <= len(key) <= 64:
        raise SettingError(
            f"a webhook's secret is {SECRET_PREFIX} and base64 of 24 to 64 bytes; this is none"
        )
    return key


def own_secret(home: Path) -> tuple[str, Path]:
    """The secret of a home's webhooks, made at the first use, and the file that holds it."""
    path = home / DIRECTORY / SECRET_FILE
    path.parent.mkdir(mode=0o700, exist_ok=True)
    new = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    with suppress(FileExistsError):
        write_secret_file(path, new.encode() + b"\n")
    return path.read_text(encoding="ascii").strip(), path


class Courier:
    """Delivers what waits, a thread for each channel."""

    def __init__(
        self,
        home: Path,
        base: str,
        channels: Sequence[Channel],
        say: Callable[[str], object],
        *,
        clock: Callable[[], float] = time.time,
        longest_pause: float = LONGEST_PAUSE_SECONDS,
    ) -> None:
        """Begin, with what an earlier watch has left.

        Args:
            home: whose memory holds the queues.
            base: whose queues.
            channels: ways to deliver.
            say: told what failed, from other threads.
            clock: seconds since 1970.
            longest_pause: seconds between attempts at most.
        """
        self._home = home
        self._base = base
        self._say = say
        self._clock = clock
        self._longest_pause = longest_pause
        self._leaving = threading.Event()
        self._news = [threading.Event() for _ in channels]
        self._threads = [
            threading.Thread(target=self._run, args=(channel, news), daemon=True)
            for channel, news in zip(channels, self._news, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look: something was queued."""
        for news in self._news:
            news.set()

    def close(self) -> None:
        """Finish what is being delivered; the rest waits for the next watch."""
        self._leaving.set()
        self.wake()
        for thread in self._threads:
            thread.join(LEAVE_SECONDS)

    def _run(self, channel: Channel, news: threading.Event) -> None:
        while not self._leaving.is_set():
            try:
                with closing(Memory.open(self._home)) as memory:
                    self._deliver(memory, channel, news)
            except AcxError as error:
                self._say(f"alerts by {channel.name} wait: {error}")
                self._leaving.wait(self._longest_pause)

    def _deliver(self, memory: Memory, channel: Channel, news: threading.Event) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._leaving.is_set():
            news.clear()
            with memory.explained():
                alert = memory.next_waiting(self._base, channel.name)
            if alert is None:
                news.wait()
                continue
            try:
                channel.deliver(alert)
            except Undelivered as error:
                if error.again and self._clock() - alert.at < GIVE_UP_SECONDS:
                    if pause == FIRST_PAUSE_SECONDS:
                        self._say(f"{channel.name}: {error}; alerts wait, and it is tried again")
                    self._leaving.wait(pause * (1 + random.random() / 2))  # noqa: S311 -- no secret
                    pause = min(2 * pause, self._longest_pause)
                    continue
                self._say(f"{channel.name}: {error}; alert {alert.id} was not delivered")
            else:
                if pause > FIRST_PAUSE_SECONDS:
                    self._say(f"{channel.name}: alerts are delivered again")
            pause = FIRST_PAUSE_SECONDS
            with memory.explained():
                memory.done(alert.number)
