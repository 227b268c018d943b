"""What can be wrong with one value."""

from __future__ import annotations

from acx.errors import AcxError


class NotNormalisable(AcxError):
    """A value that is not of its field's kind, so that it has no `h1` writing.

    The message leaves the value out: it may be personal, and the file and line lead to it.

    Attributes:
        field: the account's field.
        reason: what is wrong and what would be right.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
