"""Anonymous posts from outside: what is taken, what is refused in which words, and what is kept."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import generate_latest
from tests.exchange.acting import Actor, Draft, SetClock, about, event_at, feed, show, text
from tests.web.serving import Served
from tests.web.test_exchange_api import events, following, post, problem

from acx.credentials.element import ELEMENT_BYTES
from acx.credentials.issuance import enrol
from acx.credentials.keys import SecretKey
from acx.credentials.presentation import present, presentation_tag
from acx.credentials.single_use import single_use_tag
from acx.exchange.intake import proofs
from acx.exchange.intake.proofs import Claim, Proofs, Refutation
from acx.exchange.storage.schema import metadata
from acx.records.event import (
    DAILY_LIMIT,
    Answer,
    public_key_text,
    rate_context,
    report_id,
    stand_context,
)
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
    for wrong in ("event", "context", "key", "bit", "nonce", "limit"):
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
        elif wrong == "limit":
            draft = _beyond_the_limit(member, exchange, clock)
            context = stand(draft)
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


def _beyond_the_limit(member: Actor, exchange: Served, clock: SetClock) -> Draft:
    """The report after the day's last: proven under a limit that has presentations as long."""
    limit, nonce, rate = 16_384, DAILY_LIMIT, rate_context(clock.day)
    name, credential = member.credential(exchange.service)
    key = Ed25519PrivateKey.generate()
    context = stand_context(report_id(public_key_text(key)), 1)
    tags = {
        context: text(single_use_tag(credential, context.encode())),
        rate: text(presentation_tag(credential, rate.encode(), nonce)),
    }
    draft = member.sign(key, "report", about("Jo Doe"), tags=tags, issuer_key=name)
    show(draft, credential, [context], {})
    message = hashlib.sha256(draft.event.raw).digest()
    shown = present(credential, context=rate.encode(), limit=limit, nonce=nonce, message=message)
    draft.presentations[rate] = text(shown.encode())
    return draft


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


def test_a_clock_that_is_off_is_told_around_midnight_too(
    exchange: Served, member: Actor, clock: SetClock
) -> None:
    """Ten minutes either way pass; beyond, the answer says what to set."""
    clock.pass_(minutes=719)
    early, late = member.report(exchange.service), member.report(exchange.service)
    clock.pass_(minutes=10)
    assert post(exchange, early).status_code == 200
    clock.pass_(minutes=10)
    assert "set the clock" in problem(post(exchange, late), 422, "wrong-date")
    assert post(exchange, member.report(exchange.service)).status_code == 200


def test_contexts_and_keys_that_the_event_must_not_have_are_told_apart(
    exchange: Served, member: Actor, clock: SetClock
) -> None:
    name, _ = member.credential(exchange.service)
    key = Ed25519PrivateKey.generate()
    wrong = member.rated(exchange.service, key, about("Jo Doe"), ["stand/" + "a" * 26 + "/1"])
    problem(post(exchange, wrong), 422, "wrong-contexts")
    member.credentials["a" * 26] = member.credentials[name]
    unknown = member.report_under(exchange.service, "a" * 26)
    assert "key" in problem(post(exchange, unknown), 409, "wrong-issuer-key")


ISSUANCE: dict[str, tuple[str, Damage]] = {
    "too short": ("malformed-request", lambda request: request[:-1]),
    "too long": ("malformed-request", lambda request: request + b"\0"),
    "no point": ("malformed-request", lambda r: r[:33] + b"\x02" + b"\xff" * 32 + r[66:]),
    "uncompressed": ("malformed-request", lambda r: r[:33] + b"\x04" + r[34:]),
    "identity": ("malformed-request", lambda r: r[:33] + bytes(33) + r[66:]),
    "a number not reduced": ("malformed-request", lambda r: r[:66] + b"\xff" * 32 + r[98:]),
    "a changed bit": ("malformed-request", lambda r: r[:-1] + bytes([r[-1] ^ 1])),
    "another's commitment": ("foreign-commitment", lambda r: r[33:66] + r[33:]),
}


def test_a_damaged_request_for_a_credential_is_told_and_gets_none(
    exchange: Served, member: Actor
) -> None:
    exchange.exchange.rotate()
    exchange.service.issuer.refresh()
    key = exchange.service.issuer.keys[-1].term.id
    honest = base64.b64decode(member.credential_request)
    told = {}
    for damage, (name, change) in ISSUANCE.items():
        body = {"key": key, "request": text(change(honest))}
        answer = exchange.signed(member, "/v1/credentials", body)
        told[damage] = problem(answer, answer.status_code, name)
        assert answer.is_client_error
    assert told["too short"] != told["no point"] != told["identity"] != told["a changed bit"]
    answer = exchange.signed(member, "/v1/credentials", {"key": key, "request": text(honest)})
    assert answer.status_code == 200


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


def test_where_no_process_can_be_started_the_poster_is_told_to_come_again(
    exchange: Served, member: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = ProcessPoolExecutor(1)
    ended.shutdown()
    pool = Proofs(1)
    pool._executor = ended
    monkeypatch.setattr(exchange.service.intake, "_proofs", pool)
    draft = member.report(exchange.service)
    try:
        assert "again later" in problem(post(exchange, draft), 503, "unavailable")
        assert post(exchange, draft).status_code == 200
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
    exchange: Served, home: Path, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Three members say all that members say, by ways that could be told apart.

    What names or marks any of them is then looked for, in plain and encoded writings, in the logs,
    in the figures, in every table, in every event as the operator can open it, and in the bytes of
    every file, the write-ahead log among them.
    """
    with caplog.at_level(logging.DEBUG):
        callers = [Caller(exchange, clock, name) for name in ("Alpha", "Beta", "Gamma")]
        with ExitStack() as stack:
            streams = [stack.enter_context(following(exchange, c.actor)) for c in callers]
            for caller in callers:
                caller.say_everything(exchange, others=[c for c in callers if c is not caller])
            for lines in streams:
                assert events(lines, exchange.service.published.size)
        files = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    logged = "\n".join(
        JsonLines().format(record) for record in caplog.records if record.name[:3] != "htt"
    ).encode()
    figures = generate_latest(exchange.metrics.registry)
    tables = rows(exchange)
    said = [entry["event"] for entry in feed(exchange.service) if entry["event"]["tags"]]
    said += [e["event"] for e in feed(exchange.service) if e["event"]["type"] == "withdrawal"]
    assert {event["type"] for event in said} == POSTED
    posted = json.dumps(said).encode()
    # There is something to look through.
    assert b"issued" in logged
    assert b"acx_requests_total" in figures
    assert any(path.name.endswith("-wal") and data for path, data in files.items())
    of_members = b"".join(tables.pop(name) for name in ("members", "invites", "credentials"))
    whole_database = b"".join(data for path, data in files.items() if "sqlite" in path.name)
    beside_it = b"".join(data for path, data in files.items() if "sqlite" not in path.name)
    for caller in callers:
        for mark in caller.of_its_requests:
            for place in (logged, figures, posted, of_members, whole_database, beside_it):
                assert not found(mark, place), mark
        for mark in caller.of_its_membership:
            # Who is a member and what was issued to it is on record, and nothing else is.
            assert found(mark, of_members), mark
            for place in (logged, figures, posted, beside_it, *tables.values()):
                assert not found(mark, place), mark

    with exchange.exchange._database.read() as connection:
        entries = connection.execute(metadata.tables["entries"].select()).mappings().all()
    assert {key for row in entries for key in row} == {
        "index", "event_id", "type", "report", "by", "seq", "at", "entry", "ciphertext",
    }  # fmt: skip
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\dZ", row["at"]) for row in entries)
    keys = [row["by"] for row in entries if row["type"] in {"report", "corroboration", "outcome"}]
    assert len(set(keys)) == len(keys)


POSTED = {"report", "corroboration", "outcome", "amendment", "answer", "withdrawal"}


class Caller:
    """A member whose requests could be told from others' by all that requests have.

    Attributes:
        actor: the member.
        of_its_requests: what its anonymous requests brought along, which has to be nowhere.
        of_its_membership: what the exchange knows it by, which has to be beside no post.
    """

    def __init__(self, exchange: Served, clock: SetClock, name: str) -> None:
        self.actor = exchange.join(f"{name} Unmistakable", clock=clock)
        self.headers = {
            "User-Agent": f"AgentOf{name}/1",
            "Cookie": f"session=CookieOf{name}",
            "X-Forwarded-For": f"203.0.113.{70 + len(name)}",
            "Forwarded": f"for=ForwardedFor{name}",
            "X-Request-Id": f"RequestOf{name}",
            "Referer": f"https://RefererOf{name}.test/",
            "Accept-Language": f"x-{name}Language",
            "Authorization": f"Bearer {self.actor.token}",
        }
        self.of_its_requests = {value.encode() for value in self.headers.values()}
        self.of_its_requests |= {self.actor.token.encode()}
        self.of_its_membership = {
            f"{name} Unmistakable".encode(),
            self.actor.key.public_key().public_bytes_raw(),
            self.actor.invite.invite_id.encode(),
            hashlib.sha256(self.actor.token.encode()).digest(),
            self.actor.asked.request.commitment,
        }

    def say_everything(self, exchange: Served, others: list[Caller]) -> None:
        """Each kind of event that members post."""
        service, actor = exchange.service, self.actor
        report = actor.report(service)
        self.post(exchange, report)
        for other in others:
            other.post(exchange, other.actor.corroborate(service, report.event))
            other.post(exchange, other.actor.tell_outcome(service, report.event))
        amended = about("Jo Doe", email=("jo.doe@mail.test",))
        self.post(exchange, actor.amend(service, report, amended, versions=(1, 2)))
        dispute = exchange.exchange.disputes.open(report.event.report, "not_me", "ann")
        opened = next(
            event_at(service, entry["index"])
            for entry in reversed(feed(service))
            if entry["event"]["type"] == "dispute"
        )
        assert opened.id == dispute.id
        answer = actor.follow(
            service,
            "answer",
            Answer(answer="stands"),
            report.event,
            key=report.key,
            seq=2,
            ref=opened.id,
            versions=(2,),
        )
        self.post(exchange, answer)
        spare = actor.report(service)
        self.post(exchange, spare)
        self.post(exchange, actor.withdraw(service, spare))
        # What is refused leaves as little behind.
        assert self.request(exchange, report.body[:-20]).is_client_error
        assert self.request(exchange, actor.corroborate(service, report.event).body).is_client_error

    def post(self, exchange: Served, draft: Draft) -> None:
        answer = self.request(exchange, draft.body)
        assert answer.is_success, answer.text
        self.of_its_requests |= {base64.b64decode(shown) for shown in draft.presentations.values()}

    def request(self, exchange: Served, body: bytes) -> httpx.Response:
        """Post over a connection of its own, from an address of its own."""
        with httpx.Client(base_url=exchange.url, headers=self.headers, timeout=30) as http:
            answer = http.post("/v1/events", content=body)
            self.of_its_requests.add(f"127.0.0.1:{_port(http)}".encode())
        return answer


def found(mark: bytes, data: bytes) -> bool:
    """Whether something stands in data, as it is or in hexadecimal or base64."""
    writings = (mark, mark.hex().encode(), base64.b64encode(mark), base64.urlsafe_b64encode(mark))
    return any(writing in data for writing in writings)


def rows(exchange: Served) -> dict[str, bytes]:
    """Each table's values as bytes, one after the other."""
    with exchange.exchange._database.read() as connection:
        return {
            table.name: b"\n".join(
                value if isinstance(value, bytes) else str(value).encode()
                for row in connection.execute(table.select())
                for value in row
            )
            for table in metadata.sorted_tables
        }


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
