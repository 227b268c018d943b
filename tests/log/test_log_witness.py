from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.log import definitions

from acx.log.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint
from acx.log.errors import LogError, MalformedRequest
from acx.log.merkle import EMPTY_ROOT
from acx.log.note import Signature, Signer, add_signatures, sign_note
from acx.log.witness import AddCheckpoint, Status, judge, origin_hash, parse_add_checkpoint

LOG = Signer.generate("example.com/behind-the-sofa")
STRANGER = Signer.generate("example.com/stranger")
ENTRIES = [b"%d" % n for n in range(12)]


def head(size: int, key: Signer = LOG, root: bytes | None = None) -> Checkpoint:
    unsigned = Checkpoint(LOG.name, size, root or definitions.mth(ENTRIES[:size]))
    return read_checkpoint(sign_checkpoint(unsigned, key))


def request(old: int, size: int) -> AddCheckpoint:
    proof = definitions.proof(old, ENTRIES[:size]) if 0 < old <= size else []
    return AddCheckpoint(old, tuple(proof), head(size))


def status(asked: AddCheckpoint, last: Checkpoint | None) -> Status:
    return judge(parse_add_checkpoint(asked.body), [LOG.verifier], last).status


def test_writes_the_published_form() -> None:
    asked = AddCheckpoint(20852014, (b"\x81" * 32,), head(3))
    assert asked.body == (
        "old 20852014\ngYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYE=\n\n" + head(3).note
    )


@given(st.integers(0, 2**63 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_requests_survive_their_body(old: int, proof: list[bytes]) -> None:
    asked = AddCheckpoint(old, tuple(proof), head(3))
    assert parse_add_checkpoint(asked.body) == asked
    assert parse_add_checkpoint(asked.body.encode()) == asked


@pytest.mark.parametrize(("old", "size"), [(0, 0), (0, 5), (5, 5), (5, 12), (8, 12)])
def test_cosigns_what_continues_the_last_checkpoint(old: int, size: int) -> None:
    assert status(request(old, size), head(old) if old else None) is Status.COSIGNED


def test_answers_a_wrong_old_size_with_the_one_it_has() -> None:
    asked = parse_add_checkpoint(request(0, 12).body)
    verdict = judge(asked, [LOG.verifier], head(5))
    assert (verdict.status, verdict.reason) == (Status.CONFLICT, "5\n")
    assert judge(request(5, 12), [LOG.verifier], None).reason == "0\n"


def test_refuses_an_old_size_beyond_the_checkpoint() -> None:
    assert status(request(12, 5), head(12)) is Status.MALFORMED


def test_does_not_know_a_log_it_was_not_told_of() -> None:
    assert judge(request(0, 5), [STRANGER.verifier], None).status is Status.UNKNOWN_LOG


def test_refuses_a_checkpoint_its_log_has_not_signed() -> None:
    asked = AddCheckpoint(0, (), head(5, key=STRANGER))
    assert status(asked, None) is Status.UNTRUSTED
    forged = add_signatures(asked.checkpoint.note, [Signature(LOG.name, LOG.key_id, bytes(64))])
    assert status(AddCheckpoint(0, (), read_checkpoint(forged)), None) is Status.UNTRUSTED


@pytest.mark.parametrize(
    ("asked", "last"),
    [
        (AddCheckpoint(5, (), head(12)), head(5)),
        (AddCheckpoint(5, (bytes(32),) * 4, head(12)), head(5)),
        (AddCheckpoint(0, (bytes(32),), head(12)), None),
        (AddCheckpoint(5, (), head(5, root=b"\x01" * 32)), head(5)),
        (AddCheckpoint(0, (), head(0, root=b"\x01" * 32)), None),
        (
            AddCheckpoint(5, tuple(definitions.proof(5, ENTRIES)), head(12)),
            head(5, root=EMPTY_ROOT),
        ),
    ],
    ids=["no proof", "wrong proof", "proof from 0", "fork", "empty log's root", "other history"],
)
def test_refuses_what_does_not_continue_the_last_checkpoint(
    asked: AddCheckpoint, last: Checkpoint | None
) -> None:
    assert status(asked, last) is Status.INCONSISTENT


NOTE = head(3).note
HASH = "gYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYE=\n"


@pytest.mark.parametrize(
    "body",
    [
        "",
        NOTE,
        "old 0\n",
        "old 0\n\n",
        f"old\n\n{NOTE}",
        f"0\n\n{NOTE}",
        f"old 01\n\n{NOTE}",
        f"old -1\n\n{NOTE}",
        f"old {'9' * 5000}\n\n{NOTE}",
        f"old 0\r\n\r\n{NOTE}",
        f"old 5\nAAAA\n\n{NOTE}",
        f"old 5\n{HASH * 64}\n{NOTE}",
        f"old 0\n\n{NOTE[:-1]}",
        "old 0\n\n" + sign_note("no checkpoint\n", LOG),
        b"old 0\n\n\xff",
    ],
)
def test_refuses_a_body_that_is_not_in_form(body: str | bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse_add_checkpoint(body)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_no_nonsense_is_a_request_or_crashes(body: str | bytes) -> None:
    with pytest.raises(LogError):
        parse_add_checkpoint(body)


def test_a_log_has_a_name_that_fits_a_path() -> None:
    assert origin_hash("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
