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
    """An IPv4 address, or the network of 64 bits that an IPv6 address is in.

    The second half of an IPv6 address is the device's own choice and is drawn anew every day or so;
    the first is the subscriber's. IPv4 inside IPv6 is IPv4. Port, brackets and zone are dropped.
    IPv4 with leading zeros is refused: they are octal to some programs and decimal to others.

    Raises:
        NotNormalisable: no address.

    Source: RFC 5952 (writing), RFC 4291, section 2.5.5.2 (IPv4 inside IPv6), RFC 8981 (addresses
        that change), RFC 6177 (what a subscriber gets).
    """
    text = ascii_digits(plain(FIELD, value, UNICODE_3_2))
    if wrapped := _WITH_PORT.fullmatch(text):
        text = wrapped["v6"] or wrapped["v4"] or ""
    if ":" in text:
        text = text.removesuffix("/64").partition("%")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise NotNormalisable(FIELD, "no IPv4 or IPv6 address") from None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(address) >> 64 << 64).compressed}/64"
