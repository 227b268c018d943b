"""The log's files over HTTP: what anybody may read, and what caches may keep.

A tile, entries file or bundle never changes, so an answer is made once and kept, those used of late
in memory; with a strong entity tag and `immutable`, so that a cache never asks again. A checkpoint
is asked for again each time, and answered 304 while it is the same.
"""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from acx.log.checkpoint import Checkpoint
from acx.log.errors import LogError, MissingFile
from acx.log.tiles import parse_path
from acx.web.exchange_api.problems import NotFound

KEPT_BYTES: Final = 32 * 1024 * 1024
"""Answers kept in memory."""
_IMMUTABLE: Final = "public, max-age=604800, immutable"


class Fixed(Response):
    """An answer that is sent again and again, or 304 to whoever has it."""

    def __init__(self, body: bytes, media_type: str, cache_control: str) -> None:
        tag = base64.urlsafe_b64encode(hashlib.sha256(body).digest()[:16]).rstrip(b"=").decode()
        headers = {"ETag": f'"{tag}"', "Cache-Control": cache_control}
        super().__init__(body, headers=headers, media_type=media_type)
        self._tag = f'"{tag}"'
        self._known = Response(status_code=304, headers=headers)

    def to(self, headers: Headers) -> Response:
        """The answer to a request (RFC 9110, section 13.1.2)."""
        asked = headers.get("if-none-match")
        if asked is None:
            return self
        tags = [tag.strip().removeprefix("W/") for tag in asked.split(",")]
        return self._known if self._tag in tags or "*" in tags else self


class LogFiles:
    """Answers for one log's files."""

    def __init__(self, read: Callable[[str], Awaitable[bytes]]) -> None:
        """Nothing is read yet.

        Args:
            read: a file's bytes, by a path that is known to be one; raises MissingFile.
        """
        self._read = read
        self._kept: OrderedDict[str, Fixed] = OrderedDict()
        self._bytes = 0
        self._note: tuple[Checkpoint, Fixed] | None = None

    def checkpoint(self, checkpoint: Checkpoint, headers: Headers) -> Response:
        """A signed head."""
        if self._note is None or self._note[0] is not checkpoint:
            note = Fixed(checkpoint.note.encode(), "text/plain; charset=utf-8", "no-cache")
            self._note = (checkpoint, note)
        return self._note[1].to(headers)

    async def file(self, request: Request) -> Response:
        """A tile, entries or a bundle.

        Raises:
            NotFound: there is none, or no such file can exist.
        """
        path = request.scope["path"][1:]
        found = self._kept.get(path)
        if found is None:
            try:
                data = await self._read(parse_path(path).path)
            except MissingFile:
                raise NotFound("the log has no such file, or a full one has its place") from None
            except LogError:
                raise NotFound("there is nothing at this address: see /openapi.json") from None
            found = Fixed(data, "application/octet-stream", _IMMUTABLE)
            self._keep(path, found)
        return found.to(request.headers)

    def _keep(self, path: str, answer: Fixed) -> None:
        if path not in self._kept:
            self._kept[path] = answer
            self._bytes += len(answer.body)
        while self._bytes > KEPT_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1].body)
