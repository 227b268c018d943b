"""IP addresses."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import UNICODE_3_2, ascii_digits, plain

FIELD: Final = "ip"

_WITH_PORT: Final = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\](?::[0-9]+)?|(?P<v4>[0-9.]+):[0-9]+)")


def normalise(value: str) -> str:
    """The address in its shortest writing; an IPv4 address inside IPv6 as IPv4.

    Port, brackets and zone are dropped. IPv4 with leading zeros is refused: it is octal to some
    programs and decimal to others.

    Raises:
        NotNormalisable: no address.

    Source: RFC 5952; RFC 4291, section 2.5.5.2.
    """
    text = ascii_digits(plain(FIELD, value, UNICODE_3_2))
    if wrapped := _WITH_PORT.fullmatch(text):
        text = wrapped["v6"] or wrapped["v4"] or ""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise NotNormalisable(FIELD, "no IPv4 or IPv6 address") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return address.compressed
