"""The outbox: what was decided on its way into the log, and the proof that it arrived.

A message is signed when it goes out, for the day and the version of that moment; from then on its
bytes are fixed, durably, before they are posted, so that sending them again after a lost answer
gets the same answer. It counts as acknowledged once its receipt proves that the log holds it.

The first message waits for a random time, several go in random order with gaps between them
(`acx.member.spacing`), so that their times do not tell whose they are. Of one key's messages the
order stays.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

import msgspec

from acx.member import texts
from acx.member.authorise import Authorisation, Authoriser
from acx.member.client import Acknowledgement
from acx.member.errors import BadAnswer, BadReceipt, ContributionError, ExchangeError, Refused
from acx.member.recovery import day_of, restored_on
from acx.member.replica import Replica
from acx.member.spacing import DEFAULT, Spacing, follow_ups_from
from acx.member.trusted_log import TrustedLog
from acx.member.wallet import Contribution, Message, Wallet
from acx.records.event import (
    BODIES,
    Act,
    Event,
    outcome_context,
    parse_event,
    sign_event,
    stand_context,
)
from acx.records.issuer_keys import parse_hour

LOCK_FILE: Final = "sending"
FOLLOWING: Final = frozenset({"corroboration", "outcome"})
"""Types that say something about a report of somebody else's."""
RATE_ATTEMPTS: Final = 20
"""Rate tags tried for one report, where another wallet of ours has used some."""
PASSING: Final = frozenset({408, 425, 429})
"""Statuses below 500 that say «later» and not «no»."""
STOPPING: Final = frozenset({401, 403})
"""Statuses that say «not you»: no other message would fare better."""
_OTHER_DAY: Final = "wrong-date"
_OTHER_KEY: Final = "wrong-issuer-key"
_PASSED: Final = {
    _OTHER_DAY: "if that is another day, set this machine's clock right",
    _OTHER_KEY: "it goes once the present key is believed and acx sync has fetched its credential",
}
"""Problems that signing anew solves, because day or key have changed since; else what to do.

The exchange looks for the same event first, so a refusal means that it does not have it.
"""


class Carrier(Protocol):
    """Carries an event to the log."""

    def post(self, event: bytes, presentations: bytes = b"{}") -> Acknowledgement:
        """Post an event."""

    def post_text(self, text: bytes) -> None:
        """Post a text for the operators."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the outbox.

    Attributes:
        acknowledged: messages that are in the log, with their receipts.
        failed: messages that the exchange refused for good.
        waiting: messages still to go.
        stopped: why sending stopped before the outbox was empty; empty if it did not.
        hurried: whether they went at once, so that their times show whose they are.
        read: whether we had just read the log, and read it seldom, which shows it too.
    """

    acknowledged: tuple[Message, ...] = ()
    failed: tuple[Message, ...] = ()
    waiting: int = 0
    stopped: str = ""
    hurried: bool = False
    read: bool = False


Sending = Callable[[int, int, float], object]
"""Called with the messages done, those there are, and the seconds that the rest will take."""


class Outbox:
    """Sends what waits in a wallet."""

    def __init__(
        self,
        wallet: Wallet,
        replica: Replica,
        carrier: Carrier,
        authoriser: Authoriser,
        *,
        spacing: Spacing = DEFAULT,
        refresh: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            wallet: holds the messages.
            replica: says which version a report has, and what the log's keys are.
            carrier: takes the events there.
            authoriser: makes their tags.
            spacing: how long messages wait.
            refresh: brings the replica up to date, where a follow-up rests on a later log.
            clock: seconds since 1970.
            sleep: waits; the clock's by default.
        """
        self._wallet = wallet
        self._replica = replica
        self._carrier = carrier
        self._authoriser = authoriser
        self._spacing = spacing
        self._refresh = refresh
        self._clock = clock
        self._sleep = sleep or time.sleep
        self._random = secrets.SystemRandom()

    def send(self, *, at_once: bool = False, progress: Sending | None = None) -> Sent:
        """Send until nothing waits, or until the exchange cannot take more.

        Args:
            at_once: without waiting (`--now`): times then tell whose the messages are.
            progress: told how many went, how many there are, and how long the rest will take.

        Raises:
            InconsistentLog: a receipt proves nothing; its message stays as sent.
        """
        acknowledged: list[Message] = []
        failed: list[Message] = []
        stopped = ""
        with self._only_sender() as alone, self._replica.keeping_evidence():
            if not alone:
                stopped = "another acx is sending from this wallet, and sends this too"
            still = self._unsettled() if progress is not None else Counter()
            while alone and (ready := self._wallet.next_to_send()):
                done = len(acknowledged) + len(failed)
                message, early = self._next(ready, at_once=at_once)
                if progress is not None:
                    seconds = early + self._spacing.expected(still, message.type, first=not done)
                    total = done + self._wallet.count_unsettled()
                    progress(done, total, 0.0 if at_once else seconds)
                    still[message.type] -= 1
                try:
                    self._prepare(message)
                    if not at_once:
                        wait = self._spacing.wait(message.type, first=not done, random=self._random)
                        self._sleep(early + wait)
                        # Meanwhile another command may have taken it back, or changed it.
                        if message.id not in self._wallet.next_to_send():
                            continue
                        message = self._wallet.message(message.id)
                    settled = self._send(message)
                except (ExchangeError, ContributionError) as error:
                    stopped = str(error)
                    break
                (acknowledged if settled.state == "acknowledged" else failed).append(settled)
        waiting = self._wallet.count_unsettled()
        done = len(acknowledged) + len(failed)
        if progress is not None:
            progress(done, done + waiting, 0.0)
        return Sent(
            acknowledged=tuple(acknowledged),
            failed=tuple(failed),
            waiting=waiting,
            stopped=stopped,
            hurried=at_once and done > 0,
        )

    def _next(self, ready: Sequence[int], *, at_once: bool) -> tuple[Message, float]:
        """What leaves next, drawn from what may leave now, and for how many seconds it may not."""
        soonest: tuple[Message, float] | None = None
        for identifier in self._random.sample(ready, len(ready)):
            message = self._wallet.message(identifier)
            early = 0.0 if at_once else self._too_early(message)
            if soonest is None or early < soonest[1]:
                soonest = message, early
            if not early:
                break
        assert soonest is not None  # noqa: S101 -- something is ready
        return soonest

    def _too_early(self, message: Message) -> float:
        """For how many seconds others may not have read the report that a message follows."""
        if message.type not in FOLLOWING or message.state == "sent" or not self._spacing.delay:
            return 0.0
        report = self._wallet.contribution(message.contribution).report
        view = self._replica.report(report)
        if view is None:
            return 0.0
        hour = parse_hour(self._replica.entry(view.first_index).at)
        return max(0.0, follow_ups_from(hour.timestamp()) - self._clock())

    def _send(self, message: Message) -> Message:
        """Send one message, until it is settled either way."""
        contribution = self._wallet.contribution(message.contribution)
        if message.type == texts.TEXT:
            return self._send_text(message, contribution)
        for _ in range(RATE_ATTEMPTS):
            resent = message.state == "sent"
            if not resent:
                message = self._sign(message, contribution)
            try:
                answer = self._carrier.post(message.event, message.presentations)
            except Refused as refusal:
                if refusal.status >= 500 or refusal.status in PASSING | STOPPING:
                    raise
                spent = message.type == "report" and refusal.problem == "tag-spent"
                if spent or refusal.problem in _PASSED:
                    message = self._wallet.put(
                        msgspec.structs.replace(message, state="waiting", event=b"")
                    )
                    if not (spent or resent):
                        raise ContributionError(f"{refusal}; {_PASSED[refusal.problem]}") from None
                    continue
                return self._fail(message, contribution, str(refusal))
            return self._acknowledge(message, contribution, answer)
        raise ContributionError("the exchange takes none of our rate tags today; try tomorrow")

    def _send_text(self, message: Message, contribution: Contribution) -> Message:
        """Send what goes to the operators; once they have it, it is kept here no longer."""
        if message.state != "sent":
            answer = texts.answer_to(self._wallet, contribution, message.ref)
            if answer is None:
                raise ContributionError(f"a text about {message.ref} belongs to no answer of ours")
            key = self._wallet.seed().contribution_key(contribution.counter)
            sealed = texts.sealed(message.body, parse_event(answer.event).id, key, self._replica)
            message = self._wallet.put(msgspec.structs.replace(message, state="sent", event=sealed))
        settled = msgspec.structs.replace(message, state="acknowledged", body=b"", event=b"")
        try:
            self._carrier.post_text(message.event)
        except Refused as refusal:
            if refusal.status >= 500 or refusal.status in PASSING | STOPPING:
                raise
            settled = msgspec.structs.replace(settled, state="failed", problem=str(refusal))
        else:
            settled = msgspec.structs.replace(settled, acknowledged=self._clock())
        with self._wallet.transaction():
            # Nothing of it is in the log, to be looked for there.
            self._wallet.mark_checked([settled])
            return self._wallet.put(settled)

    def _sign(self, message: Message, contribution: Contribution) -> Message:
        """Sign a message for this moment, and keep its bytes before they go anywhere."""
        contribution = self._up_to_date(message, contribution)
        authorisation = self._authorise(message, contribution, day_of(self._clock()))
        event = sign_event(
            self._wallet.seed().contribution_key(contribution.counter),
            origin=self._wallet.origin,
            type=message.type,
            body=msgspec.json.decode(message.body, type=BODIES[message.type]),
            report=contribution.report,
            ref=message.ref,
            seq=contribution.next_seq,
            tags=authorisation.tags,
            issuer_key=authorisation.issuer_key,
        )
        return self._wallet.put(
            msgspec.structs.replace(
                message,
                state="sent",
                event=event.raw,
                presentations=authorisation.present(event),
            )
        )

    def _authorise(self, message: Message, contribution: Contribution, day: str) -> Authorisation:
        report, version = contribution.report, contribution.version
        match message.type:
            case "report":
                return self._authoriser.authorise([stand_context(report, 1)], day=day)
            case "corroboration" | "answer":
                return self._authoriser.authorise([stand_context(report, version)])
            case "amendment":
                # The next version's too: the fold takes it only if an account value was added.
                versions = (version, version + 1)
                return self._authoriser.authorise([stand_context(report, v) for v in versions])
            case "outcome":
                return self._authoriser.authorise([outcome_context(report)])
            case _:
                return self._authoriser.authorise([])

    def _prepare(self, message: Message) -> None:
        """What is to be found out or read before a message waits, so that it is not beside it."""
        if message.state == "sent":
            return
        if message.type == "report" and restored_on(self._wallet) == day_of(self._clock()):
            raise ContributionError(
                "the wallet was restored today and does not know which of the day's rate tags are"
                " used; reports wait for tomorrow"
            )
        contribution = self._wallet.contribution(message.contribution)
        if _rests_on_version(message, contribution):
            earlier = self._wallet.messages(contribution=contribution.id)
            indices = [message.index for message in earlier if message.index is not None]
            if max(indices, default=-1) >= self._replica.size:
                self._refresh()

    def _up_to_date(self, message: Message, contribution: Contribution) -> Contribution:
        """The contribution with its report's present version, where a follow-up rests on it."""
        if not _rests_on_version(message, contribution):
            return contribution
        view = self._replica.report(contribution.report)
        if view is None or not view.version or view.version == contribution.version:
            return contribution
        return self._wallet.store(msgspec.structs.replace(contribution, version=view.version))

    def _acknowledge(
        self, message: Message, contribution: Contribution, answer: Acknowledgement
    ) -> Message:
        arrived = self._clock()
        event = parse_event(message.event)
        if answer.event != event.id:
            raise BadAnswer(
                "the exchange acknowledged another event than was sent; it stays in the outbox,"
                " try again"
            )
        trust = self._replica.trust
        TrustedLog(trust.origin, trust.log_key).verify_receipt(
            answer.receipt, event=event.raw, index=answer.index, at=answer.at, k=answer.k
        )
        with self._wallet.transaction():
            self._wallet.store(_settled(contribution, message, event))
            return self._wallet.put(
                msgspec.structs.replace(
                    message,
                    state="acknowledged",
                    index=answer.index,
                    at=answer.at,
                    k=answer.k,
                    receipt=answer.receipt,
                    problem="",
                    acknowledged=arrived,
                )
            )

    def _fail(self, message: Message, contribution: Contribution, problem: str) -> Message:
        with self._wallet.transaction():
            # Said again by the next run, as if it had never been said.
            changed = msgspec.structs.replace(contribution, digest="")
            later = self._wallet.messages(contribution=contribution.id, states=("waiting",))
            if message.type == "answer":
                for text in later:
                    if (text.type, text.ref) == (texts.TEXT, message.ref):
                        self._wallet.drop(text)
            if message.type == contribution.kind:
                changed = msgspec.structs.replace(changed, state="failed")
                for unsaid in later:
                    self._wallet.drop(unsaid)
            elif message.type == "withdrawal":
                changed = msgspec.structs.replace(changed, state="open")
            self._wallet.store(changed)
            return self._wallet.put(
                msgspec.structs.replace(message, state="failed", problem=problem)
            )

    def _unsettled(self) -> Counter[str]:
        unsettled = self._wallet.messages(states=("waiting", "sent"))
        return Counter(message.type for message in unsettled)

    @contextmanager
    def _only_sender(self) -> Iterator[bool]:
        """Whether nobody else sends: two at once would send a message twice, and close together."""
        path = self._wallet.directory / LOCK_FILE
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                alone = True
            except OSError:
                alone = False
            yield alone
        finally:
            os.close(descriptor)


def _rests_on_version(message: Message, contribution: Contribution) -> bool:
    return message.type in ("amendment", "answer") and contribution.kind == "report"


def _settled(contribution: Contribution, message: Message, event: Event) -> Contribution:
    return msgspec.structs.replace(
        contribution,
        next_seq=max(contribution.next_seq, event.seq + 1),
        event=event.id if message.type == contribution.kind else contribution.event,
    )


def check_acknowledged(wallet: Wallet, replica: Replica) -> None:
    """Look in the replica for what the exchange said it has taken.

    Raises:
        BadReceipt: something else stands there. Both signed heads prove it.
    """
    size, checkpoint = replica.size, replica.checkpoint
    found: list[Message] = []
    for message in wallet.unchecked():
        if message.index is None or message.index >= size:
            continue
        event = replica.entry(message.index).event
        # An entry that was erased meanwhile has no event to compare.
        if event and event != message.event:
            raise BadReceipt(
                f"the exchange acknowledged our {message.type} at index {message.index}, and the"
                " log has another event there; tell the operator and the other members",
                evidence=(message.receipt, checkpoint.note if checkpoint else ""),
            )
        found.append(message)
    wallet.mark_checked(found)


def forget_gone(wallet: Wallet, replica: Replica, since: int) -> None:
    """Keep nothing of what we said that the log has erased or let expire.

    Args:
        wallet: what we said.
        replica: what is left.
        since: size of the log when this was last done.
    """
    if not any(_lets_go(event) for _, event in replica.governing(since)):
        return
    for message in wallet.messages(states=("acknowledged",)):
        known = message.index is not None and message.index < replica.size
        if message.event and known and not replica.entry(message.index or 0).event:
            wallet.put(
                msgspec.structs.replace(message, body=b"", event=b"", presentations=b"{}", k="")
            )


def _lets_go(event: Event) -> bool:
    """Whether entries may be gone by an event: an expiry, or the approval of an erasure."""
    body = event.body() if event.known else None
    return event.type == "expiry" or (isinstance(body, Act) and body.act == "approved")
