"""A member's settings: arguments, then `ACX_*`, then `HOME/config.toml`, then the default.

A setting is one field of `Settings`; the configuration reference is made from `TABLE`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, cast

from acx.member.errors import SettingError

CONFIG_FILE: Final = "config.toml"
_BOOLEANS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the configuration reference.

    Attributes:
        name: in code, and in `config.toml` under `[settings]`.
        default: what holds where nobody says otherwise.
        help: what it is for, in a sentence.
    """

    name: str
    default: str | int | float | bool
    help: str

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return f"ACX_{self.name.upper()}"

    def read(self, value: object, where: str) -> str | int | float | bool:
        """A value as this setting's type.

        Args:
            value: text from the environment, or what TOML had.
            where: names the source in an error.

        Raises:
            SettingError: it is of another type.
        """
        needed = f"where a value like {self.default!r} is needed"
        if isinstance(self.default, bool):
            text = str(value).lower()
            if text not in _BOOLEANS:
                raise SettingError(f"{where}: {self.name} is {value!r}, {needed}")
            return _BOOLEANS[text]
        if isinstance(self.default, str):
            if not isinstance(value, str):
                raise SettingError(f"{where}: {self.name} is {value!r}, {needed}")
            return value
        try:
            number = type(self.default)(str(value))
        except ValueError:
            raise SettingError(f"{where}: {self.name} is {value!r}, {needed}") from None
        if not 0 <= number < float("inf"):
            raise SettingError(f"{where}: {self.name} is {value!r}, which must not be below 0")
        return number


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with the value that holds for this run, and where it came from."""

    url: str = _setting("", "Where the exchange answers; by default what the invite said.")
    via: str = _setting(
        "",
        "Proxy for anonymous posts instead of a relay, such as socks5h://127.0.0.1:9050 (Tor).",
    )
    direct: bool = _setting(
        False,
        "Send anonymous posts straight to the exchange, which then sees this machine's address.",
    )
    proxy: str = _setting("", "Proxy for all other requests, such as http://proxy.example:3128.")
    timeout: float = _setting(30.0, "Seconds of silence after which the exchange counts as dead.")
    passphrase_file: str = _setting(
        "", "File with the wallet's passphrase; without one, HOME/wallet/key opens the wallet."
    )
    spacing: float = _setting(20.0, "Mean gap in seconds between several reports.")
    follow_up_spacing: float = _setting(
        120.0, "Mean gap in seconds between several corroborations or outcomes."
    )
    delay: float = _setting(
        0.0,
        "Longest wait in seconds before the first post of a command, drawn anew each time; with "
        "one, corroborations and outcomes also wait until the report is an hour old. 86400 hides "
        "in which hours a store works.",
    )
    max_age: float = _setting(
        0.0, "Hours since the last sync after which screening refuses; 0 only warns, after a day."
    )
    default_country: str = _setting("", "Country in which national phone numbers are tried last.")
    lint_words: str = _setting(
        "",
        "Words that must not leave with a report, separated by commas, beside those under "
        "[contributor] in config.toml.",
    )
    weights: str = _setting(
        "", "File of estimated weights to screen and check with; by default the shipped weights."
    )
    remember_checked: float = _setting(
        90.0,
        "Days for which keyed digests of checked accounts stay here, so that a later report on one "
        "of them alerts; 0 remembers nobody.",
    )
    threads: int = _setting(0, "Threads that check signatures; 0 is one per processor.")
    source: Mapping[str, str] = field(default_factory=dict)


TABLE: Final[tuple[Setting, ...]] = tuple(
    Setting(item.name, cast("Any", item.default), item.metadata["help"])
    for item in fields(Settings)
    if item.name != "source"
)
"""What the configuration reference shows, in order."""


def resolve(
    home: Path,
    arguments: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """The settings that hold for a run.

    Args:
        home: directory of the member; its `config.toml` need not exist.
        arguments: from the command line, by setting name; None counts as not given.
        environment: by default the process's own.

    Raises:
        SettingError: with the source, the name and what it should be.
    """
    environment = os.environ if environment is None else environment
    path = home / CONFIG_FILE
    written = read_config(path).get("settings", {}) if path.exists() else {}
    if not isinstance(written, dict):
        raise SettingError(f"{path}: [settings] must be a table")
    unknown = set(written) - {setting.name for setting in TABLE}
    if unknown:
        raise SettingError(f"{path}: no setting is called {min(unknown)!r}; see the docs")
    values: dict[str, Any] = {}
    source: dict[str, str] = {}
    for setting in TABLE:
        for where, value in (
            ("argument", (arguments or {}).get(setting.name)),
            (setting.variable, environment.get(setting.variable)),
            (str(path), written.get(setting.name)),
        ):
            if value is not None:
                values[setting.name] = setting.read(value, where)
                source[setting.name] = where
                break
    return Settings(**values, source=source)


def read_config(path: Path) -> dict[str, Any]:
    """The tables of a `config.toml`.

    Raises:
        SettingError: the file is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: not TOML: {error}") from None


def write_config(tables: Mapping[str, Mapping[str, object]]) -> str:
    """TOML of a few tables of strings, booleans and lists of strings or of tables of strings."""
    lines: list[str] = []
    for name, table in tables.items():
        lines.append(f"[{name}]")
        lines.extend(f"{key} = {_toml(value)}" for key, value in table.items())
        lines.append("")
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = "".join(
            f"\\u{ord(c):04X}" if c in '"\\' or ord(c) < 0x20 or ord(c) == 0x7F else c
            for c in value
        )
        return f'"{escaped}"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    raise TypeError(f"no TOML for {type(value).__name__}")
