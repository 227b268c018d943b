"""Mapping files: how the columns of others become ours.

```toml
[columns]                 # our field = their column, several of them, or a text made of them
id = "seller_id"
email = ["mail_1", "mail_2"]
name = "{first_name} {last_name}"
contact = "wechat:{wechat_id}"

[constants]               # values of every row
country = "DE"

[separators]              # what stands between values where it is not |
phone = ";"

[dates]                   # how dates are written where it is not YYYY-MM-DD
birth_date = "%d.%m.%Y"

[values]                  # their words for ours
kind = { P = "person", C = "organization" }
```
"""

from __future__ import annotations

import datetime as dt
import re
import string
import tomllib
from collections.abc import Collection, Iterator
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import polars as pl

from acx.records.account import FIELDS
from acx.records.files.errors import BadMapping, did_you_mean, listed, shown, shown_path

REPORT_FIELDS: Final = (
    "conduct",
    "confirmed_by",
    "confirmed_on",
    "brands",
    "categories",
    "evidence",
    "products",
)
"""Columns a report has beside its account's."""

_MOST_BYTES: Final = 1024 * 1024
_DIRECTIVES: Final = frozenset("dmYbBejHMSTFzZfp%IAa")


@dataclass(frozen=True, slots=True)
class Template:
    """A column, or a text made of columns.

    Attributes:
        columns: the columns it needs, by their names in the file.
        literals: the text before each of them, and after the last; None for a column as it is.
    """

    columns: tuple[str, ...]
    literals: tuple[str, ...] | None = None

    @classmethod
    def column(cls, name: str) -> Template:
        """A column as it is."""
        return cls((name,))

    def expression(self) -> pl.Expr:
        """The text made of text columns: empty where all are, parts that are empty left out."""
        assert self.literals is not None  # noqa: S101 -- asked of templates alone
        pieces: list[pl.Expr] = []
        for literal, column in zip(self.literals, self.columns, strict=False):
            pieces += [pl.lit(literal), pl.col(column)]
        text = pl.concat_str([*pieces, pl.lit(self.literals[-1])])
        empty = pl.all_horizontal([pl.col(column) == "" for column in self.columns])
        tidy = text.str.replace_all(r"\s+", " ").str.strip_chars(" ,;")
        return pl.when(empty).then(pl.lit("")).otherwise(tidy)


@dataclass(frozen=True, slots=True)
class Mapping:
    """How the columns of a file become ours; made by `load`.

    Attributes:
        file: the mapping file, for messages.
        columns: what each of our fields is made of.
        constants: values that every row has.
        separators: what stands between the values of a field.
        dates: formats of a date, tried in turn.
        values: their words ► ours.
    """

    file: str
    columns: AnyMapping[str, tuple[Template, ...]] = field(default_factory=dict)
    constants: AnyMapping[str, tuple[str, ...]] = field(default_factory=dict)
    separators: AnyMapping[str, str] = field(default_factory=dict)
    dates: AnyMapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: AnyMapping[str, AnyMapping[str, str]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path, *, fields: Collection[str] = (*FIELDS, *REPORT_FIELDS)) -> Self:
        """Read a mapping file.

        Args:
            path: a TOML file.
            fields: the fields it may speak of.

        Raises:
            BadMapping: it cannot be read, or says something impossible.
        """
        name = shown_path(path)
        try:
            with Path(path).open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
            if len(data) > _MOST_BYTES:
                raise BadMapping(f"{name}: is larger than a mapping can be; name a TOML file")
            tree = tomllib.loads(data.decode())
        except OSError as error:
            raise BadMapping(f"{name}: cannot read the mapping: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise BadMapping(f"{name}: is not TOML: {shown(error)}") from None
        return cls._parse(_Parser(name, tuple(fields)), tree)

    @classmethod
    def _parse(cls, parser: _Parser, tree: dict[str, Any]) -> Self:
        sections = ("columns", "constants", "separators", "dates", "values")
        for section in tree:
            if section not in sections:
                raise BadMapping(
                    f"{parser.file}: unknown section {shown(section)}"
                    f"{did_you_mean(section, sections)}; allowed are {listed(sections)}"
                )
        return cls(
            file=parser.file,
            columns={
                field: tuple(parser.template(key, text) for text in parser.texts(key, value))
                for field, key, value in parser.section(tree, "columns")
            },
            constants={
                field: parser.texts(key, value)
                for field, key, value in parser.section(tree, "constants")
            },
            separators={
                field: parser.separator(key, value)
                for field, key, value in parser.section(tree, "separators", wild=True)
            },
            dates={
                field: tuple(parser.date_format(key, text) for text in parser.texts(key, value))
                for field, key, value in parser.section(tree, "dates")
            },
            values={
                field: parser.words(key, value)
                for field, key, value in parser.section(tree, "values")
            },
        )

    def sources(self, name: str) -> tuple[Template, ...]:
        """What a field is made of: as mapped, else the column of its own name."""
        return self.columns.get(name) or (Template.column(name),)

    def names(self) -> set[str]:
        """The columns of the file that it names."""
        return {
            name
            for templates in self.columns.values()
            for template in templates
            for name in template.columns
        }

    def separator(self, name: str) -> str | None:
        """What stands between a field's values, if the mapping says."""
        return self.separators.get(name, self.separators.get("*"))


@dataclass(frozen=True, slots=True)
class _Parser:
    file: str
    fields: tuple[str, ...]

    def section(
        self, tree: dict[str, Any], name: str, *, wild: bool = False
    ) -> Iterator[tuple[str, str, Any]]:
        """Field, key as messages show it, and value of each entry."""
        section = tree.get(name, {})
        if not isinstance(section, dict):
            raise BadMapping(f"{self.file}: {name} must be a section, [{name}]")
        for field_name, value in section.items():
            if field_name not in self.fields and not (wild and field_name == "*"):
                raise BadMapping(
                    f"{self.file}: {name}.{shown(field_name)}: no such field"
                    f"{did_you_mean(field_name, self.fields)}; allowed are {listed(self.fields)}"
                )
            yield field_name, f"{name}.{field_name}", value

    def texts(self, key: str, value: object) -> tuple[str, ...]:
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(item, str) and item for item in values):
            raise BadMapping(f"{self.file}: {key}: must be text or a list of texts, not empty")
        return tuple(values)

    def template(self, key: str, text: str) -> Template:
        if "{" not in text and "}" not in text:
            return Template.column(text)
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise BadMapping(
                f"{self.file}: {key}: {error}; write {{{{ and }}}} for braces themselves"
            ) from None
        literals: list[str] = [""]
        columns: list[str] = []
        for literal, column, specification, conversion in parts:
            literals[-1] += literal
            if column is None:
                continue
            if not column or specification or conversion:
                raise BadMapping(
                    f"{self.file}: {key}: {{}} must hold the name of a column and nothing else"
                )
            columns.append(column)
            literals.append("")
        if not columns:
            return Template.column(literals[0])
        return Template(tuple(columns), tuple(literals))

    def separator(self, key: str, value: object) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= 8:
            raise BadMapping(f"{self.file}: {key}: must be a text of 1 to 8 characters")
        return value

    def date_format(self, key: str, text: str) -> str:
        directives = re.findall(r"%(.?)", text, re.DOTALL)
        if "y" in directives:
            raise BadMapping(
                f"{self.file}: {key}: %y leaves the century open; export four digits, %Y"
            )
        unknown = [f"%{d}" for d in directives if d not in _DIRECTIVES]
        if unknown or not {"Y", "F"} & set(directives):
            raise BadMapping(
                f"{self.file}: {key}: {shown(text)} is no date format; "
                "write %d for the day, %m the month, %Y the year, as in %d.%m.%Y"
            )
        try:
            sample = dt.date(1999, 12, 31).strftime(text)
            pl.Series([sample]).str.to_date(with_day(text)[0], strict=False)
        except (ValueError, pl.exceptions.PolarsError):
            raise BadMapping(f"{self.file}: {key}: {shown(text)} is no date format") from None
        return text

    def words(self, key: str, value: object) -> dict[str, str]:
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise BadMapping(
                f'{self.file}: {key}: must be a table of texts, {{ theirs = "ours", … }}'
            )
        return value


def with_day(date_format: str) -> tuple[str, str]:
    """The format with a day, and what to add to a date so that it has one."""
    if re.search(r"%[dejF]", date_format):
        return date_format, ""
    return date_format + " %d", " 01"
