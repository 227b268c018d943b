"""XLSX."""

from __future__ import annotations

from collections.abc import Iterator

from acx.records.files.chunks import Chunk, Header
from acx.records.files.limits import Limits
from acx.records.files.rejects import Rejects
from acx.records.files.source import Opened


def read_workbook(
    opened: Opened, header: Header, rejects: Rejects, limits: Limits
) -> Iterator[Chunk]:
    raise NotImplementedError
