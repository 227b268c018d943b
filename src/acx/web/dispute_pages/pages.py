"""The pages as HTML: structure here, words in `words`, and every value escaped on its way in."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable
from html import escape
from typing import Final
from urllib.parse import quote

from acx.exchange.governance.accused import MAX_TEXT, Claimed, Shown
from acx.exchange.governance.control import DNS_LABEL, WELL_KNOWN
from acx.exchange.governance.holdings import Holding
from acx.web.dispute_pages.words import Words

STYLE: Final = importlib.resources.files("acx.web.dispute_pages").joinpath("style.css").read_bytes()


class Pages:
    """The pages of one exchange, in one language."""

    def __init__(self, words: Words, *, origin: str, url: str, mail: str, answer_days: int) -> None:
        """Take what every page says.

        Args:
            words: the language.
            origin: the log's name.
            url: where the exchange is reached.
            mail: the operator's address.
            answer_days: how long a contributor has to answer.
        """
        self._words = words
        self._origin = origin
        self._url = url.rstrip("/")
        self._mail = mail
        self._days = answer_days

    def claim(self) -> str:
        """The first page."""
        form = self._form(
            "/dispute",
            self._input("value", "claim_label", hint="claim_hint", kind="text", complete="email"),
            "claim_button",
        )
        return self._page(
            "claim_title",
            self._paragraph("claim_intro", origin=self._origin),
            self._paragraph("claim_how"),
            form,
            self._paragraph("claim_neither", mail=self._mail),
        )

    def claimed(self, claimed: Claimed) -> str:
        """How a claim is shown to be true."""
        hidden = _hidden("claim", claimed.sealed)
        if claimed.kind == "email":
            form = self._form(
                "/dispute/proof",
                hidden + self._input("code", "email_label", complete="one-time-code"),
                "email_button",
            )
            return self._page(
                "email_title", self._paragraph("email_intro", value=claimed.value), form
            )
        record = f"{DNS_LABEL}.{claimed.value}"
        url = f"https://{claimed.value}{WELL_KNOWN}"
        places = (self._text("domain_dns", record=record), self._text("domain_file", url=url))
        return self._page(
            "domain_title",
            self._paragraph("domain_intro"),
            f"<pre>{escape(claimed.line)}</pre>",
            _list(places),
            self._paragraph("domain_later"),
            self._form("/dispute/proof", hidden, "domain_button"),
            self._link(f"/dispute?claim={quote(claimed.sealed)}", "domain_keep"),
            value=claimed.value,
        )

    def shown(self, shown: Shown) -> str:
        """What is held, and the form to contest it."""
        if not shown.holdings:
            return self._page("shown_title", self._paragraph("shown_none", value=shown.value))
        number = len(shown.holdings)
        count = (
            self._raw("one_report")
            if number == 1
            else self._raw("many_reports").format(count=number)
        )
        return self._page(
            "shown_title",
            self._paragraph("shown_some", count=count, value=shown.value),
            *(self._report(holding) for holding in shown.holdings),
            self._paragraph("shown_rest"),
            f"<h2>{self._text('file_title')}</h2>",
            self._paragraph("file_intro", days=self._days),
            self._filing(shown),
        )

    def filed(self, filing: str, contact: str) -> str:
        """The number of what was filed."""
        return self._page(
            "filed_title",
            self._paragraph("filed_intro", contact=contact or self._raw("filed_default")),
            f"<pre>{escape(filing)}</pre>",
        )

    def refused(self, reason: str) -> str:
        """Something that did not work, and why."""
        return self._page("refused_title", f"<p role='alert'>{escape(reason)}</p>")

    def word(self, name: str) -> str:
        """A text by name, as it is."""
        return self._raw(name)

    def _report(self, holding: Holding) -> str:
        fields = self._words.fields
        values = [value for found in holding.values.values() for value in found]
        rest = [fields.get(name, name) for name in holding.categories]
        facts = (
            ("report_state", self._words.states.get(holding.state, holding.state)),
            ("report_values", ", ".join(values)),
            ("report_rest", ", ".join(rest) or self._raw("report_nothing")),
            ("report_taken", holding.taken[:10]),
            ("report_kept", holding.kept_until[:10] or self._raw("report_held")),
        )
        rows = "".join(
            f"<dt>{self._text(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts
        )
        title = self._text("report", report=holding.report)
        return f"<section><h2>{title}</h2><dl>{rows}</dl></section>"

    def _filing(self, shown: Shown) -> str:
        reports = ((holding.report, holding.report) for holding in shown.holdings)
        why = ((code, says) for code, says in self._words.disputes.items())
        contact = shown.value if shown.kind == "email" else ""
        return self._form(
            "/dispute/file",
            _hidden("proof", shown.sealed)
            + self._select("report", "file_report", reports)
            + self._choices("code", "file_code", why)
            + f"<label for='text'>{self._text('file_text')}</label>"
            f"<textarea id='text' name='text' rows='10' maxlength='{MAX_TEXT}'></textarea>"
            + self._input("contact", "file_contact", kind="email", value=contact, complete="email"),
            "file_button",
        )

    def _form(self, action: str, inner: str, button: str) -> str:
        return (
            f"<form method='post' action='{action}'>{inner}"
            f"<button>{self._text(button)}</button></form>"
        )

    def _input(
        self,
        name: str,
        label: str,
        *,
        hint: str = "",
        kind: str = "text",
        value: str = "",
        complete: str = "off",
    ) -> str:
        told = f"<small id='{name}-hint'>{self._text(hint)}</small>" if hint else ""
        described = f" aria-describedby='{name}-hint'" if hint else ""
        required = " required" if kind == "text" else ""
        return (
            f"<label for='{name}'>{self._text(label)}</label>{told}"
            f"<input id='{name}' name='{name}' type='{kind}' value='{escape(value)}' "
            f"maxlength='320' autocomplete='{complete}' spellcheck='false'{required}{described}>"
        )

    def _select(self, name: str, label: str, options: Iterable[tuple[str, str]]) -> str:
        inner = "".join(
            f"<option value='{escape(value)}'>{escape(says)}</option>" for value, says in options
        )
        return (
            f"<label for='{name}'>{self._text(label)}</label>"
            f"<select id='{name}' name='{name}'>{inner}</select>"
        )

    def _link(self, address: str, name: str) -> str:
        return f"<p><a href='{address}'>{self._text(name)}</a></p>"

    def _choices(self, name: str, legend: str, options: Iterable[tuple[str, str]]) -> str:
        """One of few, each a whole sentence that has to be read."""
        inner = "".join(
            f"<label><input type='radio' name='{name}' value='{escape(value)}' required>"
            f"{escape(says)}</label>"
            for value, says in options
        )
        return f"<fieldset><legend>{self._text(legend)}</legend>{inner}</fieldset>"

    def _paragraph(self, name: str, **values: object) -> str:
        return f"<p>{self._text(name, **values)}</p>"

    def _text(self, name: str, **values: object) -> str:
        return escape(self._raw(name).format(**values))

    def _raw(self, name: str) -> str:
        return self._words.texts[name]

    def _page(self, title: str, *parts: str, **values: object) -> str:
        heading = self._text(title, **values)
        again = "" if title == "claim_title" else self._link("/dispute", "again")
        return (
            f"<!doctype html><html lang='{self._words.language}'><head><meta charset='utf-8'>"
            "<meta name='viewport' content='width=device-width, initial-scale=1'>"
            f"<title>{heading} · {escape(self._origin)}</title>"
            "<link rel='stylesheet' href='/dispute/style.css'></head>"
            f"<body><header>{escape(self._origin)} · {self._text('title')}</header>"
            f"<main><h1>{heading}</h1>{''.join(parts)}{again}</main></body></html>"
        )


def _hidden(name: str, value: str) -> str:
    return f"<input type='hidden' name='{name}' value='{escape(value)}'>"


def _list(items: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"
