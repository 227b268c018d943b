from __future__ import annotations

import itertools

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
    name: Cosigner.generate(f"witness.example/{name}")
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


def test_a_cosignature_says_who_saw_the_checkpoint_and_when() -> None:
    line = COSIGNERS["X1"].cosign(CHECKPOINT.text, NOW)
    assert COSIGNERS["X1"].verifier.verifies(CHECKPOINT.text, line.value)
    assert cosigned_at(line) == NOW
    assert len(line.key_id + line.value) == 76


def test_a_cosignature_is_of_one_text_one_time_and_one_key() -> None:
    line = COSIGNERS["X1"].cosign(CHECKPOINT.text, NOW)
    key = COSIGNERS["X1"].verifier
    assert not key.verifies(CHECKPOINT.text + "extension\n", line.value)
    assert not key.verifies(CHECKPOINT.text, (NOW + 1).to_bytes(8, "big") + line.value[8:])
    assert not key.verifies(CHECKPOINT.text, line.value[8:])
    assert not key.verifies(CHECKPOINT.text, line.value + b"\x00")
    assert not COSIGNERS["X2"].verifier.verifies(CHECKPOINT.text, line.value)


def test_a_logs_signature_is_no_cosignature_nor_the_other_way_round() -> None:
    twin = Cosigner(LOG.name, LOG.key)
    assert twin.verifier.key_id != LOG.key_id
    assert not twin.verifier.verifies(CHECKPOINT.text, LOG.sign(CHECKPOINT.text))
    assert not LOG.verifier.verifies(CHECKPOINT.text, twin.cosign(CHECKPOINT.text, NOW).value)


@pytest.mark.parametrize("time", [-1, 0, 2**63])
def test_a_cosignature_has_a_time_that_fits(time: int) -> None:
    with pytest.raises(MalformedNote, match="clock"):
        COSIGNERS["X1"].cosign(CHECKPOINT.text, time)


def test_witness_keys_survive_their_text_form() -> None:
    key = COSIGNERS["X1"]
    assert WitnessKey.parse(key.verifier.vkey) == key.verifier
    assert Cosigner.parse(key.secret).verifier == key.verifier
    for parse, line in [
        (Verifier.parse, key.verifier.vkey),
        (Signer.parse, key.secret),
        (WitnessKey.parse, LOG.verifier.vkey),
        (Cosigner.parse, LOG.secret),
    ]:
        with pytest.raises(MalformedKey, match="signature type"):
            parse(line)


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
RENAMED = WitnessKey("another.example/name", COSIGNERS["X1"].verifier.public).vkey


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
)
def test_refuses_a_policy_that_is_not_in_form(text: str, reason: str) -> None:
    with pytest.raises(MalformedPolicy, match=reason):
        parse_policy(text)


@given(st.text(max_size=300))
def test_no_nonsense_is_a_policy_or_crashes(text: str) -> None:
    with pytest.raises(LogError):
        parse_policy(text)
