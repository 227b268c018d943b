from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from acx.log.errors import BadSignature, LogError, MalformedKey, MalformedNote, UntrustedNote
from acx.log.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    Signature,
    Signer,
    Verifier,
    add_signatures,
    open_note,
    parse_note,
    parse_signatures,
    sign_note,
)

# Published: C2SP signed-note, «Example».
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ON"
    "ncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# Published: golang.org/x/mod, sumdb/note tests (BSD-3-Clause).
PETER_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PETER_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH_KEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZ"
    "b6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WW"
    "d1RvMc+QQ=\n"
)
PETER, ENOCH = Verifier.parse(PETER_KEY), Verifier.parse(ENOCH_KEY)


def signer(name: str) -> Signer:
    """A key that is the same in every run."""
    return Signer(name, Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)[:32]))


def test_opens_the_published_example() -> None:
    note = open_note(EXAMPLE_NOTE, Verifier.parse(EXAMPLE_KEY))
    assert note.text == "This is an example message.\n"
    assert [s.name for s in note.signatures] == ["example.com/foo"]


def test_signs_as_go_does() -> None:
    assert sign_note(TEXT, Signer.parse(PETER_SECRET)) == TEXT + "\n" + PETER_LINE
    assert Signer.parse(PETER_SECRET).verifier == PETER
    assert Signer.parse(PETER_SECRET).secret == PETER_SECRET


def test_opens_what_go_signed_whoever_else_signed_it() -> None:
    note = TEXT + "\n" + PETER_LINE + ENOCH_LINE
    assert [s.name for s in open_note(note, PETER).signatures] == ["PeterNeumann"]
    both = open_note(note.encode(), ENOCH, PETER, PETER)
    assert [s.name for s in both.signatures] == ["PeterNeumann", "EnochRoot"]
    assert both.text == TEXT


def test_refuses_a_note_by_unknown_keys_and_names_both_sides() -> None:
    with pytest.raises(UntrustedNote, match=r"EnochRoot.*PeterNeumann"):
        open_note(TEXT + "\n" + PETER_LINE, ENOCH)


def test_ignores_a_key_that_shares_only_the_name_or_only_the_id() -> None:
    namesake = Signature("EnochRoot", PETER.key_id, bytes(64))
    other = Signature("SomebodyElse", ENOCH.key_id, bytes(64))
    note = add_signatures(TEXT + "\n" + ENOCH_LINE, [namesake, other])
    assert [s.name for s in open_note(note, ENOCH).signatures] == ["EnochRoot"]


def test_a_known_keys_bad_signature_spoils_the_note_whoever_else_signed() -> None:
    bad = PETER_LINE.replace("x08go/ZJ", "x08go/ZK")
    with pytest.raises(BadSignature, match="PeterNeumann"):
        open_note(TEXT + "\n" + ENOCH_LINE + bad, PETER, ENOCH)
    with pytest.raises(BadSignature):
        open_note(TEXT + "\n" + PETER_LINE + bad, PETER)


def test_two_known_keys_of_one_name_and_id_cannot_be_told_apart() -> None:
    class Impostor(Verifier):
        @property
        def key_id(self) -> bytes:
            return PETER.key_id

    with pytest.raises(MalformedKey, match="PeterNeumann"):
        open_note(TEXT + "\n" + PETER_LINE, PETER, Impostor("PeterNeumann", ENOCH.public))


def test_the_last_empty_line_separates() -> None:
    key = signer("example.com/log")
    text = "one\n\n— example.com/log AAAAAAAA\n\nthree\n"
    assert open_note(sign_note(text, key), key.verifier).text == text


def test_adds_a_signature_line_once() -> None:
    first, second = signer("example.com/a"), signer("example.com/b")
    note = sign_note(TEXT, first)
    line = Signature(second.name, second.key_id, second.sign(TEXT))
    grown = add_signatures(note, [line, line])
    assert grown == sign_note(TEXT, first, second)
    assert add_signatures(grown, [line]) == grown


def test_reads_signature_lines_that_stand_alone() -> None:
    assert [s.name for s in parse_signatures(PETER_LINE + ENOCH_LINE)] == [
        "PeterNeumann",
        "EnochRoot",
    ]
    with pytest.raises(MalformedNote):
        parse_signatures("no signature\n")


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        TEXT + "\n",
        TEXT + "\n" + PETER_LINE[:-1],
        PETER_LINE,
        "\x01" + TEXT + "\n" + PETER_LINE,
        TEXT.replace("\n", "\r\n") + "\n" + PETER_LINE,
        TEXT + "\t\n\n" + PETER_LINE,
        b"\xff" + TEXT.encode() + b"\n" + PETER_LINE.encode(),
        "\ud800" + TEXT + "\n" + PETER_LINE,
        TEXT + "\n" + PETER_LINE + "Unexpected line.\n",
        TEXT + "\n" + PETER_LINE.replace("PeterNeumann", "Bad Name"),
        TEXT + "\n" + PETER_LINE.replace("PeterNeumann", "Bad\u2003Name"),
        TEXT + "\n" + PETER_LINE.replace("PeterNeumann", "Bad+Name"),
        TEXT + "\n" + PETER_LINE.replace("— ", "- "),
        TEXT + "\n" + PETER_LINE.replace("— PeterNeumann", "— "),
        TEXT + "\n" + PETER_LINE.replace("=", ""),
        TEXT + "\n" + PETER_LINE.replace("nAM=", "nAN="),
        TEXT + "\n— PeterNeumann x08gow==\n",
        TEXT + "\n" + PETER_LINE * (MAX_SIGNATURES + 1),
        "x" * MAX_NOTE_BYTES + "\n\n" + PETER_LINE,
    ],
)
def test_refuses_what_is_no_signed_note(note: str | bytes) -> None:
    with pytest.raises(MalformedNote):
        open_note(note, PETER)


def test_accepts_as_many_signatures_as_any_policy_has_witnesses() -> None:
    strangers = [Signature(f"example.com/{n}", bytes(4), bytes(3000)) for n in range(99)]
    note = add_signatures(TEXT + "\n" + PETER_LINE, strangers)
    assert open_note(note, PETER).text == TEXT


@given(st.data())
def test_refuses_a_note_with_any_byte_changed(data: st.DataObject) -> None:
    note = bytearray((TEXT + "\n" + PETER_LINE).encode())
    place = data.draw(st.integers(0, len(note) - 1))
    note[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(LogError):
        open_note(bytes(note), PETER)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_no_nonsense_is_a_note_or_crashes(note: str | bytes) -> None:
    with pytest.raises(LogError):
        open_note(note, PETER)


lines = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32), max_size=40)
names = st.text(st.sampled_from("abcß/.-_0\u0661"), min_size=1, max_size=20)


@given(st.lists(lines, min_size=1), st.lists(names, min_size=1, max_size=4, unique=True))
def test_opens_every_note_it_signs(text: list[str], by: list[str]) -> None:
    body = "".join(f"{line}\n" for line in text)
    keys = [signer(name) for name in by]
    note = open_note(sign_note(body, *keys), *(key.verifier for key in keys))
    assert (note.text, [s.name for s in note.signatures]) == (body, by)


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "bell\x07\n", "cr\r\n"])
def test_signs_no_text_that_could_not_be_read_back(text: str) -> None:
    with pytest.raises(MalformedNote):
        sign_note(text, signer("example.com/log"))


def test_signs_nothing_without_a_key() -> None:
    with pytest.raises(MalformedNote):
        sign_note(TEXT)


@given(names)
def test_keys_survive_their_text_form(name: str) -> None:
    key = signer(name)
    assert Verifier.parse(key.verifier.vkey) == key.verifier
    assert Signer.parse(key.secret + "\n").verifier == key.verifier


@given(st.data())
def test_refuses_a_key_line_with_any_character_changed_or_left_out(data: st.DataObject) -> None:
    line = data.draw(st.sampled_from([PETER_KEY, PETER_SECRET]))
    place = data.draw(st.integers(0, len(line) - 1))
    other = data.draw(st.sampled_from(["", chr(ord(line[place]) + 1)]))
    changed = line[:place] + other + line[place + 1 :]
    with pytest.raises(MalformedKey):
        Verifier.parse(changed)
    with pytest.raises(MalformedKey):
        Signer.parse(changed)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "++",
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        PETER_KEY.upper(),
        PETER_SECRET,
    ],
)
def test_refuses_what_is_no_verifier_key(vkey: str) -> None:
    with pytest.raises(MalformedKey):
        Verifier.parse(vkey)


def test_never_shows_a_secret_key() -> None:
    seed = PETER_SECRET.rpartition("+")[2]
    assert seed not in repr(Signer.parse(PETER_SECRET))
    with pytest.raises(MalformedKey) as caught:
        Signer.parse(PETER_SECRET + "A")
    assert seed not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b"])
def test_makes_no_key_whose_name_could_not_stand_in_a_note(name: str) -> None:
    with pytest.raises(MalformedKey):
        Signer.generate(name)


def test_parsing_verifies_nothing_and_says_so_by_its_place() -> None:
    forged = parse_note(TEXT + "\n" + PETER_LINE.replace("x08go/ZJ", "x08go/ZK"))
    assert (forged.text, len(forged.signatures)) == (TEXT, 1)
