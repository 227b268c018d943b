"""The draft's vectors, from the same random stream: every message byte for byte.

For limits other than the file's 2 the draft has none; the digests were computed by an independent
implementation of the draft.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from tests.credentials.issuing import Stream, published

from acx.credentials.credential import Credential
from acx.credentials.issuance import ClientRequest, MemberSecret, enrol, request_scalar
from acx.credentials.keys import SecretKey
from acx.credentials.presentation import Presentation, present, presentation_tag, verify

VECTORS = published("arc-vectors")["ARCV1-P256"]
REQUEST_CONTEXT = bytes.fromhex(VECTORS["CredentialRequest"]["request_context"])
CONTEXT = bytes.fromhex(VECTORS["Presentation1"]["presentation_context"])


def fields(message: str, *names: str) -> str:
    return "".join(VECTORS[message][name] for name in names)


def issued(stream: Stream) -> tuple[SecretKey, Credential]:
    key = SecretKey.generate(stream)
    asked = ClientRequest.create(MemberSecret.generate(stream), REQUEST_CONTEXT, stream)
    return key, asked.finalize(enrol(key, asked.request, stream), key.public_key)


def test_replays_key_request_response_and_credential() -> None:
    stream = Stream(b"test vector seed")
    key = SecretKey.generate(stream)
    assert key.encode().hex() == fields("ServerKey", "x0", "x1", "x2", "xb")
    assert key.public_key.encode().hex() == fields("ServerKey", "X0", "X1", "X2")

    secret = MemberSecret.generate(stream)
    assert secret.encode().hex() == fields("CredentialRequest", "m1", "r1")
    assert request_scalar(REQUEST_CONTEXT).encode().hex() == fields("CredentialRequest", "m2")
    asked = ClientRequest.create(secret, REQUEST_CONTEXT, stream)
    assert asked.r2.encode().hex() == fields("CredentialRequest", "r2")
    assert asked.request.encode().hex() == fields("CredentialRequest", "m1_enc", "m2_enc", "proof")

    answer = enrol(key, asked.request, stream)
    assert answer.encode().hex() == fields(
        "CredentialResponse", "U", "enc_U_prime", "X0_aux", "X1_aux", "X2_aux", "H_aux", "proof"
    )
    credential = asked.finalize(answer, key.public_key)
    assert credential.encode().hex() == fields("Credential", "m1", "U", "U_prime", "X1")


def test_replays_both_presentations_of_limit_2() -> None:
    stream = Stream(b"test vector seed")
    _, credential = issued(stream)
    for nonce, name in enumerate(["Presentation1", "Presentation2"]):
        assert int(VECTORS[name]["nonce"], 16) == nonce
        shown = present(
            credential, context=CONTEXT, limit=2, nonce=nonce, message=b"", random=stream
        )
        # The vectors' `proof` holds D, challenge and responses.
        assert shown.encode().hex() == fields(
            name, "U", "U_prime_commit", "m1_commit", "tag", "nonce_commit", "proof"
        )
        assert shown.bit_commitments[0].encode().hex() == fields(name, "D_0")
        assert presentation_tag(credential, CONTEXT, nonce).hex() == fields(name, "tag")


@pytest.mark.parametrize("name", ["Presentation1", "Presentation2"])
def test_verifies_the_published_presentations(name: str) -> None:
    key = SecretKey.decode(bytes.fromhex(fields("ServerKey", "x0", "x1", "x2", "xb")))
    shown = bytes.fromhex(
        fields(name, "U", "U_prime_commit", "m1_commit", "tag", "nonce_commit", "proof")
    )
    tag = verify(
        key,
        shown,
        request_context=REQUEST_CONTEXT,
        context=CONTEXT,
        limit=2,
        message=b"",
    )
    assert tag.hex() == fields(name, "tag")
    assert Presentation.decode(shown, 2).encode() == shown


@pytest.mark.parametrize(
    ("limit", "length", "digest"),
    [
        (3, 615, "74d52ee30a6331ee284aa712f0f45d58fe7feb32af8fed6f81f1c65719ec8a36"),
        (5, 744, "bc51a18d21589a97900841938a4b27b3d86db03ba4c83af83e1721f4fd984d54"),
        (1000, 1647, "72d1707da7b3a9890476407904a1e0103f308ffe5ae3c2f9d7dbaf30825ed1dc"),
    ],
)
def test_agrees_with_another_implementation_under_other_limits(
    limit: int, length: int, digest: str
) -> None:
    stream = Stream(b"test vector seed")
    key, credential = issued(stream)
    shown = present(
        credential, context=CONTEXT, limit=limit, nonce=0, message=b"", random=stream
    ).encode()
    assert len(shown) == length
    assert hashlib.sha256(shown).hexdigest() == digest
    assert verify(
        key,
        shown,
        request_context=REQUEST_CONTEXT,
        context=CONTEXT,
        limit=limit,
        message=b"",
    ) == presentation_tag(credential, CONTEXT, 0)


def test_replay_without_openssl_too() -> None:
    # Another process, in which the module cannot be imported: the choice is made once in each.
    script = f"""
import sys
sys.modules["acx.credentials.openssl_element"] = None
import pytest
from acx.credentials.group import LIBRARY
assert LIBRARY.__name__ == "PycryptodomeElement"
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-k", "not without_openssl", {__file__!r}]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout
