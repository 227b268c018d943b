"""Every word of the pages, apart from their structure: another language is another `Words`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from acx.exchange.governance import codes


@dataclass(frozen=True, slots=True)
class Words:
    """The pages in one language.

    Attributes:
        language: its tag (BCP 47).
        texts: by name; `{…}` is filled in.
        fields: field of an account ► what people call it.
        states: state of a report ► what it means to whom it is about.
        disputes: code of a dispute ► what it says.
    """

    language: str
    texts: Mapping[str, str]
    fields: Mapping[str, str]
    states: Mapping[str, str]
    disputes: Mapping[str, str]


ENGLISH: Final = Words(
    language="en",
    texts={
        "title": "Disputes",
        "claim_title": "Is there a record about you?",
        "claim_intro": (
            "{origin} is a register in which stores share whom they have confirmed as sellers of "
            "counterfeit goods. If you may be in it, you can see what is held about an e-mail "
            "address or a domain that is yours, and contest it. It costs nothing."
        ),
        "claim_how": (
            "First you show that the address or the domain is yours. Until then nobody, you "
            "included, is told whether there is a record."
        ),
        "claim_label": "Your whole e-mail address, or a domain that you registered",
        "claim_hint": "For example jo@example.com, or example.com",
        "claim_button": "Go on",
        "claim_neither": (
            "You have neither? Write to the operator of this register, who will ask you to "
            "identify yourself: {mail}"
        ),
        "email_title": "Look into your mail",
        "email_intro": (
            "If {value} is an address that takes mail, a code is on its way to it. It can be used "
            "for half an hour."
        ),
        "email_label": "The code",
        "email_button": "Show me",
        "domain_title": "Publish a line at {value}",
        "domain_intro": "Publish this line in one of two places, whichever is easier for you:",
        "domain_dns": "as a TXT record of {record}",
        "domain_file": "in the file {url}",
        "domain_later": (
            "The DNS may take an hour to tell. You have three days: keep this page open, or keep "
            "its address. Afterwards you can take the line away."
        ),
        "domain_keep": "Address to come back to",
        "domain_button": "It is published: look",
        "shown_title": "What is held",
        "shown_none": (
            "No report in this register holds {value}. If you believe that you are in it under "
            "another address, begin again with that."
        ),
        "shown_some": "{count} holds {value}.",
        "one_report": "One report",
        "many_reports": "{count} reports",
        "shown_rest": (
            "Of the rest you see the kinds of data alone. They may be another person's, whose "
            "identity was used. The operator tells you more once you are identified."
        ),
        "report": "Report {report}",
        "report_state": "State",
        "report_values": "Shown by you",
        "report_rest": "Also held",
        "report_nothing": "nothing else",
        "report_taken": "In the register since",
        "report_kept": "Kept until",
        "report_held": "until a legal hold ends",
        "file_title": "Contest it",
        "file_intro": (
            "What you write is sealed to the operators, who alone can read it, and deleted once "
            "the dispute is decided. An operator will ask you to identify yourself; then the "
            "report is marked as disputed at every store, at once, and the store that reported "
            "you has {days} days to answer. Two operators decide. You can appeal once."
        ),
        "file_report": "Which report",
        "file_code": "Why",
        "file_text": "What happened, in your words",
        "file_contact": "E-mail address for the answer",
        "file_button": "File it",
        "filed_title": "It is filed",
        "filed_intro": (
            "Your filing has the number below. Keep it. An operator will answer to {contact}."
        ),
        "filed_default": "the address you gave",
        "again": "Begin again",
        "refused_title": "That did not work",
        "busy": "Too many ask at once, or you have asked often: come again in a while.",
        "too_large": "This is too long.",
    },
    fields={
        "kind": "whether it is a person or a company",
        "name": "names",
        "alias": "names of shops",
        "email": "e-mail addresses",
        "phone": "phone numbers",
        "address": "postal addresses",
        "country": "countries",
        "tax_id": "tax numbers",
        "registration_no": "company numbers",
        "bank_account": "bank accounts, as digests",
        "id_document": "identity documents, as digests",
        "website": "websites",
        "contact": "messenger accounts",
        "handle": "shops elsewhere",
        "birth_date": "a date of birth",
        "ip": "network addresses, as digests",
        "device": "devices, as digests",
        "image_hash": "pictures, as hashes",
        "related": "names of owners or directors",
    },
    states={
        "active": "stands",
        "disputed": "is disputed, and not decided",
        "suspended": "is suspended: nobody answered the dispute in time",
        "withdrawn": "was withdrawn by who reported",
        "rejected": "was rejected in a dispute",
    },
    disputes=codes.DISPUTE,
)
