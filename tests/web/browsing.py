"""What an accused seller does in a browser: fills in the forms of the pages, one by one."""

from __future__ import annotations

import email
import email.policy
import re
import time
from pathlib import Path

import httpx

ADDRESS = "wei@jade-outlet.example"
WORDS = "The shoes were genuine: I have the invoices of the brand's distributor."


def file_as_the_seller(url: str, exchange: Path) -> None:
    """Claim an address, show control of it, and contest the report that holds it.

    Args:
        url: of the exchange.
        exchange: the operator's home, where letters wait that leave as files.
    """
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as browser:
        claimed = browser.post("/dispute", data={"value": ADDRESS})
        shown = browser.post(
            "/dispute/proof", data={"claim": hidden(claimed.text, "claim"), "code": code(exchange)}
        )
        report = re.search(r"[a-z2-7]{26}", shown.text)
        assert report
        filed = browser.post(
            "/dispute/file",
            data={
                "proof": hidden(shown.text, "proof"),
                "report": report[0],
                "code": "goods_genuine",
                "text": WORDS,
                "contact": ADDRESS,
            },
        )
        assert filed.is_success, filed.text


def hidden(page: str, name: str) -> str:
    """The value of a form's hidden field."""
    found = re.search(rf"name='{name}' value='([^']*)'", page)
    assert found, page
    return found[1]


def code(exchange: Path) -> str:
    """The code in the letter that is on its way."""
    for _ in range(300):
        for file in (exchange / "outgoing").glob("*.eml"):
            letter = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            found = re.search(r"[A-Z0-9]{5}-[A-Z0-9]{5}", letter.get_content())
            if found:
                return found[0]
        time.sleep(0.1)
    raise AssertionError("no letter came")
