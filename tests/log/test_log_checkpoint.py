from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acx.log.checkpoint import Checkpoint, open_checkpoint, read_checkpoint, sign_checkpoint
from acx.log.errors import BadSignature, LogError, MalformedNote, UntrustedNote
from acx.log.note import Signature, Signer, add_signatures, sign_note

LOG = Signer.generate("example.com/behind-the-sofa")
OTHER = Signer.generate("example.com/other")
# The three lines of the example in C2SP tlog-checkpoint.
TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def test_reads_the_published_text() -> None:
    checkpoint = open_checkpoint(sign_note(TEXT, LOG), LOG.verifier)
    assert checkpoint.origin == "example.com/behind-the-sofa"
    assert checkpoint.size == 20852163
    assert checkpoint.root.hex().startswith("0ac5186a")
    assert checkpoint.text == TEXT


def test_keeps_the_note_it_was_read_from_as_evidence() -> None:
    note = sign_note(TEXT, LOG)
    assert open_checkpoint(note, LOG.verifier).note == note
    assert open_checkpoint(note.encode(), LOG.verifier).note == note


def test_keeps_extension_lines() -> None:
    note = sign_note(TEXT + "extension 1\n", LOG)
    checkpoint = open_checkpoint(note, LOG.verifier)
    assert checkpoint.extensions == ("extension 1",)
    assert sign_checkpoint(checkpoint, LOG) == note


sizes = st.integers(0, 2**63 - 1)


@given(sizes, st.binary(min_size=32, max_size=32))
def test_opens_every_checkpoint_it_signs(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(LOG.name, size, root)
    assert open_checkpoint(sign_checkpoint(checkpoint, LOG), LOG.verifier) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "\n",
        "example.com/behind-the-sofa\n1\n",
        TEXT.replace("20852163", "020852163"),
        TEXT.replace("20852163", "-1"),
        TEXT.replace("20852163", "+1"),
        TEXT.replace("20852163", "1_0"),
        TEXT.replace("20852163", "\u0661"),
        TEXT.replace("20852163", str(2**63)),
        TEXT.replace("20852163", "9" * 5000),
        TEXT.replace("20852163", " 20852163"),
        TEXT.replace("q2I=", "q2J="),
        TEXT.replace("q2I=", "q2I"),
        TEXT.replace("CsUYapGG", ""),
        TEXT.replace("\n20852163", "\n\n20852163"),
        "\n" + TEXT,
        TEXT + "\nextension after an empty line\n",
    ],
)
def test_refuses_a_signed_text_that_is_no_checkpoint(text: str) -> None:
    with pytest.raises(MalformedNote):
        open_checkpoint(sign_note(text, LOG), LOG.verifier)


def test_signs_no_checkpoint_whose_origin_could_not_be_read_back() -> None:
    for origin in ("", "two\nlines\n", "gap\n\n"):
        with pytest.raises(MalformedNote):
            sign_checkpoint(Checkpoint(origin, 0, bytes(32)), LOG)


def test_one_log_cannot_speak_for_another() -> None:
    forged = sign_note(TEXT, OTHER)
    with pytest.raises(UntrustedNote):
        open_checkpoint(forged, LOG.verifier, OTHER.verifier)
    with pytest.raises(UntrustedNote, match=r"where example\.com/other is expected"):
        open_checkpoint(sign_note(TEXT, LOG), OTHER.verifier)
    with pytest.raises(UntrustedNote):
        open_checkpoint(sign_note(TEXT, LOG))


def test_either_key_of_a_log_that_changes_its_key_will_do() -> None:
    successor = Signer.generate(LOG.name)
    for key in (LOG, successor):
        assert open_checkpoint(sign_note(TEXT, key), LOG.verifier, successor.verifier).size


def test_refuses_a_signature_that_is_not_the_logs() -> None:
    line = Signature(LOG.name, LOG.key_id, bytes(64))
    note = add_signatures(sign_note(TEXT, OTHER), [line])
    with pytest.raises(BadSignature):
        open_checkpoint(note, LOG.verifier)


def test_tells_whose_checkpoint_it_claims_to_be_before_any_key_is_known() -> None:
    assert read_checkpoint(sign_note(TEXT, OTHER)).origin == LOG.name


@given(st.text(max_size=200))
def test_no_nonsense_is_a_checkpoint_or_crashes(text: str) -> None:
    with pytest.raises(LogError):
        open_checkpoint(text, LOG.verifier)
