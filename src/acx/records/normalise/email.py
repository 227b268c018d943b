"""E-mail addresses, and the mailbox that several addresses lead to."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from acx.records.normalise import domain_name
from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import plain

FIELD: Final = "email"
MAX_CHARACTERS: Final = 254
"""Source: RFC 5321, section 4.5.3.1.3, less the angle brackets."""

_WRAPPED: Final = re.compile(
    r"^(?:[^<>]*<\s*(?P<bracketed>[^<>]*)>|mailto:(?P<link>[^?]*).*)$", re.IGNORECASE
)

_SAME_PROVIDER: Final = {
    "googlemail.com": "gmail.com",
    "ya.ru": "yandex.ru", "yandex.com": "yandex.ru", "yandex.by": "yandex.ru",
    "yandex.kz": "yandex.ru", "yandex.ua": "yandex.ru",
    "me.com": "icloud.com", "mac.com": "icloud.com",
    "pm.me": "proton.me", "protonmail.com": "proton.me", "protonmail.ch": "proton.me",
}  # fmt: skip
_IGNORED: Final = {"gmail.com": ".", "proton.me": "._-"}
_TAGGED_BY_HYPHEN: Final = frozenset({"yahoo.com", "ymail.com", "rocketmail.com"})


def normalise(value: str) -> str:
    """The address in lower case, its domain in ASCII.

    Providers that tell upper from lower case before the `@` are extinct, so case is no evidence.

    Raises:
        NotNormalisable: no address.

    Source: RFC 5321, RFC 6531 (letters of other scripts before the `@`), RFC 5890 (domain).
    """
    text = plain(FIELD, value)
    if wrapped := _WRAPPED.match(text):
        text = (wrapped["bracketed"] or wrapped["link"] or "").strip()
    local, at, domain = text.rpartition("@")
    if not at or not local:
        raise NotNormalisable(FIELD, "no `name@domain`")
    address = f"{_local_part(local)}@{domain_name.normalise(FIELD, domain)}"
    if len(address) > MAX_CHARACTERS:
        raise NotNormalisable(FIELD, f"longer than {MAX_CHARACTERS} characters")
    return address


def mailbox(address: str) -> str:
    """The mailbox that an address leads to, where its provider is known to ignore a part.

    People who come back write the same mailbox with other dots or another tag. Evidence for
    matching, no `h1` writing: providers change their rules.

    Args:
        address: a normalised address.

    Returns:
        The shortest address that leads to the same mailbox.

    Source: the providers' own help pages, listed in docs/reference/normalisation.md.
    """
    local, _, domain = address.rpartition("@")
    domain = _SAME_PROVIDER.get(domain, domain)
    tag = "-" if domain in _TAGGED_BY_HYPHEN else "+"
    local = local.partition(tag)[0] or local
    if ignored := _IGNORED.get(domain):
        local = local.translate(str.maketrans("", "", ignored)) or local
    return f"{local}@{domain}"


def _local_part(local: str) -> str:
    # The library judges what stands before the @ only: it takes no domain that is reserved for
    # tests and documents, and a domain has one writing here and in websites.
    from email_validator import EmailNotValidError, validate_email

    try:
        checked = validate_email(f"{local}@example.com", check_deliverability=False)
    except EmailNotValidError as error:
        raise NotNormalisable(FIELD, str(error)) from None
    return unicodedata.normalize("NFKC", checked.local_part.lower())
