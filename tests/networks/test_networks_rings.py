"""Rings: who shares what few have belongs together, and what everybody has links nobody."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acx.demo.accounts import as_frame
from acx.networks.links import LEAST_BITS, Links, find_links
from acx.networks.rings import find_rings
from acx.records.account import Account

KEY = bytes(range(32))


def linked(*accounts: Account, **options: Any) -> Links:
    return find_links(as_frame(accounts), matching_key=KEY, **options)


def account(number: int, **fields: tuple[str, ...] | str) -> Account:
    return Account(id=f"S{number}", **fields)  # type: ignore[arg-type]


def found(links: Links) -> set[frozenset[str]]:
    """Rings as sets of ids."""
    return {frozenset(links.accounts[list(ring.nodes)].to_list()) for ring in find_rings(links)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"email": ("Ann.Lee@gmail.com",)}, {"email": ("annlee+shop@googlemail.com",)}),
        ({"phone": ("+86 571 8765 4321",)}, {"phone": ("0571-87654321",), "country": ("CN",)}),
        ({"website": ("https://shop.example.com/a",)}, {"website": ("www.example.com",)}),
        ({"bank_account": ("GB33BUKB20201555555555",)}, {"bank_account": ("gb33 bukb 2020 1555 5555 55",)}),  # noqa: E501 -- a row of a table
        ({"related": ("WANG Xiaoming",)}, {"kind": "person", "name": ("Xiaoming Wang",)}),
        ({"contact": ("wechat:goldstep88",)}, {"contact": ("WeChat:goldstep88",)}),
    ],
)  # fmt: skip
def test_a_value_that_two_accounts_share_links_them_however_it_is_written(
    one: dict[str, tuple[str, ...]], other: dict[str, tuple[str, ...]]
) -> None:
    links = linked(account(1, **one), account(2, **other), account(3, email=("x@y.example",)))
    assert found(links) == {frozenset({"S1", "S2"})}


def test_one_word_of_a_name_links_nobody() -> None:
    links = linked(
        account(1, kind="person", name=("Madonna",)), account(2, related=("Madonna",))
    )  # fmt: skip
    assert links.pairs.is_empty()
    assert find_rings(links) == ()


def test_a_store_s_plain_value_links_to_the_digest_that_was_reported() -> None:
    from acx.records.normalise import digest

    iban = "GB33BUKB20201555555555"
    reported = account(1, bank_account=(digest("bank_account", iban, KEY),))
    assert found(linked(reported, account(2, bank_account=(iban,)))) == {frozenset({"S1", "S2"})}


def test_what_many_share_is_a_hub_and_links_nobody() -> None:
    warehouse = ("Unit 5, Forwarding Park, Leeds LS1 1AA, United Kingdom",)
    crowd = [account(n, address=warehouse) for n in range(60)]
    links = linked(*crowd)
    assert links.pairs.is_empty()
    assert links.hubs["sharers"].to_list() == [60]
    assert found(linked(*crowd, hub=100, least_bits=0)) == {frozenset(f"S{n}" for n in range(60))}


def test_the_more_share_a_value_the_less_it_weighs() -> None:
    def bits(sharers: int) -> float:
        links = linked(*(account(n, phone=("+4420794600" + "00",)) for n in range(sharers)))
        return float(links.shared["bits"].max() or 0)  # type: ignore[arg-type]

    weights = [bits(sharers) for sharers in (2, 5, 15, 45)]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > weights[-1]


def test_who_joins_two_halves_of_a_ring_is_its_key_actor() -> None:
    accounts = [
        account(1, email=("a@one.example",), phone=("+442079460001",)),
        account(2, email=("a@one.example",)),
        account(3, phone=("+442079460001",), contact=("telegram:two",)),
        account(4, contact=("telegram:two",)),
    ]
    links = linked(*accounts)
    (ring,) = find_rings(links)
    names = [links.accounts[node] for node in ring.nodes]
    assert set(names[:2]) == {"S1", "S3"}
    assert ring.betweenness[0] > ring.betweenness[-1] == 0
    assert ring.bridges == 0


def test_a_component_too_large_to_take_in_is_split_where_it_is_thin() -> None:
    accounts = [
        account(n, contact=tuple(f"wechat:half{n // 30}-{each}" for each in range(5)))
        for n in range(60)
    ]
    for end in (0, 30):
        accounts[end] = account(end, contact=accounts[end].contact, ip=("198.18.0.1",))
    links = linked(*accounts, least_bits=5)
    rings = find_rings(links)
    assert [len(ring.nodes) for ring in rings] == [30, 30]
    assert [ring.bridges for ring in rings] == [1, 1]
    assert len(find_rings(links, split=1000)) == 1
    assert find_rings(links) == rings


@given(
    st.lists(
        st.lists(st.sampled_from([f"wechat:id{n}" for n in range(12)]), max_size=3, unique=True),
        max_size=25,
    )
)
def test_rings_are_the_components_of_what_is_shared(contacts: list[list[str]]) -> None:
    links = linked(*(account(n, contact=tuple(each)) for n, each in enumerate(contacts)))
    expected: list[set[int]] = [{n} for n in range(len(contacts))]
    for row in links.pairs.iter_rows(named=True):
        joined = [ring for ring in expected if row["a"] in ring or row["b"] in ring]
        expected = [ring for ring in expected if ring not in joined] + [set().union(*joined)]
    assert found(links) == {frozenset(f"S{n}" for n in ring) for ring in expected if len(ring) > 1}
    for row in links.pairs.iter_rows(named=True):
        assert set(contacts[row["a"]]) & set(contacts[row["b"]])
        assert row["bits"] >= LEAST_BITS
    assert links.pairs.select(pl.col("a") < pl.col("b")).to_series().all()


def test_no_accounts_make_no_rings() -> None:
    assert find_rings(linked()) == ()
