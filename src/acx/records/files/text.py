"""Text files as blocks of whole lines in UTF-8, with the lines named that hold no clean text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final

import numpy as np

from acx.records.files.errors import WrongEncoding, shown
from acx.records.files.limits import Limits
from acx.records.files.source import Opened

BLOCK_BYTES: Final = 4 * 1024 * 1024

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PREVIEW_BYTES: Final = 200


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole lines.

    Attributes:
        data: the lines in UTF-8, each ending in a line feed, also the last of the file.
        line: number of the first, from 1.
        damaged: lines whose content was replaced because it is no text, and why; the record they
            belong to is to be rejected.
    """

    data: bytes
    line: int
    damaged: dict[int, str] = field(default_factory=dict)


def read_blocks(opened: Opened, encoding: str | None, limits: Limits) -> Iterator[Block]:
    """Read text in blocks of whole lines.

    A byte order mark is taken off and believed. A file whose lines end in carriage returns alone
    is read as if they were line feeds.

    Args:
        opened: the file.
        encoding: as Python names it; UTF-8 where None.
        limits: gives the longest line.

    Raises:
        WrongEncoding: an unknown encoding, or a file that is clearly in another.
    """
    line = 1
    for data, too_long in _whole_lines(_utf8(opened, encoding), limits.line_bytes):
        if too_long:
            preview = data[:_PREVIEW_BYTES].decode(errors="ignore").replace('"', "'").encode()
            reason = f"longer than {limits.line_bytes:,} bytes"
            yield Block(preview + b"\n", line, {line: reason})
            line += 1
            continue
        yield _checked(data, line, encoding)
        line += data.count(b"\n")


def read_text(opened: Opened, encoding: str | None) -> Iterator[str]:
    """Read text that is no lines, in parts.

    Args:
        opened: the file.
        encoding: as Python names it; UTF-8 where None.

    Raises:
        WrongEncoding: bytes that are no text in the encoding.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    done = 0
    for chunk in _utf8(opened, encoding):
        try:
            yield decoder.decode(chunk)
        except UnicodeDecodeError as error:
            raise WrongEncoding(
                f"{opened.name}: not {encoding or 'UTF-8'} at byte {done + error.start:,}; name "
                "its encoding, e.g. --encoding windows-1252"
            ) from None
        done += len(chunk)


def _utf8(opened: Opened, encoding: str | None) -> Iterator[bytes]:
    """The file's bytes in UTF-8; what is no text in its encoding stays as it is, not UTF-8."""
    chunks = _chunks(opened.stream)
    first = next(chunks, b"")
    mark, marked = next(((m, e) for m, e in _MARKS if first.startswith(m)), (b"", None))
    actual = marked or encoding or "utf-8"
    decoder = _decoder(actual)
    if decoder is None:
        _refuse_unmarked_wide_text(opened.name, first)
    # Old Macs end lines with a carriage return; a file has one kind of line end.
    returns_only = b"\r" in first and b"\n" not in first and decoder is None
    for number, chunk in enumerate(_prepended(first[len(mark) :], chunks)):
        if decoder is None:
            yield chunk.replace(b"\r", b"\n") if returns_only else chunk
            continue
        text = _decoded(decoder, chunk, opened.name, actual)
        if number == 0:
            returns_only = "\r" in text and "\n" not in text
        if returns_only:
            text = text.replace("\r", "\n")
        yield text.encode("utf-8", "surrogateescape")
    if decoder is not None:
        rest = _decoded(decoder, b"", opened.name, actual, final=True)
        yield rest.encode("utf-8", "surrogateescape")


def _prepended(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """Chunks of a block's size, also from a pipe, which gives less at a time."""
    ended = False
    while not ended:
        parts: list[bytes] = []
        missing = BLOCK_BYTES
        while missing and not ended:
            part = stream.read(missing)
            ended = not part
            parts.append(part)
            missing -= len(part)
        if chunk := b"".join(parts):
            yield chunk


def _decoder(encoding: str) -> codecs.IncrementalDecoder | None:
    """A decoder to text; None for UTF-8, which needs none."""
    try:
        info = codecs.lookup(encoding)
        # Encodings that are none of text (base64, rot13, zip) are refused by decode itself.
        b"  ".decode(encoding, "ignore")
    except (LookupError, UnicodeError):
        raise WrongEncoding(
            f"--encoding {shown(encoding)}: no such text encoding; common ones are utf-8, "
            "windows-1252, iso-8859-1, utf-16, gb18030, shift_jis, windows-1251"
        ) from None
    if info.name in ("utf-8", "utf-8-sig", "ascii"):
        return None
    return info.incrementaldecoder("surrogateescape")


def _decoded(
    decoder: codecs.IncrementalDecoder,
    chunk: bytes,
    name: str,
    encoding: str,
    *,
    final: bool = False,
) -> str:
    try:
        return decoder.decode(chunk, final)
    except ValueError as error:
        raise WrongEncoding(
            f"{name}: is not {encoding} text ({shown(error)}); name its encoding with --encoding"
        ) from None


def _refuse_unmarked_wide_text(name: str, head: bytes) -> None:
    """UTF-16 without a mark reads as UTF-8 with a NUL beside every letter: say so at once."""
    sample = head[:1024]
    for offset, guess in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = sample[offset::2]
        if len(half) >= 8 and half.count(0) > 0.6 * len(half):
            raise WrongEncoding(
                f"{name}: is not UTF-8 from byte {offset} on, it looks like {guess}: "
                f"use --encoding {guess}"
            )


def _whole_lines(chunks: Iterator[bytes], limit: int) -> Iterator[tuple[bytes, bool]]:
    """Blocks of whole lines; a line beyond the limit comes alone, its start only."""
    rest = b""
    skipping = False
    for chunk in chunks:
        data = rest + chunk
        if skipping:
            end = data.find(b"\n")
            if end < 0:
                continue
            data = data[end + 1 :]
            skipping = False
        end = data.rfind(b"\n") + 1
        if end:
            yield from _within(data[:end], limit)
        rest = data[end:]
        if len(rest) > limit:
            yield rest, True
            rest = b""
            skipping = True
    if rest:
        yield rest + b"\n", False


def _within(lines: bytes, limit: int) -> Iterator[tuple[bytes, bool]]:
    """The lines, those beyond the limit alone."""
    if len(lines) <= limit:
        yield lines, False
        return
    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")) + 1
    starts = np.concatenate(([0], ends[:-1]))
    done = 0
    for place in np.flatnonzero(ends - starts - 1 > limit).tolist():
        if starts[place] > done:
            yield lines[done : starts[place]], False
        yield lines[starts[place] : ends[place]], True
        done = int(ends[place])
    if done < len(lines):
        yield lines[done:], False


def _checked(data: bytes, first_line: int, encoding: str | None) -> Block:
    """The block, with lines that are not UTF-8 or hold a NUL replaced and named."""
    clean = b"\0" not in data
    if clean:
        try:
            data.decode()
        except UnicodeDecodeError:
            clean = False
    if clean:
        return Block(data, first_line)
    damaged: dict[int, str] = {}
    lines = data.split(b"\n")
    for number, content in enumerate(lines):
        reason = _damage(content, encoding)
        if reason:
            damaged[first_line + number] = reason
            lines[number] = _replaced(content)
    return Block(b"\n".join(lines), first_line, damaged)


def _replaced(line: bytes) -> bytes:
    return line.decode(errors="replace").replace("\0", "\ufffd").encode()


def _damage(line: bytes, encoding: str | None) -> str:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        named = encoding or "UTF-8"
        return (
            f"not {named}: byte 0x{line[error.start]:02x} at place {error.start + 1} of the line; "
            "if many lines are, name the file's encoding, e.g. --encoding windows-1252"
        )
    return "holds a NUL byte" if b"\0" in line else ""
