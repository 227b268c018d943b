from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acx.log.checkpoint import Checkpoint, sign_checkpoint
from acx.log.cosignature import Cosigner, WitnessKey, cosigned_at
from acx.log.errors import (
    BadSignature,
    LogError,
    MalformedKey,
    MalformedNote,
    MalformedPolicy,
    QuorumNotMet,
    UntrustedNote,
)
from acx.log.note import Signature, Signer, Verifier, add_signatures, parse_note
from acx.log.policy import NO_WITNESSES, parse_policy

LOG = Signer.generate("example.com/log")
CHECKPOINT = Checkpoint(LOG.name, 7, bytes(range(32)))
NOTE = sign_checkpoint(CHECKPOINT, LOG)
NOW = 1_760_000_000
COSIGNERS = {
    # Those of group Y have ML-DSA-44 keys.
    name: Cosigner.generate(f"witness.example/{name}", 0x04 if name[0] == "X" else 0x06)
    for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3")
}
WITNESSES = "".join(f"witness {name} {key.verifier.vkey}\n" for name, key in COSIGNERS.items())
# The example of C2SP tlog-policy.
EXAMPLE = f"""\
log {LOG.verifier.vkey}

{WITNESSES}
group X-witnesses 2 X1 X2 X3
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def cosigned(*names: str) -> str:
    return add_signatures(NOTE, [COSIGNERS[n].cosign(CHECKPOINT.text, NOW) for n in names])


BOTH_KINDS = pytest.mark.parametrize(("name", "other"), [("X1", "X2"), ("Y1", "Y2")])


@BOTH_KINDS
def test_a_cosignature_says_who_saw_the_checkpoint_and_when(name: str, other: str) -> None:
    line = COSIGNERS[name].cosign(CHECKPOINT.text, NOW)
    assert line.name == f"witness.example/{name}"
    assert cosigned_at(line) == NOW
    assert COSIGNERS[name].verifier.verifies(CHECKPOINT.text, line.value)
    assert not COSIGNERS[other].verifier.verifies(CHECKPOINT.text, line.value)


@BOTH_KINDS
def test_a_cosignature_is_of_one_head_and_one_time(name: str, other: str) -> None:
    key, value = COSIGNERS[name].verifier, COSIGNERS[name].cosign(CHECKPOINT.text, NOW).value
    assert not key.verifies(replace(CHECKPOINT, size=8).text, value)
    assert not key.verifies(replace(CHECKPOINT, origin="example.com/log2").text, value)
    assert not key.verifies(replace(CHECKPOINT, root=bytes(32)).text, value)
    assert not key.verifies(CHECKPOINT.text, (NOW + 1).to_bytes(8, "big") + value[8:])
    assert not key.verifies(CHECKPOINT.text, b"\xff" * 8 + value[8:])
    assert not key.verifies(CHECKPOINT.text, value[8:])
    assert not key.verifies(CHECKPOINT.text, value + b"\x00")
    assert not key.verifies(CHECKPOINT.text, b"")
    assert not key.verifies("no checkpoint\n", value)


def test_extension_lines_are_signed_by_ed25519_witnesses_alone() -> None:
    extended = CHECKPOINT.text + "extension\n"
    for name, signed in (("X1", True), ("Y1", False)):
        value = COSIGNERS[name].cosign(CHECKPOINT.text, NOW).value
        assert COSIGNERS[name].verifier.verifies(extended, value) is not signed


def test_cosignatures_have_the_lengths_the_standard_says() -> None:
    lengths = {name: len(key.cosign(CHECKPOINT.text, NOW).value) for name, key in COSIGNERS.items()}
    assert (lengths["X1"], lengths["Y1"]) == (8 + 64, 8 + 2420)


def test_an_mldsa_witness_signs_its_name_so_that_a_namesake_cannot_take_it_over() -> None:
    key = COSIGNERS["Y1"]
    renamed = replace(key.verifier, name="witness.example/other")
    assert not renamed.verifies(CHECKPOINT.text, key.cosign(CHECKPOINT.text, NOW).value)


def test_a_witness_cosigns_only_checkpoints_whose_names_fit() -> None:
    for text in ("no checkpoint\n", replace(CHECKPOINT, origin="x" * 256).text):
        with pytest.raises(MalformedNote):
            COSIGNERS["Y1"].cosign(text, NOW)


def test_a_logs_signature_is_no_cosignature_nor_the_other_way_round() -> None:
    twin = Cosigner(LOG.name, LOG.key)
    assert twin.verifier.key_id != LOG.key_id
    assert not twin.verifier.verifies(CHECKPOINT.text, LOG.sign(CHECKPOINT.text))
    assert not LOG.verifier.verifies(CHECKPOINT.text, twin.cosign(CHECKPOINT.text, NOW).value)


@pytest.mark.parametrize("time", [-1, 0, 2**63])
def test_a_cosignature_has_a_time_that_fits(time: int) -> None:
    with pytest.raises(MalformedNote, match="clock"):
        COSIGNERS["X1"].cosign(CHECKPOINT.text, time)


@BOTH_KINDS
def test_witness_keys_survive_their_text_form(name: str, other: str) -> None:
    key = COSIGNERS[name]
    assert WitnessKey.parse(key.verifier.vkey) == key.verifier
    assert Cosigner.parse(key.secret).verifier == key.verifier


def test_a_key_of_one_purpose_is_none_of_another() -> None:
    for name in ("X1", "Y1"):
        with pytest.raises(MalformedKey, match="signature type"):
            Verifier.parse(COSIGNERS[name].verifier.vkey)
        with pytest.raises(MalformedKey, match="signature type"):
            Signer.parse(COSIGNERS[name].secret)
    with pytest.raises(MalformedKey, match="0x04 or 0x06"):
        WitnessKey.parse(LOG.verifier.vkey)
    with pytest.raises(MalformedKey, match="signature type"):
        Cosigner.parse(LOG.secret)


ALL_SUBSETS = [names for count in range(7) for names in itertools.combinations(COSIGNERS, count)]


@pytest.mark.parametrize("names", ALL_SUBSETS, ids="+".join)
def test_the_published_policy_asks_for_two_of_x_and_one_of_y(names: tuple[str, ...]) -> None:
    enough = sum(n[0] == "X" for n in names) >= 2 and any(n[0] == "Y" for n in names)
    policy = parse_policy(EXAMPLE)
    assert policy.satisfied(cosigned(*names)) == enough
    if enough:
        assert policy.open(cosigned(*names)) == CHECKPOINT
    else:
        with pytest.raises(QuorumNotMet, match="X-and-Y"):
            policy.open(cosigned(*names))


def test_a_witness_counts_once_however_often_it_signs() -> None:
    policy = parse_policy(f"{WITNESSES}group two 2 X1 X2 X3\nquorum two\n")
    again = [COSIGNERS["X1"].cosign(CHECKPOINT.text, NOW + n) for n in range(3)]
    assert not policy.satisfied(add_signatures(NOTE, again))


def test_a_bad_cosignature_in_a_witness_name_spoils_the_note() -> None:
    policy = parse_policy(f"{WITNESSES}quorum X1\n")
    key = COSIGNERS["X2"].verifier
    forged = add_signatures(cosigned("X1"), [Signature(key.name, key.key_id, bytes(72))])
    with pytest.raises(BadSignature):
        policy.satisfied(forged)


def test_the_log_itself_must_have_signed() -> None:
    policy = parse_policy(EXAMPLE)
    impostor = Signer.generate(LOG.name)
    note = add_signatures(
        sign_checkpoint(CHECKPOINT, impostor), parse_note(cosigned(*COSIGNERS)).signatures[1:]
    )
    with pytest.raises(UntrustedNote):
        policy.open(note)


def test_a_policy_without_logs_is_used_with_a_log_known_from_elsewhere() -> None:
    policy = parse_policy(NO_WITNESSES)
    assert policy.open(NOTE, LOG.verifier) == CHECKPOINT
    with pytest.raises(UntrustedNote):
        policy.open(NOTE)


def test_reads_urls_comments_tabs_and_names_of_any_script() -> None:
    policy = parse_policy(
        f"# a comment\n\t log\t{LOG.verifier.vkey} https://log.example/ \n"
        f"witness 证人 {COSIGNERS['X1'].verifier.vkey} https://w.example/\n"
        f"witness \u212a {COSIGNERS['X2'].verifier.vkey}\n"
        f"witness K {COSIGNERS['X3'].verifier.vkey}\nquorum 证人"
    )
    assert [log.url for log in policy.logs] == ["https://log.example/"]
    assert policy.witnesses["证人"].url == "https://w.example/"
    assert policy.witnesses["K"].key != policy.witnesses["\u212a"].key
    assert policy.satisfied(cosigned("X1"))
    assert not policy.satisfied(cosigned("X2"))


X1, X2 = (COSIGNERS[n].verifier.vkey for n in ("X1", "X2"))
RENAMED = replace(COSIGNERS["X1"].verifier, name="another.example/name").vkey


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "quorum line is missing"),
        (f"witness a {X1}\n", "quorum line is missing"),
        ("quorum none\nquorum none\n", "line 2.*already"),
        ("quorum a\n", "not defined above"),
        (f"quorum a\nwitness a {X1}\n", "not defined above"),
        ("quorum none extra\n", "quorum NAME"),
        ("trust me\n", "none of log, witness, group, quorum"),
        (f"witness none {X1}\nquorum none\n", "taken"),
        (f"witness a {X1}\nwitness a {X2}\nquorum a\n", "taken"),
        (f"witness a {X1}\nwitness b {X1}\nquorum a\n", "twice"),
        (f"witness a {X1}\nwitness b {RENAMED}\nquorum a\n", "twice"),
        (f"witness a {LOG.verifier.vkey}\nquorum a\n", "signature type"),
        (f"witness a {X1[:-4]}\nquorum a\n", "line 1"),
        ("witness a\nquorum none\n", "witness NAME VKEY"),
        ("log\nquorum none\n", "log VKEY"),
        (f"log {LOG.verifier.vkey}\nlog {LOG.verifier.vkey}\nquorum none\n", "twice"),
        (f"witness a {X1}\ngroup g\nquorum a\n", "group NAME"),
        (f"witness a {X1}\ngroup g any\nquorum a\n", "group NAME"),
        (f"witness a {X1}\ngroup g any none\nquorum g\n", "not defined above"),
        (f"witness a {X1}\ngroup g any g\nquorum g\n", "not defined above"),
        (f"witness a {X1}\ngroup g any a a\nquorum g\n", "member already"),
        (f"witness a {X1}\ngroup g any a\ngroup h any a\nquorum g\n", "member already"),
        (f"witness a {X1}\ngroup g 0 a\nquorum g\n", "threshold"),
        (f"witness a {X1}\ngroup g 2 a\nquorum g\n", "threshold"),
        (f"witness a {X1}\ngroup g 01 a\nquorum g\n", "threshold"),
        (f"witness a {X1}\ngroup g some a\nquorum g\n", "threshold"),
        (f"witness a {X1}\ngroup g {'9' * 5000} a\nquorum g\n", "threshold"),
        ("quorum none\r\n", "control"),
        ("quorum none\n" * 10_000, "longer"),
    ],
    # Keys are fresh each run, and workers must agree on names.
    ids=itertools.count(),
)
def test_refuses_a_policy_that_is_not_in_form(text: str, reason: str) -> None:
    with pytest.raises(MalformedPolicy, match=reason):
        parse_policy(text)


@given(st.text(max_size=300))
def test_no_nonsense_is_a_policy_or_crashes(text: str) -> None:
    with pytest.raises(LogError):
        parse_policy(text)
