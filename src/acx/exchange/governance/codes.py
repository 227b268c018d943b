"""The codes operators decide by, each with its definition: published, and the only ones taken.

There is no free text in the log, so what a code says is all that the world can see of a reason.
`docs/governance.md` has the same lists, and a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from acx.exchange.errors import GovernanceError

Codes = Mapping[str, str]

DISPUTE: Final[Codes] = {
    "not_me": "The record is about somebody else, or my identity was used without my knowledge.",
    "not_seller": "The account is mine, and I neither sold nor shipped these goods.",
    "goods_genuine": "The goods were genuine, or lawfully imported.",
    "no_standard": "The standard of proof that the report states was not met.",
    "wrong_data": "Some of the data in the record is not mine, or no longer.",
    "cleared": "A court, an authority or the rights owner has decided otherwise since.",
    "objection": "I object to the record on grounds of my situation (GDPR, article 21).",
    "unlawful": "The record is unlawful for another reason.",
}
"""Why the accused contests a report."""

UPHELD: Final[Codes] = {
    "other_person": "The record is not about the actor that it names.",
    "not_the_seller": "The actor did not sell or ship the goods.",
    "genuine": "The goods are not shown to be counterfeit.",
    "standard_not_met": "What the stated standard requires was not shown.",
    "not_answered": "Nobody who stands behind the report answered, and nothing else supports it.",
    "data_wrong": "Data in the record is wrong, and the report was not amended.",
    "cleared_since": "A decision of a court, an authority or the rights owner goes before.",
    "not_lawful": "The record should not be held, for another reason of law.",
}
"""Why the operators find for the accused: the report is rejected."""

DISMISSED: Final[Codes] = {
    "standard_met": "What the stated standard requires was shown.",
    "same_actor": "The record is about the actor that it names.",
    "not_supported": "What the accused brought forward does not bear on the report.",
    "amended": "The report was amended, and stands as it is now.",
    "not_pursued": "The accused withdrew, or did not answer the operators.",
}
"""Why the operators find that the report stands."""

APPEAL: Final[Codes] = {
    "appeal": "The decision is contested.",
    "new_evidence": "There is evidence that the decision could not take into account.",
    "procedure": "The decision was not made by the rules.",
}
"""Why a decision is contested, once."""

LAPSE: Final[Codes] = {
    "no_answer": "Nobody who stands behind the report answered in time: a decision is due.",
    "no_decision": "The operators did not decide in time.",
}
"""Which deadline has passed."""

ERASURE: Final[Codes] = {
    "data_subject": "The person concerned has the right to erasure (GDPR, article 17).",
    "court_order": "A court has ordered it.",
    "authority_order": "An authority has ordered it.",
    "reporter_error": "The contributor reported by mistake, and the record should not have been.",
    "unlawful": "The record should not have been made, for another reason of law.",
}
"""Why entries are erased before their time."""

HOLD: Final[Codes] = {
    "court_order": "A court has ordered that the record be kept.",
    "authority_order": "An authority has ordered that the record be kept.",
    "legal_claim": "The record is needed for a legal claim (GDPR, article 17(3)(e)).",
    "restriction": "The person concerned asks that it be kept (GDPR, article 18).",
}
"""Why a report may neither be erased nor expire."""

RELEASE: Final[Codes] = {
    "ended": "The reason for the hold has ended.",
    "error": "The hold was a mistake.",
}
"""Why it may again."""

ADMISSION: Final[Codes] = {
    "agreement": "The membership agreement is signed by somebody entitled to.",
    "register": "The company was looked up in its register.",
    "marketplace": "It sells, or lets others sell, goods to consumers.",
    "carrier": "It carries, stores or clears goods for sellers.",
    "payments": "It moves sellers' money.",
    "process": "Its way of confirming counterfeits was held against the standards of proof.",
    "authority": "It is an authority with a task in this matter by law.",
    "independent": "It has no interest in any seller, store or brand.",
}
"""On what grounds a member is admitted."""

CLOSING: Final[Codes] = {
    "not_identified": "Who filed did not show to be whom the record is about.",
    "no_such_record": "No record is about who filed.",
    "withdrawn": "Who filed does not pursue it.",
    "duplicate": "Another filing says the same.",
    "resolved": "The report was amended or withdrawn, and nothing is left to dispute.",
}
"""Why a filing does not become a dispute."""

LISTS: Final[Mapping[str, Codes]] = {
    "dispute": DISPUTE,
    "upheld": UPHELD,
    "dismissed": DISMISSED,
    "appeal": APPEAL,
    "lapse": LAPSE,
    "erasure": ERASURE,
    "hold": HOLD,
    "release": RELEASE,
    "admission": ADMISSION,
    "closing": CLOSING,
}
"""All of them, by what they are for."""


def checked(code: str, codes: Codes, what: str) -> str:
    """The code, if it is one of a list.

    Args:
        code: as given.
        codes: the list.
        what: what the code is for, named in the error.

    Raises:
        GovernanceError: it is none of them; with those there are.
    """
    if code not in codes:
        raise GovernanceError(
            f"{code[:64]!r} is no code of {what}: choose one of {', '.join(codes)}"
        )
    return code
