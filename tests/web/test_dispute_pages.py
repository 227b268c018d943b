"""The accused's pages, and texts for the operators, over a real socket."""

from __future__ import annotations

import base64
import email
import email.policy
import logging
import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.exchange.acting import Actor, Draft, SetClock, about, event_at, feed
from tests.web.serving import Served

from acx.exchange.governance.control import DomainCheck
from acx.records.event import Event, public_key_text
from acx.records.report import Report
from acx.records.sealed_text import Exhibit, Message, seal_text, text_statement

BODY = about(
    "Jo Doe",
    email=("jo@shoes.example", "other@mail.example"),
    phone=("+4930123456",),
    website=("shoes.example",),
)


@pytest.fixture
def actor(exchange: Served, clock: SetClock) -> Actor:
    return exchange.join("A", clock=clock)


@pytest.fixture
def reported(exchange: Served, actor: Actor) -> Draft:
    return posted(exchange, actor, BODY)


@pytest.fixture
def mailbox(home: Path, exchange: Served) -> Mailbox:
    return Mailbox(home / "outgoing", exchange)


class Mailbox:
    """What arrives at the addresses that letters go to."""

    def __init__(self, directory: Path, exchange: Served) -> None:
        self._directory = directory
        self._exchange = exchange

    def letters(self) -> list[tuple[str, str]]:
        """Each letter's address and text; those on their way are waited for."""
        self._exchange.service.accused._post.submit(int).result(30)
        letters = []
        for file in sorted(self._directory.glob("*.eml")):
            letter = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            letters.append((letter["To"], letter.get_content()))
        return letters

    def code(self, address: str) -> str:
        """The last code that went to an address."""
        text = [text for to, text in self.letters() if to == address][-1]
        found = re.search(r"[A-Z0-9]{5}-[A-Z0-9]{5}", text)
        assert found
        return found[0]


class Form(HTMLParser):
    """The fields of a page's form."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.text = ""
        self.scripts = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "input" and found.get("name"):
            self.fields[found["name"] or ""] = found.get("value") or ""
        self.scripts += tag == "script" or any(name.startswith("on") for name in found)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_who_controls_an_address_sees_it_and_the_kinds_of_the_rest(
    exchange: Served, reported: Draft, mailbox: Mailbox
) -> None:
    claimed = ask(exchange, "/dispute", value="JO@shoes.example")
    shown = ask(
        exchange,
        "/dispute/proof",
        claim=claimed.fields["claim"],
        code=mailbox.code("jo@shoes.example"),
    )
    assert "jo@shoes.example" in shown.text
    assert reported.event.report in shown.text
    assert "phone numbers" in shown.text
    for secret in ("Jo Doe", "other@mail", "30123456", "sold_counterfeits", "test_buy"):
        assert secret not in shown.text


def test_nobody_is_told_at_once_whether_there_is_a_record(
    exchange: Served, reported: Draft, mailbox: Mailbox
) -> None:
    held, free = (
        exchange.http.post("/dispute", data={"value": value})
        for value in ("jo@shoes.example", "no@shoes.example")
    )
    assert held.status_code == free.status_code == 200
    blank = [re.sub(r"value='[^']*'", "", page.text.replace(f"{name}@shoes", "x@shoes"))
             for page, name in ((held, "jo"), (free, "no"))]  # fmt: skip
    assert blank[0] == blank[1]
    assert sorted(to for to, _ in mailbox.letters()) == ["jo@shoes.example", "no@shoes.example"]
    none = ask(
        exchange,
        "/dispute/proof",
        claim=Form(free.text).fields["claim"],
        code=mailbox.code("no@shoes.example"),
    )
    assert "No report" in none.text


def test_a_wrong_code_shows_nothing_and_cannot_be_guessed(
    exchange: Served, reported: Draft
) -> None:
    claimed = ask(exchange, "/dispute", value="jo@shoes.example")
    answers = [
        exchange.http.post(
            "/dispute/proof", data={"claim": claimed.fields["claim"], "code": f"BBBBB-BBBB{n}"}
        )
        for n in range(2, 9)
    ]
    assert {answer.status_code for answer in answers[:6]} == {400}
    assert answers[6].status_code == 429
    assert all(reported.event.report not in answer.text for answer in answers)


def test_who_owns_a_domain_sees_what_is_of_it(exchange: Served, reported: Draft) -> None:
    lines: list[str] = []
    exchange.service.accused._check = DomainCheck(lambda _name: lines, lambda _domain: "")
    page = exchange.http.post("/dispute", data={"value": "https://shoes.example/"})
    claimed = Form(page.text)
    found = re.search(r"acx-dispute=[0-9a-f]{40}", claimed.text)
    assert found
    early = exchange.http.post("/dispute/proof", data={"claim": claimed.fields["claim"]})
    assert early.status_code == 400
    assert "not there yet" in early.text
    again = re.search(r"href='(/dispute\?claim=[^']+)'", page.text)
    assert again
    assert found[0] in exchange.http.get(again[1]).text
    lines.append(found[0])
    shown = ask(exchange, "/dispute/proof", claim=claimed.fields["claim"])
    assert "jo@shoes.example" in shown.text
    assert "other@mail.example" not in shown.text


@pytest.mark.parametrize("value", ["gmail.com", "x.myshopify.com", "", "<script>", "Jo Doe"])
def test_what_is_not_ones_own_is_refused_in_words(exchange: Served, value: str) -> None:
    answer = exchange.http.post("/dispute", data={"value": value})
    assert answer.status_code == 400
    assert "<script>" not in answer.text


def test_what_is_filed_reaches_the_operators_and_becomes_a_dispute(
    exchange: Served, reported: Draft, mailbox: Mailbox
) -> None:
    claimed = ask(exchange, "/dispute", value="jo@shoes.example")
    code = mailbox.code("jo@shoes.example")
    shown = ask(exchange, "/dispute/proof", claim=claimed.fields["claim"], code=code)
    report = reported.event.report
    filed = ask(
        exchange,
        "/dispute/file",
        proof=shown.fields["proof"],
        report=report,
        code="not_me",
        text="I sell <b>no</b> shoes.",
        contact="jo@shoes.example",
    )
    operator = exchange.exchange
    (filing,) = operator.disputes.filings()
    assert filing.id in filed.text
    assert (filing.report, filing.proved_by) == (report, "email")
    (written,) = operator.disputes.written(filing.id, "ann")
    assert written.message
    assert written.message.contact == "jo@shoes.example"
    assert "I sell <b>no</b> shoes." in written.message.text
    case = operator.disputes.open(report, filing.code, "ann", filing.id)
    assert case.state == "disputed"


def test_nothing_is_filed_without_a_proof_or_about_another_report(
    exchange: Served, actor: Actor, reported: Draft, mailbox: Mailbox
) -> None:
    other = posted(exchange, actor, about("Somebody Else"))
    claimed = ask(exchange, "/dispute", value="jo@shoes.example")
    code = mailbox.code("jo@shoes.example")
    shown = ask(exchange, "/dispute/proof", claim=claimed.fields["claim"], code=code)
    for proof, report in (
        (shown.fields["proof"], other.event.report),
        (claimed.fields["claim"], reported.event.report),
        ("", reported.event.report),
    ):
        fields = {"proof": proof, "report": report, "code": "not_me", "text": ""}
        assert exchange.http.post("/dispute/file", data=fields).status_code == 400
    assert exchange.exchange.disputes.filings() == ()


def test_one_address_gets_a_few_codes_a_day(exchange: Served, mailbox: Mailbox) -> None:
    statuses = [
        exchange.http.post("/dispute", data={"value": "jo@shoes.example"}).status_code
        for _ in range(6)
    ]
    assert statuses == [200] * 5 + [429]
    assert len(mailbox.letters()) == 5


def test_pages_run_nothing_and_are_kept_nowhere(exchange: Served) -> None:
    for page in (
        exchange.http.get("/dispute"),
        exchange.http.post("/dispute", data={"value": "jo@shoes.example"}),
        exchange.http.post("/dispute/proof", data={}),
    ):
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        assert "set-cookie" not in page.headers
        assert Form(page.text).scripts == 0
        assert "<html lang='en'>" in page.text
    assert exchange.http.get("/dispute/style.css").headers["content-type"].startswith("text/css")


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=1&" * 100, b"x" * 300_000])
def test_a_body_that_is_no_form_is_refused(exchange: Served, body: bytes) -> None:
    assert exchange.http.post("/dispute", content=body).status_code in {400, 413}


# Texts of contributors


@pytest.fixture
def answered(exchange: Served, actor: Actor, reported: Draft) -> Event:
    """A dispute's answer."""
    exchange.exchange.disputes.open(reported.event.report, "goods_genuine", "ann")
    dispute = event_at(exchange.service, feed(exchange.service)[-1]["index"])
    draft = actor.answer(exchange.service, reported, dispute)
    draft.post(exchange.service)
    return draft.event


def test_an_answers_words_and_files_reach_the_operators_alone(
    exchange: Served, reported: Draft, answered: Event
) -> None:
    exhibit = Exhibit(kind="examiner_report", nonce=b"n" * 32, file=b"%PDF counterfeit")
    message = Message(text="Our examiner found false serials.", exhibits=(exhibit,))
    answer = send(exchange, reported.key, answered, message)
    assert answer.status_code == 200
    again = send(exchange, reported.key, answered, message, text=answer.request.content)
    assert again.json() == answer.json()
    operators = exchange.exchange.disputes
    for name in ("ann", "bob"):
        (written,) = operators.written(answered.ref, name)
        assert (written.who, written.message) == ("contributor", message)


def test_only_the_key_that_answered_sends_texts(
    exchange: Served, reported: Draft, answered: Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="acx.web.exchange_api")
    stranger = send(exchange, Ed25519PrivateKey.generate(), answered, Message(text="x"))
    assert problem(stranger) == "not-authorised"
    unknown = send(exchange, reported.key, answered, Message(text="x"), answer="a" * 26)
    assert problem(unknown) == "unknown-report"
    report = send(exchange, reported.key, answered, Message(text="x"), answer=reported.event.id)
    assert problem(report) == "unknown-report"
    assert [(r.message, vars(r)["problem"]) for r in caplog.records] == [
        ("event refused", "not-authorised"),
        ("event refused", "unknown-report"),
        ("event refused", "unknown-report"),
    ]


def test_a_text_is_for_operators_and_for_a_dispute_that_is_open(
    exchange: Served, reported: Draft, answered: Event
) -> None:
    nobody = [Ed25519PrivateKey.generate()]
    assert problem(send(exchange, reported.key, answered, Message(), to=nobody)) == (
        "malformed-request"
    )
    disputes = exchange.exchange.disputes
    proposal = disputes.decide(answered.ref, "dismissed", "standard_met", "ann")
    exchange.exchange.approve(proposal.id, "bob")
    assert problem(send(exchange, reported.key, answered, Message())) == "report-closed"


def test_an_answer_has_few_texts(exchange: Served, reported: Draft, answered: Event) -> None:
    answers = [send(exchange, reported.key, answered, Message(text=str(n))) for n in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [409]
    assert problem(answers[5]) == "too-many-follow-ups"


@pytest.mark.parametrize("body", [b"", b"{}", b"[" * 5000, b'{"answer": 1}'])
def test_a_body_that_is_no_text_is_a_problem(exchange: Served, body: bytes) -> None:
    assert problem(exchange.http.post("/v1/disputes/texts", content=body)) == "malformed-request"


def send(
    exchange: Served,
    key: Ed25519PrivateKey,
    answer_event: Event,
    message: Message,
    *,
    answer: str = "",
    to: list[Ed25519PrivateKey] | None = None,
    text: bytes = b"",
) -> httpx.Response:
    if text:
        return exchange.http.post("/v1/disputes/texts", content=text)
    origin = exchange.service.settings.origin
    about_ = answer or answer_event.id
    operators = [o.key for o in exchange.exchange.operators() if o.name != "service"]
    recipients = operators if to is None else [public_key_text(other) for other in to]
    sealed = seal_text(message, recipients, origin=origin, about=about_)
    signature = key.sign(text_statement(sealed, origin=origin, answer=about_))
    body = {
        "answer": about_,
        "text": msgspec.Raw(sealed),
        "signature": base64.b64encode(signature).decode(),
    }
    return exchange.http.post("/v1/disputes/texts", content=msgspec.json.encode(body))


def problem(answer: httpx.Response) -> str:
    name: str = answer.json()["type"].rpartition("/")[2]
    return name


def ask(exchange: Served, path: str, **fields: str) -> Form:
    answer = exchange.http.post(path, data=fields)
    assert answer.status_code == 200, answer.text
    return Form(answer.text)


def posted(exchange: Served, actor: Actor, body: Report) -> Draft:
    draft = actor.report(exchange.service, body)
    draft.post(exchange.service)
    return draft
