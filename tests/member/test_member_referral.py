"""`acx refer`: a folder that stands alone, and whose script finds whatever was changed in it."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.member.real_exchange import ACX
from tests.member.test_member_networks import HOSTILE, home

from acx.member.networks import find_networks
from acx.member.referral import refer
from acx.member.replica import Replica
from acx.networks import verify_referral
from acx.networks.errors import UnknownRing

__all__ = ["home"]


@pytest.fixture(scope="module")
def referral(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("referral")
    replica = Replica.open(home / "replica", read_only=True)
    (ring,) = find_networks(replica).rings["id"]
    made = refer(replica, ring, out)
    replica.close()
    assert (made.reports, made.events) == (3, 3)
    return out


def verified(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the script as who receives it does: no packages, another directory, a bare Python."""
    command = [sys.executable, "-I", "-S", str(folder / "verify.py")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")


def test_whoever_receives_it_checks_it_with_nothing_but_python(referral: Path) -> None:
    done = verified(referral)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 events in the log" in done.stdout


def test_it_holds_the_ring_its_links_a_picture_and_stix(referral: Path) -> None:
    told = json.loads((referral / "referral.json").read_text(encoding="utf-8"))
    assert len(told["reports"]) == 3
    assert told["ring"]["links"]
    bundle = json.loads((referral / "stix.json").read_text(encoding="utf-8"))
    assert {"report", "threat-actor"} <= {made["type"] for made in bundle["objects"]}
    page = (referral / "index.html").read_text(encoding="utf-8")
    assert "Goldstep" in page
    assert HOSTILE not in page
    assert "<img" not in page
    assert (referral / "network.html").exists()


@pytest.mark.parametrize(
    ("pattern", "old", "new"),
    [
        ("*.event", b"Goldstep", b"Goldstop"),
        ("*.json", b'"salt":"', b'"salt":"00'),
        ("*.json", b'"index":', b'"index":1'),
        ("*.tlog-proof", b"index ", b"index 1"),
    ],
)
def test_what_was_changed_is_found_even_where_the_manifest_was_changed_too(
    referral: Path, tmp_path: Path, pattern: str, old: bytes, new: bytes
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(referral, folder)
    changed = next(
        place for place in sorted((folder / "proofs").glob(pattern)) if old in place.read_bytes()
    )
    changed.write_bytes(changed.read_bytes().replace(old, new, 1))
    done = verified(folder)
    assert done.returncode == 1
    assert "differs from the manifest" in done.stdout
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256(changed.read_bytes()).hexdigest()
    manifest["files"][f"proofs/{changed.name}"] = digest
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    done = verified(folder)
    assert done.returncode == 1
    assert "DOES NOT HOLD" in done.stdout
    assert "manifest" not in done.stdout


def test_another_log_s_key_does_not_pass(referral: Path, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(referral, folder)
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    place = next(iter(sorted((folder / "proofs").glob("*.json"))))
    name, key_hash, _ = (folder / "log.vkey").read_text(encoding="utf-8").split("+", 2)

    forged = f"{name}+{key_hash}+{base64.b64encode(bytes([1]) + other).decode()}"
    with pytest.raises(verify_referral.Refused, match="signature"):
        verify_referral.check_event(place, forged)


def test_a_report_alone_is_referred_without_its_ring(home: Path, tmp_path: Path) -> None:
    replica = Replica.open(home / "replica", read_only=True)
    report = find_networks(replica).accounts["id"][0]
    replica.close()
    command = [*ACX, "refer", report, "--home", str(home), "--out", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["reports"] == 1
    assert not (tmp_path / "network.html").exists()
    assert verified(tmp_path).returncode == 0


def test_what_is_neither_ring_nor_report_is_refused(home: Path, tmp_path: Path) -> None:
    replica = Replica.open(home / "replica", read_only=True)
    with pytest.raises(UnknownRing, match="no ring"):
        refer(replica, "ring-nothing", tmp_path / "none")
    replica.close()
    assert not (tmp_path / "none").exists()


@settings(max_examples=20, deadline=None)
@given(message=st.binary(max_size=200), flip=st.integers(0, 511))
def test_signatures_are_judged_as_the_library_judges_them(message: bytes, flip: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(message).digest())
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert verify_referral.ed25519(public, message, signature)
    wrong = bytearray(signature)
    wrong[flip // 8] ^= 1 << flip % 8
    assert not verify_referral.ed25519(public, message, bytes(wrong))
    assert not verify_referral.ed25519(public, message + b"!", signature)
