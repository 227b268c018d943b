"""The routes of the accused's pages: each parses a form, calls, and renders a page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from acx.errors import AcxError
from acx.exchange.errors import MalformedRequest, RateLimited, Refused, TooLarge, Unavailable
from acx.exchange.governance.accused import Accused
from acx.exchange.home import Settings
from acx.web.dispute_pages.pages import STYLE, Pages
from acx.web.dispute_pages.words import ENGLISH
from acx.web.exchange_api.limits import Allowance, Rate, bounded

MAX_FORM_BYTES: Final = 256 * 1024
MAX_FIELDS: Final = 16
THREADS: Final = 2
"""Looking through the log takes long where it is large; the rest of the exchange goes on."""
EVERYBODY: Final = Rate(per_second=1, burst=60)
ONE_VALUE: Final = Rate(per_second=5 / 86_400, burst=5)
"""Codes to one address, and filings from it, a day."""
ONE_CLAIM: Final = Rate(per_second=1 / 60, burst=6)
"""Guesses at one code, looks at one domain."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_Handler = Callable[["_Disputes", Request], Awaitable[str]]


def dispute_routes(accused: Accused, settings: Settings) -> list[Route]:
    """The routes below `/dispute`.

    Args:
        accused: answers.
        settings: of the exchange.
    """
    pages = Pages(
        ENGLISH,
        origin=settings.origin,
        url=settings.url,
        mail=settings.mail_from,
        answer_days=settings.answer_days,
    )
    disputes = _Disputes(accused, pages)
    return [
        Route("/dispute", disputes.begin, methods=["GET"]),
        Route("/dispute", disputes.claim, methods=["POST"]),
        Route("/dispute/proof", disputes.prove, methods=["POST"]),
        Route("/dispute/file", disputes.file, methods=["POST"]),
        Route("/dispute/style.css", _style, methods=["GET"]),
    ]


def _page(handler: _Handler) -> Callable[[_Disputes, Request], Awaitable[Response]]:
    """What a handler gives as a page, and what it refuses as a page too."""

    @wraps(handler)
    async def answer(self: _Disputes, request: Request) -> Response:
        try:
            return _html(await handler(self, request))
        except RateLimited:
            return _html(self.pages.refused(self.pages.word("busy")), 429)
        except TooLarge:
            return _html(self.pages.refused(self.pages.word("too_large")), 413)
        except Unavailable:
            return _html(self.pages.refused(self.pages.word("busy")), 503)
        except Refused as error:
            return _html(self.pages.refused(str(error)), 400)
        except AcxError as error:
            return _html(self.pages.refused(str(error)), 400)

    return answer


class _Disputes:
    def __init__(self, accused: Accused, pages: Pages) -> None:
        self.pages = pages
        self._accused = accused
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="acx-disputes")
        self._everybody = Allowance(EVERYBODY)
        self._values = Allowance(ONE_VALUE)
        self._claims = Allowance(ONE_CLAIM)

    @_page
    async def begin(self, request: Request) -> str:
        """The first page, or a claim to come back to."""
        sealed = request.query_params.get("claim", "")
        if not sealed:
            return self.pages.claim()
        self._everybody.spend("all")
        return self.pages.claimed(self._accused.resume(sealed))

    @_page
    async def claim(self, request: Request) -> str:
        """Say what is one's own."""
        form = await self._form(request)
        value = form.get("value", "").strip()
        self._values.spend(value.casefold())
        return self.pages.claimed(self._accused.claim(value))

    @_page
    async def prove(self, request: Request) -> str:
        """Show that it is."""
        form = await self._form(request)
        sealed = form.get("claim", "")
        # By what is claimed and not by its seal, of which there can be many.
        claimed = self._accused.resume(sealed)
        self._claims.spend(claimed.value)
        shown = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._accused.show, sealed, form.get("code", "")
        )
        return self.pages.shown(shown)

    @_page
    async def file(self, request: Request) -> str:
        """Contest a report."""
        form = await self._form(request)
        proof = form.get("proof", "")
        self._values.spend(proof)
        contact = form.get("contact", "").strip()
        filing = await asyncio.get_running_loop().run_in_executor(
            self._threads,
            self._accused.file,
            proof,
            form.get("report", ""),
            form.get("code", ""),
            form.get("text", ""),
            contact,
        )
        return self.pages.filed(filing, contact)

    async def _form(self, request: Request) -> Mapping[str, str]:
        self._everybody.spend("all")
        body = await bounded(request.stream(), MAX_FORM_BYTES)
        try:
            fields = parse_qs(
                body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS
            )
        except ValueError:
            raise MalformedRequest("this is no form of ours: begin again") from None
        return {name: values[-1] for name, values in fields.items()}


async def _style(_request: Request) -> Response:
    headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(STYLE, headers=headers, media_type="text/css; charset=utf-8")


def _html(text: str, status: int = 200) -> Response:
    return Response(text, status, headers=_HEADERS, media_type="text/html; charset=utf-8")
