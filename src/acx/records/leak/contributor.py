"""What would give a contributor away."""

from __future__ import annotations

import re

import msgspec

from acx.errors import AcxError


class LeakError(AcxError):
    """A contributor's profile that cannot be used."""


class Contributor(msgspec.Struct, frozen=True, kw_only=True):
    """What would give a contributor away, as its settings say it.

    Attributes:
        names: of the company, its brands and shops, with or without company form.
        domains: its own, for the web and for e-mail.
        staff: names of people who work on cases.
        id_patterns: regular expressions for ids of its own (orders, sellers, listings, tickets).
        urls: its pages elsewhere, host and path (`social.example/our-shop`).
        words: anything else (a project's name, a phone number).
        allow: values that may leave although a rule finds something in them, as a person decided.
    """

    names: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    staff: tuple[str, ...] = ()
    id_patterns: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could not work.

        Raises:
            LeakError: a pattern is no regular expression, or finds everything.
        """
        for pattern in self.id_patterns:
            try:
                finds_nothing = re.compile(pattern).search("") is not None
            except re.error as error:
                raise LeakError(
                    f"id_patterns: {pattern!r} is no regular expression ({error}): correct it"
                ) from None
            if finds_nothing:
                raise LeakError(f"id_patterns: {pattern!r} finds an id in every text: narrow it")
