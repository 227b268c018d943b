from __future__ import annotations

import importlib

import click
import pytest

from acx.cli import app
from acx.errors import AcxError


def commands(
    group: click.Group, prefix: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], click.Command]]:
    found = []
    context = click.Context(group, info_name="acx", **app.root.context_settings)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append(((*prefix, name), command))
        if isinstance(command, click.Group):
            found.extend(commands(command, (*prefix, name)))
    return found


@pytest.mark.parametrize("name", app.COMMANDS)
def test_the_list_of_commands_says_what_each_command_says_of_itself(name: str) -> None:
    module, attribute = app.COMMANDS[name][0].split(":")
    command = getattr(importlib.import_module(module), attribute)
    assert (command.help or "").strip().splitlines()[0] == app.COMMANDS[name][1]


def test_every_option_and_command_says_what_it_is_for() -> None:
    silent = [
        (" ".join(path), parameter.name)
        for path, command in commands(app.root)
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert silent == []
    assert [path for path, command in commands(app.root) if not command.help] == []


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["mtach"]) == 2
    assert "Did you mean match" in capsys.readouterr().err


def test_an_error_is_one_line_and_its_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Inconsistent(AcxError):
        exit_code = 5

    @click.command()
    def broken() -> None:
        raise Inconsistent("the log shrank\nfrom 9 to 8")

    monkeypatch.setitem(app.root.commands, "broken", broken)
    monkeypatch.setattr(app.root, "get_command", lambda ctx, name: broken)
    monkeypatch.setattr(app.root, "_table", {"broken": ("x:y", "")})
    assert app.run(["broken"]) == 5
    assert capsys.readouterr().err == "acx: the log shrank from 9 to 8\n"


def test_a_defect_is_told_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.delenv("ACX_DEBUG", raising=False)
    monkeypatch.setattr(app.root, "get_command", lambda ctx, name: broken)
    monkeypatch.setattr(app.root, "_table", {"broken": ("x:y", "")})
    assert app.run(["broken"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "Traceback" not in err
