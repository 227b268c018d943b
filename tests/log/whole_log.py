"""A whole log in memory, written as an exchange writes one: what tests read, damage and mend."""

from __future__ import annotations

from dataclasses import dataclass, field

from acx.log.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from acx.log.entry import (
    PAGE_KEYS,
    draw_key,
    keys_path,
    pack_bundle,
    pack_entries,
    pack_keys,
    seal,
)
from acx.log.errors import MissingFile
from acx.log.merkle import hash_leaf
from acx.log.note import Signer
from acx.log.tiles import CHECKPOINT_PATH, bundle_path, entries_path, files_grown, grow

ORIGIN = "exchange.example/log"
HOUR = "2026-03-01T09Z"


class Files(dict[str, bytes]):
    """A log's files by path."""

    def read(self, path: str) -> bytes:
        if path not in self:
            raise MissingFile(f"{path} is missing")
        return self[path]


@dataclass
class WholeLog:
    """A log that grows by batches, and keeps every file it ever published."""

    signer: Signer = field(default_factory=lambda: Signer.generate(ORIGIN))
    files: Files = field(default_factory=Files)
    entries: list[bytes] = field(default_factory=list)
    ciphertexts: list[bytes] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)

    @property
    def leaves(self) -> list[bytes]:
        return [hash_leaf(entry) for entry in self.entries]

    @property
    def checkpoint(self) -> Checkpoint:
        return self.checkpoints[-1]

    def append(self, *events: bytes) -> Checkpoint:
        """Take a batch of events, and publish what they make new."""
        old = len(self.entries)
        for event in events:
            k = draw_key()
            sealed = seal(event, HOUR, k)
            self.keys.append(k)
            self.entries.append(sealed.entry)
            self.ciphertexts.append(sealed.ciphertext)
        growth = grow(self.files, old, self.leaves[old:])
        self.files.update(growth.files)
        for index, width in files_grown(old, growth.size):
            places = slice(256 * index, 256 * index + width)
            self.files[entries_path(index, width)] = pack_entries(self.entries[places])
            self.files[bundle_path(index, width)] = pack_bundle(self.ciphertexts[places])
        self._publish_keys()
        head = Checkpoint(ORIGIN, growth.size, growth.root)
        note = sign_checkpoint(head, self.signer)
        self.files[CHECKPOINT_PATH] = note.encode()
        self.checkpoints.append(open_checkpoint(note, self.signer.verifier))
        return self.checkpoint

    def destroy(self, index: int) -> None:
        """Erase an event."""
        self.keys[index] = None
        self._publish_keys()

    def _publish_keys(self) -> None:
        for page, start in enumerate(range(0, len(self.keys), PAGE_KEYS)):
            self.files[keys_path(page)] = pack_keys(self.keys[start : start + PAGE_KEYS])


def events(count: int) -> list[bytes]:
    """Events that differ, as far as the log is concerned."""
    return [b'{"n":%d}' % n for n in range(count)]
