"""What leaves: an account, cut down to the whitelist, its most private values as keyed digests.

This is the only way from an `Account` to a `Subject`. Whether what is left names the contributor
is `acx.records.leak`'s matter.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from acx.errors import AcxError
from acx.records.account import (
    DIGESTED_FIELDS,
    LIST_FIELDS,
    MAX_VALUE_CHARACTERS,
    MAX_VALUES,
    Account,
    Subject,
)
from acx.records.normalise import digest


class LeavingError(AcxError):
    """An account that cannot be reported as it is.

    Attributes:
        field: the field at fault.
        limit: the limit it is over; 0 where the fault is another.
    """

    def __init__(self, field: str, reason: str, limit: int = 0) -> None:
        """Say what is wrong with a field.

        Args:
            field: the field at fault.
            reason: what is wrong, and what to do.
            limit: the limit it is over.
        """
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.limit = limit


def subject_of(account: Account, matching_key: bytes, default_country: str = "") -> Subject:
    """What may leave of an account.

    The `id` stays, and so does everything an account file holds beside an account's fields. Values
    are trimmed, and each is given once. Values of `DIGESTED_FIELDS` leave as digests, by which
    members match without knowing them.

    Args:
        account: the account, as the store knows it.
        matching_key: the exchange's, from the invite.
        default_country: tried for national writings where the account names no country.

    Raises:
        LeavingError: a field is over a limit, or holds what is no text.
        NotNormalisable: a value to be digested has no normal form; it never leaves as it is.
    """
    values = {field: _tidy(field, getattr(account, field)) for field in LIST_FIELDS}
    for field in DIGESTED_FIELDS:
        digests = [
            digest(field, value, matching_key, values["country"], default_country)
            for value in values[field]
        ]
        # Two writings of one value have one digest.
        values[field] = tuple(dict.fromkeys(digests))
    try:
        return msgspec.convert(
            values | {"kind": account.kind, "birth_date": account.birth_date}, Subject
        )
    except msgspec.ValidationError as error:
        raise LeavingError("account", f"{error}: correct it in the file") from None


def _tidy(field: str, values: Iterable[str]) -> tuple[str, ...]:
    tidy = tuple(dict.fromkeys(stripped for value in values if (stripped := value.strip())))
    if len(tidy) > MAX_VALUES:
        raise LeavingError(
            field,
            f"{len(tidy)} values where {MAX_VALUES} are allowed: keep the ones that tell most",
            MAX_VALUES,
        )
    for value in tidy:
        if len(value) > MAX_VALUE_CHARACTERS:
            raise LeavingError(
                field,
                f"a value of {len(value)} characters where {MAX_VALUE_CHARACTERS} are allowed: "
                "shorten it, or split it into several",
                MAX_VALUE_CHARACTERS,
            )
        if not value.isprintable() and any("\ud800" <= c <= "\udfff" for c in value):
            raise LeavingError(field, "half of a surrogate pair is no character: fix the encoding")
    return tidy
