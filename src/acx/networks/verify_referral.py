"""Check a referral offline, with nothing but Python (3.9 or newer): `python3 verify.py [FOLDER]`.

It checks (1) that no file differs from what `manifest.json` lists; and for each event (2) that its
own key has signed it; (3) that event, hour and salt give the entry; (4) that the proof's path leads
from the entry to the root of the checkpoint; (5) that the log's key has signed the checkpoint.
Get the log's key (`log.vkey`) by another way than this folder if you can, and compare.

Sources: RFC 8032 (Ed25519), RFC 9162 section 2.1.3.2 (inclusion), C2SP tlog-proof and signed-note.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from pathlib import Path

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]


class Refused(Exception):
    """What does not hold."""


def main(folder: Path) -> int:
    """Check everything; print a line for what holds, or what does not."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        check_files(folder, manifest["files"])
        vkey = (folder / "log.vkey").read_text(encoding="utf-8").strip()
        count = 0
        for place in sorted((folder / "proofs").glob("*.json")):
            check_event(place, vkey)
            count += 1
    except (Refused, OSError, ValueError, KeyError, IndexError) as error:
        sys.stdout.write(f"DOES NOT HOLD: {error}\n")
        return 1
    unchanged = len(manifest["files"])
    sys.stdout.write(f"holds: {unchanged} files unchanged; {count} events in the log {vkey}\n")
    return 0


def check_files(folder: Path, files: dict[str, str]) -> None:
    """Step 1."""
    for name, digest in files.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise Refused(f"{name} differs from the manifest")


def check_event(place: Path, vkey: str) -> None:
    """Steps 2 to 5 for one event."""
    about = json.loads(place.read_text(encoding="utf-8"))
    event = place.with_suffix(".event").read_bytes()
    proof = place.with_suffix(".tlog-proof").read_text(encoding="utf-8")
    origin = about["origin"]
    signed = json.loads(event)
    written = b'"signature":"' + signed["signature"].encode() + b'",'
    before, found, after = event.rpartition(written)
    if not found:
        raise Refused(f"{place.name}: the event is not canonical")
    message = b"acx-event/v1\0" + origin.encode() + b"\0" + before + after
    if not ed25519(unbase64(signed["by"]), message, unbase64(signed["signature"])):
        raise Refused(f"{place.name}: the event's key did not sign it")
    salt = bytes.fromhex(about["salt"])
    preimage = about["at"].encode() + b"\0" + event
    entry = hashlib.sha256(b"acx-leaf/v1\0" + salt + preimage).digest()
    head, _, checkpoint = proof.partition("\n\n")
    _, *lines = head.split("\n")
    if lines and lines[0].startswith("extra "):
        lines.pop(0)
    index = int(lines[0].split(" ")[1])
    size, root = check_checkpoint(checkpoint, vkey, origin)
    path = [unbase64(line) for line in lines[1:]]
    if index != about["index"] or root_from(entry, index, size, path) != root:
        raise Refused(f"{place.name}: the path does not lead to the checkpoint")


def check_checkpoint(note: str, vkey: str, origin: str) -> tuple[int, bytes]:
    """Step 5; gives size and root."""
    text, _, signatures = note.partition("\n\n")
    text += "\n"
    name, key_hash, key = vkey.split("+", 2)
    material = unbase64(key)
    if material[0] != 1:
        raise Refused("log.vkey is no Ed25519 key")
    lines = text.split("\n")
    if lines[0] != origin:
        raise Refused("the checkpoint is another log's")
    for line in signatures.splitlines():
        _, who, value = line.split(" ")
        raw = unbase64(value)
        if who == name and raw[:4].hex() == key_hash:
            if ed25519(material[1:], text.encode(), raw[4:]):
                return int(lines[1]), unbase64(lines[2])
            raise Refused("the log's signature of the checkpoint is wrong")
    raise Refused("the log did not sign the checkpoint")


def root_from(entry: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that a path leads to (RFC 9162, section 2.1.3.2)."""
    if index >= size:
        raise Refused("the place is outside the log")
    node, last = index, size - 1
    digest = hashlib.sha256(b"\0" + entry).digest()
    for sibling in path:
        if last == 0:
            raise Refused("the path is too long")
        if node % 2 or node == last:
            digest = hashlib.sha256(b"\1" + sibling + digest).digest()
            while node % 2 == 0 and node:
                node, last = node >> 1, last >> 1
        else:
            digest = hashlib.sha256(b"\1" + digest + sibling).digest()
        node, last = node >> 1, last >> 1
    if last:
        raise Refused("the path is too short")
    return digest


def unbase64(text: str) -> bytes:
    """Strict base64."""
    if not re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", text):
        raise Refused("not base64")
    return base64.b64decode(text)


def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature holds (RFC 8032, section 5.1.7); public values only."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r = point(public), point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    h = int.from_bytes(digest, "little") % L
    left, right = times(s, base()), add(r, times(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (
        left[1] * right[2] - right[1] * left[2]
    ) % P == 0


def point(encoded: bytes) -> Point | None:
    """Decode a point; None if it is none (RFC 8032, section 5.1.3)."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x % 2 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def base() -> Point:
    """The base point."""
    found = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    if found is None:
        raise Refused("this Python cannot calculate")
    return found


def add(p: Point, q: Point) -> Point:
    """Add two points in extended coordinates (RFC 8032, section 5.1.4)."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar: int, p: Point) -> Point:
    """A multiple of a point."""
    result: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, p)
        p, scalar = add(p, p), scalar >> 1
    return result


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)))
