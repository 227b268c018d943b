"""Report files: accounts together with what they are reported for."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from acx.records.account import Account
from acx.records.files import Rejects, ReportRow, read_reports
from acx.records.report import Evidence, Product

NESTED = {
    "account": {"id": "s-1", "name": "Acme", "email": ["a@x.com"], "phone": "+49 30 1"},
    "conduct": "sold_counterfeits",
    "confirmed_by": ["test_buy", "court"],
    "confirmed_on": "2026-03",
    "brands": ["ACME"],
    "categories": ["footwear"],
    "evidence": [{"kind": "invoice", "commitment": "ab" * 32}],
    "products": [{"title": "shoe", "price": "12", "url": "https://store.example/listing/1"}],
}
EXPECTED = {
    "account": Account(id="s-1", name=("Acme",), email=("a@x.com",), phone=("+49 30 1",)),
    "conduct": "sold_counterfeits",
    "confirmed_by": ("test_buy", "court"),
    "confirmed_on": "2026-03",
    "brands": ("ACME",),
    "categories": ("footwear",),
    "evidence": (Evidence(kind="invoice", commitment="ab" * 32),),
    "products": (Product(title="shoe", price="12"),),
}


def reports(path: Path, *, require_id: bool = False) -> tuple[list[ReportRow], Rejects]:
    with Rejects(path.with_name("r.jsonl")) as rejects:
        rows = list(read_reports(path, rejects=rejects, require_id=require_id))
    return rows, rejects


def reasons(path: Path) -> list[tuple[int, str, str]]:
    lines = path.with_name("r.jsonl").read_bytes().splitlines()
    rows = [msgspec.json.decode(line) for line in lines]
    return [(row["line"], row["field"], row["reason"]) for row in rows]


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", ["r.json", "list.json", "x.jsonl"])
def test_json_may_be_nested_or_flat(name: str, flat: bool, tmp_path: Path) -> None:
    row = {**NESTED["account"], **NESTED} if flat else dict(NESTED)  # type: ignore[dict-item]
    if flat:
        del row["account"]
    path = tmp_path / name
    path.write_bytes(msgspec.json.encode([row] if name == "list.json" else row))
    (report,), rejects = reports(path)
    assert report == ReportRow(file=str(path), line=1, **EXPECTED)  # type: ignore[arg-type]
    assert rejects.count == 0
    assert rejects.warnings == []


def test_csv_has_the_same_columns_with_json_for_evidence_and_products(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "id,name,email,phone,conduct,confirmed_by,confirmed_on,brands,categories,evidence,products\n"
        "s-1,Acme,a@x.com,'+49 30 1,Sold_Counterfeits,test_buy|court,2026-03-17,ACME,Footwear,"
        f'"[{{""kind"":""invoice"",""commitment"":""{"ab" * 32}""}}]",'
        '"[{""title"":""shoe"",""price"":""12""}]"\n'
    )
    (report,), _ = reports(path)
    assert report == ReportRow(file=str(path), line=2, **EXPECTED)  # type: ignore[arg-type]


def test_the_day_of_a_confirmation_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(msgspec.json.encode({**NESTED, "confirmed_on": "2026-03-31"}))
    (report,), _ = reports(path)
    assert report.confirmed_on == "2026-03"


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"conduct": "was_rude"}, "conduct", "is was_rude; allowed are sold_counterfeits, shipped"),
        ({"conduct": None}, "conduct", "is missing"),
        ({"confirmed_by": []}, "confirmed_by", "is missing"),
        ({"confirmed_by": ["suspicion"]}, "confirmed_by", "is suspicion; allowed are test_buy"),
        ({"confirmed_on": "2026-13"}, "confirmed_on", "not a date written as YYYY-MM"),
        ({"confirmed_on": "March"}, "confirmed_on", "not a date written as YYYY-MM"),
        ({"confirmed_on": ""}, "confirmed_on", "is missing"),
        ({"categories": ["shoes"]}, "categories", "is shoes; allowed are apparel, footwear"),
        ({"evidence": [{"kind": "x"}]}, "evidence", "missing required field `commitment`"),
        ({"evidence": 5}, "evidence", "Expected `array`, got `int`"),
        ({"products": [{"price": "cheap"}]}, "products", "matching regex"),
        ({"account": "s-1"}, "account", "is text, not an object"),
        ({"name": "x"}, "name", "is there twice, in account and beside it"),
        ({"brands": ["x" * 600]}, "brands", "more than 512 characters"),
        ({"account": {"id": "1", "alias": ["x"] * 51}}, "alias", "51 values, at most 50"),
    ],
)
def test_a_report_that_is_none_is_rejected_with_what_is_allowed(
    change: dict[str, object], field: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    bad = msgspec.json.encode({**NESTED, **change})
    good = msgspec.json.encode({**NESTED, "account": {"id": "s-2", "name": "Bcme"}})
    path.write_bytes(bad + b"\n" + good)
    (report,), rejects = reports(path)
    assert report.account.id == "s-2"
    assert rejects.count == 1
    ((line, at, why),) = reasons(path)
    assert (line, at) == (1, field)
    assert reason in why


def test_a_report_needs_an_id_only_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(msgspec.json.encode({**NESTED, "account": {"name": "Acme"}}))
    assert len(reports(path)[0]) == 1
    assert reports(path, require_id=True)[0] == []
