"""Whether somebody controls an e-mail address or a domain: how the accused shows who it is.

An address is shown by a code sent to it; a domain by a line that only its owner can publish, in the
DNS or at a well-known address. Nothing is stored of who asks: what has to be remembered between two
requests goes to the browser and back, sealed under a key of the exchange.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import importlib.resources
import ipaddress
import secrets
import socket
import ssl
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final, Literal, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from acx.exchange.errors import Forbidden, MalformedRequest

# `acx.records.normalise` is imported where it is used: it brings polars, and every command of an
# operator comes by here.

Kind = Literal["email", "domain"]
EMAIL_SECONDS: Final = 30 * 60
"""How long a code can be used."""
DOMAIN_SECONDS: Final = 3 * 86_400
"""How long a line can be published; the DNS takes its time."""
PROOF_SECONDS: Final = 2 * 3600
"""How long, after the proof, something can be filed."""
DNS_LABEL: Final = "_acx-dispute"
WELL_KNOWN: Final = "/.well-known/acx-dispute.txt"
MAX_FILE_BYTES: Final = 4096
NETWORK_SECONDS: Final = 5.0

_CODE_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ23456789"
"""Of which no word can be made, nor two be mistaken for each other."""
_CODE_LENGTH: Final = 10
_NONCE: Final = 12

_Sealed = TypeVar("_Sealed", bound=msgspec.Struct)


class ClaimRefused(MalformedRequest):
    """What is claimed is neither an address nor a domain of one's own."""


class ProofRefused(Forbidden):
    """A claim that is not shown, or no longer."""


class Claim(msgspec.Struct, frozen=True):
    """Somebody says that an address or a domain is theirs.

    Attributes:
        kind: which of the two.
        value: normalised.
        made: seconds since 1970.
        nonce: tells two claims to the same apart.
    """

    kind: Kind
    value: str
    made: int
    nonce: bytes


class Proof(msgspec.Struct, frozen=True):
    """Somebody has shown it.

    Attributes:
        kind: of the claim.
        value: of the claim.
        made: seconds since 1970.
        reports: the reports that hold the value; only about these can something be filed.
    """

    kind: Kind
    value: str
    made: int
    reports: tuple[str, ...]


def claim(text: str, now: int) -> Claim:
    """What somebody claims as theirs: a whole e-mail address, or a registered domain.

    Raises:
        ClaimRefused: it is neither, or a domain that many share.
    """
    from acx.records.normalise import registered_domain

    nonce = secrets.token_bytes(16)
    if "@" in text:
        return Claim("email", _normalised("email", text), now, nonce)
    host = _normalised("website", text)
    domain = registered_domain(host)
    if _is_address(domain):
        raise ClaimRefused("this is a network address, which is nobody's for good: claim a domain")
    if domain != host:
        raise ClaimRefused(f"{host} is no whole registered domain: claim {domain} instead")
    if is_shared(domain):
        raise ClaimRefused(
            f"many people have addresses or shops at {domain}: claim your whole e-mail address, "
            "or write to the operator"
        )
    return Claim("domain", domain, now, nonce)


def email_address(text: str) -> str:
    """A whole e-mail address, normalised.

    Raises:
        ClaimRefused: it is none.
    """
    return _normalised("email", text)


def is_shared(domain: str) -> bool:
    """Whether a registered domain gives out mailboxes, shops or pages to many."""
    return domain in _shared_domains() or _gives_out_names(domain)


class Seals:
    """Seals what the browser keeps, and makes the codes and lines that show control."""

    def __init__(self, service_key: Ed25519PrivateKey, origin: str) -> None:
        seed = service_key.private_bytes(
            serialization.Encoding.Raw,
            serialization.PrivateFormat.Raw,
            serialization.NoEncryption(),
        )
        info = b"acx-dispute-pages/v1\x00" + origin.encode()
        key = HKDF(hashes.SHA256(), 64, salt=None, info=info).derive(seed)
        self._aead = AESGCM(key[:32])
        self._mac = key[32:]

    def seal(self, value: Claim | Proof) -> str:
        """A value for the browser to keep; it can neither read nor change it."""
        nonce = secrets.token_bytes(_NONCE)
        kind = type(value).__name__.encode()
        sealed = self._aead.encrypt(nonce, msgspec.msgpack.encode(value), kind)
        return base64.urlsafe_b64encode(nonce + sealed).decode()

    def open_claim(self, text: str, now: int) -> Claim:
        """A claim, as it comes back.

        Raises:
            ProofRefused: it is none of ours, or too old.
        """
        found = self._open(text, Claim)
        _in_time(found.made, now, EMAIL_SECONDS if found.kind == "email" else DOMAIN_SECONDS)
        return found

    def open_proof(self, text: str, now: int) -> Proof:
        """A proof, as it comes back.

        Raises:
            ProofRefused: it is none of ours, or too old.
        """
        found = self._open(text, Proof)
        _in_time(found.made, now, PROOF_SECONDS)
        return found

    def code(self, claimed: Claim) -> str:
        """What is sent to a claimed address, in two groups for people."""
        digest = hmac.digest(self._mac, b"code\x00" + msgspec.msgpack.encode(claimed), "sha256")
        number = int.from_bytes(digest, "big")
        letters = ""
        for _ in range(_CODE_LENGTH):
            number, place = divmod(number, len(_CODE_LETTERS))
            letters += _CODE_LETTERS[place]
        return f"{letters[:5]}-{letters[5:]}"

    def line(self, claimed: Claim) -> str:
        """What is to be published at a claimed domain."""
        message = b"line\x00" + msgspec.msgpack.encode(claimed)
        return "acx-dispute=" + hmac.digest(self._mac, message, "sha256").hex()[:40]

    def is_code(self, claimed: Claim, typed: str) -> bool:
        """Whether what somebody typed is the code, however it is grouped and cased."""
        wanted = self.code(claimed).replace("-", "")
        found = "".join(typed.upper().replace("-", "").split())
        return hmac.compare_digest(wanted.encode(), found.encode())

    def _open(self, text: str, kind: type[_Sealed]) -> _Sealed:
        try:
            data = base64.urlsafe_b64decode(text.encode())
            name = kind.__name__.encode()
            plain = self._aead.decrypt(data[:_NONCE], data[_NONCE:], name)
            return msgspec.msgpack.decode(plain, type=kind)
        except (InvalidTag, ValueError, msgspec.DecodeError):
            raise ProofRefused("this page is not ours any more: begin again") from None


class DomainCheck:
    """Looks whether a domain publishes a line: in the DNS first, then at the well-known address."""

    def __init__(
        self,
        texts: Callable[[str], Iterable[str]] | None = None,
        file: Callable[[str], str] | None = None,
    ) -> None:
        """Look on the Internet, unless told where else.

        Args:
            texts: the TXT records of a name; none if there is none.
            file: the text at the well-known address of a domain; empty if there is none.
        """
        self._texts = texts or dns_texts
        self._file = file or WellKnownFile().read

    def shows(self, domain: str, line: str) -> bool:
        """Whether a domain publishes a line."""
        if line in {text.strip() for text in self._texts(f"{DNS_LABEL}.{domain}")}:
            return True
        return line in {text.strip() for text in self._file(domain).splitlines()}


def dns_texts(name: str) -> tuple[str, ...]:
    """The TXT records of a name; none if it has none, or cannot be asked."""
    import dns.exception
    import dns.resolver

    try:
        answer = dns.resolver.resolve(name, "TXT", lifetime=NETWORK_SECONDS)
    except (dns.exception.DNSException, OSError):
        return ()
    return tuple(b"".join(record.strings).decode("utf-8", "replace") for record in answer)


def internet_addresses(host: str) -> tuple[str, ...]:
    """The addresses of a host; none if it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public(address: str) -> bool:
    """Whether an address is on the Internet: not this machine's, nor of a network around it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return mapped.is_global and not mapped.is_multicast


class WellKnownFile:
    """Reads a domain's well-known file, over TLS alone, and from nowhere but the Internet.

    The name is looked up once, and what was looked up is what is connected to: a name that leads
    elsewhere the next time leads nowhere. No redirect is followed.
    """

    def __init__(
        self,
        *,
        addresses: Callable[[str], Iterable[str]] = internet_addresses,
        allowed: Callable[[str], bool] = is_public,
        context: ssl.SSLContext | None = None,
        port: int = 443,
    ) -> None:
        self._addresses = addresses
        self._allowed = allowed
        self._context = context or ssl.create_default_context()
        self._port = port

    def read(self, domain: str) -> str:
        """The file's text; empty if there is none, or it must not be read."""
        addresses = tuple(self._addresses(domain))
        # One that is not allowed beside one that is: somebody tries something.
        if not addresses or not all(map(self._allowed, addresses)):
            return ""
        try:
            return self._fetch(domain, addresses[0])
        except (OSError, http.client.HTTPException, ValueError):
            return ""

    def _fetch(self, domain: str, address: str) -> str:
        plain = socket.create_connection((address, self._port), timeout=NETWORK_SECONDS)
        with plain, self._context.wrap_socket(plain, server_hostname=domain) as tls:
            connection = http.client.HTTPSConnection(domain, timeout=NETWORK_SECONDS)
            connection.sock = tls
            headers = {"User-Agent": "acx", "Connection": "close"}
            connection.request("GET", WELL_KNOWN, headers=headers)
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                return ""
            return answer.read(MAX_FILE_BYTES).decode("utf-8", "replace")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _normalised(field: str, text: str) -> str:
    from acx.records.normalise import NotNormalisable, normalise

    if len(text) > 320:
        raise ClaimRefused("this is neither an e-mail address nor a domain")
    try:
        return normalise(field, text)
    except NotNormalisable:
        raise ClaimRefused("this is neither an e-mail address nor a domain") from None


def _in_time(made: int, now: int, seconds: int) -> None:
    if not 0 <= now - made <= seconds:
        raise ProofRefused("this took too long: begin again")


@cache
def _shared_domains() -> frozenset[str]:
    providers = importlib.resources.files("acx").joinpath("matching/data/mail_providers.tsv")
    platforms = importlib.resources.files("acx.exchange.governance").joinpath("platforms.txt")
    lines = (providers.read_text("utf-8") + "\n" + platforms.read_text("utf-8")).splitlines()
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _gives_out_names(domain: str) -> bool:
    """Whether others register names under a domain, or it is such a name itself."""
    from tldextract import TLDExtract

    for private in (False, True):
        extract = TLDExtract(
            cache_dir=None, suffix_list_urls=(), include_psl_private_domains=private
        )
        found = extract.extract_str(domain)
        # A top-level domain that is not listed is one for tests and documents.
        if found.suffix and found.top_domain_under_public_suffix != domain:
            return True
    return False
