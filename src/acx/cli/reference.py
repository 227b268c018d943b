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
        command,
        info_name=path[-1],
        parent=parent,
        max_content_width=96,
        terminal_width=96,
        help_option_names=root.context_settings["help_option_names"],
    )
    heading = "#" * min(len(path) + 1, 4)
    yield f"\n{heading} {' '.join(path)}\n\n```\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _sections(child, (*path, name))


def configuration_page() -> str:
    """`docs/configuration.md`: every setting of a member and of an exchange."""
    from acx.exchange.home import Settings
    from acx.member.settings import TABLE

    member = "\n".join(
        f"| `{setting.name}` | `{setting.variable}` | {_shown(setting.default)} | {setting.help} |"
        for setting in TABLE
    )
    said = dict(_attributes(Settings.__doc__ or ""))
    defaults = zip(
        Settings.__struct_fields__[-len(Settings.__struct_defaults__) :],
        Settings.__struct_defaults__,
        strict=True,
    )
    default_of = dict(defaults)
    exchange = "\n".join(
        f"| `{name}` | {_shown(default_of[name]) if name in default_of else 'chosen at init'} "
        f"| {said[name]} |"
        for name in Settings.__struct_fields__
    )
    return f"""# Configuration

Made from the code by `make docs`; do not edit.

## Member

Arguments, then variables, then `[settings]` in `HOME/config.toml`, then the default. `ACX_HOME` is
the directory itself.

| setting | variable | default | for |
|---|---|---|---|
{member}

## Exchange

`HOME/config.toml`, made by `acx exchange init`.

| setting | default | for |
|---|---|---|
{exchange}
"""


def _attributes(docstring: str) -> Iterator[tuple[str, str]]:
    """Names and sentences of a docstring's «Attributes», continuation lines joined."""
    lines = docstring.partition("Attributes:")[2].splitlines()
    for line in _joined(lines):
        name, _, text = line.partition(":")
        yield name.strip(), f"{text.strip().rstrip('.')}."


def _joined(lines: list[str]) -> Iterator[str]:
    entry = ""
    for line in lines:
        if line.startswith(" " * 12) or not line.strip():
            entry += f" {line.strip()}"
            continue
        if entry.strip():
            yield entry
        entry = line
    if entry.strip():
        yield entry


def _shown(default: object) -> str:
    if default in ("", ()):
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


PAGES = {"cli.md": cli_page, "configuration.md": configuration_page}


def main(docs: Path) -> None:
    """Write every page into `docs`."""
    for name, page in PAGES.items():
        (docs / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
