"""Whether somebody controls an address or a domain."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from acx.exchange.governance.control import (
    DOMAIN_SECONDS,
    EMAIL_SECONDS,
    WELL_KNOWN,
    Claim,
    ClaimRefused,
    DomainCheck,
    Proof,
    ProofRefused,
    Seals,
    WellKnownFile,
    claim,
    is_public,
)

NOW = 1_790_000_000
SEALS = Seals(Ed25519PrivateKey.from_private_bytes(b"s" * 32), "exchange.example/test")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (" Jo@Example.COM ", "email", "jo@example.com"),
        ("jo@gmail.com", "email", "jo@gmail.com"),
        ("https://www.shop-example.co.uk/about", "domain", "shop-example.co.uk"),
        ("Bücher-Example.de", "domain", "xn--bcher-example-wob.de"),
    ],
)
def test_a_whole_address_or_a_registered_domain_can_be_claimed(
    text: str, kind: str, value: str
) -> None:
    found = claim(text, NOW)
    assert (found.kind, found.value) == (kind, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Jo Doe",
        "@example.com",
        "jo@",
        "shop.example.co.uk",  # not whole
        "co.uk",
        "gmail.com",
        "myshopify.com",
        "jos-shop.myshopify.com",
        "jo.github.io",
        "etsy.com",
        "192.0.2.1",
        "[2001:db8::1]",
        "x" * 400 + ".com",
        "jo@example.com\r\nBcc: all@example.com",
    ],
)
def test_nothing_that_is_not_ones_own_alone(text: str) -> None:
    with pytest.raises(ClaimRefused):
        claim(text, NOW)


def test_what_the_browser_keeps_comes_back_unchanged_and_in_time() -> None:
    email, domain = claim("jo@example.com", NOW), claim("example.com", NOW)
    assert SEALS.open_claim(SEALS.seal(email), NOW + EMAIL_SECONDS) == email
    assert SEALS.open_claim(SEALS.seal(domain), NOW + DOMAIN_SECONDS) == domain
    with pytest.raises(ProofRefused, match="too long"):
        SEALS.open_claim(SEALS.seal(email), NOW + EMAIL_SECONDS + 1)
    with pytest.raises(ProofRefused, match="too long"):
        SEALS.open_claim(SEALS.seal(email), NOW - 1)


@given(st.text(max_size=200))
def test_nothing_else_comes_back(text: str) -> None:
    with pytest.raises(ProofRefused):
        SEALS.open_claim(text, NOW)


def test_a_claim_is_no_proof_and_another_exchange_s_is_none_here() -> None:
    other = Seals(Ed25519PrivateKey.from_private_bytes(b"s" * 32), "exchange.example/other")
    sealed = SEALS.seal(claim("jo@example.com", NOW))
    with pytest.raises(ProofRefused):
        SEALS.open_proof(sealed, NOW)
    with pytest.raises(ProofRefused):
        other.open_claim(sealed, NOW)
    proof = Proof("email", "jo@example.com", NOW, ("a" * 26,))
    assert SEALS.open_proof(SEALS.seal(proof), NOW) == proof


def test_each_claim_has_a_code_of_its_own_however_it_is_typed() -> None:
    first, second = claim("jo@example.com", NOW), claim("jo@example.com", NOW)
    code = SEALS.code(first)
    assert SEALS.is_code(first, f" {code.lower().replace('-', ' ')} ")
    assert not SEALS.is_code(second, code)
    assert not SEALS.is_code(first, "")
    assert SEALS.line(first) != SEALS.line(second)


def test_a_line_counts_in_the_dns_and_in_the_file_and_only_as_a_whole() -> None:
    line = SEALS.line(Claim("domain", "example.com", NOW, b"n"))
    asked = []

    def texts(name: str) -> list[str]:
        asked.append(name)
        return ["v=spf1 -all", line]

    assert DomainCheck(texts, lambda _domain: "").shows("example.com", line)
    assert asked == ["_acx-dispute.example.com"]
    assert DomainCheck(lambda _name: [], lambda _domain: f"x\n{line}\n").shows("example.com", line)
    assert not DomainCheck(lambda _name: [line + "0"], lambda _domain: line[:-1]).shows(
        "example.com", line
    )


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "0.0.0.1", "::1", "fe80::1",
     "fd00::1", "::ffff:127.0.0.1", "100.64.0.1", "224.0.0.1", "nonsense", ""],
)  # fmt: skip
def test_no_request_goes_to_where_only_this_machine_could_reach(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_the_internet_can_be_asked(address: str) -> None:
    assert is_public(address)


def test_a_file_is_read_over_tls_from_the_domain_itself(tmp_path: Path) -> None:
    with published({WELL_KNOWN: b"acx-dispute=1234\n"}, "shop.example", tmp_path) as (port, trust):

        def reader(domain_trust: ssl.SSLContext = trust) -> WellKnownFile:
            return WellKnownFile(
                addresses=lambda _host: ["127.0.0.1"],
                allowed=lambda _address: True,
                context=domain_trust,
                port=port,
            )

        assert reader().read("shop.example") == "acx-dispute=1234\n"
        assert reader().read("other.example") == "", "the certificate is another's"
        assert reader(ssl.create_default_context()).read("shop.example") == "", "nobody vouches"
        private = WellKnownFile(addresses=lambda _host: ["127.0.0.1"], context=trust, port=port)
        assert private.read("shop.example") == ""


def test_no_redirect_is_followed_and_a_long_file_is_cut(tmp_path: Path) -> None:
    files = {WELL_KNOWN: b"x" * 100_000}
    with published(files, "shop.example", tmp_path) as (port, trust):
        reader = WellKnownFile(
            addresses=lambda _host: ["127.0.0.1"],
            allowed=lambda _address: True,
            context=trust,
            port=port,
        )
        assert len(reader.read("shop.example")) == 4096
        files.clear()
        assert reader.read("shop.example") == ""


@contextmanager
def published(
    files: dict[str, bytes], domain: str, directory: Path
) -> Iterator[tuple[int, ssl.SSLContext]]:
    """A web server for a domain, and a context that trusts its certificate alone."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path)
            self.send_response(301 if content is None else 200)
            if content is None:
                self.send_header("Location", "http://127.0.0.1/")
            self.end_headers()
            self.wfile.write(content or b"acx-dispute=elsewhere")

        def log_message(self, *_args: object) -> None:
            pass

    certificate = _certificate(domain, directory)
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    # A client that does not trust the certificate ends the handshake: that is what is tested.
    server.handle_error = lambda *_args: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], ssl.create_default_context(cafile=str(certificate))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _certificate(domain: str, directory: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, domain)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = directory / "certificate.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file
