"""What all commands that post anonymously have in common: by which way, and after which waits."""

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
        at_once: without waiting.
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
            help="Post at once: the operator can then tell by the times whose the posts are.",
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
                    f"{total} to send, after random waits that hide whose they are: about "
                    f"{duration(seconds)} (--now posts at once). What waits is safe in the outbox; "
                    "after an interruption acx outbox --send goes on"
                )
            advance(done, total, seconds)

        yield tell


def warn_of_haste(sent: Sent | None) -> None:
    """Say what the times of posts gave away, where they did."""
    from acx.cli.output import note

    if sent is None:
        return
    if sent.hurried:
        several = len(sent.acknowledged) + len(sent.failed) > 1
        alone = "the operator sees who read or connected just before, and can tell whose this is"
        together = "the operator sees that these posts belong together, and who read just before"
        note(f"acx: warning: --now: {together if several else alone}")
    elif sent.read:
        note(
            "acx: warning: this member reads seldom and has just done so, which the operator saw"
            " and can put beside the post: let acx watch run, or sync by the clock; or make the"
            " setting `delay` as long as the time between two readings"
        )
