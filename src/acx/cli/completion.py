"""`acx completion`: commands, options and files by the Tab key."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the script that completes commands in a shell.

    bash: acx completion bash > ~/.local/share/bash-completion/completions/acx.
    zsh: put eval "$(acx completion zsh)" into ~/.zshrc.
    fish: acx completion fish > ~/.config/fish/completions/acx.fish.
    """
    from acx.cli.app import root

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(root, {}, "acx", "_ACX_COMPLETE").source())
