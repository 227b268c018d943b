"""What a member asks of the exchange over HTTP, and how it believes nothing of the answer.

`ExchangeClient` speaks as the member, with its key or token; anonymous posts are
`acx.member.poster`'s. It bounds how long and how large an answer may be, and turns every failure
into one line (`acx.member.errors`). Answers are only parsed here; whether they are true is
`acx.member.trusted_log`'s decision.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final, TypeVar

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta

from acx.member.errors import BadAnswer, Refused, SettingError, Unreachable
from acx.member.server_sent import ServerSentEvent, parse_stream
from acx.member.wire import PAGE_ENTRIES, Page
from acx.records.event import Id, public_key_text
from acx.records.http_signature import sign_request
from acx.records.invite import Invite

MAX_SMALL_ANSWER: Final = 1 << 20
MAX_PAGE_ANSWER: Final = 96 << 20
"""A page of 1,000 events of 64 KiB each, and some."""
SLOWEST: Final = 10
"""An answer may take this many times the timeout in all, so that a trickle does not hold us."""
MAX_PROBLEM_CHARACTERS: Final = 400

_Answer = TypeVar("_Answer", bound=msgspec.Struct)


class IssuedCredential(msgspec.Struct, frozen=True):
    """A credential as the exchange issues it: blinded, and good under one issuer key."""

    key: Annotated[str, Meta(max_length=64)]
    response: Annotated[str, Meta(max_length=1024)]


class Joined(msgspec.Struct, frozen=True):
    """The answer to a join."""

    member: Annotated[str, Meta(max_length=256)]
    role: Annotated[str, Meta(max_length=64)]
    token: Annotated[str, Meta(min_length=1, max_length=1024)]
    credential: IssuedCredential | None = None


class Acknowledgement(msgspec.Struct, frozen=True):
    """The exchange's word that an event is in the log."""

    report: str
    event: Id
    index: Annotated[int, Meta(ge=0)]
    at: Annotated[str, Meta(max_length=32)]
    k: Annotated[str, Meta(max_length=64)]
    receipt: str


class _Problem(msgspec.Struct, frozen=True):
    type: str = ""
    title: str = ""
    detail: str = ""


class ExchangeClient:
    """An exchange, as one member asks it."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        member_key: Ed25519PrivateKey | None = None,
        timeout: float = 30.0,
        proxy: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is asked yet.

        Args:
            url: base URL.
            token: the member's bearer token.
            member_key: signs what has to be signed.
            timeout: seconds of silence after which the exchange counts as dead.
            proxy: URL of a proxy, or empty.
            clock: seconds since 1970, for signatures.
        """
        self.url = url.rstrip("/")
        self._token = token
        self._member_key = member_key
        self._timeout = timeout
        self._clock = clock
        # trust_env: neither a .netrc nor a forgotten variable may add to what is sent.
        with _explained(self.url):
            self._http = httpx.Client(
                timeout=_timeouts(timeout),
                proxy=proxy or None,
                trust_env=False,
                headers={"User-Agent": "acx"},
            )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def join(
        self,
        invite: Invite,
        member_key: Ed25519PrivateKey,
        terms: str,
        credential_request: bytes = b"",
    ) -> Joined:
        """Use an invite up; with the same key again, get a fresh token."""
        self._member_key = member_key
        request = {
            "invite_id": invite.invite_id,
            "secret": invite.secret,
            "member_key": public_key_text(member_key),
            "terms": terms,
            "credential_request": base64.b64encode(credential_request).decode(),
        }
        return decoded(self._signed("/v1/join", request), Joined, "join")

    def credential(self, key: str, request: bytes) -> IssuedCredential:
        """Our credential under an issuer key; asked again, the same answer."""
        body = {"key": key, "request": base64.b64encode(request).decode()}
        answer = decoded(self._signed("/v1/credentials", body), IssuedCredential, "credentials")
        if answer.key != key:
            raise BadAnswer(f"{self.url} gave a credential under another key; try again")
        return answer

    def events(self, after: int, limit: int = PAGE_ENTRIES) -> Page:
        """Entries after an index (-1 from the start)."""
        path = f"/v1/events?after={after}&limit={limit}"
        return decoded(self._get(path, MAX_PAGE_ANSWER), Page, "events")

    def key_pages(self, after: int) -> tuple[int, bytes]:
        """Key pages as they stand now: the index of their first record, and 33 bytes a record."""
        with self._request("GET", f"/v1/keys?after={after}", headers=self._bearer()) as response:
            first = response.headers.get("acx-first-index", "")
            body = _read(response, MAX_PAGE_ANSWER, self._deadline())
        if not first.isascii() or not first.isdigit() or len(first) > 15 or len(body) % 33:
            raise BadAnswer(f"{self.url} gave damaged key pages; try again")
        return int(first), body

    def checkpoint(self) -> str:
        """The checkpoint as published, for anyone."""
        return _text(self._get("/checkpoint", MAX_SMALL_ANSWER, public=True))

    def public_file(self, path: str) -> bytes:
        """A file of the log (`tile/…`, `bundle/…`), for anyone."""
        return self._get("/" + path.lstrip("/"), MAX_PAGE_ANSWER, public=True)

    def stream(self, after: int, silence: float) -> Iterator[ServerSentEvent]:
        """Server-sent events after an index, until the connection ends.

        Args:
            after: index of the last entry that is known.
            silence: seconds without even a heartbeat after which the connection counts as dead.

        Raises:
            ExchangeError: it could not be opened, or broke.
        """
        headers = self._bearer() | {
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "Last-Event-ID": str(after),
        }
        # `after` repeats Last-Event-ID for proxies that drop headers they do not know.
        with self._request(
            "GET",
            f"/v1/stream?after={after}",
            headers=headers,
            timeout=httpx.Timeout(self._timeout, read=silence),
        ) as response:
            yield from parse_stream(response.iter_raw())

    def _signed(self, path: str, request: object) -> bytes:
        if self._member_key is None:
            raise SettingError("this needs the member key, which only a member's home has")
        body = msgspec.json.encode(request)
        headers = sign_request(
            self._member_key,
            method="POST",
            path=httpx.URL(self.url + path).path,
            body=body,
            created=int(self._clock()),
        )
        headers["Content-Type"] = "application/json"
        with self._request("POST", path, headers=headers, content=body) as response:
            return _read(response, MAX_SMALL_ANSWER, self._deadline())

    def _get(self, path: str, limit: int, *, public: bool = False) -> bytes:
        with self._request("GET", path, headers={} if public else self._bearer()) as response:
            return _read(response, limit, self._deadline())

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _deadline(self) -> float:
        return time.monotonic() + SLOWEST * self._timeout

    @contextmanager
    def _request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> Iterator[httpx.Response]:
        with (
            _explained(self.url),
            self._http.stream(
                method,
                self.url + path,
                headers=dict(headers),
                content=content,
                timeout=timeout or self._http.timeout,
            ) as response,
        ):
            _check_status(response, self.url)
            yield response


def _timeouts(timeout: float) -> httpx.Timeout:
    return httpx.Timeout(timeout, connect=min(timeout, 10.0))


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Every way in which httpx can fail, as one line of ours."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
        raise Unreachable(
            f"{url} cannot be reached ({_shown(str(error)) or 'timed out'}); check the network and"
            " the address, or try again later",
            sent=False,
        ) from None
    except httpx.TimeoutException:
        raise Unreachable(f"{url} did not answer in time; try again later", sent=True) from None
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, ValueError, ImportError) as error:
        # httpx refuses proxies it does not know with ValueError or ImportError.
        raise SettingError(f"{url} is no address acx can use ({_shown(str(error))})") from None
    except httpx.DecodingError:
        raise BadAnswer(f"{url} gave an answer that does not decompress; try again") from None
    except (httpx.TransportError, httpx.StreamError) as error:
        raise Unreachable(
            f"{url} broke the connection ({_shown(str(error)) or type(error).__name__});"
            " try again later",
            sent=True,
        ) from None


def _check_status(response: httpx.Response, url: str) -> None:
    if response.is_success:
        return
    if response.is_redirect:
        raise points_elsewhere(url, response.headers.get("location", ""))
    body = _read(response, MAX_SMALL_ANSWER, time.monotonic() + SLOWEST)
    raise refused(url, response.status_code, body)


def points_elsewhere(url: str, location: str) -> BadAnswer:
    """The error that a redirect is: nothing is sent where a stranger points."""
    return BadAnswer(
        f"{url} points elsewhere ({_shown(location)}); if that is right, give it with --url"
    )


def refused(url: str, status: int, body: bytes) -> Refused:
    """The error that a problem (RFC 9457) stands for, fit to be shown."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        problem = _Problem(title=f"status {status}")
    said = ": ".join(_shown(part) for part in (problem.title, problem.detail) if part)
    return Refused(
        f"{url} refused: {said or f'status {status}'}",
        status=status,
        problem=_shown(problem.type.rpartition("/")[2]),
    )


def _read(response: httpx.Response, limit: int, deadline: float) -> bytes:
    chunks: list[bytes] = []
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > limit:
            raise BadAnswer(f"{response.url.host} gave more than {limit} bytes; nothing was taken")
        if time.monotonic() > deadline:
            raise Unreachable(f"{response.url.host} is too slow; try again later", sent=True)
        chunks.append(chunk)
    return b"".join(chunks)


def decoded(body: bytes, kind: type[_Answer], what: str) -> _Answer:
    """An answer, parsed.

    Raises:
        BadAnswer: it is not what the protocol says.
    """
    try:
        answer: Any = msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadAnswer(
            f"the exchange's answer to {what} is not what the protocol says ({_shown(str(error))});"
            " nothing was taken from it; try again, or upgrade acx"
        ) from None
    return answer  # type: ignore[no-any-return]


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BadAnswer("the exchange's checkpoint is not UTF-8; try again") from None


def _shown(text: str) -> str:
    """What a stranger wrote, fit for a terminal."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable[:MAX_PROBLEM_CHARACTERS].split())
