"""What acx writes, read by somebody else's code, and the other way round.

tlog-scales (Florian Larysch, Apache-2.0) reads and writes C2SP logs; it shares no code with acx.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from tests.log.whole_log import ORIGIN, WholeLog, events
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import (
    MLDSA44CosignatureSigner,
    PlainEd25519Signer,
    Vkey,
    VkeySet,
)
from tlog_scales.tlog import Checkpoint as TheirCheckpoint
from tlog_scales.writer import TilesWriter

from acx.log.checkpoint import open_checkpoint
from acx.log.cosignature import MLDSA44_COSIGNATURE, Cosigner
from acx.log.merkle import hash_leaf, tree_root
from acx.log.note import Verifier, add_signatures
from acx.log.policy import parse_policy
from acx.log.tiles import DirectoryReader, consistency_path, inclusion_path, root_from_tiles, tiles


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[WholeLog, Path]:
    log = WholeLog()
    for size in (1, 300, 700):
        log.append(*events(size)[len(log.entries) :])
    folder = tmp_path_factory.mktemp("ours")
    for path, data in log.files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return log, folder


def test_they_verify_our_checkpoint_and_rebuild_its_root(ours: tuple[WholeLog, Path]) -> None:
    log, folder = ours
    reader = TilesReader(LocalBackend(folder))
    checkpoint = reader.get_checkpoint()
    checkpoint.verify(Vkey.from_string(log.signer.verifier.vkey))
    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, 700)
    assert reader.calculate_root_hash() == checkpoint.root_hash == log.checkpoint.root
    assert [reader.get_entry(i) for i in (0, 255, 256, 699)] == [
        log.entries[i] for i in (0, 255, 256, 699)
    ]


def test_they_make_the_same_proofs_from_our_tiles_and_accept_ours(
    ours: tuple[WholeLog, Path],
) -> None:
    log, folder = ours
    reader = TilesReader(LocalBackend(folder))
    reader.get_checkpoint()
    for index in range(0, 700, 37):
        inclusion = reader.get_inclusion_proof(index, 700)
        assert inclusion.node_hashes == inclusion_path(log.files, index, 700)
        inclusion.check(hash_leaf(log.entries[index]), log.checkpoint.root)
    for old in (1, 2, 255, 256, 257, 300, 512, 699, 700):
        consistency = reader.get_consistency_proof(old, 700)
        assert consistency.node_hashes == consistency_path(log.files, old, 700)
        consistency.check(tree_root(log.leaves[:old]), log.checkpoint.root)


def test_they_verify_our_cosignatures_of_both_kinds(ours: tuple[WholeLog, Path]) -> None:
    log, _ = ours
    keys = [
        Cosigner.generate("witness.example/ed25519"),
        Cosigner.generate("witness.example/mldsa", MLDSA44_COSIGNATURE),
    ]
    head = log.checkpoint
    note = add_signatures(head.note, [key.cosign(head.text, 1_760_000_000) for key in keys])
    theirs = TheirCheckpoint.from_text(note)
    known = VkeySet(*(Vkey.from_string(key.verifier.vkey) for key in keys))
    assert len(known.verify(theirs.signatures, theirs)) == 2


def test_we_read_a_log_they_wrote_and_cosigned(tmp_path: Path) -> None:
    log_key = PlainEd25519Signer("their.example/log", Ed25519PrivateKey.generate())
    witness_key = MLDSA44CosignatureSigner("their.example/witness", MLDSA44PrivateKey.generate())
    folder = tmp_path / "log"
    writer = TilesWriter.create(folder, "their.example/log")
    for path in ("0/000.p", "0/001.p", "1/000.p", "entries/000.p", "entries/001.p"):
        # Their writer expects the folders of partial files to be there.
        (folder / "tile" / path).mkdir(parents=True)
    entries = [b"%d" % n for n in range(300)]
    for batch in (entries[:1], entries[1:200], entries[200:]):
        for entry in batch:
            writer.add_leaf(entry)
        writer.commit([log_key, witness_key])

    reader = DirectoryReader(folder)
    checkpoint = open_checkpoint(reader.read("checkpoint"), Verifier.parse(line(log_key.vkey)))
    assert (checkpoint.size, checkpoint.root) == (300, tree_root(map(hash_leaf, entries)))
    assert root_from_tiles(reader, 300) == checkpoint.root
    for tile in tiles(300):
        assert len(reader.read(tile.path)) == 32 * tile.width
    policy = parse_policy(f"witness w {line(witness_key.vkey)}\nquorum w\n")
    assert policy.satisfied(checkpoint.note)


def line(vkey: Vkey) -> str:
    return str(vkey.serialize())  # type: ignore[no-untyped-call]
