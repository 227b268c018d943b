"""Evidence stays with the store; a report commits to it, and the store can prove it later."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.member.lying_exchange import LyingExchange
from tests.member.real_exchange import ACX
from tests.member.test_member_report import posted, report, row

from acx.member import evidence
from acx.member.errors import ContributionError, EvidenceError
from acx.member.home import Member


@pytest.fixture
def invoice(tmp_path: Path) -> Path:
    path = tmp_path / "Invoice of Example Store 4711-2026.pdf"
    path.write_bytes(b"%PDF-1.7 bought at Example Store by Jane Doe")
    return path


def test_a_report_commits_to_the_files_of_its_account(
    exchange: LyingExchange, member: Member, invoice: Path
) -> None:
    (exhibit,) = member.add_evidence("seller-1", [invoice], "invoice")
    report(member, row(1), row(2))
    said = {event.report: json.loads(event.body_json) for event in posted(exchange)}
    (first,) = [body for body in said.values() if "evidence" in body]
    assert first["evidence"] == [{"kind": "invoice", "commitment": exhibit.commitment}]
    assert hashlib.sha256(exhibit.nonce + invoice.read_bytes()).hexdigest() == exhibit.commitment


def test_nothing_of_a_file_leaves_neither_its_name_nor_its_bytes(
    exchange: LyingExchange, member: Member, invoice: Path
) -> None:
    member.add_evidence("seller-1", [invoice], "invoice")
    report(member, row(1))
    (event,) = posted(exchange)
    for word in (
        b"Example Store",
        b"4711-2026",
        b"Jane D",
        b".pdf",
        hashlib.sha256(invoice.read_bytes()),
    ):
        text = word if isinstance(word, bytes) else word.hexdigest().encode()
        assert text not in event.raw


def test_a_file_added_later_amends_the_report_without_a_new_version(
    exchange: LyingExchange, member: Member, invoice: Path
) -> None:
    report(member, row(1))
    member.add_evidence("seller-1", [invoice], "invoice")
    actions, _ = report(member, row(1))
    assert actions == ["amend"]
    assert report(member, row(1))[0] == ["unchanged"]
    with member.replica() as replica:
        (view,) = replica.reports()
    assert view.version == 1


def test_the_same_file_again_is_the_same_exhibit(member: Member, invoice: Path) -> None:
    (first,) = member.add_evidence("seller-1", [invoice], "invoice")
    (again,) = member.add_evidence("seller-1", [invoice], "invoice")
    assert again == first
    (other_account,) = member.add_evidence("seller-2", [invoice], "invoice")
    assert other_account.commitment != first.commitment


def test_a_file_that_cannot_be_read_leaves_none_of_them_added(
    member: Member, invoice: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(EvidenceError, match="empty"):
        member.add_evidence("seller-1", [invoice, tmp_path / "empty"], "invoice")
    with pytest.raises(EvidenceError, match="short code"):
        member.add_evidence("seller-1", [invoice], "Invoice of Jane Doe")
    assert member.exhibits() == []


def test_the_proof_holds_for_the_file_and_the_report_and_nothing_else(
    exchange: LyingExchange, member: Member, invoice: Path, tmp_path: Path
) -> None:
    member.add_evidence("seller-1", [invoice], "invoice")
    report(member, row(1), row(2))
    member.sync()
    proof = member.prove_evidence("seller-1", invoice)
    with member.replica() as replica:
        view = replica.report(proof.report)
        (other,) = [v for v in replica.reports() if v.id != proof.report]
    evidence.check(proof, invoice, view)
    with pytest.raises(EvidenceError, match="does not carry"):
        evidence.check(proof, invoice, other)
    with pytest.raises(EvidenceError, match="has no report"):
        evidence.check(proof, invoice, None)
    forged = tmp_path / "forged.pdf"
    forged.write_bytes(invoice.read_bytes() + b" ")
    with pytest.raises(EvidenceError, match="not the file"):
        evidence.check(proof, forged, view)
    with pytest.raises(EvidenceError, match="changed since"):
        member.prove_evidence("seller-1", forged)
    with pytest.raises(ContributionError, match="nothing of ours"):
        member.prove_evidence("seller-3", invoice)


def test_a_file_that_is_gone_is_said_to_be(
    exchange: LyingExchange, member: Member, invoice: Path
) -> None:
    (exhibit,) = member.add_evidence("seller-1", [invoice], "invoice")
    report(member, row(1))
    member.let_go(exhibit.commitment)
    actions, _ = report(member, row(1))
    assert actions == ["amend"]
    assert json.loads(posted(exchange)[-1].body_json)["evidence"][0]["held"] is False


def test_add_prove_and_check_from_the_command_line(
    exchange: LyingExchange, member: Member, invoice: Path, tmp_path: Path
) -> None:
    def acx(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*ACX, "evidence", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    home = ["--home", str(member.home)]
    added = acx("add", "seller-1", str(invoice), "--kind", "invoice", *home)
    assert added.returncode == 0, added.stderr
    report(member, row(1))
    member.sync()
    listed = json.loads(acx("list", "--json", *home).stdout)
    assert [entry["commitment"] for entry in listed] == [added.stdout.strip()]
    proof = tmp_path / "proof.json"
    assert acx("prove", "seller-1", str(invoice), "--out", str(proof), *home).returncode == 0
    assert str(invoice) not in proof.read_text()
    replica = ["--replica", str(member.home / "replica")]
    checked = acx("check", str(proof), str(invoice), "--json", *replica)
    assert json.loads(checked.stdout)["holds"] is True
    invoice.write_bytes(b"another")
    refused = acx("check", str(proof), str(invoice), *replica)
    assert (refused.returncode, "not the file" in refused.stderr) == (1, True)


@given(st.binary(max_size=600))
def test_what_is_no_proof_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        evidence.parse_proof(data)
