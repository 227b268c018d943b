"""The pages of documentation that are made from the code, so that they cannot drift from it.

`python -m acx.cli.reference docs` writes them; a test compares what stands in `docs/`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from acx.cli.app import root

_PREFACE = """# Commands

Made from `--help` by `make docs`; do not edit.

Exit codes: 0 done · 1 refused or failed (the reason and what to do next on standard error) · 2 usage · 3 done with rejects (`--allow-rejects N|P%` makes that 0) · 4 hits found, only with `--fail-on LEVEL` · 5 the log is inconsistent (fork, shrink, withheld, bad proof).

Settings: arguments, then `ACX_*` variables, then `HOME/config.toml`, then defaults. `--home DIR` or `ACX_HOME` is the directory of a member or operator. Secrets come from files or prompts, never from arguments.

Shell completion: `acx completion bash|zsh|fish` prints the script; `acx completion --help` says where it goes.
"""  # noqa: E501 -- Markdown paragraphs


def cli_page() -> str:
    """`docs/cli.md`: every command's help."""
    return _PREFACE + "".join(_sections(root, ("acx",)))


def _sections(command: click.Command, path: tuple[str, ...]) -> Iterator[str]:
    parent = click.Context(click.Group(), info_name=" ".join(path[:-1])) if path[1:] else None
    context = click.Context(
        command, info_name=path[-1], parent=parent, max_content_width=96, terminal_width=96
    )
    heading = "#" * min(len(path) + 1, 4)
    yield f"\n{heading} {' '.join(path)}\n\n```\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _sections(child, (*path, name))


PAGES = {"cli.md": cli_page}


def main(docs: Path) -> None:
    """Write every page into `docs`."""
    for name, page in PAGES.items():
        (docs / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
