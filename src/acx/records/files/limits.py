"""How much of a file is taken, so that no file can exhaust the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of reading; a row beyond one is rejected, a file beyond one is refused.

    Attributes:
        line_bytes: longest line, CSV record or JSON object. The row is rejected; the next is read.
        record_lines: most lines a quoted CSV cell may run over before its quote counts as lost.
        values: most values in one field of one row. The row is rejected.
        characters: longest value. The row is rejected.
        columns: most columns of a table. The file is refused.
        expansion: most bytes one compressed byte may become, beyond `expansion_floor`. Text seldom
            shrinks to less than a fiftieth; a bomb is made of nothing else.
        expansion_floor: bytes that any compressed file may become (64 MiB).
        spooled_bytes: most bytes of a Parquet or XLSX file that has to be unpacked to disk first,
            because it is compressed or comes through a pipe.
        shared_text_bytes: most text that the cells of a workbook may share, held in memory.
    """

    line_bytes: int = 16 * MIB
    record_lines: int = 200
    values: int = 1_000
    characters: int = 4_096
    columns: int = 2_000
    expansion: int = 250
    expansion_floor: int = 64 * MIB
    spooled_bytes: int = 16 * 1024 * MIB
    shared_text_bytes: int = 1024 * MIB


LIMITS: Final = Limits()
