"""TAXII 2.1, over real sockets: with taxii2-client, and with requests written by hand."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from taxii2client.common import TokenAuth  # type: ignore[import-untyped]
from taxii2client.v21 import (  # type: ignore[import-untyped]
    ApiRoot,
    Collection,
    Server,
    as_pages,
)
from tests.exchange.acting import Actor, SetClock, about
from tests.interchange.validating import problems_of
from tests.web.serving import Served

from acx.interchange.stix import slots
from acx.member.client import ExchangeClient
from acx.member.export import export
from acx.member.replica import Replica, Trust
from acx.member.sync import sync
from acx.web.taxii.errors import TAXII, NotAcceptable
from acx.web.taxii.negotiation import check_accept

OBJECTS = "/taxii2/v1/collections/reports/objects/"
EXAMPLE = Path(__file__).parents[2] / "examples" / "interchange" / "follow_taxii.py"
MANIFEST = "/taxii2/v1/collections/reports/manifest/"


@pytest.fixture
def member(exchange: Served, clock: SetClock) -> Actor:
    return exchange.join("store", clock=clock)


@pytest.fixture
def collection(exchange: Served, member: Actor) -> Iterator[Collection]:
    """As taxii2-client finds it, from the discovery address and a member's token alone."""
    server = Server(f"{exchange.url}/taxii2/", user="store", password=member.token)
    (root,) = server.api_roots
    assert server.default is root
    (found,) = root.collections
    yield found
    root.close()
    server.close()


def report(exchange: Served, member: Actor, name: str, **more: Any) -> str:
    """Post a report and give its id."""
    more = {"email": (f"{name.lower()}@shop.example",)} | more
    return member.report(exchange.service, about(name, **more)).post(exchange.service).report


def pages(collection: Collection, limit: int, **filters: Any) -> list[dict[str, Any]]:
    return [
        made
        for envelope in as_pages(collection.get_objects, per_request=limit, **filters)
        for made in envelope.get("objects", [])
    ]


def get(exchange: Served, member: Actor, path: str, **query: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {member.token}", "Accept": TAXII}
    return exchange.http.get(path, params=query, headers=headers)


def test_taxii2_client_reads_everything(
    exchange: Served, member: Actor, collection: Collection
) -> None:
    reports = [report(exchange, member, name) for name in ("Maria", "Jo", "Wei")]
    assert (collection.title, collection.can_read, collection.can_write) == ("Reports", True, False)
    told = pages(collection, limit=5)
    assert {slots(each)["report"] for each in reports} <= {made["id"] for made in told}
    assert told == collection.get_objects()["objects"]
    assert problems_of(told) == []
    manifest = collection.get_manifest()["objects"]
    assert [record["id"] for record in manifest] == [made["id"] for made in told]
    added = [record["date_added"] for record in manifest]
    assert added == sorted(set(added))
    for made, record in list(zip(told, manifest, strict=True))[::3]:
        assert collection.get_object(made["id"])["objects"] == [made]
        assert collection.object_versions(made["id"])["versions"] == [record["version"]]
        if "modified" in made:
            assert record["version"] == made["modified"]
            assert collection.get_manifest(version=made["modified"], id=made["id"])["objects"]


def test_a_client_that_comes_again_gets_what_is_new(
    exchange: Served, member: Actor, collection: Collection
) -> None:
    first = report(exchange, member, "Maria")
    told = get(exchange, member, OBJECTS)
    last = told.headers["X-TAXII-Date-Added-Last"]
    assert told.headers["X-TAXII-Date-Added-First"] < last
    assert collection.get_objects(added_after=last) == {"more": False}
    second = report(exchange, member, "Jo")
    new = collection.get_objects(added_after=last)["objects"]
    assert slots(second)["report"] in {made["id"] for made in new}
    assert slots(first)["report"] not in {made["id"] for made in new}


def test_the_example_follows_from_run_to_run(
    exchange: Served, member: Actor, tmp_path: Path
) -> None:
    (tmp_path / "token.txt").write_text(member.token)

    def run() -> set[str]:
        files = (str(tmp_path / "token.txt"), str(tmp_path / "place.txt"))
        command = [sys.executable, str(EXAMPLE), f"{exchange.url}/taxii2/", *files]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return {json.loads(line)["id"] for line in told.splitlines()}

    first = slots(report(exchange, member, "Maria"))["report"]
    assert first in run()
    second = slots(report(exchange, member, "Jo"))["report"]
    new = run()
    assert second in new
    assert first not in new
    assert run() == set()


def test_opencti_asks_with_the_time_of_its_last_visit(
    exchange: Served, member: Actor, collection: Collection, clock: SetClock
) -> None:
    """Its connector sends when it ran last, and then `next` alone until there is no more."""
    visited = clock.moment
    clock.pass_(minutes=1)
    wanted = [report(exchange, member, name) for name in ("Maria", "Jo", "Wei")]
    filters: dict[str, Any] = {"limit": 4, "added_after": visited}
    told = []
    while True:
        envelope = collection.get_objects(**filters)
        told += [made["id"] for made in envelope.get("objects", [])]
        if not envelope["more"]:
            break
        filters.pop("added_after", None)
        filters["next"] = envelope["next"]
    assert {slots(each)["report"] for each in wanted} <= set(told)


def test_withdrawn_and_erased_reports_come_revoked_without_what_they_said(
    exchange: Served, member: Actor, collection: Collection
) -> None:
    draft = member.report(exchange.service, about("Maria", email=("maria@shop.example",)))
    withdrawn = draft.post(exchange.service).report
    erased = report(exchange, member, "Jo")
    before = collection.get_objects()["objects"]
    last = get(exchange, member, OBJECTS).headers["X-TAXII-Date-Added-Last"]
    member.withdraw(exchange.service, draft).post(exchange.service)
    proposal = exchange.exchange.erase(erased, "reporter_error", "ann")
    exchange.exchange.approve(proposal, "bob")
    new = collection.get_objects(added_after=last)["objects"]
    versions = {made["id"]: made for made in new}
    for made in before:
        if made["id"] in {*slots(withdrawn).values(), *slots(erased).values()}:
            assert versions[made["id"]]["revoked"]
            assert versions[made["id"]]["modified"] > made["modified"]
    everything = collection.get_objects()["objects"]
    assert problems_of(everything) == []
    told = str(everything).lower()
    assert "maria" not in told
    assert "jo@shop" not in told
    observable = next(made for made in before if made.get("value") == "maria@shop.example")
    assert get(exchange, member, f"{OBJECTS}{observable['id']}/").status_code == 404


def test_the_same_report_is_the_same_objects_on_a_replica(
    exchange: Served, member: Actor, collection: Collection, clock: SetClock, tmp_path: Path
) -> None:
    first = member.report(exchange.service, about("Maria"))
    first.post(exchange.service)
    second = member.report(exchange.service, about("Jo", website=("fakes.example",)))
    second.post(exchange.service)
    clock.pass_(hours=1)
    member.amend(exchange.service, second, about("Jo")).post(exchange.service)
    member.withdraw(exchange.service, first).post(exchange.service)
    replica = Replica.create(tmp_path / "replica", Trust.of(member.invite))
    sync(replica, ExchangeClient(exchange.url, token=member.token))
    export(replica, tmp_path / "reports.json", format="stix")
    replica.close()
    exported = json.loads((tmp_path / "reports.json").read_bytes())["objects"]
    served_ = {made["id"]: made for made in pages(collection, limit=100)}
    assert served_ == {made["id"]: made for made in exported}


def test_readers_miss_nothing_while_reports_are_posted(
    exchange: Served, member: Actor, collection: Collection
) -> None:
    rounds = 10
    posted: list[str] = []
    together = threading.Barrier(4)

    def post() -> None:
        for number in range(rounds):
            together.wait(60)
            posted.append(report(exchange, member, f"N{number}"))

    def read(found: set[str]) -> None:
        query: dict[str, Any] = {"limit": 9}
        with httpx.Client(base_url=exchange.url, auth=("", member.token)) as client:
            for step in range(rounds + 1):
                if step < rounds:
                    together.wait(60)
                else:
                    posting.join(60)
                more = True
                while more:
                    envelope = client.get(OBJECTS, params=query).json()
                    found.update(made["id"] for made in envelope.get("objects", []))
                    more = envelope["more"]
                    query |= {"next": envelope["next"]} if more else {}

    posting = threading.Thread(target=post)
    told: list[set[str]] = [set() for _ in range(3)]
    threads = [posting, *(threading.Thread(target=read, args=(found,)) for found in told)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(posted) == rounds
    for found in told:
        assert {slots(each)["report"] for each in posted} <= found


def test_filters_pick_by_type_id_version_and_specification(
    exchange: Served, member: Actor, collection: Collection
) -> None:
    ids = slots(report(exchange, member, "Maria", website=("fakes.example",)))
    types = ["indicator", "domain-name"]
    assert {made["type"] for made in collection.get_objects(type=types)["objects"]} == set(types)
    both = [ids["report"], ids["subject"]]
    assert {made["id"] for made in collection.get_objects(id=both)["objects"]} == set(both)
    assert collection.get_objects(spec_version="2.1", id=both)["objects"]
    assert collection.get_objects(spec_version=["2.0", "2.1"], id=both)["objects"]
    assert collection.get_objects(spec_version="2.0") == {"more": False}
    for version in ("first", "last", "all"):
        assert get(exchange, member, OBJECTS, **{"match[version]": version}).json()["objects"]
    assert collection.get_objects(version="2001-01-01T00:00:00Z") == {"more": False}


OUT_OF_RANGE: list[tuple[str, str]] = [
    ("limit", "0"),
    ("limit", "-1"),
    ("limit", "ten"),
    ("limit", "9" * 40),
    ("limit", "٣"),
    ("next", "x"),
    ("next", "-1.0"),
    ("next", "9" * 40 + ".1"),
    ("added_after", "yesterday"),
    ("added_after", "2026-13-01T00:00:00Z"),
    ("added_after", "2026-11-25T07:00:00"),
    ("added_after", "0000-01-01T00:00:00Z"),
    ("match[version]", "newest"),
    ("match[colour]", "red"),
]


def test_what_is_out_of_range_is_told_in_taxiis_form(exchange: Served, member: Actor) -> None:
    for path, (name, value) in product((OBJECTS, MANIFEST), OUT_OF_RANGE):
        answer = get(exchange, member, path, **{name: value})
        error = answer.json()
        assert (answer.status_code, error["http_status"]) == (400, "400"), (name, value)
        assert answer.headers["Content-Type"] == TAXII
        assert name.partition("[")[0] in error["description"]
        assert set(error) == {"title", "description", "error_code", "http_status"}


def test_a_page_is_no_larger_than_pages_are(exchange: Served, member: Actor) -> None:
    report(exchange, member, "Maria")
    assert get(exchange, member, OBJECTS, limit=10**9).status_code == 200
    far = get(exchange, member, OBJECTS, next=f"{10**16}.0")
    assert far.json() == {"more": False}
    assert "X-TAXII-Date-Added-Last" not in far.headers
    future = get(exchange, member, OBJECTS, added_after="9999-12-31T23:59:59.999999999Z")
    assert future.json() == {"more": False}


def test_only_members_read(exchange: Served, member: Actor) -> None:
    basic = base64.b64encode(f"anybody:{member.token}".encode()).decode()
    wrong = base64.b64encode(b"anybody:wrong").decode()
    paths = ("/taxii2/", "/taxii2/v1/", "/taxii2/v1/collections/", OBJECTS, MANIFEST)
    for path in paths:
        for good in (f"Bearer {member.token}", f"bearer {member.token}", f"Basic {basic}"):
            assert exchange.http.get(path, headers={"Authorization": good}).status_code == 200
        for bad in ("", "Bearer", "Bearer wrong", f"Basic {wrong}", "Basic ???", "Digest x"):
            answer = exchange.http.get(path, headers={"Authorization": bad} if bad else {})
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")
            assert answer.headers["Content-Type"] == TAXII
    exchange.exchange.suspend("store")
    assert {get(exchange, member, path).status_code for path in paths} == {403}


def test_nothing_is_written_here(exchange: Served, member: Actor) -> None:
    headers = {"Authorization": f"Bearer {member.token}"}
    for method, path, status in (
        ("POST", OBJECTS, 403),
        ("DELETE", f"{OBJECTS}identity--x/", 403),
        ("PUT", OBJECTS, 405),
    ):
        answer = exchange.http.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["http_status"]) == (status, str(status))


def test_what_is_not_there_is_told_in_taxiis_form(exchange: Served, member: Actor) -> None:
    for path in (
        "/taxii2/v1",
        "/taxii2/v2/",
        "/taxii2/v1/status/1/",
        "/taxii2/v1/collections/other/",
        "/taxii2/v1/collections/other/objects/",
        f"{OBJECTS}identity--00000000-0000-4000-8000-000000000000/",
        f"{OBJECTS}x/versions/",
        f"{OBJECTS}%00/",
    ):
        answer = get(exchange, member, path)
        assert (answer.status_code, answer.json()["http_status"]) == (404, "404"), path


def test_every_address_that_openapi_tells_answers(exchange: Served, member: Actor) -> None:
    report_ = slots(report(exchange, member, "Maria"))["report"]
    paths = exchange.get("/openapi.json").json()["paths"]
    told = [path for path in paths if path.startswith("/taxii2/")]
    assert len(told) == 8
    for path in told:
        address = path.format(collection="reports", object=report_)
        assert get(exchange, member, address).status_code == 200


def test_other_media_types_are_not_acceptable(exchange: Served, member: Actor) -> None:
    headers = {"Authorization": f"Bearer {member.token}", "Accept": "application/json"}
    answer = exchange.http.get("/taxii2/", headers=headers)
    assert answer.status_code == 406
    assert answer.headers["Content-Type"] == TAXII
    assert "application/taxii+json;version=2.1" in answer.json()["description"]


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/*",
        "application/taxii+json",
        "application/taxii+json;version=2.1",
        'application/taxii+json; version="2.1"',
        "Application/TAXII+JSON; Version=2.1",
        "text/html, application/taxii+json;version=2.1;q=0.5",
        "application/taxii+json;version=2.0, application/taxii+json;version=2.1",
    ],
)
def test_takes_whoever_takes_taxii_2_1(accept: str) -> None:
    check_accept(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/json",
        "application/taxii+json;version=2.0",
        "application/vnd.oasis.taxii+json; version=2.0",
        "application/taxii+json;version=2.1;q=0",
        "*/*;q=0.0",
        ",,;",
    ],
)
def test_refuses_whoever_takes_no_taxii_2_1(accept: str) -> None:
    with pytest.raises(NotAcceptable, match=r"version=2\.1"):
        check_accept(accept)


def test_the_scheme_of_a_token_alone_is_refused_by_name(exchange: Served, member: Actor) -> None:
    """taxii2-client's TokenAuth writes `Token`, which no register of schemes knows."""
    root = ApiRoot(f"{exchange.url}/taxii2/v1/", auth=TokenAuth(member.token))
    with pytest.raises(Exception, match="401"):
        root.refresh()
    root.close()


def test_times_tell_nothing_finer_than_the_hour(
    exchange: Served, member: Actor, clock: SetClock
) -> None:
    """How long after one another two reports came within an hour cannot be told."""
    first = report(exchange, member, "Maria")
    clock.pass_(minutes=40)
    second = report(exchange, member, "Jo")
    records = get(exchange, member, MANIFEST).json()["objects"]
    added = {record["id"]: datetime.fromisoformat(record["date_added"]) for record in records}
    apart = added[slots(second)["subject"]] - added[slots(first)["subject"]]
    assert timedelta() < apart < timedelta(seconds=1)
