"""Websites: the host, and the domain that somebody registered."""

from __future__ import annotations

import ipaddress
import re
from functools import cache
from typing import TYPE_CHECKING, Final

from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import plain

if TYPE_CHECKING:
    from tldextract import TLDExtract

FIELD: Final = "website"
MAX_HOST_CHARACTERS: Final = 253

_SCHEME: Final = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?[/\\]{2}", re.IGNORECASE)
_PORT: Final = re.compile(r":[0-9]*$")
_ASCII_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def normalise(value: str) -> str:
    """The host of a URL, in ASCII, without `www.`.

    The host keeps what tells one shop of a platform from another (`shop.example.com`); who
    registered the domain is `registered_domain`'s to say, since that follows a list that changes.

    Raises:
        NotNormalisable: no host of the public internet.

    Source: RFC 3986, RFC 5890; URL Standard, section 3.5.
    """
    text = plain(FIELD, value)
    rest, schemes = _SCHEME.subn("", text, count=1)
    authority = re.split(r"[/\\?#]", rest, maxsplit=1)[0]
    _user, at, name = authority.rpartition("@")
    if at and not schemes:
        raise NotNormalisable(FIELD, "an e-mail address; it belongs into `email`")
    return re.sub(r"^(?:www\.)+(?=[^.]+\.)", "", host(FIELD, _PORT.sub("", name)))


def registered_domain(name: str) -> str:
    """The part of a host that somebody registered: `example.co.uk` of `shop.example.co.uk`.

    On platforms that give out names (`myshopify.com`), that is the customer's name. By the public
    suffix list in the installed tldextract, never over the network: evidence, no `h1` writing.

    Args:
        name: a normalised host.

    Returns:
        The registered domain, or the host itself where there is none (an address, a suffix).

    Source: publicsuffix.org.
    """
    return _extractor().extract_str(name).top_domain_under_public_suffix or name


def host(field: str, name: str) -> str:
    """One writing of a host name or address: ASCII, lower case, no dot at the end.

    Args:
        field: named in the error.
        name: host name in any script, IPv4 address, or IPv6 address in brackets.

    Raises:
        NotNormalisable: no name of the public internet, which has at least one dot.
    """
    text = name.strip().lower()
    if text.startswith("["):
        return _address(field, text.removeprefix("[").removesuffix("]"))
    ascii_name = (text if text.isascii() else _to_ascii(field, text)).removesuffix(".")
    labels = ascii_name.split(".")
    if len(labels) < 2:
        raise NotNormalisable(field, "no domain name: there is no dot in it")
    if len(ascii_name) > MAX_HOST_CHARACTERS:
        raise NotNormalisable(field, f"domain name longer than {MAX_HOST_CHARACTERS} characters")
    if not all(_ASCII_LABEL.fullmatch(label) for label in labels):
        raise NotNormalisable(field, "no domain name: a part is empty, too long or has other signs")
    return _address(field, ascii_name) if labels[-1].isdigit() else ascii_name


def _to_ascii(field: str, name: str) -> str:
    import idna

    try:
        return idna.encode(name, uts46=True, std3_rules=False).decode()
    except (idna.IDNAError, UnicodeError):
        raise NotNormalisable(field, "no domain name that can be registered (IDNA)") from None


def _address(field: str, text: str) -> str:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise NotNormalisable(field, "neither a domain name nor an IP address") from None
    return address.compressed if address.version == 4 else f"[{address.compressed}]"


@cache
def _extractor() -> TLDExtract:
    from tldextract import TLDExtract

    return TLDExtract(
        cache_dir=None,
        suffix_list_urls=(),
        fallback_to_snapshot=True,
        include_psl_private_domains=True,
    )
