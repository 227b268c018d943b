"""Server-sent events, parsed from bytes as they come.

Source: WHATWG HTML, section 9.2.6. httpx's own `iter_lines` is not used because it also breaks
lines at U+2028 and the like, which stand unescaped in canonical JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from acx.member.errors import BadAnswer

MAX_EVENT_BYTES: Final = 1 << 20
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event of a stream.

    Attributes:
        event: its name; `message` where the server gave none, `` for a comment (a heartbeat).
        data: its data lines, joined.
        id: the last id the server gave, or empty.
    """

    event: str
    data: bytes
    id: str


def parse_stream(chunks: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    """The events of a stream; an unfinished one at the end is dropped, as the standard says.

    Raises:
        BadAnswer: an event is larger than any entry can be.
    """
    name, data, last_id = "", list[bytes](), ""
    for line in _lines(chunks):
        if not line:
            if data:
                yield ServerSentEvent(name or "message", b"\n".join(data), last_id)
            name, data = "", []
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not field:
            yield ServerSentEvent("", value, last_id)
        elif field == b"data":
            data.append(value)
            if sum(map(len, data)) > MAX_EVENT_BYTES:
                raise BadAnswer("the stream sent an event larger than any can be; reconnect")
        elif field == b"event":
            name = value.decode(errors="replace")
        elif field == b"id" and b"\0" not in value:
            last_id = value.decode(errors="replace")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        # A carriage return at the end may be half of a line end.
        held = b"\r" if buffer.endswith(b"\r") else b""
        *lines, buffer = _LINE_END.split(buffer[: len(buffer) - len(held)])
        buffer += held
        if len(buffer) > MAX_EVENT_BYTES:
            raise BadAnswer("the stream sent a line longer than any can be; reconnect")
        yield from lines
