"""The root of every error acx raises on purpose.

Each room has its own tree below this one; a command prints the message and exits with the
class's code, so a message always says what was wrong *and what to do next*.
"""

from __future__ import annotations

from typing import ClassVar


class AcxError(Exception):
    """An error whose message is written for the person who ran the command.

    Attributes:
        exit_code: what a command that ends with this error returns (`DESIGN.md` section 5):
            1 refused or failed, 2 usage, 5 the log is inconsistent.
    """

    exit_code: ClassVar[int] = 1
