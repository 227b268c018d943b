"""Every decision about what a member believes of a log, and none of the reading or writing.

The exchange is asked over a network and may lie. It is believed by these rules, which the code
cites by number; they rest on the invite alone:

(1) A checkpoint counts only with the log's own signature.
(2) No checkpoint is smaller than one seen before, and two of one size have one root.
(3) Entries come in order and without gaps, from where the last ones ended, and under a checkpoint.
(4) An event is canonical, and signed by its key for this exchange.
(5) Entries are trusted once they lead, with all before them, to a signed root. Every signed
    checkpoint that was ever seen is met on the way: also one from a receipt.
(6) At the head, every entry without a body is listed by an erasure or expiry in force.
(7) A checkpoint counts as cosigned once the witnesses of the invite's policy have signed it and the
    entries lead to it. Entries apply on the log's signature alone; what must not differ from member
    to member (issuer keys) waits until `cosigned_size` covers it.

Trust moves in one direction: what was trusted stays, and a contradiction is an error that carries
both signed checkpoints.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from acx.log.checkpoint import Checkpoint, open_checkpoint
from acx.log.entry import ENTRY_BYTES, KEY_BYTES, entry_of
from acx.log.errors import LogError, MalformedProof, RootMismatch, Shrunk
from acx.log.fork import forked
from acx.log.merkle import EMPTY_ROOT, Frontier, hash_leaf
from acx.log.note import Verifier
from acx.log.policy import NO_WITNESSES, parse_policy
from acx.log.proof import parse_proof, verify_proof
from acx.member.errors import BadAnswer, BadReceipt, InvalidEntry, Withheld
from acx.member.wire import WireEntry
from acx.records.event import Event, EventError, parse_event, verify_event

VERIFY_CHUNK: Final = 64
"""Signatures a thread checks at a time."""


@dataclass(frozen=True, slots=True)
class Received:
    """An entry that satisfies rule 4; whether the log holds it is rule 5's.

    Attributes:
        index: its place.
        entry: the 32 bytes that go into the tree.
        at: UTC hour; empty without a body.
        k: its secret; empty without a body.
        event: None where the exchange gave no body.
    """

    index: int
    entry: bytes
    at: str
    k: bytes
    event: Event | None


class TrustedLog:
    """What is trusted of a log, and what is offered and not yet confirmed.

    Attributes:
        trusted: the newest checkpoint whose entries were all seen and lead to its root.
        trusted_frontier: the tree at `trusted`.
        head: the newest checkpoint seen.
    """

    def __init__(
        self,
        origin: str,
        log_key: str,
        trusted: Checkpoint | None = None,
        frontier: Frontier | None = None,
        *,
        policy: str = "",
        cosigned: Checkpoint | None = None,
        cosigned_frontier: Frontier | None = None,
    ) -> None:
        """Take up where trust ended.

        Args:
            origin: the log's name, from the invite.
            log_key: its C2SP vkey, from the invite.
            trusted: the checkpoint that was confirmed last; None before the first.
            frontier: the tree over the entries under it; empty by default.
            policy: C2SP tlog-policy of the invite; empty asks for no witness.
            cosigned: the trusted checkpoint that satisfied the policy last; None before the first.
            cosigned_frontier: the tree over the entries under it; empty by default.

        Raises:
            MalformedPolicy, MalformedKey: the invite's policy or key is none.
        """
        self._origin = origin
        self._verifier = Verifier.parse(log_key)
        self.trusted = trusted or Checkpoint(origin, 0, EMPTY_ROOT)
        self.head = self.trusted
        self._frontier = frontier or Frontier()
        self.trusted_frontier = self._frontier.copy()
        self._policy = parse_policy(policy or NO_WITNESSES)
        self._cosigned = cosigned or Checkpoint(origin, 0, EMPTY_ROOT)
        self._cosigned_frontier = cosigned_frontier or Frontier()
        # Checkpoints seen and not yet met by the tree, by size.
        self._ahead: dict[int, Checkpoint] = {}

    @property
    def size(self) -> int:
        """Entries taken so far, confirmed or not: the index of the next one."""
        return self._frontier.size

    @property
    def cosigned(self) -> Checkpoint:
        """The newest trusted checkpoint that enough witnesses have cosigned.

        Where the policy asks for none, it is the trusted one.
        """
        return self._cosigned if self._policy.quorum else self.trusted

    @property
    def cosigned_frontier(self) -> Frontier:
        """The tree at `cosigned`."""
        return self._cosigned_frontier if self._policy.quorum else self.trusted_frontier

    @property
    def cosigned_size(self) -> int:
        """Entries before this index are the same for all who trust these witnesses."""
        return self.cosigned.size

    def see(self, note: str) -> Checkpoint:
        """Take notice of the exchange's present checkpoint: rules 1 and 2.

        Raises:
            LogError: it is none, or not this log's.
            Shrunk: it is smaller than one seen before.
            Forked: it contradicts one of its size.
        """
        # (1)
        checkpoint = open_checkpoint(note, self._verifier)
        # (2)
        if checkpoint.size < self.head.size:
            raise Shrunk(
                f"the exchange signed a log of {self.head.size} entries and now shows"
                f" {checkpoint.size}: it lost or hides some; tell the operator",
                evidence=(self.head.note, checkpoint.note),
            )
        self._remember(checkpoint)
        return checkpoint

    def recall(self, note: str) -> None:
        """Take notice of a checkpoint that was signed for us earlier, in a receipt.

        It may be smaller than the trusted one; if it is larger, the log has to lead to it.

        Raises:
            LogError: it is none, or not this log's.
            Forked: it contradicts one of its size.
        """
        checkpoint = open_checkpoint(note, self._verifier)
        if checkpoint.size >= self.trusted.size:
            self._remember(checkpoint)

    def see_cosigned(self, note: str, entries: Callable[[int, int], Sequence[bytes]]) -> None:
        """Take notice of a checkpoint that witnesses have signed: rules 1, 2 and 7.

        Witnesses come after the log, so it may be smaller than what is trusted already; what fewer
        have signed than the policy asks for is passed over.

        Args:
            note: the checkpoint, with cosignatures.
            entries: gives those taken so far, from one index up to another.

        Raises:
            LogError: it is none, not this log's, or a cosignature is forged.
            Forked: it contradicts one of its size.
            RootMismatch: our entries lead elsewhere.
        """
        # (1)
        checkpoint = open_checkpoint(note, self._verifier)
        # (7)
        if not self._policy.satisfied(note) or checkpoint.size <= self.cosigned_size:
            return
        # (2)
        if checkpoint.size > self.size:
            self._remember(checkpoint)
            self._ahead[checkpoint.size] = checkpoint
            return
        frontier = self._cosigned_frontier.copy()
        if checkpoint.size >= self.trusted.size:
            frontier = self.trusted_frontier.copy()
        frontier.extend(map(hash_leaf, entries(frontier.size, checkpoint.size)))
        self._confirm(checkpoint, frontier)

    def _remember(self, checkpoint: Checkpoint) -> None:
        if checkpoint.size == self.trusted.size:
            known = self.trusted
        else:
            known = self._ahead.setdefault(checkpoint.size, checkpoint)
        if known.root != checkpoint.root:
            raise forked(
                f"the exchange signed two different logs of {checkpoint.size} entries;"
                " tell the operator and the other members",
                known,
                checkpoint,
            )
        if checkpoint.size > self.head.size or not self.head.note:
            self.head = checkpoint

    def require_all(self) -> None:
        """Check that an exchange that gives no more has given all that it signs.

        Raises:
            BadAnswer: it has not.
        """
        if self.head.size > self.size:
            raise BadAnswer(
                f"the exchange signed {self.head.size} entries and gave {self.size}; try again,"
                " and tell the operator if it stays so"
            )

    def take(self, received: Sequence[Received]) -> None:
        """Extend the tree by entries, and meet every checkpoint on the way: rules 3 and 5.

        Raises:
            BadAnswer: out of order, or beyond the newest checkpoint.
            RootMismatch: the entries lead elsewhere than the log signed.
        """
        # (3)
        for expected, entry in enumerate(received, start=self.size):
            if entry.index != expected:
                raise BadAnswer(
                    f"the exchange gave entry {entry.index} where {expected} comes; try again"
                )
        if self.size + len(received) > self.head.size:
            raise BadAnswer(
                f"the exchange gave entries beyond its checkpoint of {self.head.size}; try again"
            )
        self.resume([entry.entry for entry in received])

    def resume(self, entries: Sequence[bytes]) -> None:
        """Extend the tree by entries that were taken before, by an earlier process: rule 5.

        Raises:
            RootMismatch: the entries lead elsewhere than the log signed.
        """
        leaves = [hash_leaf(entry) for entry in entries]
        start = self.size
        for size in sorted(size for size in self._ahead if size <= start + len(leaves)):
            self._frontier.extend(leaves[self.size - start : size - start])
            self._confirm(self._ahead.pop(size), self._frontier)
        self._frontier.extend(leaves[self.size - start :])

    def require_bodies(self, missing: Iterable[int], is_gone: Callable[[int], bool]) -> None:
        """Rule 6, once the head is reached.

        Args:
            missing: indices of entries that came without a body.
            is_gone: whether an erasure or expiry in force lists an index.

        Raises:
            Withheld: one is missing without a word on the log.
        """
        for index in missing:
            if not is_gone(index):
                raise Withheld(
                    f"withheld at index {index}: the exchange keeps an entry back that no erasure"
                    " or expiry on the log explains; tell the operator",
                    evidence=(self.trusted.note, self.head.note),
                )

    def verify_receipt(
        self, receipt: str, *, event: bytes, index: int, at: str, k: str
    ) -> Checkpoint:
        """Check that a receipt proves an event to be in the log: rules 1 and 5.

        Returns:
            The receipt's checkpoint: `see` it, and a later `take` must meet it too.

        Raises:
            BadReceipt: it proves something else, or nothing.
        """
        entry = entry_of(_decode(k, KEY_BYTES, index), at, event)
        try:
            proof = parse_proof(receipt)
            if proof.index != index:
                raise MalformedProof(f"it is for index {proof.index} where {index} was said")
            return verify_proof(proof, hash_leaf(entry), self._verifier)
        except LogError as error:
            raise BadReceipt(
                f"the receipt does not prove that the log holds the event ({error}); it stays in"
                " the outbox; tell the operator",
                evidence=(receipt,),
            ) from None

    def _confirm(self, checkpoint: Checkpoint, frontier: Frontier) -> None:
        root = frontier.root()
        if root != checkpoint.root:
            raise RootMismatch(
                f"log of {checkpoint.size} entries",
                computed=root,
                signed=checkpoint.root,
                evidence=(self.trusted.note, checkpoint.note),
            )
        if checkpoint.size >= self.trusted.size:
            self.trusted = checkpoint
            self.trusted_frontier = frontier.copy()
        if self._policy.quorum and self._policy.satisfied(checkpoint.note):
            self._cosigned = checkpoint
            self._cosigned_frontier = frontier.copy()


class Opening:
    """Entries that were recomputed, while their signatures are still being checked: rule 4."""

    def __init__(
        self, entries: Sequence[WireEntry], origin: str, executor: Executor | None = None
    ) -> None:
        """Recompute entries, and begin to check their signatures.

        Args:
            entries: as they came.
            origin: the exchange's; events are signed for it.
            executor: checks signatures side by side, and beside what the caller does meanwhile:
                OpenSSL gives way to other threads.

        Raises:
            BadAnswer: an entry that is not what the protocol says.
            InvalidEntry: an event that is malformed.
        """
        self._received = [_open(entry) for entry in entries]
        chunks = [
            self._received[at : at + VERIFY_CHUNK]
            for at in range(0, len(self._received), VERIFY_CHUNK)
        ]
        run = map if executor is None else executor.map
        self._verified = run(lambda chunk: verify_signatures(chunk, origin), chunks)

    @classmethod
    def done(cls, received: Sequence[Received]) -> Opening:
        """Entries that were recomputed, and their signatures checked, elsewhere."""
        opening = cls((), "")
        opening._received = list(received)
        return opening

    def result(self) -> list[Received]:
        """The entries, once all signatures are known to be good.

        Raises:
            InvalidEntry: one is not its key's.
        """
        for _ in self._verified:
            pass
        return self._received


def _open(entry: WireEntry) -> Received:
    if not entry.k:
        commitment = _decode(entry.entry, ENTRY_BYTES, entry.index)
        return Received(entry.index, commitment, "", b"", None)
    k = _decode(entry.k, KEY_BYTES, entry.index)
    raw = bytes(entry.event)
    event = event_at(entry.index, raw)
    return Received(entry.index, entry_of(k, entry.at, raw), entry.at, k, event)


def event_at(index: int, raw: bytes) -> Event:
    """The event that an entry holds.

    Raises:
        InvalidEntry: it is none.
    """
    try:
        return parse_event(raw)
    except EventError as error:
        raise InvalidEntry(f"entry {index} holds no event an exchange may take: {error}") from None


def verify_signatures(received: Iterable[Received], origin: str) -> None:
    """Check that events are signed by their keys for this exchange.

    Raises:
        InvalidEntry: one is not.
    """
    for entry in received:
        if entry.event is None:
            continue
        try:
            verify_event(entry.event, origin)
        except EventError as error:
            raise InvalidEntry(
                f"entry {entry.index} holds a forged event: {error}; tell the operator"
            ) from None


def _decode(text: str, size: int, index: int) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != size:
        raise BadAnswer(f"entry {index} came damaged (no base64 of {size} bytes); try again")
    return data
