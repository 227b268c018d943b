"""A brand speaks by name: what is its own, and whether a report about it is right."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import msgspec
import pytest
from tests.member.processes import FAST
from tests.member.real_exchange import RealExchange
from tests.member.test_member_real_exchange import row

from acx.member.brand import read_registration
from acx.member.errors import BrandError, ContributionError
from acx.member.home import Member
from acx.records.normalise import digest

KEY = bytes(32)
FILE = """
brand = "Höhenluft"
marks = ["HÖHENLUFT", "HOEHENLUFT SPORT"]
register_numbers = ["EUTM:018000000"]
identifiers = ["gtin:4006381333931"]
[[official]]
tax_id = ["DE136695976"]
country = "DE"
[[images]]
variants = ["{picture}"]
quality = 100
""".replace("{picture}", "f8" * 32)


def joined(exchange: RealExchange, home: Path, name: str, role: str) -> Member:
    Member.join(exchange.invite(name, role), home, arguments=FAST)
    if role == "brand":
        exchange.verify_brand(name, "EUTM:018000000")
    return Member.open(home, FAST)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "brand.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_a_registration_says_official_sellers_as_digests_alone(file: Path) -> None:
    registration = read_registration(file, KEY)
    assert registration.official == (digest("tax_id", "DE136695976", KEY, ("DE",)),)
    assert registration.marks == ("HÖHENLUFT", "HOEHENLUFT SPORT")
    assert "136695976" not in str(registration)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("marks = ['X']", "brand"),
        ("brand = 'X'\nmark = ['X']", "mark"),
        ("brand = 'X'\n[[official]]\nname = 'Y'", "registration_no or tax_id"),
        ("brand = 'X'\n[[official]]\ntax_id = ['1']\nvat = ['2']", "vat is not"),
        ("brand = 'X'\nidentifiers = ['4006381333931']", "identifiers"),
        ("brand = ", "neither TOML nor JSON"),
        ("brand = 'X'\n[[images]]\nvariants = ['photo.png']\nquality = 1", "variants"),
    ],
)
def test_a_file_that_registers_nothing_sensible_is_refused_by_name(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "brand.toml"
    path.write_text(text)
    with pytest.raises(BrandError, match=said):
        read_registration(path, KEY)


def test_a_brand_registers_and_assesses_by_name_and_everybody_sees_it(
    real_exchange: RealExchange, tmp_path: Path, file: Path
) -> None:
    store = joined(real_exchange, tmp_path / "store", "brand-test-store", "contributor")
    brand = joined(real_exchange, tmp_path / "brand", "brand-test-brand", "brand")
    done = store.report(
        [
            row(
                "Anton Faelscher",
            )
        ],
        at_once=True,
    )
    assert done.sent is not None
    (report,) = done.reports
    registration, index = brand.register_brand(file)
    assert (registration.brand, index > 0) == ("Höhenluft", True)
    again = brand.register_brand(file)[1]
    assert again > index
    assert brand.register_brand(file, dry_run=True)[1] == -1
    for word in ("confirmed", "refuted"):
        brand.assess(report, "confirmed" if word == "confirmed" else "refuted")
        store.sync()
        with store.replica() as replica:
            view = replica.report(report)
        assert view is not None
        assert list(view.assessments.values()) == [word]
    with pytest.raises(ContributionError, match="no report"):
        brand.assess("a" * 26, "refuted")
    with pytest.raises(BrandError, match="--role brand"):
        store.assess(report, "confirmed")


def test_a_brand_finds_reports_that_name_it_in_any_writing_in_its_own_replica(
    real_exchange: RealExchange, tmp_path: Path
) -> None:
    store = joined(real_exchange, tmp_path / "store", "brand-feed-store", "contributor")
    brand = joined(real_exchange, tmp_path / "brand", "brand-feed-brand", "brand")
    named = [row(f"Seller {number}", phone=(f"+4930123456{number}",)) for number in range(3)]

    brands = (("ZÉPHYR-WERK",), ("Zephyr Werk", "Other"), ("Zephyra",))
    rows = [
        msgspec.structs.replace(each, brands=names)
        for each, names in zip(named, brands, strict=True)
    ]
    done = store.report(rows, at_once=True)
    brand.sync()
    found = {view.id for view in brand.about_brand(["Zephyr Werk"])}
    assert found == set(done.reports[:2])
    brand.assess(done.reports[0], "confirmed")
    brand.sync()
    left = {view.id for view in brand.about_brand(["Zephyr Werk"], unassessed=True)}
    assert left == {done.reports[1]}


def test_json_says_the_same_as_toml(tmp_path: Path, file: Path) -> None:

    other = tmp_path / "brand.json"
    other.write_text(json.dumps(tomllib.loads(FILE)), encoding="utf-8")
    assert read_registration(other, KEY) == read_registration(file, KEY)
