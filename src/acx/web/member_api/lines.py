"""Lines in, lines out, in order: what makes a stream of accounts cost a bounded memory.

Lines are screened as they come, as many at a time as have come, and never more than `MOST_LINES`.
What comes out waits in an unnamed file, so that a client may send everything before it reads, as
most HTTP libraries do.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

MAX_LINE_BYTES: Final = 128 * 1024
MOST_LINES: Final = 256
"""Lines that are screened at a time: more takes no less time, and checks wait for it."""
WAITING_PARTS: Final = 64
"""Parts of the body, of some 64 KiB, that wait to be screened; then the client waits."""
OUT_BYTES: Final = 64 * 1024

Line = bytes | None
"""None is a line that was too long."""


class Lines:
    """Splits a body into lines, and holds none that is longer than allowed."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[Line]:
        """The lines that are whole with these bytes."""
        *whole, rest = data.split(b"\n")
        lines = [self._ended(part) for part in whole]
        self._add(rest)
        return lines

    def end(self) -> list[Line]:
        """The last line, where the body does not end with one."""
        return [self._ended(b"")] if self._rest or self._skipping else []

    def _ended(self, part: bytes) -> Line:
        self._add(part)
        line = None if self._skipping else bytes(self._rest)
        self._rest.clear()
        self._skipping = False
        return line

    def _add(self, part: bytes) -> None:
        if not self._skipping:
            self._rest += part
            if len(self._rest) > MAX_LINE_BYTES:
                self._skipping = True
                self._rest.clear()


class Spool:
    """What one task writes and another reads, on disk in between."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 -- `close` gives it back
        self._written = 0
        self._changed = asyncio.Event()
        self._ended = False
        self._error: BaseException | None = None

    def write(self, data: bytes) -> None:
        """Add some."""
        self._file.seek(self._written)
        self._file.write(data)
        self._written += len(data)
        self._changed.set()

    def end(self, error: BaseException | None = None) -> None:
        """That was all; an error is raised at the reader once it has read what there is."""
        self._ended, self._error = True, error
        self._changed.set()

    async def read(self) -> AsyncIterator[bytes]:
        """All of it, as it comes."""
        place = 0
        while True:
            self._changed.clear()
            while place < self._written:
                self._file.seek(place)
                data = self._file.read(min(OUT_BYTES, self._written - place))
                place += len(data)
                yield data
            if self._ended and place == self._written:
                if self._error is not None:
                    raise self._error
                return
            await self._changed.wait()

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()


async def answered(
    body: AsyncIterator[bytes],
    answer: Callable[[Sequence[Line], int], Awaitable[bytes]],
    spool: Spool,
) -> None:
    """Answer each line of a body, in order.

    Args:
        body: as it comes.
        answer: given lines and the number of the first, what to write for them.
        spool: where to.
    """
    waiting: asyncio.Queue[list[Line]] = asyncio.Queue(WAITING_PARTS)

    async def split() -> None:
        lines = Lines()
        async for part in body:
            if whole := lines.feed(part):
                await waiting.put(whole)
        if last := lines.end():
            await waiting.put(last)
        await waiting.put([])

    async def screen() -> None:
        number = 1
        ended = False
        while not ended:
            batch = await waiting.get()
            ended = not batch
            while len(batch) < MOST_LINES and not ended and not waiting.empty():
                more = waiting.get_nowait()
                ended = not more
                batch = batch + more
            for start in range(0, len(batch), MOST_LINES):
                part = batch[start : start + MOST_LINES]
                spool.write(await answer(part, number))
                number += len(part)

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(split())
            tasks.create_task(screen())
    except BaseExceptionGroup as group:
        spool.end(group.exceptions[0])
    else:
        spool.end()
