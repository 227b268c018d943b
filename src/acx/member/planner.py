"""What to say about each row of a store's file, so that nothing is said twice.

A row's account id is looked up in the wallet, so that a nightly rerun of the same file sends only
what changed: unchanged rows nothing, changed ones an amendment. A new row that hits a standing
report at `exact` corroborates it instead of opening another. Deciding writes nothing, and is all
that `--dry-run` does; `acx.member.contribute.queue` puts what was decided into the outbox.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from acx.errors import AcxError
from acx.member.contribute import STANDING, Action, Draft, corroboration, own_contribution
from acx.member.errors import ContributionError
from acx.member.evidence import merged
from acx.member.pictures import UnreadPicture, pictured
from acx.member.replica import Replica
from acx.member.screen import Screener, accounts_frame
from acx.member.wallet import Contribution, Wallet
from acx.records.account import Subject
from acx.records.event import MAX_FOLLOW_UPS, canonical
from acx.records.files.reports import ReportRow
from acx.records.leak import Contributor, Finding, clean
from acx.records.leaving import subject_of
from acx.records.report import Evidence, Report

_NOBODY: Final = "\0"
"""An account id that no file can hold: rows without an id were never spoken of."""


class Planner:
    """Decides what each row has to say, from what was said before and what others said."""

    def __init__(
        self,
        wallet: Wallet,
        replica: Replica,
        *,
        contributor: Contributor,
        default_country: str = "",
        only_amend: bool = False,
        always_new: bool = False,
    ) -> None:
        """Nothing is read yet.

        Args:
            wallet: knows what was said before.
            replica: knows what others said.
            contributor: who we are, so that nothing that says so leaves.
            default_country: where national phone numbers are tried last.
            only_amend: leave out rows that were not reported before (`--amend`).
            always_new: open a report even where another stands, or our own was withdrawn (`--new`).
        """
        self._wallet = wallet
        self._replica = replica
        self._default_country = default_country
        self._contributor = contributor
        self._only_amend = only_amend
        self._always_new = always_new

    def plan(self, rows: Sequence[ReportRow]) -> list[Draft]:
        """A draft for each row, in order."""
        drafts: list[Draft] = []
        fresh: list[tuple[int, ReportRow, Report]] = []
        for row in rows:
            try:
                report, findings = self._report(row)
            except _Rejected as rejected:
                drafts.append(
                    _draft(
                        row,
                        "rejected",
                        field=rejected.field,
                        reason=str(rejected),
                        findings=rejected.findings,
                    )
                )
                continue
            draft = self._known(row, report)
            if draft is None and self._only_amend:
                draft = _draft(row, "unchanged", reason="is new, and --amend opens nothing")
            elif draft is None:
                fresh.append((len(drafts), row, report))
                draft = _draft(row, "report", leaves=canonical(report), digest=_digest(report))
            drafts.append(msgspec.structs.replace(draft, findings=findings))
        if fresh and not self._always_new:
            self._recognise(drafts, fresh)
        return drafts

    def amendment(self, identifier: str, row: ReportRow) -> Draft:
        """A draft that puts a whole new report in the place of one of ours.

        Raises:
            ContributionError: it is none of ours that stands, or the row cannot leave.
        """
        contribution = own_contribution(self._wallet, identifier)
        if contribution.kind != "report":
            raise ContributionError(
                f"{identifier} is a corroboration; withdraw it, and corroborate again"
            )
        try:
            report, findings = self._report(row)
        except _Rejected as rejected:
            raise ContributionError(f"{rejected.field}: {rejected}") from None
        draft = self._reported_before(row, report, contribution)
        if draft.action != "amend":
            reason = draft.reason or "says this already"
            raise ContributionError(f"report {contribution.report} {reason}")
        return msgspec.structs.replace(draft, findings=findings)

    def _report(self, row: ReportRow) -> tuple[Report, tuple[Finding, ...]]:
        """What may leave of a row, and what the lint took from it."""
        try:
            subject = subject_of(
                row.account, self._replica.trust.matching_key, self._default_country
            )
        except AcxError as error:
            raise _Rejected(getattr(error, "field", "account"), str(error)) from None
        try:
            products = pictured(row)
        except UnreadPicture as error:
            raise _Rejected("image", str(error)) from None
        content = {
            "account": subject,
            "conduct": row.conduct,
            "confirmed_by": row.confirmed_by,
            "confirmed_on": row.confirmed_on,
            "brands": row.brands,
            "categories": row.categories,
            "evidence": self._evidence(row),
            "products": products,
        }
        try:
            report = msgspec.convert(content, Report, from_attributes=True)
        except msgspec.ValidationError as error:
            field = str(error).rpartition("$.")[2].rstrip("`").split("[")[0]
            raise _Rejected(field, f"{error}: correct it in the file") from None
        cleaned = clean(report, self._contributor, [row.account.id] if row.account.id else ())
        if cleaned.blocked:
            first = cleaned.blocked[0]
            raise _Rejected(first.field, first.explanation, cleaned.findings)
        left = cleaned.report.account
        if left == Subject(kind=left.kind, country=left.country):
            raise _Rejected("account", "nothing in it could ever be recognised: add a name or more")
        return cleaned.report, cleaned.findings

    def _evidence(self, row: ReportRow) -> tuple[Evidence, ...]:
        """What the row states, and what `acx evidence add` has kept against its account."""
        exhibits = self._wallet.exhibits(row.account.id) if row.account.id else ()
        return merged(row.evidence, exhibits)

    def _known(self, row: ReportRow, report: Report) -> Draft | None:
        """What a row has to say if its account was spoken of before; None if it is new."""
        said = [
            contribution
            for contribution in self._wallet.contributions(account=row.account.id or _NOBODY)
            if contribution.state != "failed" and contribution.kind != "outcome"
        ]
        if not said:
            return None
        latest = said[-1]
        if latest.state == "withdrawn":
            if self._always_new:
                return None
            reason = "was withdrawn; --new reports it again"
            return _draft(row, "withdrawn", report=latest.report, reason=reason)
        if latest.kind == "report":
            return self._reported_before(row, report, latest)
        return self._corroborated_before(row, report, latest)

    def _corroborated_before(
        self, row: ReportRow, report: Report, latest: Contribution
    ) -> Draft | None:
        view = self._replica.report(latest.report)
        if view is not None and view.state not in STANDING:
            reason = f"the report that was corroborated is {view.state}"
            return _draft(row, "unchanged", report=latest.report, reason=reason)
        if view is not None and view.version > latest.version:
            # Only a corroboration of its present version counts, and whether that is still the
            # same actor is to be asked again.
            return None
        if latest.digest == _digest(report):
            return _draft(row, "unchanged", report=latest.report)
        if self._always_new:
            return None
        reason = "was corroborated; a corroboration cannot be changed, --new opens a report"
        return _draft(row, "unchanged", report=latest.report, reason=reason)

    def _reported_before(self, row: ReportRow, report: Report, latest: Contribution) -> Draft:
        digest = _digest(report)
        if latest.digest == digest:
            return _draft(row, "unchanged", report=latest.report)
        follow_ups = [
            message
            for message in self._wallet.messages(contribution=latest.id)
            if message.type in ("amendment", "answer") and message.state != "failed"
        ]
        if len(follow_ups) >= MAX_FOLLOW_UPS:
            reason = f"has {MAX_FOLLOW_UPS} amendments, and can take no more"
            return _draft(row, "unchanged", report=latest.report, reason=reason)
        return _draft(
            row,
            "amend",
            report=latest.report,
            leaves=canonical(report),
            digest=digest,
            contribution=latest.id,
        )

    def _recognise(
        self, drafts: list[Draft], fresh: Sequence[tuple[int, ReportRow, Report]]
    ) -> None:
        """Let new rows that hit a standing report at `exact` say so instead."""
        own = {
            contribution.report: contribution
            for contribution in self._wallet.contributions()
            if contribution.kind == "report"
        }
        taken: set[str] = set()
        for (place, row, report), hits in zip(fresh, self._hits(fresh), strict=True):
            for hit in hits:
                mine = own.get(hit)
                if hit in taken:
                    reason = "another row says the same of this report"
                    drafts[place] = _draft(row, "unchanged", report=hit, reason=reason)
                elif mine is None:
                    drafts[place] = self._corroboration(row, report, hit)
                elif not mine.account and mine.state == "open" and row.account.id:
                    drafts[place] = self._recovered(row, report, mine)
                else:
                    # Another account of an actor we reported: others should know it too.
                    continue
                taken.add(hit)
                break

    def _hits(self, fresh: Sequence[tuple[int, ReportRow, Report]]) -> list[list[str]]:
        """For each new row the standing reports that it hits at `exact`, most probable first."""
        found: list[list[str]] = [[] for _ in fresh]
        screener = Screener(
            self._replica, level="exact", default_country=self._default_country, states=STANDING
        )
        if len(screener):
            accounts = accounts_frame(
                msgspec.structs.replace(row.account, id=str(number))
                for number, (_, row, _) in enumerate(fresh)
            )
            hits = screener.screen(accounts).select("account_id", "report_id")
            for number, report in hits.iter_rows():
                found[int(number)].append(report)
        return found

    def _recovered(self, row: ReportRow, report: Report, mine: Contribution) -> Draft:
        """A report of ours whose account a restored wallet did not know: this row's."""
        view = self._replica.report(mine.report)
        digest = _digest(report)
        if view is not None and view.report_json == canonical(report):
            return _draft(row, "unchanged", report=mine.report, digest=digest, contribution=mine.id)
        return self._reported_before(row, report, mine)

    def _corroboration(self, row: ReportRow, report: Report, hit: str) -> Draft:
        try:
            draft = corroboration(
                self._wallet,
                self._replica,
                hit,
                confirmed_by=report.confirmed_by,
                confirmed_on=report.confirmed_on,
                account=row.account.id,
            )
        except ContributionError as error:
            return _draft(row, "unchanged", report=hit, reason=str(error))
        return msgspec.structs.replace(
            draft,
            digest=_digest(report),
            reason="hits a standing report at `exact`; --new opens another",
            file=row.file,
            line=row.line,
        )


class _Rejected(Exception):
    def __init__(self, field: str, reason: str, findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(reason.removeprefix(f"{field}: "))
        self.field = field
        self.findings = findings


def _draft(row: ReportRow, action: Action, **said: Any) -> Draft:
    return Draft(action=action, account=row.account.id, file=row.file, line=row.line, **said)


def _digest(report: Report) -> str:
    return hashlib.sha256(canonical(report)).hexdigest()
