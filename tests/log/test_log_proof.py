from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.log import definitions

from acx.log.checkpoint import Checkpoint, sign_checkpoint
from acx.log.cosignature import Cosigner
from acx.log.errors import (
    BadSignature,
    LogError,
    MalformedProof,
    QuorumNotMet,
    RootMismatch,
    UntrustedNote,
)
from acx.log.merkle import hash_leaf
from acx.log.note import Signer, add_signatures
from acx.log.policy import parse_policy
from acx.log.proof import LogProof, parse_proof, verify_proof

LOG = Signer.generate("example.com/fancylog")
WITNESS = Cosigner.generate("witness1.example")
ENTRIES = [b"entry %d" % n for n in range(21)]
CHECKPOINT = Checkpoint(LOG.name, len(ENTRIES), definitions.mth(ENTRIES))
NOTE = sign_checkpoint(CHECKPOINT, LOG)
POLICY = parse_policy(f"log {LOG.verifier.vkey}\nwitness w {WITNESS.verifier.vkey}\nquorum w\n")


def proof_of(index: int, note: str = NOTE, extra: bytes = b"") -> LogProof:
    return LogProof(index, tuple(definitions.path(index, ENTRIES)), note, extra)


def test_writes_the_published_form() -> None:
    proof = LogProof(73894, (b"\x81" * 32,), NOTE, extra=b"version 1")
    assert proof.text == (
        "c2sp.org/tlog-proof@v1\n"
        "extra dmVyc2lvbiAx\n"
        "index 73894\n"
        "gYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYE=\n"
        "\n" + NOTE
    )


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.binary(max_size=40),
)
def test_proofs_survive_their_text_form(index: int, path: list[bytes], extra: bytes) -> None:
    proof = LogProof(index, tuple(path), NOTE, extra)
    assert parse_proof(proof.text) == proof


@pytest.mark.parametrize("index", range(len(ENTRIES)))
def test_a_proof_is_verified_offline_with_the_logs_key_alone(index: int) -> None:
    proof = parse_proof(proof_of(index).text)
    assert verify_proof(proof, hash_leaf(ENTRIES[index]), LOG.verifier) == CHECKPOINT


def test_a_proof_of_another_entry_is_evidence() -> None:
    with pytest.raises(RootMismatch) as caught:
        verify_proof(proof_of(3), hash_leaf(ENTRIES[4]), LOG.verifier)
    assert caught.value.evidence == (NOTE,)


def test_a_policy_may_ask_for_witnesses() -> None:
    with pytest.raises(QuorumNotMet):
        verify_proof(proof_of(3), hash_leaf(ENTRIES[3]), policy=POLICY)
    note = add_signatures(NOTE, [WITNESS.cosign(CHECKPOINT.text, 1_760_000_000)])
    assert verify_proof(proof_of(3, note), hash_leaf(ENTRIES[3]), policy=POLICY) == CHECKPOINT


def test_a_proof_from_an_unknown_log_proves_nothing() -> None:
    stranger = Signer.generate("example.com/stranger")
    with pytest.raises(UntrustedNote):
        verify_proof(proof_of(3), hash_leaf(ENTRIES[3]), stranger.verifier)
    with pytest.raises(UntrustedNote):
        verify_proof(proof_of(3), hash_leaf(ENTRIES[3]))


def test_a_proof_under_an_altered_checkpoint_is_refused() -> None:
    proof = proof_of(3, NOTE.replace(f"\n{len(ENTRIES)}\n", "\n22\n"))
    with pytest.raises(BadSignature):
        verify_proof(proof, hash_leaf(ENTRIES[3]), LOG.verifier)


HASH = "gYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYE="


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v1\n",
        "c2sp.org/tlog-proof@v1\nindex 1\n",
        f"c2sp.org/tlog-proof@v2\nindex 1\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 01\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex -1\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\n1\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex {'9' * 5000}\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nextra\nindex 1\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nextra ?\nindex 1\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 1\nextra AAAA\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 1\n{HASH[:-4]}\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 1\n{HASH[:-2]}F=\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\r\nindex 1\r\n\r\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 1\n{(HASH + chr(10)) * 64}\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 1\n\n{'x' * 1_000_000}",
    ],
)
def test_refuses_what_is_no_proof(text: str) -> None:
    with pytest.raises(MalformedProof):
        parse_proof(text)


@given(st.data())
def test_a_proof_with_any_character_changed_proves_nothing_else(data: st.DataObject) -> None:
    text = proof_of(5).text
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.characters()) + text[place + 1 :]
    try:
        checkpoint = verify_proof(parse_proof(changed), hash_leaf(ENTRIES[5]), LOG.verifier)
    except LogError:
        return
    # Only bytes that nobody signs may differ: none of the statement's.
    assert checkpoint == CHECKPOINT
    assert parse_proof(changed).index == 5


@given(st.text(max_size=300))
def test_no_nonsense_is_a_proof_or_crashes(text: str) -> None:
    with pytest.raises(LogError):
        parse_proof(text)
