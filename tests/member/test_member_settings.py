"""Arguments win over the environment, it over the file, the file over defaults."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acx.member.errors import SettingError
from acx.member.settings import TABLE, Settings, read_config, resolve, write_config


def test_each_source_wins_over_the_next(tmp_path: Path) -> None:
    def timeout(argument: float | None, variable: str | None, file: str) -> float:
        (tmp_path / "config.toml").write_text(file)
        environment = {} if variable is None else {"ACX_TIMEOUT": variable}
        return resolve(tmp_path, {"timeout": argument}, environment).timeout

    assert timeout(1.0, "2", "[settings]\ntimeout = 3") == 1.0
    assert timeout(None, "2", "[settings]\ntimeout = 3") == 2.0
    assert timeout(None, None, "[settings]\ntimeout = 3") == 3.0
    assert timeout(None, None, "") == Settings().timeout


def test_says_where_a_value_came_from(tmp_path: Path) -> None:
    settings = resolve(tmp_path, {"via": "http://p"}, {"ACX_DIRECT": "yes"})
    assert settings.source == {"via": "argument", "direct": "ACX_DIRECT"}
    assert settings.direct is True


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("[settings]\ntimeout = 'soon'", "timeout is 'soon'"),
        ("[settings]\ntimeout = -1", "not be below 0"),
        ("[settings]\ntimeout = inf", "timeout"),
        ("[settings]\ndirect = 'perhaps'", "direct is 'perhaps'"),
        ("[settings]\nurl = 5", "url is 5"),
        ("[settings]\nspeed = 5", "no setting is called 'speed'"),
        ("settings = 5", "must be a table"),
        ("[settings", "not TOML"),
    ],
)
def test_a_wrong_value_names_source_and_setting(tmp_path: Path, file: str, message: str) -> None:
    (tmp_path / "config.toml").write_text(file)
    with pytest.raises(SettingError, match=message):
        resolve(tmp_path, {}, {})


def test_every_setting_is_documented_and_has_a_variable() -> None:
    assert {setting.name for setting in TABLE} == set(Settings.__slots__) - {"source"}
    for setting in TABLE:
        assert setting.help.endswith(".")
        assert setting.variable == f"ACX_{setting.name.upper()}"


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30), flag=st.booleans())
def test_config_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, text: str, flag: bool
) -> None:
    table = {"text": text, "flag": flag, "list": [text, "x"], "rows": [{"name": text}]}
    path = tmp_path_factory.mktemp("config") / "config.toml"
    path.write_text(write_config({"exchange": table}), encoding="utf-8")
    assert read_config(path) == {"exchange": table}
