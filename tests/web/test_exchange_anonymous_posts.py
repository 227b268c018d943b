"""Anonymous posts from outside: what is taken, what is refused in which words, and what is kept."""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

import httpx
import msgspec
import pytest
from sqlalchemy import text as sql
from tests.exchange.acting import Actor, Draft, SetClock, show, text
from tests.web.serving import Served
from tests.web.test_exchange_api import events, following, post, problem

from acx.credentials.element import ELEMENT_BYTES
from acx.credentials.issuance import enrol
from acx.credentials.keys import SecretKey
from acx.credentials.presentation import present
from acx.exchange.intake import proofs
from acx.exchange.intake.proofs import Claim, Proofs, Refutation
from acx.exchange.storage.schema import metadata
from acx.records.event import DAILY_LIMIT, rate_context
from acx.web.logs import JsonLines

Damage = Callable[[bytes], bytes]

# U ‖ U'Commit ‖ m1Commit ‖ tag ‖ challenge ‖ …
DAMAGES: dict[str, tuple[str, Damage]] = {
    "too short": ("presentation-length", lambda shown: shown[:-1]),
    "too long": ("presentation-length", lambda shown: shown + b"\0"),
    "empty": ("presentation-length", lambda shown: b""),
    "no point": ("presentation-point", lambda shown: b"\x02" + b"\xff" * 32 + shown[33:]),
    "uncompressed": ("presentation-point", lambda shown: b"\x04" + shown[1:]),
    "identity": ("presentation-identity", lambda shown: bytes(33) + shown[33:]),
    "a number not reduced": (
        "presentation-number",
        lambda shown: shown[:132] + b"\xff" * 32 + shown[164:],
    ),
    "a changed bit": ("invalid-presentation", lambda shown: shown[:-1] + bytes([shown[-1] ^ 1])),
    "another point": ("invalid-presentation", lambda shown: shown[33:66] + shown[33:]),
    "another tag": ("invalid-presentation", lambda shown: shown[:99] + shown[:33] + shown[132:]),
}


@pytest.fixture
def member(exchange: Served, clock: SetClock) -> Actor:
    return exchange.join("A", clock=clock)


def stand(draft: Draft) -> str:
    return next(context for context in draft.presentations if context.startswith("stand"))


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_a_damaged_presentation_is_told_by_what_anyone_can_see_of_it(
    exchange: Served, member: Actor, damage: str
) -> None:
    name, change = DAMAGES[damage]
    draft = member.report(exchange.service)
    honest = draft.presentations[stand(draft)]
    draft.presentations[stand(draft)] = text(change(base64.b64decode(honest)))
    size = exchange.service.published.size
    detail = problem(post(exchange, draft), 422, name)
    assert stand(draft) in detail
    assert exchange.service.published.size == size
    draft.presentations[stand(draft)] = honest
    assert post(exchange, draft).status_code == 200


@pytest.mark.parametrize("missing", ["one", "all", "none and one too many", "another context"])
def test_each_tag_has_one_presentation(exchange: Served, member: Actor, missing: str) -> None:
    draft = member.report(exchange.service)
    shown = draft.presentations.pop(stand(draft))
    if missing == "all":
        draft.presentations.clear()
    elif missing == "another context":
        draft.presentations["stand/" + "a" * 26 + "/1"] = shown
    elif missing != "one":
        draft.presentations |= dict.fromkeys((*draft.event.tags, "more"), shown)
    problem(post(exchange, draft), 422, "missing-presentation")


def test_what_is_no_base64_is_told(exchange: Served, member: Actor) -> None:
    draft = member.report(exchange.service)
    draft.presentations[stand(draft)] = "?" * 348
    problem(post(exchange, draft), 422, "malformed-presentation")


def test_every_proof_that_fails_is_answered_in_one_wording(
    exchange: Served, member: Actor, clock: SetClock
) -> None:
    """Another event, context, key or limit, and a bit: a forger learns nothing from the answer."""
    other = exchange.join("B", clock=clock)
    theirs = other.report(exchange.service)
    _, credential = member.credential(exchange.service)
    told = set()
    for wrong in ("event", "context", "key", "bit", "nonce"):
        draft = member.report(exchange.service)
        context = stand(draft)
        rate = rate_context(clock.day)
        if wrong == "event":
            again = Draft(member, draft.key, theirs.event, {})
            show(again, credential, [context], {rate: member.nonce - 1})
            draft.presentations = again.presentations
        elif wrong == "context":
            shown = member.report(exchange.service).presentations
            draft.presentations[rate] = shown[rate]
        elif wrong == "key":
            draft.presentations |= _under_another_key(exchange, member, draft)
        elif wrong == "nonce":
            counted = present(
                credential,
                context=rate.encode(),
                limit=DAILY_LIMIT,
                nonce=DAILY_LIMIT - 1,
                message=b"",
            )
            draft.presentations[rate] = text(counted.encode())
        else:
            raw = bytearray(base64.b64decode(draft.presentations[context]))
            raw[-1] ^= 1
            draft.presentations[context] = text(bytes(raw))
        answer = post(exchange, draft)
        detail = problem(answer, 422, "invalid-presentation")
        told.add(detail.replace(context, "CONTEXT").replace(rate, "CONTEXT"))
    # What is not of the event's own tag can be seen; all else is one answer.
    assert len(told) == 2
    assert post(exchange, theirs).status_code == 200


def _under_another_key(exchange: Served, member: Actor, draft: Draft) -> dict[str, str]:
    forged = SecretKey.generate()
    response = enrol(forged, member.asked.request)
    credential = member.asked.finalize(response, forged.public_key)
    again = Draft(member, draft.key, draft.event, {})
    show(again, credential, [stand(draft)], {})
    return again.presentations


def test_a_presentation_is_good_for_one_event(exchange: Served, member: Actor) -> None:
    first = member.report(exchange.service)
    assert post(exchange, first).status_code == 200
    member.nonce -= 1
    replayed = member.report(exchange.service)
    rate = rate_context(member.clock.day)
    replayed.presentations[rate] = first.presentations[rate]
    problem(post(exchange, replayed), 409, "tag-spent")


def test_a_full_pool_says_come_again_and_the_stream_goes_on(
    exchange: Served, member: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = [member.report(exchange.service) for _ in range(3)]
    monkeypatch.setattr(proofs, "WAITING_PER_PROCESS", 0)
    size = exchange.service.published.size
    with following(exchange, member) as lines:
        answer = post(exchange, drafts[0])
        assert "again later" in problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
        withdrawn = exchange.join("C", "brand", clock=member.clock)
        assert withdrawn.token
        assert events(lines, size + 1)
    monkeypatch.undo()
    assert post(exchange, drafts[0]).status_code == 200


def test_a_verifying_process_that_dies_is_replaced() -> None:
    pool = Proofs(1)
    nothing = Claim(bytes(31) + b"\1" + (bytes(31) + b"\1") * 3, b"", b"", ())
    try:
        assert pool.refute(nothing).result(60) is None
        executor = pool._executor
        assert executor is not None
        for process in list(executor._processes.values()):
            process.kill()
            process.join()
        verdicts: list[Future[Refutation | None]] = []
        while not verdicts or verdicts[-1].exception(60) is not None:
            verdicts.append(pool.refute(nothing))
        assert verdicts[-1].result() is None
        assert pool._waiting == 0
    finally:
        pool.close()


@pytest.mark.parametrize("size", [8 << 10, 128 << 10])
def test_padding_is_taken_and_so_is_none(exchange: Served, member: Actor, size: int) -> None:
    draft = member.report(exchange.service)
    padded = draft.body.ljust(size)
    first = exchange.http.post("/v1/events", content=padded)
    assert first.status_code == 200
    assert post(exchange, draft).content == first.content


def test_nothing_that_tells_members_apart_is_kept_logged_or_counted(
    exchange: Served, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Two members post by ways that could be told apart; nothing of that is to be found after."""
    names = ("Alpha Unmistakable", "Beta Unmistakable")
    actors = [exchange.join(name, clock=clock) for name in names]
    agents = ("AgentOfAlpha/1", "AgentOfBeta/2")
    secrets: set[str] = set(agents)
    with caplog.at_level(logging.DEBUG):
        for actor, agent in zip(actors, agents, strict=True):
            draft = actor.report(exchange.service)
            headers = {
                "User-Agent": agent,
                "Cookie": f"session={agent}",
                "X-Forwarded-For": "203.0.113.77",
                "Authorization": f"Bearer {actor.token}",
            }
            with httpx.Client(base_url=exchange.url, headers=headers, timeout=30) as http:
                assert http.post("/v1/events", content=draft.body).status_code == 200
                port = _port(http)
            other = actors[actor is actors[0]]
            assert post(exchange, other.corroborate(exchange.service, draft.event)).is_success
            secrets |= {"203.0.113.77", actor.token, actor.public, str(port)}
            secrets |= set(draft.presentations.values())
    logged = "\n".join(
        JsonLines().format(record) for record in caplog.records if record.name[:3] != "htt"
    )
    figures = msgspec.json.encode(
        [
            (sample.name, sorted(sample.labels.items()))
            for family in exchange.metrics.registry.collect()
            for sample in family.samples
        ]
    ).decode()
    with exchange.exchange._database.read() as connection:
        rows = {
            table.name: connection.execute(table.select()).mappings().all()
            for table in metadata.sorted_tables
        }
    posted = {
        name: str([dict(row) for row in found])
        for name, found in rows.items()
        if name not in {"members", "invites", "credentials"}
    }
    for secret in secrets | set(names) | {"Unmistakable"}:
        assert secret not in logged, secret
        assert secret not in figures, secret
        for name, found in posted.items():
            assert secret not in found, (name, secret)
    # Of who joined, nothing leads to what was posted: no row of the one names one of the other.
    members = {row["id"] for row in rows["members"]} | {
        row["member_key"] for row in rows["members"]
    }
    for name in ("entries", "event_keys", "tags", "checkpoints"):
        for row in rows[name]:
            assert not members & {str(value) for value in row.values()}
    assert {key for row in rows["entries"] for key in row} == {
        "index", "event_id", "type", "report", "by", "seq", "at", "entry", "ciphertext",
    }  # fmt: skip
    with exchange.exchange._database.read() as connection:
        hours = connection.execute(sql('SELECT DISTINCT "at" FROM entries')).scalars().all()
    assert all(len(hour) == len("2026-11-25T02Z") for hour in hours)


def _port(http: httpx.Client) -> int:
    """Our own port of the connection that was used; ports differ, and 5 digits are no accident."""
    (connection,) = http._transport._pool.connections  # type: ignore[attr-defined]
    stream = connection._connection._network_stream
    port: int = stream.get_extra_info("client_addr")[1]
    return port


def test_the_tag_stands_where_the_intake_looks_for_it(exchange: Served, member: Actor) -> None:
    draft = member.report(exchange.service)
    for context, shown in draft.presentations.items():
        raw = base64.b64decode(shown)
        assert text(raw[3 * ELEMENT_BYTES : 4 * ELEMENT_BYTES]) == draft.event.tags[context]


def test_posts_at_once_are_all_answered(exchange: Served, member: Actor) -> None:
    drafts = [member.report(exchange.service) for _ in range(12)]
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda d=draft: answers.append(post(exchange, d).status_code))
        for draft in drafts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 12
