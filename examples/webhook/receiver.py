"""Receive alerts, and believe only those that are signed (Standard Webhooks 1.0.0).

Prints a line for each alert. An answer other than 2xx, or none, and it is sent again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOLERANCE_SECONDS = 300
LARGEST = 1 << 20
REMEMBERED = 10_000

seen: OrderedDict[str, None] = OrderedDict()


def verified(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> bool:
    """Whether a message is signed with our secret, and fresh."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    expected = hmac.digest(key, f"{message}.{timestamp}.".encode() + body, hashlib.sha256)
    for version, _, signature in (
        part.partition(",") for part in headers.get("webhook-signature", "").split()
    ):
        try:
            given = base64.b64decode(signature, validate=True)
        except binascii.Error:
            continue
        # In constant time, so that nobody finds the signature byte by byte.
        if version == "v1" and hmac.compare_digest(given, expected):
            return True
    return False


class Receiver(BaseHTTPRequestHandler):
    """Takes alerts."""

    def do_POST(self) -> None:
        """One alert."""
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 < length <= LARGEST:
            self.send_error(413)
            return
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        if not verified(headers, body, SECRET, time.time()):
            self.send_error(401)
            return
        self.send_response(204)
        self.end_headers()
        message = headers["webhook-id"]
        if message in seen:
            return
        seen[message] = None
        if len(seen) > REMEMBERED:
            seen.popitem(last=False)
        act(json.loads(body))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the standard library's name
        """Alerts are printed, requests are not."""


def act(message: dict[str, Any]) -> None:
    """What the store does with an alert: here, a line."""
    data = message["data"]
    if message["type"].startswith("acx."):
        hit = data["hit"]
        print(message["type"], data["change"], hit["account_id"], hit["level"], flush=True)
    else:
        print(message["type"], len(data.get("entries", ())), "entries", flush=True)


if __name__ == "__main__":
    SECRET = Path(os.environ["ACX_WEBHOOK_SECRET_FILE"]).read_text(encoding="ascii").strip()
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    print(f"listening at http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
