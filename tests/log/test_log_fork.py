"""Two signed checkpoints that contradict each other convince anyone, and nothing else does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.log.definitions import mth, proof

from acx.log.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint
from acx.log.encoding import format_base64
from acx.log.errors import LogError, MalformedProof
from acx.log.fork import (
    MAX_CHARACTERS,
    ForkProof,
    fork_proof,
    forked,
    parse_fork_proof,
    verify_fork_proof,
)
from acx.log.merkle import hash_leaf
from acx.log.note import Signer
from acx.log.tiles import MemoryReader, earlier_root, grow

SIGNER = Signer.generate("acx.example/log")


def entries(size: int, fork_at: int) -> list[bytes]:
    """Entries that differ from those of another `fork_at` from there on."""
    return [bytes([n % 251, n >= fork_at]) for n in range(size)]


def head(leaves: list[bytes], signer: Signer = SIGNER) -> Checkpoint:
    checkpoint = Checkpoint(signer.name, len(leaves), mth(leaves))
    return read_checkpoint(sign_checkpoint(checkpoint, signer))


def tiles(leaves: list[bytes]) -> MemoryReader:
    return MemoryReader(dict(grow(MemoryReader({}), 0, [hash_leaf(e) for e in leaves]).files))


sizes = st.integers(1, 600)


@st.composite
def forks(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Two histories that differ, the smaller first."""
    smaller, larger = sorted((draw(sizes), draw(sizes)))
    at = draw(st.integers(0, smaller - 1))
    return entries(smaller, at), entries(larger, larger)


@given(forks())
def test_a_fork_of_any_two_sizes_is_proven(pair: tuple[list[bytes], list[bytes]]) -> None:
    one, other = pair
    made = fork_proof(head(one), head(other), tiles(other))
    # The proof is the standard's, not only ours.
    assert made.root == format_base64(mth(other[: len(one)]))
    assert list(made.path) == [format_base64(h) for h in proof(len(one), other)]
    fork = verify_fork_proof(parse_fork_proof(made.text), SIGNER.verifier)
    assert (fork.smaller, fork.larger) == (head(one), head(other))
    assert str(len(one)) in fork.explanation
    error = forked("found", head(other), head(one), tiles(other))
    assert verify_fork_proof(parse_fork_proof(error.proof), SIGNER.verifier)
    assert error.exit_code == 5


@given(sizes, sizes)
def test_an_honest_log_cannot_be_accused(one: int, other: int) -> None:
    smaller, larger = sorted((one, other))
    whole = entries(larger, larger)
    made = fork_proof(head(whole[:smaller]), head(whole), tiles(whole))
    with pytest.raises(MalformedProof, match="no fork"):
        verify_fork_proof(made, SIGNER.verifier)
    invented = msgspec.structs.replace(made, root=format_base64(bytes(32)))
    with pytest.raises(MalformedProof):
        verify_fork_proof(invented, SIGNER.verifier)


@given(forks(), st.data())
def test_a_proof_that_was_tampered_with_proves_nothing(
    pair: tuple[list[bytes], list[bytes]], data: st.DataObject
) -> None:
    one, other = pair
    good = fork_proof(head(one), head(other), tiles(other))
    stranger = Signer.generate("acx.example/log")
    longer = head([*other, b"x"])
    bad: dict[str, Any] = data.draw(
        st.sampled_from(
            [
                {"smaller": head(one, stranger).note},
                {"larger": head(other, stranger).note},
                {"larger": longer.note},
                {"path": (*good.path, good.root)},
                {"root": format_base64(bytes(32))},
                {"root": "no hash"},
                {"path": (*good.path[:-1], "no hash")},
                {"smaller": "", "larger": ""},
            ]
        )
    )
    with pytest.raises(LogError):
        verify_fork_proof(msgspec.structs.replace(good, **bad), SIGNER.verifier)


def test_files_that_do_not_lead_to_the_checkpoint_make_no_proof() -> None:
    one, other = entries(5, 2), entries(9, 9)
    with pytest.raises(LogError):
        fork_proof(head(one), head(other), tiles(entries(9, 4)))
    with pytest.raises(LogError):
        fork_proof(head(one), head(other), None)
    assert forked("found", head(one), head(other)).proof == ""


@given(sizes, sizes)
def test_the_root_of_a_beginning_is_read_off_the_whole_trees_files(one: int, other: int) -> None:
    smaller, larger = sorted((one, other))
    whole = entries(larger, larger)
    assert earlier_root(tiles(whole), smaller, larger) == mth(whole[:smaller])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[" * 100_000,
        "null",
        '{"format":"acx-fork/v2"}',
        "x" * (MAX_CHARACTERS + 1),
        "\ud800",
    ],
    ids=range(7),
)
def test_what_is_no_proof_is_told(text: str) -> None:
    with pytest.raises(MalformedProof):
        parse_fork_proof(text)


def test_an_empty_beginning_proves_nothing() -> None:
    empty, whole = head([]), head(entries(3, 3))
    made = ForkProof(smaller=empty.note, larger=whole.note, root=format_base64(bytes(32)))
    with pytest.raises(MalformedProof, match="empty"):
        verify_fork_proof(made, SIGNER.verifier)
