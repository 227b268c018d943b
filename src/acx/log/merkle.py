"""The Merkle tree of RFC 9162 (and 6962): hashes, proofs, and the little that growing one takes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from typing import Final

from acx.log.checkpoint import Checkpoint
from acx.log.encoding import HASH_BYTES, MAX_SIZE
from acx.log.errors import Forked, MalformedFile, MalformedProof, RootMismatch, Shrunk

EMPTY_ROOT: Final = hashlib.sha256().digest()
"""Root of the tree without leaves."""

MAX_PROOF_HASHES: Final = 63
"""No proof about a tree of at most 2^63 leaves is longer."""

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"
_sha256 = hashlib.sha256


def hash_leaf(entry: bytes) -> bytes:
    """SHA-256(00 ‖ entry): the hash of an entry in the tree."""
    return _sha256(_LEAF + entry).digest()


def hash_children(left: bytes, right: bytes) -> bytes:
    """SHA-256(01 ‖ left ‖ right): the hash of a node."""
    return _sha256(_NODE + left + right).digest()


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """Root of the tree over these leaf hashes.

    Source: RFC 9162, section 2.1.1.
    """
    frontier = Frontier()
    frontier.extend(leaves)
    return frontier.root()


def subtree_root(row: Sequence[bytes]) -> bytes:
    """Root over a power of two of hashes; the tree's inner loop."""
    sha256, node = _sha256, _NODE
    while len(row) > 1:
        row = [sha256(node + a + b).digest() for a, b in zip(row[::2], row[1::2], strict=True)]
    return row[0]


class _Side(Enum):
    LEFT = auto()
    RIGHT = auto()


def verify_inclusion(
    leaf: bytes, index: int, path: Sequence[bytes], checkpoint: Checkpoint
) -> None:
    """Check that the log a checkpoint commits to holds a leaf at the stated place.

    Touches neither network nor disk: a member can hold the operator to its word offline.

    Args:
        leaf: leaf hash of the event's entry.
        index: place of the leaf, counted from 0.
        path: sibling hashes, from the leaf upwards.
        checkpoint: its signature already verified.

    Raises:
        MalformedProof: place outside the log, or path of the wrong length. Ask again.
        RootMismatch: the path ends in another root. Keep it: it is evidence.

    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < checkpoint.size:
        raise MalformedProof(f"leaf {index} is outside a log of {checkpoint.size} leaves")
    _check_hashes(leaf, *path)
    sides = list(_sibling_sides(index, last=checkpoint.size - 1))
    if len(path) != len(sides):
        raise MalformedProof(f"the path has {len(path)} hashes where {len(sides)} are needed")
    node = leaf
    for side, sibling in zip(sides, path, strict=True):
        pair = (sibling, node) if side is _Side.LEFT else (node, sibling)
        node = hash_children(*pair)
    if node != checkpoint.root:
        raise RootMismatch(
            f"leaf {index} of {checkpoint.size}",
            computed=node,
            signed=checkpoint.root,
            evidence=(checkpoint.note,),
        )


def _sibling_sides(index: int, last: int) -> Iterator[_Side]:
    while last:
        if index % 2:
            yield _Side.LEFT
        elif index < last:
            yield _Side.RIGHT
        # Otherwise it ends an odd row: no sibling, it moves up as it is.
        index, last = index // 2, last // 2


def verify_consistency(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> None:
    """Check that a log has only grown between two checkpoints.

    Steps: (1) the sizes do not fall; (2) equal sizes have equal roots and need no proof, and nor
    does growth from the empty tree; (3) the proof has the right length and leads (4) to the old
    root and (5) to the new one.

    Args:
        old: the earlier checkpoint, its signature already verified.
        new: the later one, likewise.
        proof: hashes in the order of RFC 9162, section 2.1.4.1.

    Raises:
        Shrunk: at step 1.
        Forked: at step 2.
        MalformedProof: at steps 2 and 3. Ask again.
        RootMismatch: at steps 4 and 5, or an empty tree with the root of another.

    Source: RFC 9162, section 2.1.4.2.
    """
    # (1) and (2)
    _compare_heads(old, new)
    if old.size in (0, new.size):
        if proof:
            raise MalformedProof(f"the proof has {len(proof)} hashes where none is needed")
        return
    # (3) The last node that both trees have whole; above it the paths to both roots meet the same
    # left siblings, and only the new tree has right ones.
    _check_hashes(*proof)
    height = _trailing_zeros(old.size)
    node = (old.size - 1) >> height
    sides = list(_sibling_sides(node, last=(new.size - 1) >> height))
    needed = len(sides) + (node > 0)
    if len(proof) != needed:
        raise MalformedProof(f"the proof has {len(proof)} hashes where {needed} are needed")
    # Where that node is the whole old tree, its hash is the old root and left out.
    first = second = proof[0] if node else old.root
    for side, sibling in zip(sides, proof[1:] if node else proof, strict=True):
        if side is _Side.LEFT:
            first, second = hash_children(sibling, first), hash_children(sibling, second)
        else:
            second = hash_children(second, sibling)
    # (4) and (5)
    for head, computed in ((old, first), (new, second)):
        if computed != head.root:
            raise RootMismatch(
                f"consistency of {old.size} with {new.size}",
                computed=computed,
                signed=head.root,
                evidence=(old.note, new.note),
            )


def _compare_heads(old: Checkpoint, new: Checkpoint) -> None:
    """What two heads tell without a proof."""
    evidence = (old.note, new.note)
    if new.size < old.size:
        raise Shrunk(f"the log had {old.size} entries and now has {new.size}", evidence=evidence)
    for head in (old, new):
        if head.size == 0 and head.root != EMPTY_ROOT:
            raise RootMismatch(
                "empty log", computed=EMPTY_ROOT, signed=head.root, evidence=(head.note,)
            )
    if new.size > old.size:
        _check_hashes(old.root, new.root)
    elif new.root != old.root:
        raise Forked(
            f"two checkpoints of size {new.size} have different roots: "
            f"{old.root.hex()} and {new.root.hex()}",
            evidence=evidence,
        )


def _trailing_zeros(number: int) -> int:
    return (number & -number).bit_length() - 1


def _check_hashes(*hashes: bytes) -> None:
    for digest in hashes:
        if len(digest) != HASH_BYTES:
            raise MalformedProof(f"a hash has {HASH_BYTES} bytes, one here has {len(digest)}")


class Frontier:
    """What growing a tree takes: the roots of the whole subtrees along its right edge.

    At most 63 hashes stand for all leaves so far, so a replica of any size extends its tree, and
    compares it with a checkpoint, in memory.

    Attributes:
        size: number of leaves.
        hashes: the subtrees' roots, the largest first, one for each bit set in `size`.
    """

    __slots__ = ("_hashes", "_size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        """Take up where an earlier frontier stopped; by default, the empty tree.

        Raises:
            MalformedFile: the hashes are not those of a tree of that size.
        """
        self._size = size
        self._hashes = list(hashes)
        if (
            not 0 <= size <= MAX_SIZE
            or len(self._hashes) != size.bit_count()
            or any(len(digest) != HASH_BYTES for digest in self._hashes)
        ):
            raise MalformedFile(f"these are not the hashes of a tree of {size} leaves")

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Roots of the whole subtrees, the largest first."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self._append_subtree(leaf, height=0)

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes, in their order; far faster than one by one."""
        row = leaves if isinstance(leaves, list | tuple) else list(leaves)
        start = 0
        while start < len(row):
            # The largest whole subtree that fits what is there, and what is to come.
            height = (len(row) - start).bit_length() - 1
            if self._size:
                height = min(height, _trailing_zeros(self._size))
            self._append_subtree(subtree_root(row[start : start + (1 << height)]), height)
            start += 1 << height

    def _append_subtree(self, root: bytes, height: int) -> None:
        size = self._size >> height
        while size % 2:
            root = hash_children(self._hashes.pop(), root)
            size //= 2
        self._hashes.append(root)
        self._size += 1 << height

    def root(self) -> bytes:
        """Root of the tree over all leaves so far."""
        if not self._hashes:
            return EMPTY_ROOT
        root = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            root = hash_children(left, root)
        return root

    def confirm(self, checkpoint: Checkpoint) -> None:
        """Check that this is the tree a checkpoint commits to.

        Args:
            checkpoint: of the same size, its signature already verified.

        Raises:
            MalformedProof: the checkpoint is of another size, so they cannot be compared.
            RootMismatch: the log has signed another tree than these leaves make.
        """
        if checkpoint.size != self._size:
            raise MalformedProof(
                f"{self._size} leaves cannot be compared with a checkpoint of {checkpoint.size}"
            )
        root = self.root()
        if root != checkpoint.root:
            raise RootMismatch(
                f"log of {self._size} entries",
                computed=root,
                signed=checkpoint.root,
                evidence=(checkpoint.note,),
            )

    def copy(self) -> Frontier:
        """A frontier that grows on its own, so that an attempt can be given up."""
        return Frontier(self._size, self._hashes)

    def to_bytes(self) -> bytes:
        """The frontier as bytes: size (8, big-endian) ‖ hashes."""
        return self._size.to_bytes(8, "big") + b"".join(self._hashes)

    @classmethod
    def from_bytes(cls, data: bytes) -> Frontier:
        """Read what `to_bytes` wrote.

        Raises:
            MalformedFile: the bytes are none of a frontier.
        """
        if len(data) < 8:
            raise MalformedFile("a frontier has 8 bytes at least")
        hashes = [data[i : i + HASH_BYTES] for i in range(8, len(data), HASH_BYTES)]
        return cls(int.from_bytes(data[:8], "big"), hashes)
