"""Letters: what the accused is told by e-mail, a code or a decision.

Three ways out: an SMTP server, a command that reads a message (`sendmail -t`), or files in
`outgoing/`, for a sandbox and for whoever picks them up. Nothing about a letter is logged but that
it went, or did not.
"""

from __future__ import annotations

import logging
import secrets
import shlex
import smtplib
import ssl
import subprocess
import time
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from acx.exchange.clock import Clock
from acx.exchange.durable import make_directory, write_durably
from acx.exchange.errors import Unavailable
from acx.exchange.home import Home, Settings

SECONDS: Final = 20.0
KEPT_DAYS: Final = 1
"""Files in `outgoing/` that nobody has fetched by then are deleted: they name people."""

_log = logging.getLogger("acx.exchange.letters")


class Letters:
    """Sends letters for one exchange.

    Attributes:
        outgoing: where they lie, if they leave as files.
    """

    def __init__(self, home: Home, settings: Settings, clock: Clock) -> None:
        self.outgoing: Path = home.path / "outgoing"
        self._mail = settings.mail
        self._from = settings.mail_from
        self._clock = clock

    def send(self, to: str, subject: str, text: str) -> None:
        """Send a letter.

        Args:
            to: an address, normalised: no line feed can be in it.
            subject: a line.
            text: the rest.

        Raises:
            Unavailable: it did not leave.
        """
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._from, to, subject
        message["Date"] = format_datetime(self._clock())
        message["Message-ID"] = make_msgid(domain=self._from.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        try:
            self._leave(message)
        except (OSError, smtplib.SMTPException, subprocess.SubprocessError) as error:
            _log.error("letter not sent", extra={"reason": type(error).__name__})
            raise Unavailable(
                f"the letter did not leave ({type(error).__name__}): see `mail` in config.toml"
            ) from None
        _log.info("letter sent")

    def forget(self) -> None:
        """Delete files that nobody has fetched for long."""
        limit = time.time() - KEPT_DAYS * 86_400
        for file in self.outgoing.glob("*.eml"):
            if file.stat().st_mtime < limit:
                file.unlink(missing_ok=True)

    def _leave(self, message: EmailMessage) -> None:
        if self._mail.startswith("smtp://"):
            url = urlsplit(self._mail)
            with smtplib.SMTP(url.hostname or "", url.port or 25, timeout=SECONDS) as server:
                server.ehlo()
                if server.has_extn("starttls"):
                    server.starttls(context=ssl.create_default_context())
                server.send_message(message)
        elif self._mail.startswith("sendmail:"):
            command = shlex.split(self._mail.removeprefix("sendmail:"))
            subprocess.run(  # noqa: S603 -- the operator's own setting
                command, input=message.as_bytes(), check=True, capture_output=True, timeout=SECONDS
            )
        else:
            make_directory(self.outgoing, mode=0o700)
            name = f"{self._clock():%Y%m%dT%H%M%S}-{secrets.token_hex(8)}.eml"
            write_durably(self.outgoing / name, message.as_bytes(), mode=0o600)
