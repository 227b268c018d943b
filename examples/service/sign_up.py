"""The sign-up hook of a shop: ask the local service before somebody is let in.

Reads an account as JSON on standard input, prints `welcome`, `review` or `closed`.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

SERVICE = os.environ.get("ACX_SERVICE", "http://127.0.0.1:8450")
TOKEN_FILE = Path(os.environ.get("ACX_TOKEN_FILE", "token"))
TIMEOUT_SECONDS = 2.0


def hits_of(account: dict[str, object]) -> list[dict[str, object]] | None:
    """What is known of an account; None if there is no answer in time."""
    request = urllib.request.Request(  # noqa: S310 -- an address of the shop's own
        f"{SERVICE}/v1/check",
        data=json.dumps(account).encode(),
        headers={
            "Authorization": f"Bearer {TOKEN_FILE.read_text(encoding='ascii').strip()}",
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 -- ditto
            hits: list[dict[str, object]] = json.load(answer)["hits"]
            return hits
    except (urllib.error.URLError, TimeoutError) as error:
        print(f"no answer, to be checked again later: {error}", file=sys.stderr)
        return None


def decide(account: dict[str, object]) -> str:
    """What a registration does: nobody is refused by a machine.

    `closed`: the account is made, and can sell nothing until a person has looked.
    """
    hits = hits_of(account)
    if hits is None:
        return "welcome"
    levels = {hit["level"] for hit in hits if hit["report_state"] == "active"}
    if "exact" in levels:
        return "closed"
    return "review" if hits else "welcome"


if __name__ == "__main__":
    print(decide(json.load(sys.stdin)))
