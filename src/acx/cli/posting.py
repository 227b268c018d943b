"""What all commands that post anonymously have in common: by which way, and with which gaps."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from acx.member.outbox import Sending, Sent

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Posting:
    """How to post.

    Attributes:
        at_once: without gaps.
        arguments: settings, as the command line gave them.
    """

    at_once: bool
    arguments: dict[str, Any]


def posting_options(command: Decorated) -> Decorated:
    """`--now`, `--via` and `--direct`; the command gets them as `posting`."""

    @functools.wraps(command)
    def with_posting(*args: Any, at_once: bool, via: str | None, direct: bool, **rest: Any) -> Any:
        from acx.cli.output import note

        if via and direct:
            raise click.UsageError("--via and --direct exclude each other")
        if direct:
            note("acx: warning: --direct: the exchange sees this machine's address with the post")
        posting = Posting(at_once, {"via": via, "direct": direct or None})
        return command(*args, posting=posting, **rest)

    decorated: Callable[..., Any] = with_posting
    for option in (
        click.option(
            "--direct",
            is_flag=True,
            help="Post straight to the exchange, which then sees this machine's address.",
        ),
        click.option(
            "--via",
            metavar="PROXY",
            default=None,
            help="Post through this proxy instead of the invite's relays: http://HOST:PORT, "
            "socks5h://HOST:PORT (Tor: socks5h://127.0.0.1:9050).",
        ),
        click.option(
            "--now",
            "at_once",
            is_flag=True,
            help="Send without gaps; who watches the network learns what belongs together.",
        ),
    ):
        decorated = option(decorated)
    return decorated  # type: ignore[return-value]


@contextmanager
def sending(*, quiet: bool) -> Iterator[Sending]:
    """Progress of a sending, told to a terminal as a bar, and otherwise once if it takes long."""
    from acx.cli.output import duration, note, progress

    told = quiet
    with progress("sending", quiet=quiet) as advance:

        def tell(done: int, total: int, seconds: float) -> None:
            nonlocal told
            if seconds >= 1 and not told:
                told = True
                note(
                    f"{total} to send, with gaps that hide what belongs together: about "
                    f"{duration(seconds)}. What waits is safe in the outbox; after an interruption "
                    "acx outbox --send goes on"
                )
            advance(done, total, seconds)

        yield tell


def warn_of_haste(sent: Sent | None) -> None:
    """Say what `--now` gave away, where it did."""
    from acx.cli.output import note

    if sent is not None and sent.hurried:
        note("acx: warning: --now: who watches the network sees that these posts belong together")
