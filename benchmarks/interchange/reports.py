"""The reports that the benchmarks of this room are about, signed for real from a fixed seed."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.records.account import Subject
from acx.records.event import Event, public_key_text, report_id, sign_event, stand_context
from acx.records.report import Image, Product, Report

ORIGIN = "bench.acx.example/log"
SEED = 20261125


def events(number: int) -> Iterator[Event]:
    """Reports of as many actors, each with what is usual: names, ways to reach it, two products."""
    rng = random.Random(SEED)
    for _ in range(number):
        key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        report = report_id(public_key_text(key))
        yield sign_event(
            key,
            origin=ORIGIN,
            type="report",
            body=_report(rng),
            tags={stand_context(report, 1): base64.b64encode(rng.randbytes(32)).decode()},
            issuer_key="k1",
        )


def _report(rng: random.Random) -> Report:
    number = rng.randrange(10**9)
    subject = Subject(
        kind="organization",
        name=(f"Shenzhen {number} Trading Co., Ltd.", f"Chen {number}"),
        alias=(f"store{number}", "official outlet"),
        email=(f"seller{number}@mail.example", f"Sales.{number}@shop{number}.example"),
        phone=(f"+86755{number % 10**8:08}",),
        address=(f"Room {number % 900}, No. {number % 99} Bao'an Road, Shenzhen 518000",),
        country=("CN",),
        bank_account=(f"h1:{hashlib.sha256(str(number).encode()).hexdigest()}",),
        website=(f"https://www.shop{number}.example", f"https://market.example/shop/{number}"),
        contact=(f"wechat:c{number}",),
    )
    products = tuple(
        Product(
            title=f"{name} shoes trainers",
            brand=name,
            category="footwear",
            price="59",
            currency="EUR",
            images=(Image(variants=tuple(rng.randbytes(32).hex() for _ in range(3)), quality=95),),
        )
        for name in ("acme", "zenith")
    )
    return Report(
        account=subject,
        conduct="sold_counterfeits",
        confirmed_by=("test_buy", "rights_owner"),
        confirmed_on="2026-10",
        brands=("acme", "zenith"),
        categories=("footwear",),
        products=products,
    )
