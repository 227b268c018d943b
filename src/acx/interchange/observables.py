"""What of an account machines elsewhere can look for: STIX cyber-observables and patterns.

Only what is in the clear. Digests (`h1:…`) match nothing outside acx; they go into the extension.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote

from acx.interchange.stix_ids import observable_id
from acx.records.account import Subject

INDICATED: Final = ("email-addr", "domain-name", "url", "ipv4-addr")
"""Kinds that a pattern can look for, in the order in which objects are given."""

_URL: Final = re.compile(
    r"^(?:(?P<scheme>https?):)?[/\\]*(?P<authority>[^/\\?#]+)(?P<rest>.*)$", re.IGNORECASE
)
_PLAIN_ADDRESS: Final = re.compile(
    r"(?=.{1,64}@)[a-z0-9]+(?:[._+-][a-z0-9]+)*"
    r"@(?=.{1,60}$)(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{2,}"
)
"""Most addresses, in lower case: the rule takes long to find that they are in normal form."""
_KEPT: Final = "/?#[]@!$&'()*+,;=:%-._~"


def observables(subject: Subject) -> Iterator[dict[str, Any]]:
    """The cyber-observable objects of an account, each once, without what all objects have.

    E-mail addresses and hosts are in their normal form, so two writings are one object. A website
    with a path becomes a `url` alone: its host may be a platform that honest people use too.
    """
    seen = set()
    for kind, value in _values(subject):
        name = "account_login" if kind == "user-account" else "value"
        made = {"type": kind, "id": observable_id(kind, {name: value}), name: value}
        if made["id"] not in seen:
            seen.add(made["id"])
            yield made


def pattern(kind: str, values: Iterable[str]) -> str:
    """The STIX pattern that any of the values of one kind fulfils.

    Source: STIX 2.1, section 9.
    """
    comparisons = (f"{kind}:value = '{_quoted(value)}'" for value in values)
    return f"[{' OR '.join(comparisons)}]"


def _values(subject: Subject) -> Iterator[tuple[str, str]]:
    for text in subject.email:
        # STIX takes addresses of RFC 5322, which are ASCII.
        if (address := email(text)).isascii() and address:
            yield "email-addr", address
    for written in subject.website:
        yield from website(written)
    for field in ("contact", "handle"):
        for text in getattr(subject, field):
            if login := _normal(field, text):
                yield "user-account", login


def email(text: str) -> str:
    """The normal form of an e-mail address; empty where there is none."""
    if _PLAIN_ADDRESS.fullmatch(lower := text.strip(" ").lower()):
        return lower
    return _normal("email", text)


def website(text: str) -> Iterator[tuple[str, str]]:
    """What a website is, as `(kind, value)`: a page, a server's address, a host; or nothing."""
    written = _URL.match(text.strip())
    path = written["rest"] if written else ""
    host = _normal("website", text)
    if not host:
        return
    if written and path.strip("/\\"):
        yield "url", _url(written, host)
    elif _is_ipv4(host):
        yield "ipv4-addr", host
    elif not host.startswith("["):
        yield "domain-name", host


def _normal(field: str, value: str) -> str:
    # Imported here: it brings polars, and every server of an exchange comes by here.
    from acx.records.normalise import NotNormalisable, normalise

    try:
        return normalise(field, value)
    except NotNormalisable:
        return ""


def _url(written: re.Match[str], host: str) -> str:
    scheme = (written["scheme"] or "https").lower()
    authority = written["authority"].rpartition("@")[2].lower()
    # A host's normal form has no www., but a page may answer under one of the two names only.
    www = "www." if authority.startswith("www.") and not host.startswith("www.") else ""
    port = re.search(r":[0-9]{1,5}$", authority)
    path = quote(written["rest"], safe=_KEPT)
    return f"{scheme}://{www}{host}{port[0] if port else ''}{path}"


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
