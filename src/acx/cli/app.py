"""The entry point: commands by name, errors as one line, exit codes as documented.

Exit codes (`docs/cli.md`): 0 done, 1 refused or failed, 2 usage, 3 done with rejects, 4 hits found
(only with `--fail-on`), 5 the log is inconsistent.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from typing import Final

import click

from acx import __version__
from acx.errors import AcxError

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "demo": ("acx.cli.demo:demo", "Run the whole loop on this machine, on real input."),
    "join": (
        "acx.cli.join:join",
        "Become a member: keys are made here, and the invite is used up.",
    ),
    "report": (
        "acx.cli.report:report",
        "Share confirmed counterfeiters, and print a report id a line.",
    ),
    "reports": (
        "acx.cli.report:reports",
        "List everything this member said, and how it stands.",
    ),
    "outbox": (
        "acx.cli.report:outbox",
        "Show what waits, was sent and was acknowledged; --send goes on sending.",
    ),
    "sync": (
        "acx.cli.sync:sync",
        "Bring the replica up to the exchange's head, every entry verified.",
    ),
    "watch": (
        "acx.cli.watch:watch",
        "Stay connected; print each new event, and each new hit among SELLERS, as it arrives.",
    ),
    "screen": (
        "acx.cli.screen:screen",
        "Screen a whole seller base against the replica. Nothing leaves this machine.",
    ),
    "check": (
        "acx.cli.screen:check",
        "Check one account now, as at a sign-up. Nothing leaves this machine.",
    ),
    "serve": (
        "acx.cli.serve:serve",
        "Answer this store's own systems: POST /v1/check and /v1/screen, warm, on this machine.",
    ),
    "token": ("acx.cli.serve:token", "Say who may ask the local service, and for what."),
    "match": ("acx.cli.match:match", "Match two account files: the matcher alone."),
    "corroborate": (
        "acx.cli.follow_up:corroborate",
        "Stand behind another member's report, because you confirmed the actor yourselves.",
    ),
    "amend": (
        "acx.cli.follow_up:amend",
        "Put a whole new report in the place of one of yours.",
    ),
    "withdraw": (
        "acx.cli.follow_up:withdraw",
        "Take back a report or corroboration of yours; others' hits on it are retracted.",
    ),
    "answer": ("acx.cli.follow_up:answer", "Answer a dispute of a report you stand behind."),
    "outcome": (
        "acx.cli.follow_up:outcome",
        "Say anonymously what you did about a report: blocked, removed, no_match or kept.",
    ),
    "decide": (
        "acx.cli.follow_up:decide",
        "Record what a person decided about a hit, on your own ground; it stays here.",
    ),
    "decisions": (
        "acx.cli.follow_up:decisions",
        "List what was decided about hits, oldest first.",
    ),
    "statement": (
        "acx.cli.follow_up:statement",
        "Write the statement of reasons that a restricted seller is owed (DSA, article 17).",
    ),
    "inbox": (
        "acx.cli.follow_up:inbox",
        "List what waits for you: disputes, refusals, decisions whose report fell.",
    ),
    "evidence": (
        "acx.cli.evidence:evidence",
        "Commit to files that prove a report, and prove later that you held them.",
    ),
    "wallet": ("acx.cli.wallet:wallet", "Keep the wallet safe, and bring it back."),
    "verify": (
        "acx.cli.verify:verify",
        "Check the log: recompute every entry, proof and state from the ground up.",
    ),
    "export": (
        "acx.cli.export:export",
        "Write every report of the replica in the formats others read.",
    ),
    "witness": (
        "acx.cli.witness:witness",
        "Cosign a log's checkpoints, each only if it continues the last one (C2SP tlog-witness).",
    ),
    "relay": (
        "acx.cli.relay:relay",
        "Pass anonymous posts on to one exchange, which then sees this machine's address only.",
    ),
    "brand": (
        "acx.cli.brand:brand",
        "Speak as a brand: register what is yours, and confirm or refute reports about it.",
    ),
    "rings": (
        "acx.cli.rings:rings",
        "Find rings: reported accounts that share what few have, and own sellers linked to them.",
    ),
    "refer": (
        "acx.cli.refer:refer",
        "Write a referral: what is known, how it links, and proofs that anyone can check offline.",
    ),
    "customs": (
        "acx.cli.customs:customs",
        "Rank low-value shipments worth opening, and learn from what is found.",
    ),
    "exchange": (
        "acx.cli.exchange:exchange",
        "Run an exchange: admission, serving, governance.",
    ),
    "completion": (
        "acx.cli.completion:completion",
        "Print the script that completes commands in a shell.",
    ),
}
"""Name ► where the command lives, and its line in the list of commands."""

INTERRUPTED: Final = 130


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is asked for."""

    def __init__(self, *args: object, commands_table: dict[str, tuple[str, str]], **kwargs: object):
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._table = commands_table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the table."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now; a near miss is told by click."""
        if cmd_name not in self._table:
            return None
        module, attribute = self._table[cmd_name][0].split(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._table.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with the nearest names."""
        if args and args[0] not in self._table and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], self._table, n=2)
            hint = f" Did you mean {' or '.join(near)}?" if near else " See --help."
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    commands_table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "--version", prog_name="acx", message="%(prog)s %(version)s")
def root() -> None:
    """Share confirmed counterfeiters anonymously; find the same actor among your own sellers.

    Start with `acx demo`. Every command that prints results takes --json.
    """


def main() -> None:
    """Run `acx` and exit with the documented code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command.

    Args:
        arguments: as on the command line, without the program's name.

    Returns:
        The exit code. Whatever goes wrong is one line on standard error that says what to do;
        `ACX_DEBUG=1` adds the traceback.
    """
    try:
        result = root.main(arguments, prog_name="acx", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.UsageError as error:
        help_of = f" ({error.ctx.command_path} --help)" if error.ctx else ""
        return _refused(error.format_message().rstrip(".") + help_of, 2, error)
    except click.ClickException as error:
        return _refused(error.format_message(), 1, error)
    except (click.Abort, KeyboardInterrupt):
        click.echo("acx: interrupted; nothing half-done, run it again to go on", err=True)
        return INTERRUPTED
    except AcxError as error:
        return _refused(str(error), error.exit_code, error)
    except BrokenPipeError:
        # The reader of a pipe has had enough (`| head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _refused(_explain(error), 1, error)
    except MemoryError as error:
        return _refused("out of memory: give acx a smaller file, or more memory", 1, error)
    except Exception as error:  # noqa: BLE001 -- the last line of defence: no traceback to a user
        name = type(error).__name__
        return _refused(
            f"unexpected {name}; this is a defect in acx. "
            "Run again with ACX_DEBUG=1 and report what it prints (it may show personal data)",
            1,
            error,
        )
    return result if isinstance(result, int) else 0


def _refused(message: str, code: int, error: BaseException) -> int:
    if os.environ.get("ACX_DEBUG"):
        traceback.print_exception(error)
    line = " ".join(message.split())
    click.echo(f"acx: {line}", err=True)
    return code


def _explain(error: OSError) -> str:
    """An operating system's refusal, with what to do about it."""
    what = f"{error.filename}: " if error.filename else ""
    advice = {
        errno.EACCES: "no permission; check who owns it, or choose another place",
        errno.EPERM: "no permission; check who owns it, or choose another place",
        errno.ENOENT: "no such file or folder",
        errno.EISDIR: "is a folder where a file is needed",
        errno.ENOTDIR: "is a file where a folder is needed",
        errno.ENOSPC: "the disk is full; make room and run the command again, nothing is lost",
        errno.EDQUOT: "the disk quota is used up; make room and run the command again",
        errno.EROFS: "the file system is read-only; choose another place",
        errno.EADDRINUSE: "the port is in use; stop what uses it, or choose another with --port",
        errno.EMFILE: "too many open files; raise the limit (ulimit -n)",
    }.get(error.errno or 0)
    return f"{what}{advice or error.strerror or error}"
