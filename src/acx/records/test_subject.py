"""The test subject: an actor that does not exist and always hits, as EICAR is to virus scanners.

Every exchange's log has one report about it from the beginning, made like any other, whose key
nobody keeps: nobody amends or withdraws it. So an integrator puts `ACCOUNT` among the sellers of a
live system and sees the whole way work, from the feed to the alert. Its values are reserved for
such uses (RFC 2606; Ofcom's numbers for drama) and can be nobody's.
"""

from __future__ import annotations

from typing import Final

import msgspec

from acx.records.account import Account, Subject
from acx.records.report import Report

SUBJECT: Final = Subject(
    kind="organization",
    name=("ACX Test Subject",),
    alias=("ACX Test Store",),
    email=("always-hits@acx-test.example",),
    phone=("+442079460958",),
    address=("1 Example Street, London, United Kingdom",),
    country=("GB",),
    website=("acx-test.example",),
)
"""The subject, as it stands in the feed."""

ACCOUNT: Final = msgspec.convert(
    {"id": "acx-test-subject", **msgspec.to_builtins(SUBJECT)}, Account
)
"""The same as a seller: put it into a seller base, and it hits at `exact`."""

REPORT: Final = Report(
    account=SUBJECT,
    conduct="attempted_to_register",
    confirmed_by=("admission",),
    confirmed_on="2026-01",
    categories=("other",),
)
"""The report about it."""


def is_test_subject(subject: Subject) -> bool:
    """Whether a report is about the test subject, and no figure should count it."""
    return subject.email == SUBJECT.email
