"""The replica in formats others name: a STIX bundle, a FollowTheMoney dataset, a PDQ list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from acx.interchange import Ftm, Stix
from acx.interchange.ftm import ENTITIES_FILE
from acx.member.hours import hours_of
from acx.member.replica import Replica
from acx.records.files import AtomicFile
from acx.records.files.errors import Unwritable, shown_path
from acx.records.state import State

INDEX_FILE: Final = "index.json"
MANIFEST_FILE: Final = "manifest.json"
_LISTED: Final[tuple[State, ...]] = ("active", "disputed", "suspended")
_ENCODER: Final = msgspec.json.Encoder()


def export_stix(replica: Replica, path: str | Path, states: tuple[State, ...] = ()) -> int:
    """Write one STIX bundle with every report whose content is left.

    Args:
        replica: to export, within a snapshot.
        path: where to; `-` is standard output.
        states: only reports in these; all by default.

    Returns:
        Reports written.

    Raises:
        Unwritable: the system refuses.
        ReplicaError: the replica is empty.
    """
    stix = Stix(replica.trust.origin, hours_of(replica))
    reports = 0
    with AtomicFile(path) as output:
        output.write(
            b'{"type":"bundle","id":"%b","objects":[' % stix.bundle_id(replica.size).encode()
        )
        output.write(b",\n".join(map(_ENCODER.encode, stix.common)))
        # Two reports may hold the same observable; a bundle has it once.
        told: set[str] = set()
        for view in replica.reports(*states):
            if not view.report_json:
                continue
            objects = [made for made in stix.report(view) if made["id"] not in told]
            told.update(made["id"] for made in objects if "created" not in made)
            output.write(b"".join(b",\n" + _ENCODER.encode(made) for made in objects))
            reports += 1
        output.write(b"]}\n")
    return reports


def export_pdq(replica: Replica, path: str | Path, states: tuple[State, ...] = ()) -> int:
    """Write the pictures of reports as a list of PDQ hashes, as CSV: a line for each hash.

    Args:
        replica: to export, within a snapshot.
        path: where to; `-` is standard output.
        states: only reports in these; those to act on by default.

    Returns:
        Reports with pictures.

    Raises:
        Unwritable: the system refuses.
    """
    reports = 0
    with AtomicFile(path) as output:
        output.write(b"hash,quality,report_id,report_state\n")
        for view in replica.reports(*(states or _LISTED)):
            report = view.report
            images = [] if report is None else [i for p in report.products for i in p.images]
            for image in images:
                for variant in image.variants:
                    line = f"{variant},{image.quality},{view.id},{view.state}\n"
                    output.write(line.encode())
            reports += bool(images)
    return reports


def export_ftm(replica: Replica, path: str | Path, states: tuple[State, ...] = ()) -> int:
    """Write FollowTheMoney entities, a line each.

    Args:
        replica: to export, within a snapshot.
        path: a file, `-` for standard output, or a folder: then the entities come as
            `entities.ftm.json`, with the dataset's `index.json` and a `manifest.json` for yente.
        states: only reports in these; all that are listed by default.

    Returns:
        Reports written.

    Raises:
        Unwritable: the system refuses.
        ReplicaError: the replica is empty.
    """
    folder = _folder(path)
    written = _Entities(Ftm(replica.trust.origin, hours_of(replica)))
    with AtomicFile(path if folder is None else folder / ENTITIES_FILE) as output:
        for lines in written.lines(replica, states):
            output.write(lines)
    if folder is not None:
        _describe(folder, written, replica.size)
    return written.subjects


class _Entities:
    """Entities being written, and what has to be known of them afterwards."""

    def __init__(self, ftm: Ftm) -> None:
        self.ftm = ftm
        self.subjects = 0
        self.entities = 0
        self.checksum = hashlib.sha1(usedforsecurity=False)

    def lines(self, replica: Replica, states: tuple[State, ...]) -> Iterator[bytes]:
        for view in replica.reports(*states):
            entities = list(self.ftm.entities(view))
            if entities:
                lines = b"".join(_ENCODER.encode(entity) + b"\n" for entity in entities)
                self.subjects += 1
                self.entities += len(entities)
                self.checksum.update(lines)
                yield lines


def _folder(path: str | Path) -> Path | None:
    folder = Path(path)
    if str(path).endswith("/"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unwritable(f"{shown_path(folder)}: {error.strerror}") from None
    return folder if folder.is_dir() else None


def _describe(folder: Path, written: _Entities, log_size: int) -> None:
    index = written.ftm.index(
        log_size=log_size,
        entities=written.entities,
        subjects=written.subjects,
        checksum=written.checksum.hexdigest(),
    )
    # yente looks a file up where it is told, and not beside the manifest.
    place = (folder / ENTITIES_FILE).resolve().as_uri()
    manifest = {"catalogs": [], "datasets": [index | {"entities_url": place}]}
    for name, document in ((INDEX_FILE, index), (MANIFEST_FILE, manifest)):
        with AtomicFile(folder / name) as output:
            output.write(msgspec.json.format(_ENCODER.encode(document)) + b"\n")
