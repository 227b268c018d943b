"""The statement of reasons that a store owes a seller it restricts (Digital Services Act, art. 17).

Made from what a person decided and recorded. It says what the store itself relied on; of the
exchange it says that a report stood, what for and how it was confirmed, which kinds of details
agreed and where to contest it, and nothing that the report holds about anybody.

Source: Regulation (EU) 2022/2065, articles 17, 20, 21 and 24(5).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from acx.member.decisions import AGAINST
from acx.member.errors import DecisionError
from acx.member.wallet import Decision
from acx.records.report import Report

_RESTRICTION: Final = {
    "blocked": "Your account was not admitted, or was suspended.",
    "removed": "Your account was terminated and its listings were removed.",
}
_CONDUCT: Final = {
    "sold_counterfeits": "sold counterfeit goods",
    "shipped_counterfeits": "shipped counterfeit goods",
    "attempted_to_sell": "attempted to sell counterfeit goods",
    "attempted_to_register": "attempted to register after being excluded for counterfeits",
    "reoffended": "sold counterfeit goods again after being excluded",
}
_STANDARD: Final = {
    "test_buy": "a test purchase",
    "rights_owner": "the owner of the rights",
    "laboratory": "a laboratory",
    "customs_seizure": "a customs seizure",
    "court": "a court",
    "admission": "an admission",
    "documents_forged": "proof that documents were forged",
}
_ABSENT: Final = frozenset({"prior"})


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the store adds to a decision so that it is a statement.

    Attributes:
        law: the legal ground and why it applies, if the goods are held illegal.
        clause: the contractual ground and why it applies, if the store's terms are the ground.
        territory: where the restriction holds.
        until: until when; empty for no end.
        complaints: where and how to complain to the store.
        disputes: where to contest the report at the exchange; empty if the report is gone.
    """

    law: str = ""
    clause: str = ""
    territory: str = "everywhere the service is offered"
    until: str = ""
    complaints: str = ""
    disputes: str = ""


def render(decision: Decision, terms: Terms, report: Report | None) -> str:
    """The statement to the seller, as Markdown.

    Args:
        decision: as recorded, with the store's own ground.
        terms: what the store adds.
        report: the report that was hit, as it stands; None if it is gone.

    Raises:
        DecisionError: there is no restriction to state reasons for, no ground of the store's own,
            or neither law nor clause.
    """
    _require(decision, terms)
    decided = datetime.fromtimestamp(decision.decided, UTC)
    parts = [
        "# Statement of reasons",
        (
            f"Account {decision.account}. Decided on {decided:%Y-%m-%d} (UTC). "
            "Regulation (EU) 2022/2065, article 17."
        ),
        "## What was decided",
        (
            f"{_RESTRICTION[decision.action]} It holds {terms.territory}, "
            f"{f'until {terms.until}' if terms.until else 'with no end set'}."
        ),
        "## Facts and circumstances",
        decision.note.strip(),
        _exchange(decision, report),
        "We looked into this on our own initiative, and not upon a notice under article 16.",
        "## Use of automated means",
        (
            "Software compared details of your account with the report and pointed us to it. "
            "A person examined the case and took the decision."
        ),
        "## Ground",
        *([f"Law: {terms.law}"] if terms.law else []),
        *([f"Our terms: {terms.clause}"] if terms.clause else []),
        "## What you can do",
        *_redress(decision, terms),
    ]
    return "\n\n".join(parts) + "\n"


def transparency_record(
    decision: Decision, terms: Terms, *, countries: Sequence[str], puid: str
) -> dict[str, Any]:
    """The record for the Commission's transparency database, without personal data.

    Args:
        decision: as recorded. Its ground is not copied: it may name people.
        terms: what the store adds; its law or clause must name nobody.
        countries: where the restriction holds, ISO 3166-1 alpha-2 codes.
        puid: the store's own unique id of the statement.

    Raises:
        DecisionError: see `render`.

    Source: transparency.dsa.ec.europa.eu, API documentation, attributes of a statement.
    """
    _require(decision, terms)
    decided = datetime.fromtimestamp(decision.decided, UTC)
    ground = (
        {
            "decision_ground": "DECISION_GROUND_ILLEGAL_CONTENT",
            "illegal_content_legal_ground": terms.law,
            "illegal_content_explanation": "The account is held to sell counterfeit goods.",
        }
        if terms.law
        else {
            "decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
            "incompatible_content_ground": terms.clause,
            "incompatible_content_explanation": "The account is held to sell counterfeit goods.",
            "incompatible_content_illegal": "Yes",
        }
    )
    return {
        "decision_account": "DECISION_ACCOUNT_TERMINATED"
        if decision.action == "removed"
        else "DECISION_ACCOUNT_SUSPENDED",
        "account_type": "ACCOUNT_TYPE_BUSINESS",
        **ground,
        "category": "STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS",
        "category_specification": ["KEYWORD_TRADEMARK_INFRINGEMENT"],
        "content_type": ["CONTENT_TYPE_PRODUCT"],
        "content_date": f"{decided:%Y-%m-%d}",
        "application_date": f"{decided:%Y-%m-%d}",
        **({"end_date_account_restriction": terms.until} if terms.until else {}),
        "territorial_scope": list(countries),
        "decision_facts": "The store found, on checks of its own, that the account sells "
        "counterfeit goods or is run by somebody who does.",
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes",
        "automated_decision": "AUTOMATED_DECISION_NOT_AUTOMATED",
        "puid": puid,
    }


def _require(decision: Decision, terms: Terms) -> None:
    if decision.action not in AGAINST:
        raise DecisionError(
            f"the decision about {decision.account} was {decision.action}: nothing was restricted, "
            "so there is nothing to state reasons for"
        )
    if not decision.note.strip():
        raise DecisionError(
            "no ground of your own is on record, and a hit is none: `acx decide "
            f"{decision.account}:{decision.report} --action {decision.action} --statement FILE`"
        )
    if not (terms.law or terms.clause):
        raise DecisionError("state the ground: --law or --clause, and why it applies")


def _exchange(decision: Decision, report: Report | None) -> str:
    found = (
        "We were also aware of a report in an exchange in which stores share confirmed "
        f"counterfeiters (report {decision.report}). We do not know who made it"
    )
    if report is None:
        return f"{found}. The report no longer stands; the decision does not rest on it."
    fields = sorted({reason.split(":")[0] for reason in _agreeing(decision.reasons)} - _ABSENT)
    agreeing = (
        f" Agreeing details: {', '.join(f.replace('_', ' ') for f in fields)}." if fields else ""
    )
    return (
        f"{found}: that somebody whose details agree with yours {_CONDUCT[report.conduct]}, as "
        f"confirmed by {_listed([_STANDARD[s] for s in report.confirmed_by])}.{agreeing} A report "
        "says that two accounts are probably one actor's, and is by itself no ground for us."
    )


def _agreeing(reasons: Sequence[str]) -> list[str]:
    return [reason for reason in reasons if not reason.rpartition(":")[2].startswith("-")]


def _redress(decision: Decision, terms: Terms) -> list[str]:
    complaints = terms.complaints or "our internal complaint system"
    paths = [
        (
            "Complain to us, free of charge and within six months, through "
            f"{complaints} (article 20); a person decides."
        ),
        "Turn to a certified out-of-court dispute settlement body (article 21), or to a court.",
    ]
    if terms.disputes:
        paths.append(
            f"Contest the report itself at the exchange: {terms.disputes}, report "
            f"{decision.report}. If it falls, we are told."
        )
    return ["\n".join(f"{number}. {path}" for number, path in enumerate(paths, start=1))]


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
