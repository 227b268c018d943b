"""Events: canonical, signed, limited, and of whatever version."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from acx.records.account import MAX_VALUE_CHARACTERS, MAX_VALUES, Subject
from acx.records.event import (
    BODIES,
    MAX_EVENT_BYTES,
    MAX_NESTING,
    Act,
    BadSignature,
    Corroboration,
    Dispute,
    Erasure,
    Event,
    EventError,
    IssuerKey,
    MalformedEvent,
    Outcome,
    Registration,
    Terms,
    Withdrawal,
    canonical,
    canonicalise,
    outcome_context,
    parse_event,
    public_key_text,
    rate_context,
    report_id,
    short_id,
    sign_event,
    stand_context,
    unsigned_bytes,
    verify_event,
)
from acx.records.report import CATEGORIES, CONDUCTS, STANDARDS, Report

ORIGIN = "exchange.example/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
BY = public_key_text(KEY)
REPORT = Report(
    account=Subject(name=("陈伟", "Chen Wei"), country=("CN",)),
    conduct="sold_counterfeits",
    confirmed_by=("test_buy",),
    confirmed_on="2026-03",
)

texts = st.text(st.characters(codec="utf-8"), max_size=20)
# Between, RFC 8785 writes a float as the integer that it is, and integers end at 2^53.
floats = st.floats(-(2.0**53) + 1, 2.0**53 - 1) | st.floats(1e21, 1e300) | st.floats(-1e300, -1e21)
json_values: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts | floats,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
reports = st.builds(
    Report,
    account=st.builds(
        Subject,
        kind=st.sampled_from(["", "person", "organization"]),
        name=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), max_size=3).map(tuple),
        email=st.lists(st.emails(), max_size=2).map(tuple),
    ),
    conduct=st.sampled_from(CONDUCTS),
    confirmed_by=st.lists(st.sampled_from(STANDARDS), min_size=1, max_size=7).map(tuple),
    confirmed_on=st.just("2026-03"),
    categories=st.lists(st.sampled_from(CATEGORIES), max_size=3).map(tuple),
)


def signed(body: Report = REPORT, **parts: Any) -> Event:
    return sign_event(KEY, origin=ORIGIN, type="report", body=body, **parts)


def tree_of(event: Event) -> dict[str, Any]:
    tree: dict[str, Any] = msgspec.json.decode(event.raw)
    return tree


def resigned(tree: dict[str, Any]) -> bytes:
    """The tree with a signature that is right."""
    unsigned = {name: value for name, value in tree.items() if name != "signature"}
    message = b"acx-event/v1\0" + ORIGIN.encode() + b"\0" + rfc8785.dumps(unsigned)
    signature = base64.b64encode(KEY.sign(message)).decode()
    return rfc8785.dumps(unsigned | {"signature": signature})


# Canonical form


@given(reports)
def test_acx_own_records_are_written_as_the_rfc8785_library_writes_them(report: Report) -> None:
    assert canonical(report) == rfc8785.dumps(msgspec.to_builtins(report))


@given(json_values)
def test_any_json_is_canonicalised_as_the_rfc8785_library_does(value: Any) -> None:
    assert canonicalise(value) == rfc8785.dumps(value)


@given(json_values)
def test_only_canonical_bytes_are_an_event(extra: Any) -> None:
    tree = tree_of(signed()) | {"extra": extra}
    raw = resigned(tree)
    assume(len(raw) <= MAX_EVENT_BYTES)
    assert parse_event(raw).raw == raw
    for other in (
        raw + b" ",
        raw.replace(b'{"body":', b'{ "body":', 1),
        raw.replace(b'"v":1', b'"v":1.0', 1),
        raw.replace(b'"seq":0', b'"seq":-0', 1),
        raw.replace(b'"type":"report"', b'"type":"\\u0072eport"', 1),
    ):
        with pytest.raises(MalformedEvent):
            parse_event(other)


def test_keys_beyond_ascii_are_sorted_as_utf_16() -> None:
    # U+FF00 sorts after U+1F600 in UTF-16, before it in UTF-8.
    tree = tree_of(signed()) | {"x\U0001f600": 1, "x\uff00": 2}
    raw = resigned(tree)
    assert raw.index("\U0001f600".encode()) < raw.index("\uff00".encode())
    assert parse_event(raw).raw == raw
    with pytest.raises(MalformedEvent, match="canonical"):
        parse_event(canonical(tree))


# Signing and verifying


@settings(deadline=None)
@given(
    report=reports,
    seq=st.integers(0, 2**31),
    tags=st.dictionaries(st.text(st.characters(codec="ascii"), max_size=20), texts, max_size=8),
)
def test_what_is_signed_parses_and_verifies(report: Report, seq: int, tags: dict[str, str]) -> None:
    event = signed(report, seq=seq, tags=tags, issuer_key="k" if tags else "")
    verify_event(event, ORIGIN)
    assert event.body() == report
    assert (event.seq, event.tags, event.by) == (seq, tags, BY)
    assert event.report == report_id(BY)
    assert event.id == short_id(event.raw)
    assert parse_event(event.raw) == event
    assert rfc8785.dumps(tree_of(event)) == event.raw


def test_a_signature_for_one_exchange_is_none_for_another() -> None:
    with pytest.raises(BadSignature, match="does not match its key"):
        verify_event(signed(), "other.example/log")


@settings(deadline=None)
@given(st.data())
def test_mutated_bytes_are_refused(data: st.DataObject) -> None:
    raw = bytearray(signed().raw)
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EventError):
        verify_event(parse_event(bytes(raw)), ORIGIN)


@settings(deadline=None)
@given(st.data())
def test_no_part_of_an_event_can_be_changed(data: st.DataObject) -> None:
    tree = tree_of(signed(tags={rate_context("2026-03-01"): "t"}))
    name = data.draw(st.sampled_from(sorted(tree)))
    tree[name] = data.draw(json_values)
    assume(rfc8785.dumps(tree) != signed(tags={rate_context("2026-03-01"): "t"}).raw)
    with pytest.raises(EventError):
        verify_event(parse_event(rfc8785.dumps(tree)), ORIGIN)


def test_a_report_names_the_key_that_signed_it() -> None:
    tree = tree_of(signed()) | {"report": "a" * 26}
    with pytest.raises(MalformedEvent, match="id must be that of its key"):
        parse_event(resigned(tree))


def test_a_signature_inside_the_body_is_not_taken_for_the_events_own() -> None:
    tree = tree_of(signed())
    tree["body"]["x"] = {"r": 1, "signature": tree["signature"]}
    event = parse_event(resigned(tree))
    verify_event(event, ORIGIN)
    assert unsigned_bytes(event).count(b'"signature"') == 1


@pytest.mark.parametrize("name", ["by", "signature"])
def test_base64_has_one_writing(name: str) -> None:
    tree = tree_of(signed())
    spare_bits = {"by": ("=", 2), "signature": ("==", 3)}[name]
    text = tree[name].removesuffix(spare_bits[0])
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    tree[name] = text[:-1] + alphabet[alphabet.index(text[-1]) + 1] + spare_bits[0]
    with pytest.raises(MalformedEvent, match="base64"):
        parse_event(canonical(tree))


def test_ids_are_base32_of_sha_256() -> None:
    event = signed()
    expected = base64.b32encode(hashlib.sha256(event.raw).digest())[:26].decode().lower()
    assert event.id == expected
    assert report_id(BY) == short_id(base64.b64decode(BY))


def test_contexts_are_as_pinned() -> None:
    assert rate_context("2026-03-01") == "rate/2026-03-01"
    assert stand_context("r", 2) == "stand/r/2"
    assert outcome_context("r") == "outcome/r"


# What this code does not know


@settings(deadline=None)
@given(
    extra=st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1), json_values, max_size=3
    ),
    kind=st.sampled_from(["report", "novelty", "act_of_god"]),
    version=st.integers(1, 2**53 - 1),
)
def test_unknown_fields_types_and_versions_survive_byte_for_byte(
    extra: dict[str, Any], kind: str, version: int
) -> None:
    tree = tree_of(signed())
    tree |= {name: value for name, value in extra.items() if name not in tree}
    tree["body"] = extra | tree["body"]
    raw = resigned(tree | {"type": kind, "v": version})
    assume(len(raw) <= MAX_EVENT_BYTES)
    event = parse_event(raw)
    verify_event(event, ORIGIN)
    assert event.raw == raw
    assert event.known == (kind == "report" and version == 1)
    if event.known:
        assert event.body() == REPORT
    else:
        with pytest.raises(MalformedEvent, match="upgrade acx"):
            event.body()


# Hostile bytes


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_malformed_one(raw: bytes) -> None:
    with pytest.raises(MalformedEvent):
        parse_event(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{}", b"null", b"[]", b'"x"', b"1", b"NaN", b"\xff\xfe", b"\xef\xbb\xbf{}",
        b"{" * 60_000,
        b"[" * 60_000, b"[" * 60_000 + b"]" * 5_000, b'{"a":' * 10_000, b"1" * 60_000,
        b"-" + b"9" * 400,
        b"1e400", b'{"v":1e400}', b'{"v":NaN}', b'{"v":Infinity}', b'{"v":' + b"9" * 5000 + b"}",
        b'{"a":1,"a":1}', b'"\\ud800"', b'{"a":"\\udfff\\ud800"}', b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\x00"}', b"{" + b" " * MAX_EVENT_BYTES,
    ],
)  # fmt: skip
def test_hostile_json_is_malformed_and_said_so_in_a_line(raw: bytes) -> None:
    with pytest.raises(MalformedEvent) as refused:
        parse_event(raw)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("name", "hostile"),
    [
        ("v", "2" * 400), ("v", "9007199254740993"), ("seq", "1e2"), ("seq", "true"),
        ("body", "[]"), ("body", "null"), ("tags", "[]"), ("by", '"AAAA"'), ("ref", "null"),
        ("signature", "0"),
        ("type", '"report\\n"'), ("report", '"' + "a" * 26 + '\\n"'),
    ],
)  # fmt: skip
def test_hostile_parts_are_malformed(name: str, hostile: str) -> None:
    tree = tree_of(signed())
    mark = f"@{name}@"
    raw = canonical(tree | {name: mark}).replace(f'"{mark}"'.encode(), hostile.encode())
    with pytest.raises(MalformedEvent):
        parse_event(raw)


def test_a_key_given_twice_is_refused() -> None:
    raw = signed().raw.replace(b'"seq":0', b'"seq":0,"seq":0')
    with pytest.raises(MalformedEvent, match="canonical"):
        parse_event(raw)


@pytest.mark.parametrize("opening", [b'{"a":', b"["])
def test_nesting_ends_at_the_limit_whatever_the_stack_has_left(opening: bytes) -> None:
    def nested(levels: int) -> bytes:
        tree = tree_of(signed()) | {"x": "@"}
        closing = b"}" if opening == b'{"a":' else b"]"
        inner = opening * levels + b"1" + closing * levels
        return resigned(msgspec.json.decode(canonical(tree).replace(b'"@"', inner)))

    assert parse_event(nested(MAX_NESTING - 1)).known
    with pytest.raises(MalformedEvent, match=f"deeper than {MAX_NESTING}"):
        parse_event(nested(MAX_NESTING))


def test_signing_refuses_what_is_no_text() -> None:
    broken = msgspec.structs.replace(REPORT, brands=("\ud800",))
    with pytest.raises(MalformedEvent, match="surrogate"):
        signed(broken)


def test_signing_refuses_a_body_of_another_type() -> None:
    with pytest.raises(MalformedEvent, match="Withdrawal"):
        sign_event(KEY, origin=ORIGIN, type="withdrawal", body=REPORT)
    with pytest.raises(MalformedEvent, match="none of"):
        sign_event(KEY, origin=ORIGIN, type="novelty", body=REPORT)


# Limits, exact at the edge


def with_names(values: int, characters: int) -> Report:
    names = tuple(f"{n:0{characters}}" for n in range(values))
    return msgspec.structs.replace(REPORT, account=Subject(name=names))


def test_values_and_characters_end_at_the_limit() -> None:
    assert signed(with_names(MAX_VALUES, MAX_VALUE_CHARACTERS)).known
    with pytest.raises(MalformedEvent, match=r"name"):
        signed(with_names(MAX_VALUES + 1, 2))
    with pytest.raises(MalformedEvent, match=r"name"):
        signed(with_names(1, MAX_VALUE_CHARACTERS + 1))
    assert signed(
        msgspec.structs.replace(REPORT, account=Subject(name=("\U0001f600" * 512,)))
    ).known


def test_an_event_ends_at_its_size() -> None:
    tree = tree_of(signed()) | {"x": ""}
    room = MAX_EVENT_BYTES - len(resigned(tree))
    assert len(parse_event(resigned(tree | {"x": "x" * room})).raw) == MAX_EVENT_BYTES
    with pytest.raises(MalformedEvent, match=f"where {MAX_EVENT_BYTES} are allowed"):
        parse_event(resigned(tree | {"x": "x" * (room + 1)}))


def test_tags_end_at_eight() -> None:
    assert signed(tags={str(n): "t" for n in range(8)}).known
    with pytest.raises(MalformedEvent, match="tags"):
        signed(tags={str(n): "t" for n in range(9)})
    with pytest.raises(MalformedEvent, match="tags"):
        signed(tags={"x" * 129: "t"})


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("corroboration", Corroboration(version=1, confirmed_by=("court",), confirmed_on="2026-01"),
         Corroboration(version=0, confirmed_by=("court",), confirmed_on="2026-01")),
        ("corroboration", Corroboration(version=1, confirmed_by=STANDARDS, confirmed_on="2026-12"),  # type: ignore[arg-type]
         Corroboration(version=1, confirmed_by=(), confirmed_on="2026-12")),
        ("dispute", Dispute(code="a" * 64), Dispute(code="a" * 65)),
        ("dispute", Dispute(code="not_me"), Dispute(code="it was not me")),
        ("dispute", Dispute(code="not_me"), Dispute(code="not_me\n")),
        ("erasure", Erasure(indices=tuple(range(5000)), code="request"),
         Erasure(indices=tuple(range(5001)), code="request")),
        ("erasure", Erasure(indices=(0,), code="request"), Erasure(indices=(-1,), code="request")),
        ("act", Act(act="joined", target="x" * 128), Act(act="joined", target="x" * 129)),
        ("act", Act(act="joined"), Act(act="joined", count=0)),
        ("registration", Registration(brand="Acme", official=("h1:x",) * 500),
         Registration(brand="Acme", official=("h1:x",) * 501)),
        ("key", IssuerKey(id="k", public_key="", not_before="2026-03-01T23Z"),
         IssuerKey(id="k", public_key="", not_before="2026-03-01T24Z")),
        ("terms", Terms(version="1", digest="0" * 64), Terms(version="1", digest="0" * 64 + "\n")),
        ("outcome", Outcome(outcome="blocked"), Outcome(outcome="jailed")),  # type: ignore[arg-type]
        ("withdrawal", Withdrawal(reason="error"), Withdrawal(reason="sorry")),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_bodies_end_at_their_limits(kind: str, good: Any, bad: Any) -> None:
    assert sign_event(KEY, origin=ORIGIN, type=kind, body=good).body() == good
    with pytest.raises(MalformedEvent, match=f"{kind} body"):
        sign_event(KEY, origin=ORIGIN, type=kind, body=bad)


def test_every_type_has_a_body() -> None:
    assert len(BODIES) == 17
    assert all(issubclass(body, msgspec.Struct) for body in BODIES.values())
