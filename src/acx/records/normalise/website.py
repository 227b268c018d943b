"""Websites: the host, and the domain that somebody registered."""

from __future__ import annotations

import ipaddress
import re
from functools import cache
from typing import TYPE_CHECKING, Final

from acx.records.normalise import domain_name
from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import plain

if TYPE_CHECKING:
    from tldextract import TLDExtract

FIELD: Final = "website"

_SCHEMES: Final = re.compile(r"^(?:(?:[a-z][a-z0-9+.-]*:)?[/\\]{2})+", re.IGNORECASE)
_PORT: Final = re.compile(r":[0-9]*$")
_WWW: Final = re.compile(r"^(?:www\.)+(?=[^.]+\.)")


def normalise(value: str) -> str:
    """The host of a URL, in ASCII, without `www.`.

    The host keeps what tells one shop of a platform from another (`shop.example.com`); who
    registered the domain is `registered_domain`'s to say, since that follows a list that changes.

    Raises:
        NotNormalisable: no URL, domain name or IP address.

    Source: RFC 3986, section 3.2; URL Standard, section 4.4, for backslashes.
    """
    text = plain(FIELD, value)
    rest, schemes = _SCHEMES.subn("", text)
    authority = re.split(r"[/\\?#]", rest, maxsplit=1)[0]
    user, _at, host = authority.rpartition("@")
    if user and not schemes:
        raise NotNormalisable(FIELD, "an e-mail address; it belongs into the field email")
    host = _PORT.sub("", host)
    return _address(host) or _WWW.sub("", domain_name.normalise(FIELD, host))


def registered_domain(host: str) -> str:
    """The part of a host that somebody registered: `example.co.uk` of `shop.example.co.uk`.

    On platforms that give out names (`myshopify.com`), that is the customer's name. By the public
    suffix list in the installed tldextract, never over the network: evidence, no `h1` writing.

    Args:
        host: a normalised website, or the domain of a normalised e-mail address.

    Returns:
        The registered domain, or the host itself where there is none (an address, a suffix).

    Source: publicsuffix.org; its prevailing rule `*` for a top-level domain that is not listed.
    """
    found = _extractor().extract_str(host)
    if found.top_domain_under_public_suffix:
        return found.top_domain_under_public_suffix
    listed_or_address = found.suffix or _address(host)
    return host if listed_or_address else ".".join(host.rsplit(".", 2)[-2:])


def _address(host: str) -> str:
    """The host as an IP address, in its shortest writing; empty where it is none."""
    try:
        if host.startswith("["):
            return f"[{ipaddress.IPv6Address(host[1:-1].partition('%')[0]).compressed}]"
        return ipaddress.IPv4Address(host).compressed
    except ValueError:
        return ""


@cache
def _extractor() -> TLDExtract:
    from tldextract import TLDExtract

    return TLDExtract(
        cache_dir=None,
        suffix_list_urls=(),
        fallback_to_snapshot=True,
        include_psl_private_domains=True,
    )
