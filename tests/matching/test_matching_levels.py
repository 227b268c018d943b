"""Who counts as the same actor, and how surely: cases as data, from sure to not at all."""

from __future__ import annotations

import polars as pl
import pytest
from tests.matching.matching_cases import account, crowd, frame, in_a_crowd, pairs

from acx.matching import BadOption, MatchOptions, SubjectIndex, match
from acx.records.account import Account
from acx.records.leaving import subject_of

KEY = bytes(range(32))
REPORTED = account(
    "r",
    kind="person",
    name="Nguyen Thi Hoa Binh",
    alias="Lotus Garden Leather",
    email="hoabinh.leather@shop.example",
    phone="+84 91 234 56 78",
    address="12 Tran Hung Dao, Hoan Kiem, Hanoi, Vietnam",
    country="VN",
    bank_account="VN-0071000123456",
    tax_id="VN:0100109106",
    website="https://www.lotus-garden-leather.example/",
    birth_date="1984-02-11",
)
OTHER_REPORTS = crowd(2000, seed=99).with_columns(
    pl.col("id").map_elements("o{}".format, pl.String)
)


def level_of(seller: Account, subject: Account = REPORTED) -> str:
    """The level at which a seller hits the reported actor, among a crowd on both sides."""
    hits = match(
        in_a_crowd([seller]),
        pl.concat([frame(subject), OTHER_REPORTS]),
        options=MatchOptions(default_country="VN"),
    )
    return pairs(hits).get((seller.id, subject.id), "none")


@pytest.mark.parametrize(
    "changes",
    [
        {"alias": "Sunrise Goods", "bank_account": "VN0071000123456", "name": "Hoa Binh Nguyen"},
        {"name": "NGUYỄN Thị Hoà Bình", "phone": "091 234 56 78", "country": "VN"},
        {"tax_id": "0100109106", "country": "VN", "name": "Nguyen Thi Hoa Binh"},
    ],
    ids=["bank account and swapped name", "marks and national phone", "tax number"],
)
def test_a_come_back_with_a_name_and_an_identifier_is_sure(changes: dict[str, str]) -> None:
    assert level_of(account("s", kind="person", **changes)) in ("exact", "strong")


def test_another_writing_of_a_mailbox_made_of_the_name_is_possible_and_not_sure() -> None:
    seller = account("s", name="Nguyen T. Hoa Binh", email="hoabinhleather+2@shop.example")
    assert level_of(seller) == "possible"


def test_names_alone_never_reach_exact() -> None:
    seller = account("s", kind="person", name="Nguyen Thi Hoa Binh", country="VN")
    assert level_of(seller) != "exact"


@pytest.mark.parametrize(
    "seller",
    [
        account("s", kind="person", name="Karl-Heinz Oberschmidt", country="DE"),
        account("s", country="VN"),
        account("s", name="Nguyen Van Nam", address="3 Le Loi, Hue, Vietnam", country="VN"),
        account("s"),
    ],
    ids=["stranger", "country alone", "a common family name", "nothing at all"],
)
def test_strangers_are_left_alone(seller: Account) -> None:
    assert level_of(seller) == "none"


def test_absent_is_not_different() -> None:
    bare = account("s", name="Hoa Binh Nguyen", bank_account="VN0071000123456")
    full = account(
        "s", name="Hoa Binh Nguyen", bank_account="VN0071000123456", birth_date="1951-07-30"
    )
    order = ("exact", "strong", "possible", "none")
    assert order.index(level_of(bare)) <= order.index(level_of(full))


def test_a_contradiction_keeps_a_hit_from_exact() -> None:
    seller = account(
        "s",
        kind="person",
        name="Nguyen Thi Hoa Binh",
        email="hoabinh.leather@shop.example",
        birth_date="1951-07-30",
    )
    assert level_of(seller) != "exact"


def test_what_many_share_weighs_little() -> None:
    address = "Unit 8, 1 Forwarder Park, Rotterdam, Netherlands"
    shared = [account(f"f{n}", name=f"Tradesman {n} Holdings", address=address) for n in range(300)]
    subject = account("r", name="Quickstep Imports", address=address, country="NL")
    hits = match(
        pl.concat([frame(*shared), crowd()]),
        pl.concat([frame(subject), OTHER_REPORTS]),
        options=MatchOptions(),
    )
    assert [pair for pair in pairs(hits) if pair[1] == "r"] == []


def test_digested_values_match_as_plain_ones_do() -> None:
    options = MatchOptions(matching_key=KEY, default_country="VN")
    left = subject_of(REPORTED, KEY)
    digested = account("r", **{name: getattr(left, name) for name in left.__struct_fields__})
    assert digested.bank_account[0].startswith("h1:")
    seller = account("s", name="Hoa Binh Nguyen", bank_account="VN 0071 0001 23456")
    plain = match(
        in_a_crowd([seller]),
        pl.concat([frame(REPORTED), OTHER_REPORTS]),
        options=MatchOptions(default_country="VN"),
    )
    hidden = match(
        in_a_crowd([seller]), pl.concat([frame(digested), OTHER_REPORTS]), options=options
    )
    assert pairs(plain)["s", "r"] == pairs(hidden)["s", "r"]


def test_one_account_and_many_are_matched_by_the_same_definitions() -> None:
    subjects = pl.concat([frame(REPORTED), OTHER_REPORTS])
    sellers = [
        account("s1", name="Hoa Binh Nguyen", bank_account="VN0071000123456"),
        account("s2", name="Nguyen Thi Hoa Binh", country="VN"),
        account("s3", name="Karl-Heinz Oberschmidt"),
    ]
    index = SubjectIndex.build(subjects)
    together = {(a, s): (level, p, r) for a, s, level, p, r in index.screen(frame(*sellers)).rows()}
    alone = {
        (hit.account_id, hit.subject_id): (hit.level, hit.probability, hit.reasons)
        for seller in sellers
        for hit in index.check(seller)
    }
    assert alone == together
    assert together


def test_reasons_add_up_to_the_probability() -> None:
    hits = match(
        in_a_crowd([account("s", name="Hoa Binh Nguyen", bank_account="VN0071000123456")]),
        pl.concat([frame(REPORTED), OTHER_REPORTS]),
        options=MatchOptions(),
    )
    for probability, reasons in hits.select("probability", "reasons").rows():
        bits = sum(float(reason.rsplit(":", 1)[1]) for reason in reasons)
        assert 1 / (1 + 2**-bits) == pytest.approx(probability, abs=0.02)
        assert any(reason.startswith("prior:") for reason in reasons)


def test_the_order_of_rows_changes_nothing() -> None:
    sellers = in_a_crowd([account("s", name="Hoa Binh Nguyen", bank_account="VN0071000123456")])
    subjects = pl.concat([frame(REPORTED), OTHER_REPORTS])
    first = match(sellers, subjects, options=MatchOptions())
    second = match(
        sellers.sample(fraction=1, shuffle=True, seed=3),
        subjects.sample(fraction=1, shuffle=True, seed=4),
        options=MatchOptions(),
    )
    assert pairs(first) == pairs(second)


@pytest.mark.parametrize(
    "seller",
    [
        account("s", name=tuple(f"Alias {n}" for n in range(10_000))),
        account("s", name="x" * 1_000_000),
        account("s", name="\u202egnaiJ iL\u202c", email="not an address", phone="()-"),
        account("s", name="\u200b\u200d", address="\ufeff", website="http://"),
        account("s", name="💎✨", birth_date="0001-01-01", image_hash="zz"),
    ],
    ids=["10,000 aliases", "a name of 1 MB", "right to left", "invisible", "emoji"],
)
def test_hostile_accounts_have_an_outcome(seller: Account) -> None:
    subjects = pl.concat([frame(REPORTED), OTHER_REPORTS])
    hits = match(frame(seller), subjects, options=MatchOptions())
    assert hits.columns == ["account_id", "subject_id", "level", "probability", "reasons"]


def test_homoglyphs_hide_nobody() -> None:
    disguised = account(
        "s",
        name="Ngu\u0443\u0435n Thi \u041d\u043e\u0430 \u0412inh",
        bank_account="VN0071000123456",
    )
    assert level_of(disguised) in ("exact", "strong")


def test_a_level_or_prior_that_is_none_is_refused() -> None:
    with pytest.raises(BadOption, match="level"):
        MatchOptions(level="certain")
    with pytest.raises(BadOption, match="prior"):
        MatchOptions(prior=1.0)
