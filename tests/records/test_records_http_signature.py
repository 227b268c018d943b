"""A signed request verifies as it was signed, and as nothing else."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from acx.records.event import public_key_text
from acx.records.http_signature import (
    BadHttpSignature,
    HttpSignatureError,
    MalformedHttpSignature,
    StaleHttpSignature,
    content_digest,
    sign_request,
    signature_base,
    signature_params,
    verify_request,
)

RFC_KEY = Ed25519PrivateKey.from_private_bytes(
    base64.urlsafe_b64decode("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU=")
)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NOW = 1_800_000_000
BODY = b'{"hello": "world"}'


def signed(
    *, method: str = "POST", path: str = "/v1/events", body: bytes = BODY, created: int = NOW
) -> dict[str, str]:
    headers = sign_request(KEY, method=method, path=path, body=body, created=created)
    return {name.lower(): value for name, value in headers.items()}


def verify(headers: dict[str, str], *, body: bytes = BODY, now: int = NOW) -> str:
    return verify_request(headers, method="POST", path="/v1/events", body=body, now=now).key


def test_signs_the_published_ed25519_request() -> None:
    """RFC 9421, appendix B.2.6."""
    components = [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("@method", "POST"),
        ("@path", "/foo"),
        ("@authority", "example.com"),
        ("content-type", "application/json"),
        ("content-length", "18"),
    ]
    params = signature_params(
        [name for name, _ in components], {"created": 1618884473, "keyid": "test-key-ed25519"}
    )
    assert params == (
        '("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"'
    )
    signature = RFC_KEY.sign(signature_base(components, params))
    assert base64.b64encode(signature).decode() == (
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    )


def test_digests_the_published_body() -> None:
    """RFC 9530, appendix B.1 and D."""
    assert content_digest(BODY) == "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"


@given(body=st.binary(max_size=200), skew=st.integers(-300, 300))
def test_what_was_signed_verifies_and_names_its_key(body: bytes, skew: int) -> None:
    assert verify(signed(body=body), body=body, now=NOW + skew) == public_key_text(KEY)


def test_another_label_may_stand_beside_ours() -> None:
    headers = signed()
    headers["signature-input"] = (
        'proxy=("@method");created=1;keyid="p", ' + headers["signature-input"]
    )
    headers["signature"] += ", proxy=:AAAA:"
    assert verify(headers) == public_key_text(KEY)


@pytest.mark.parametrize("skew", [-301, 301])
def test_refuses_an_old_or_early_signature(skew: int) -> None:
    with pytest.raises(StaleHttpSignature, match="clock"):
        verify(signed(), now=NOW + skew)


def test_refuses_another_body() -> None:
    with pytest.raises(BadHttpSignature, match="Content-Digest"):
        verify(signed(), body=b"other")


@pytest.mark.parametrize("change", [{"path": "/v1/join"}, {"method": "PUT"}])
def test_refuses_another_path_or_method(change: dict[str, str]) -> None:
    with pytest.raises(BadHttpSignature, match="signature"):
        verify(signed(**change))  # type: ignore[arg-type]


def test_refuses_another_members_key() -> None:
    headers = signed()
    headers["signature-input"] = headers["signature-input"].replace(
        public_key_text(KEY), public_key_text(RFC_KEY)
    )
    with pytest.raises(BadHttpSignature, match="signature"):
        verify(headers)


def test_refuses_a_signature_that_does_not_cover_the_body() -> None:
    headers = signed()
    headers["signature-input"] = headers["signature-input"].replace(' "content-digest"', "")
    with pytest.raises(MalformedHttpSignature, match="covers"):
        verify(headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("signature", ""),
        ("signature", "acx=:AAAA:"),
        ("signature", "acx=:####:"),
        ("signature", "acx=:AAAA:, acx=:AAAA:"),
        ("signature-input", ""),
        ("signature-input", "acx=()"),
        ("signature-input", 'acx=("@method" "@path" "content-digest")'),
        ("signature-input", 'acx=("@method" "@path" "content-digest");created=1;created=2'),
        ("signature-input", 'acx=("@method" "@path" "content-digest");alg="ed25519"'),
        ("signature-input", 'acx=("@method" "@path" "content-digest");alg="rsa";created=1'),
        ("signature-input", "x" * 5000),
    ],
)
def test_refuses_damaged_headers(name: str, value: str) -> None:
    with pytest.raises(MalformedHttpSignature):
        verify(signed() | {name: value})


@given(text=st.text(max_size=80), name=st.sampled_from(["signature", "signature-input"]))
def test_leaks_no_other_error_whatever_the_headers_say(text: str, name: str) -> None:
    with pytest.raises(HttpSignatureError):
        verify(signed() | {name: text})


@given(position=st.integers(0, 200), character=st.characters(max_codepoint=0x7F))
def test_refuses_a_changed_character_of_the_signed_parameters(
    position: int, character: str
) -> None:
    headers = signed()
    text = headers["signature-input"]
    position %= len(text)
    changed = text[:position] + character + text[position + 1 :]
    if changed == text:
        return
    with pytest.raises(HttpSignatureError):
        verify(headers | {"signature-input": changed})
