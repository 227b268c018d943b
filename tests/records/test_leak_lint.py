"""Whoever reads a report cannot tell which store it comes from."""

# ruff: noqa: RUF001 -- letters that look like others are what is tested

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.records.disguises import LOOKALIKES, writings

from acx.records.account import LIST_FIELDS, Subject
from acx.records.event import canonical
from acx.records.leak import Contributor, LeakError, clean, lint, unsought
from acx.records.leak.particulars import title_tokens, two_figures
from acx.records.report import Evidence, Image, Product, Report

STORE = Contributor(
    names=("Kaufhalle Nord GmbH", "H&M", "Otto"),
    domains=("kaufhalle-nord.example", "kn.example"),
    staff=("Jane Doe", "Søren Kierkegård"),
    id_patterns=(r"KN-\d{6}", r"SLR[0-9A-F]{8}"),
    urls=("https://social.example/kaufhalle.official",),
    words=("Projekt Falke", "+49 40 123456"),
)
# Digests may hold nothing else; countries are codes.
WRITTEN_FIELDS = [
    field
    for field in LIST_FIELDS
    if field not in {"bank_account", "id_document", "device", "ip", "country"}
]


def draft(
    account: Mapping[str, tuple[str, ...]],
    products: tuple[Product, ...] = (),
    brands: tuple[str, ...] = (),
) -> Report:
    subject = msgspec.convert(account, Subject)
    return Report(
        account=subject,
        conduct="sold_counterfeits",
        confirmed_by=("test_buy",),
        confirmed_on="2026-03",
        brands=brands,
        products=products,
    )


def found(field: str, value: str, contributor: Contributor = STORE) -> list[tuple[str, str]]:
    """Rules and actions for one value, beside a harmless name."""
    report = draft({"alias": ("Chen Wei",), field: (value,)})
    return [(f.rule, f.action) for f in lint(report, contributor) if f.field == field]


# The name, in any writing

LETTERS = st.sampled_from("abcdefghijklmnopqrstuvwxyz")


@settings(max_examples=200, deadline=None)
@given(data=st.data(), field=st.sampled_from(WRITTEN_FIELDS))
def test_the_name_is_found_in_any_field_and_any_writing(data: st.DataObject, field: str) -> None:
    name = data.draw(st.text(LETTERS, min_size=8, max_size=14) | st.just("kaufhalle"))
    assume(len(set(name)) > 3 and not unsought(Contributor(names=(name,))))
    written = data.draw(writings(name))
    cleaned = clean(draft({field: (written,)}), Contributor(names=(name,)))
    assert getattr(cleaned.report.account, field) == ()
    assert cleaned.findings[-2].rule in {"name", "link", "digest", "free_text"}
    assert cleaned.findings[-1].rule == "nothing_left"


@settings(deadline=None)
@given(data=st.data(), field=st.sampled_from(WRITTEN_FIELDS))
def test_a_shorter_name_is_found_as_a_whole_word_in_any_writing(
    data: st.DataObject, field: str
) -> None:
    name = data.draw(st.text(LETTERS, min_size=4, max_size=7))
    assume(len(set(name)) > 2 and not unsought(Contributor(names=(name,))))
    written = data.draw(writings(name, inside=False, coded=False))
    assert (
        getattr(clean(draft({field: (written,)}), Contributor(names=(name,))).report.account, field)
        == ()
    )


@settings(deadline=None)
@given(written=writings("kaufhallenord"))
def test_the_name_is_found_in_products_and_brands(written: str) -> None:
    product = Product(title=f"bag {written} red", brand=written, identifiers=(f"mpn:{written}",))
    left = clean(draft({"name": ("Chen",)}, (product,), (written,)), STORE).report
    assert left.brands == ()
    assert all(p.brand == "" and p.identifiers == () for p in left.products)
    assert lint(left, STORE) == ()


@pytest.mark.parametrize(
    "written",
    [
        "Kaufhalle Nord", "KAUFHALLE-NORD", "kaufhallenord outlet", "KaufhalleNordDeals",
        "k a u f h a l l e n o r d", "Kаufhаlle Nоrd", "ᴋᴀᴜꜰʜᴀʟʟᴇ ɴᴏʀᴅ",
        "Ｋａｕｆｈａｌｌｅ Ｎｏｒｄ",
        "k4ufh4ll3 n0rd", "%4baufhalle%20Nord", "Kaufhalle&nbsp;N&#111;rd", "Káüfhàlle Nörd",
        "xn--kaufhalle-nord-", "ꓗaufhalle ꓠord", "Nord Kaufhalle Nord", "Kaufha11e.Nord",
    ],
)  # fmt: skip
def test_examples_of_writings(written: str) -> None:
    assert found("alias", written)[0] == ("name", "removed")


@pytest.mark.parametrize(
    "name", ["Kaufhalle S.A.", "Kaufhalle S. à r. l.", "KAUFHALLE GmbH & Co. KG", "Kaufhalle, Inc."]
)
def test_a_company_form_does_not_matter(name: str) -> None:
    assert found("alias", "the Kaufhalle", Contributor(names=(name,))) == [("name", "removed")]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("我的商店", "我的商店特卖"), ("我的商店", "wo de shang dian"), ("Универмаг", "Univermag"),
        ("Универмаг", "УНИВЕРМАГ скидки"), ("متجري", "متجري"),
    ],
)  # fmt: skip
def test_names_in_other_scripts_are_found_as_written_and_in_latin_letters(
    name: str, written: str
) -> None:
    assert found("alias", written, Contributor(names=(name,))) == [("name", "removed")]


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ("website", "https://bags.example/?ref=S2F1ZmhhbGxlIE5vcmQ"),
        ("handle", "x:6b617566 68616c6c65206e6f7264"),
        ("contact", "telegram:YTJGMVptaGhiR3hsSUU1dmNtUQ=="),
        ("email", "bags+6b616866@kaufhalle-nord.mail.example"),
        ("alias", "droN ellahfuaK"),
        ("alias", "Chen " + "".join(chr(0xE0000 + ord(c)) for c in "kaufhalle nord")),
    ],
)  # fmt: skip
def test_the_name_is_found_where_it_is_coded_or_invisible(field: str, written: str) -> None:
    assert ("name", "removed") in found(field, written)


def test_a_title_loses_only_the_words_of_the_name() -> None:
    product = Product(title="Kaufhalle Nord red bag of k4ufhalle-nord")
    cleaned = clean(draft({"name": ("Chen",)}, (product,)), STORE)
    assert cleaned.report.products == (Product(title="bag of red"),)


def test_a_name_that_is_spread_over_values_is_found() -> None:
    report = draft({"alias": ("Chen Wei", "Kaufhalle", "Nord GmbH", "Chen Bags")})
    cleaned = clean(report, STORE)
    assert cleaned.report.account.alias == ("Chen Wei", "Chen Bags")
    assert [(f.index, f.rule) for f in cleaned.findings] == [(1, "name"), (2, "name")]


def test_only_the_digest_leaves_of_a_line_that_names_a_file_too() -> None:
    digest = "0f" * 32
    cleaned = clean(
        draft({"name": ("Chen",), "image_hash": (f"{digest}  cases/4711/kaufhalle.jpg", "x.jpg")}),
        STORE,
    )
    assert cleaned.report.account.image_hash == (digest,)
    assert [(f.rule, f.action) for f in cleaned.findings] == [
        ("digest", "coarsened"),
        ("digest", "removed"),
    ]


def test_a_digest_that_spells_the_name_is_none() -> None:
    spelt = b"Kaufhalle Nord".ljust(32).hex()
    product = Product(title="bag", images=(Image(variants=(spelt,), quality=90),))
    report = msgspec.structs.replace(
        draft({"name": ("Chen",), "image_hash": (spelt,), "device": (f"h1:{spelt}",)}, (product,)),
        evidence=(Evidence(kind="invoice", commitment=spelt),),
    )
    left = clean(report, STORE).report
    assert spelt.encode() not in canonical(left)
    assert left.account.name == ("Chen",)
    assert left.products == (Product(title="bag"),)


@pytest.mark.parametrize("mark", ["\u200b", "\u2060", "\ufe0f\U000e0101", "\u00ad"])
def test_what_nobody_sees_stays_so_that_no_copy_is_marked(mark: str) -> None:
    cleaned = clean(draft({"name": (f"Ch{mark}en Wei{mark}",)}), Contributor())
    assert cleaned.report.account.name == ("Chen Wei",)
    assert [(f.rule, f.action) for f in cleaned.findings] == [("invisible", "coarsened")]


# Domains, pages, ids, people, words


@pytest.mark.parametrize(
    "written",
    [
        "seller77@marketplace.kn.example", "https://www.kn.example/help", "kn[.]example",
        "KN . EXAMPLE", "kn (dot) example", "kn dot example", "see%20kn%2Eexample",
        "kn\u3002example",
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", ["email", "website", "handle", "alias", "address"])
def test_own_domains_are_removed(field: str, written: str) -> None:
    assert found(field, written)[0][1] == "removed"


@pytest.mark.parametrize("written", ["a@xkn.example", "kn.example-shop.test", "kn-example.test"])
def test_domains_that_only_contain_the_own_one_stay(written: str) -> None:
    assert found("email", written) == []


@pytest.mark.parametrize(
    ("field", "written", "rule"),
    [
        ("website", "https://social.example/kaufhalle.official/posts", "url"),
        ("alias", "order KN-123456", "internal_id"),
        ("registration_no", "slr00ff00ff", "internal_id"),
        ("handle", "shopee:KN%2D123456", "internal_id"),
        ("contact", "wechat:jane_doe", "staff"),
        ("email", "doe.jane@mail.example", "staff"),
        ("alias", "Soren Kierkegard", "staff"),
        ("alias", "projekt-falke", "word"),
        ("phone", "+4940123456", "word"),
    ],
)
def test_what_the_profile_names_is_removed(field: str, written: str, rule: str) -> None:
    assert found(field, written)[0] == (rule, "removed")


def test_an_actor_that_bears_a_staff_members_name_waits_for_a_person() -> None:
    report = draft({"name": ("Jane Doe",)})
    cleaned = clean(report, STORE)
    assert [finding.rule for finding in cleaned.blocked] == ["staff"]
    allowing = Contributor(staff=("Jane Doe",), allow=("jane  DOE",))
    assert clean(report, allowing).findings == ()


def test_the_stores_own_id_of_the_account_is_found() -> None:
    report = draft(
        {"name": ("Chen Wei",), "alias": ("outlet s.104233",), "handle": ("x:S104233B",)}
    )
    rules = [(f.field, f.rule) for f in lint(report, Contributor(), internal_ids=["S-104233"])]
    assert rules == [("alias", "own_id")]


# Particulars


@pytest.mark.parametrize(
    ("field", "written", "left"),
    [
        ("name", "Chen Wei (case 48213)", "Chen Wei"),
        ("alias", "Luxury Outlet, Ticket #A-993", "Luxury Outlet"),
        ("name", "Chen Wei FRAUD-1234", "Chen Wei"),
        ("alias", "Luxury 2026-03-14 10:35", "Luxury"),
        ("alias", "Luxury seen 14.03.2026", "Luxury seen"),
        ("related", "Li Na, 14 March 2026", "Li Na"),
        ("address", "12 High St, moved 2026-03-14", "12 High St, moved"),
        ("alias", "Luxury https://a.example/x", "Luxury"),
        (
            "website",
            "https://u:p@bags.example/about?utm_source=x#top",
            "https://bags.example/about",
        ),
        ("website", "https://bags.example/products/4711", "https://bags.example"),
        ("website", "bags.example/dp/B0C1", "bags.example"),
        ("website", "https://m.example/Red-Bag-i.123.456789", "https://m.example"),
        ("website", "https://m.example/anzeige/4711-bag", "https://m.example"),
        ("handle", "market:https://m.example/itm/4711?hash=x", "market:https://m.example"),
        ("contact", "whatsapp:https://wa.example/chen?text=hi", "whatsapp:https://wa.example/chen"),
        ("email", "chen@mail.example https://m.example/x", "chen@mail.example"),
        ("alias", "Luxury, Vorgang 48213", "Luxury"),
        ("alias", "Luxury 订单号 48213", "Luxury"),
    ],
)
def test_particulars_are_cut_out(field: str, written: str, left: str) -> None:
    cleaned = clean(draft({field: (written,)}), Contributor())
    assert getattr(cleaned.report.account, field) == (left,)
    assert {finding.action for finding in cleaned.findings} == {"coarsened"}


@pytest.mark.parametrize(
    ("field", "written", "rule"),
    [
        ("alias", "2026-03-14", "time"),
        ("tax_id", "2026-03-14T10:35:00Z", "time"),
        ("alias", "called us twice and said he would send the goods back to us soon", "free_text"),
        ("name", "Chen\nsee notes", "free_text"),
        ("phone", "the number that he gave to us when he called", "free_text"),
        ("tax_id", "see the letter of our office in the file of March", "free_text"),
        ("address", "Hauptstr. 1, wir haben dem Kunden alles erstattet, er wurde gesperrt",
         "free_text"),
    ],
)  # fmt: skip
def test_what_is_nothing_but_particulars_is_removed(field: str, written: str, rule: str) -> None:
    assert found(field, written, Contributor()) == [(rule, "removed")]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Shenzhen 1688 Trading Co., Ltd."), ("name", "Jean-Claude O'Neil III"),
        ("address", "Apt #1204, No. 12-14 Ref Street, Order Lane 2, 10115 Berlin"),
        ("registration_no", "DE:HRB 12345"), ("tax_id", "DE:123456789"),
        ("phone", "+86 755 2014 0314"),
        ("email", "chen.20140314@mail.example"), ("handle", "shopee:1502938475"),
        ("contact", "whatsapp:+14155552671"), ("website", "https://bags.example"),
        ("website", "https://social.example/chen.bags"), ("alias", "Case Logic Store"),
        ("alias", "1:18 Model Cars"), ("image_hash", "facade" * 10 + "abcd"),
        ("bank_account", "h1:" + "ab" * 32),
    ],
)  # fmt: skip
def test_ordinary_values_stay(field: str, value: str) -> None:
    assert found(field, value) == []


def test_titles_prices_and_kinds_of_evidence_are_coarsened() -> None:
    product = Product(title="Red Kaufhalle-Nord BAG, new! KN-123456", price="1299.99")
    report = draft({"name": ("Chen",)}, (product,))
    evidence = Evidence(kind="kaufhalle_nord_invoice", commitment="0" * 64)
    cleaned = clean(
        Report(
            account=report.account, conduct="reoffended", confirmed_by=("court",),
            confirmed_on="2026-01", evidence=(evidence,), products=(product,),
        ),
        STORE,
    )  # fmt: skip
    assert cleaned.report.products == (Product(title="bag new red", price="1300"),)
    assert cleaned.report.evidence[0].kind == "document"
    assert {finding.action for finding in cleaned.findings} == {"coarsened"}
    assert lint(cleaned.report, STORE) == ()


@pytest.mark.parametrize(
    ("price", "rounded"),
    [("0", "0"), ("12.99", "13"), ("99.99", "100"), ("0.0499", "0.05"), ("1234567", "1200000")],
)
def test_prices_keep_two_figures(price: str, rounded: str) -> None:
    assert two_figures(price) == rounded


@given(st.decimals(0, 10**9, places=4).map(lambda price: f"{price:f}"))
def test_a_price_of_two_figures_stays(price: str) -> None:
    assert two_figures(two_figures(price)) == two_figures(price)


# What waits for a person


def test_a_value_that_should_be_a_digest_blocks() -> None:
    cleaned = clean(draft({"name": ("Chen",), "bank_account": ("DE02120300000000202051",)}), STORE)
    assert [(f.field, f.rule) for f in cleaned.blocked] == [("bank_account", "undigested")]


def test_a_report_with_nothing_left_blocks() -> None:
    cleaned = clean(draft({"alias": ("Kaufhalle Nord",), "country": ("DE",)}), STORE)
    assert [finding.rule for finding in cleaned.blocked] == ["nothing_left"]


# False positives are bounded

ORDINARY = (
    "Bag Shop", "The Shop", "Shop24", "shopping queen", "Luxury Outlet Store", "Gap Year Travel",
    "Lotto Sport", "Ottoman Rugs", "Risotto House", "Amazonas Trading", "Targeted Ads Ltd",
    "Star Getaway", "Nestling Toys", "Zhang Wei Fashion", "Best Home Deals",
    "Global Trading Company",
)  # fmt: skip


@pytest.mark.parametrize(
    "name", ["Shop", "Store", "Home", "Global", "Luxury", "Wei", "Paris", "Best Shop GmbH"]
)
def test_a_store_with_a_common_name_can_still_report(name: str) -> None:
    report = draft({"alias": ORDINARY})
    assert clean(report, Contributor(names=(name,))).report == report
    single = name.removesuffix(" GmbH")
    assert unsought(Contributor(names=(name,))) == ((name,) if " " not in single else ())


@pytest.mark.parametrize("written", ["Paris", "PARIS", "P.a.r.i.s", "x:paris", "Paris S.A."])
def test_a_common_name_is_found_where_it_is_all_there_is(written: str) -> None:
    assert found("alias", written, Contributor(names=("Paris",))) == [("name", "removed")]
    assert found("address", f"Rue 7, {written}, France", Contributor(names=("Paris",))) == []


@pytest.mark.parametrize(
    ("name", "caught"),
    [("Otto", ()), ("Gap", ("Gap Year Travel",)), ("Aldi", ()), ("Nest", ()), ("DM", ())],
)
def test_short_names_are_found_as_whole_words_only(name: str, caught: tuple[str, ...]) -> None:
    left = clean(draft({"alias": ORDINARY}), Contributor(names=(name,))).report.account.alias
    assert set(ORDINARY) - set(left) == set(caught)


def test_numbers_are_no_words() -> None:
    assert found("phone", "+1 8055 33 713", Contributor(names=("Boss", "Eel"))) == []


# The whole

TEXT = st.text(st.sampled_from("aeknoOtTr 019-.#:/@%&\n\u0430\u03bd"), max_size=40).filter(
    str.strip
)
SNIPPETS = st.sampled_from(
    ["Kaufhalle Nord", "kn.example", "Jane Doe", "KN-123456", "case 1234", "2026-03-14", "Chen Wei"]
)
VALUES = st.lists(
    st.lists(TEXT | SNIPPETS, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=3
).map(tuple)


@st.composite
def drafts(draw: st.DrawFn) -> Report:
    fields = draw(st.lists(st.sampled_from(WRITTEN_FIELDS), min_size=1, max_size=4, unique=True))
    product = Product(
        title=draw(TEXT | SNIPPETS), brand=draw(TEXT | SNIPPETS), price=draw(st.just("12.99"))
    )
    return draft({field: draw(VALUES) for field in fields}, (product,), draw(VALUES))


@settings(deadline=None)
@given(drafts())
def test_what_is_clean_stays_as_it_is(report: Report) -> None:
    cleaned = clean(report, STORE)
    again = clean(cleaned.report, STORE)
    assert again.report == cleaned.report
    assert {finding.action for finding in again.findings} <= {"blocked"}


@settings(deadline=None)
@given(drafts())
def test_each_finding_explains_itself_without_the_value(report: Report) -> None:
    for finding in lint(report, Contributor()):
        assert finding.field in finding.explanation
        assert finding.explanation.isprintable()
        assert "Chen Wei" not in finding.explanation
        assert finding.value or finding.field == "account"
        assert finding.left != finding.value or finding.action == "blocked"


@given(st.text())
def test_titles_end_up_in_one_order(title: str) -> None:
    tokens = title_tokens(title)
    assert title_tokens(tokens) == tokens
    assert title_tokens(" ".join(reversed(title.split()))) == tokens or not title.isascii()


@pytest.mark.parametrize("pattern", ["(", "[0-9]*", ""])
def test_a_pattern_that_cannot_work_is_refused(pattern: str) -> None:
    with pytest.raises(LeakError, match="id_patterns"):
        Contributor(id_patterns=(pattern,))


def test_hostile_values_take_no_time_to_read() -> None:
    hostile = ("1" * 512, "il|!1" * 100, "-" * 512, "%25" * 170, "&amp;" * 100, "xn--" * 128)
    name = Contributor(names=("illili lilil", "ot" * 20), domains=("i.l.i.l.example",))
    assert all(
        finding.rule in {"name", "time"} for finding in lint(draft({"alias": hostile}), name)
    )


def test_every_listed_lookalike_is_a_single_letter() -> None:
    assert all(
        unicodedata.category(sign)[0] in "LNS" for signs in LOOKALIKES.values() for sign in signs
    )
