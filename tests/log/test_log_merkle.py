from __future__ import annotations

import base64
import itertools
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.log import definitions

from acx.log.checkpoint import Checkpoint
from acx.log.errors import (
    Forked,
    InconsistentLog,
    LogError,
    MalformedFile,
    MalformedProof,
    RootMismatch,
    Shrunk,
)
from acx.log.merkle import (
    EMPTY_ROOT,
    Frontier,
    hash_leaf,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

VECTORS = json.loads(
    Path(__file__).with_name("vectors").joinpath("merkle-vectors.json").read_text()
)

CT_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
"""The Certificate Transparency tree, whose roots every implementation of RFC 6962 tests."""


def decode(hashes: list[str] | None) -> list[bytes]:
    return [base64.b64decode(text) for text in hashes or []]


def head(size: int, root: bytes, note: str = "") -> Checkpoint:
    return Checkpoint("log.example", size, root, note=note)


def head_of(entries: list[bytes]) -> Checkpoint:
    return head(len(entries), definitions.mth(entries))


@pytest.mark.parametrize("case", VECTORS["inclusion"].values(), ids=list(VECTORS["inclusion"]))
def test_accepts_the_published_inclusion_proofs_and_no_others(case: dict[str, Any]) -> None:
    with pytest.raises(LogError) if case["wantErr"] else nullcontext():
        verify_inclusion(
            base64.b64decode(case["leafHash"]),
            case["leafIdx"],
            decode(case["proof"]),
            head(case["treeSize"], base64.b64decode(case["root"])),
        )


@pytest.mark.parametrize("case", VECTORS["consistency"].values(), ids=list(VECTORS["consistency"]))
def test_accepts_the_published_consistency_proofs_and_no_others(case: dict[str, Any]) -> None:
    with pytest.raises(LogError) if case["wantErr"] else nullcontext():
        verify_consistency(
            head(case["size1"], base64.b64decode(case["root1"])),
            head(case["size2"], base64.b64decode(case["root2"])),
            decode(case["proof"]),
        )


@pytest.mark.parametrize(("size", "root"), CT_ROOTS.items())
def test_has_the_roots_of_the_certificate_transparency_tree(size: int, root: str) -> None:
    leaves = [hash_leaf(leaf) for leaf in CT_LEAVES[:size]]
    assert tree_root(leaves).hex() == root
    assert definitions.mth(CT_LEAVES[:size]).hex() == root


entries = st.lists(st.binary(max_size=40), max_size=70)


@given(entries)
def test_a_root_is_the_one_the_rfc_defines(entries: list[bytes]) -> None:
    assert tree_root(hash_leaf(entry) for entry in entries) == definitions.mth(entries)


@given(st.data(), entries.filter(bool))
def test_accepts_the_inclusion_path_the_rfc_defines(
    data: st.DataObject, entries: list[bytes]
) -> None:
    index = data.draw(st.integers(0, len(entries) - 1))
    path = definitions.path(index, entries)
    verify_inclusion(hash_leaf(entries[index]), index, path, head_of(entries))


@given(st.data(), entries.filter(bool))
def test_refuses_an_inclusion_proof_with_anything_changed(
    data: st.DataObject, entries: list[bytes]
) -> None:
    index = data.draw(st.integers(0, len(entries) - 1))
    leaf, path = hash_leaf(entries[index]), definitions.path(index, entries)
    checkpoint = head_of(entries)
    with pytest.raises(LogError):
        verify_inclusion(*damage_inclusion(data, leaf, index, path), checkpoint)


def damage_inclusion(
    data: st.DataObject, leaf: bytes, index: int, path: list[bytes]
) -> tuple[bytes, int, list[bytes]]:
    if data.draw(st.booleans(), label="damage the leaf"):
        return flip(data, leaf), index, path
    return leaf, index, damage(data, path)


def damage(data: st.DataObject, path: list[bytes]) -> list[bytes]:
    """A path that is longer, shorter, or has one bit changed."""
    place = data.draw(st.integers(0, len(path)), label="place")
    kind = data.draw(st.sampled_from(["insert", "drop", "flip"] if path else ["insert"]))
    if kind == "insert":
        return [*path[:place], bytes(32), *path[place:]]
    place = min(place, len(path) - 1)
    if kind == "drop":
        return path[:place] + path[place + 1 :]
    return [*path[:place], flip(data, path[place]), *path[place + 1 :]]


def flip(data: st.DataObject, digest: bytes) -> bytes:
    bit = data.draw(st.integers(0, 255), label="bit")
    return (int.from_bytes(digest, "big") ^ (1 << bit)).to_bytes(32, "big")


@given(st.data(), entries)
def test_accepts_the_consistency_proof_the_rfc_defines(
    data: st.DataObject, entries: list[bytes]
) -> None:
    size = data.draw(st.integers(0, len(entries)))
    proof = definitions.proof(size, entries) if size else []
    verify_consistency(head_of(entries[:size]), head_of(entries), proof)


@given(st.data(), entries)
def test_refuses_a_consistency_proof_with_anything_changed(
    data: st.DataObject, entries: list[bytes]
) -> None:
    size = data.draw(st.integers(0, len(entries)))
    proof = damage(data, definitions.proof(size, entries) if size else [])
    with pytest.raises(LogError):
        verify_consistency(head_of(entries[:size]), head_of(entries), proof)


@given(st.data(), st.lists(st.binary(max_size=8), min_size=2, max_size=40))
def test_refuses_growth_from_another_history(data: st.DataObject, entries: list[bytes]) -> None:
    size = data.draw(st.integers(1, len(entries) - 1))
    changed = data.draw(st.integers(0, size - 1))
    other = [*entries[:changed], entries[changed] + b"!", *entries[changed + 1 : size]]
    with pytest.raises(RootMismatch) as caught:
        verify_consistency(head_of(other), head_of(entries), definitions.proof(size, entries))
    assert caught.value.exit_code == 5


def test_a_shrunken_log_is_evidence_with_both_checkpoints() -> None:
    old, new = head(5, bytes(32), note="first"), head(4, bytes(32), note="second")
    with pytest.raises(Shrunk) as caught:
        verify_consistency(old, new, [])
    assert (caught.value.exit_code, caught.value.evidence) == (5, ("first", "second"))


def test_a_forked_log_is_evidence_with_both_checkpoints() -> None:
    old, new = head(5, bytes(32), note="first"), head(5, b"\x01" * 32, note="second")
    with pytest.raises(Forked) as caught:
        verify_consistency(old, new, [])
    assert (caught.value.exit_code, caught.value.evidence) == (5, ("first", "second"))


def test_a_wrong_inclusion_proof_is_evidence_with_the_checkpoint() -> None:
    checkpoint = head(2, bytes(32), note="signed")
    with pytest.raises(RootMismatch) as caught:
        verify_inclusion(bytes(32), 1, [bytes(32)], checkpoint)
    assert (caught.value.exit_code, caught.value.evidence) == (5, ("signed",))
    assert caught.value.signed == checkpoint.root


def test_a_proof_of_the_wrong_shape_is_asked_for_again() -> None:
    with pytest.raises(MalformedProof) as caught:
        verify_inclusion(bytes(32), 2, [bytes(32)], head(2, bytes(32)))
    assert caught.value.exit_code == 1


@given(entries, st.lists(st.integers(0, 70), max_size=6))
def test_a_frontier_grows_to_the_same_root_in_any_batches(
    entries: list[bytes], cuts: list[int]
) -> None:
    leaves = [hash_leaf(entry) for entry in entries]
    frontier = Frontier()
    places = [0, *sorted(min(cut, len(leaves)) for cut in cuts), len(leaves)]
    for start, end in itertools.pairwise(places):
        frontier.extend(leaves[start:end])
        assert frontier.size == end
        assert frontier.root() == definitions.mth(entries[:end])


@given(entries)
def test_a_frontier_grows_to_the_same_root_leaf_by_leaf(entries: list[bytes]) -> None:
    frontier = Frontier()
    for entry in entries:
        frontier.append(hash_leaf(entry))
    assert frontier.root() == definitions.mth(entries)
    frontier.confirm(head_of(entries))


@given(entries, entries)
def test_a_frontier_kept_as_bytes_goes_on_growing(first: list[bytes], more: list[bytes]) -> None:
    frontier = Frontier()
    frontier.extend(hash_leaf(entry) for entry in first)
    again = Frontier.from_bytes(frontier.to_bytes())
    again.extend(hash_leaf(entry) for entry in more)
    assert again.root() == definitions.mth(first + more)


def test_a_copied_frontier_grows_on_its_own() -> None:
    frontier = Frontier()
    frontier.extend([hash_leaf(b"a"), hash_leaf(b"b")])
    attempt = frontier.copy()
    attempt.append(hash_leaf(b"c"))
    assert (frontier.size, frontier.root()) == (2, definitions.mth([b"a", b"b"]))
    assert (attempt.size, attempt.root()) == (3, definitions.mth([b"a", b"b", b"c"]))


def test_a_frontier_refuses_a_checkpoint_of_another_tree() -> None:
    frontier = Frontier()
    frontier.append(hash_leaf(b"a"))
    with pytest.raises(RootMismatch) as caught:
        frontier.confirm(head(1, EMPTY_ROOT, note="signed"))
    assert caught.value.evidence == ("signed",)


def test_a_frontier_is_not_compared_with_another_size() -> None:
    with pytest.raises(MalformedProof, match=r"0 leaves .* checkpoint of 1"):
        Frontier().confirm(head(1, EMPTY_ROOT))


@given(st.binary(max_size=120))
def test_a_damaged_frontier_is_refused_or_whole(data: bytes) -> None:
    try:
        frontier = Frontier.from_bytes(data)
    except MalformedFile:
        return
    assert frontier.to_bytes() == data
    assert len(frontier.hashes) == frontier.size.bit_count()


@given(
    st.binary(max_size=33),
    st.integers(-1, 2**63),
    st.lists(st.binary(min_size=31, max_size=33), max_size=5),
    st.integers(0, 2**63),
)
def test_no_nonsense_is_proven_or_crashes(
    leaf: bytes, index: int, path: list[bytes], size: int
) -> None:
    with pytest.raises(LogError):
        verify_inclusion(leaf, index, path, head(size, b"\x07" * 32))
    with pytest.raises(LogError):
        verify_consistency(head(max(index, 1), leaf), head(size, b"\x07" * 32), path)


def test_inconsistencies_end_a_command_with_code_5_and_all_else_with_1() -> None:
    assert InconsistentLog("…").exit_code == 5
    assert {kind.exit_code for kind in LogError.__subclasses__()} == {1, 5}
