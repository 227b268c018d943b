"""Views of reports, as the fold gives them."""

from __future__ import annotations

from typing import Any

import msgspec

from acx.records.account import Subject
from acx.records.event import Corroboration
from acx.records.report import Evidence, Image, Product, Report
from acx.records.state import DisputeView, ReportView, Step

REPORT_ID = "r" * 26
REPORT = Report(
    account=Subject(
        kind="person",
        name=("Jo O'Doe", "Иван Петров"),
        alias=("Shop \\ x",),
        email=("Jo.Doe@shop.example", "günther@shop.example"),
        phone=("+49 151 23456789",),
        address=("1 Road, Town",),
        country=("CN", "DE"),
        tax_id=("DE:136695976",),
        registration_no=("CN:91440300MA5EXAMPLE",),
        bank_account=("h1:" + "a" * 64,),
        website=("https://www.shop.example/shoes?id=1|2", "203.0.113.5", "bags.example"),
        contact=("wechat:jo",),
        handle=("shopee:jo'shop",),
        birth_date="1990-01-02",
        ip=("h1:" + "b" * 64,),
        related=("Somebody Else",),
    ),
    conduct="sold_counterfeits",
    confirmed_by=("test_buy",),
    confirmed_on="2026-10",
    brands=("acme",),
    categories=("footwear",),
    evidence=(Evidence(kind="invoice", commitment="c" * 64),),
    products=(Product(title="acme shoe", images=(Image(variants=("f" * 64,), quality=90),)),),
)


def step(index: int, type_: str = "report") -> Step:
    return Step(index, chr(ord("a") + index) * 26, type_, "")


def dispute(**changes: Any) -> DisputeView:
    shown: dict[str, Any] = {
        "id": "d" * 26,
        "index": 4,
        "code": "not_counterfeit",
        "stage": "open",
        "lapsed": False,
        "appealed": False,
        "since": 4,
        "decided": -1,
        "answers": {},
    }
    return DisputeView(**shown | changes)


def view(state: str = "active", *, report: Report = REPORT, **changes: Any) -> ReportView:
    """The report's view; of what is gone, without content."""
    gone = state in {"expired", "erased"}
    timeline = changes.get("timeline", (step(1),))
    return ReportView(
        **{
            "id": REPORT_ID,
            "state": state,
            "version": 0 if gone else 1,
            "report_json": b"" if gone else msgspec.json.encode(report),
            "contributors": 0 if gone else 1,
            "corroborations": ()
            if gone
            else (Corroboration(version=1, confirmed_by=("court",), confirmed_on="2026-11"),),
            "first_index": 1,
            "last_index": timeline[-1].index,
            "timeline": timeline,
        }
        | changes
    )
