"""Which logs and witnesses count, and how many of them (C2SP tlog-policy).

A policy is a text of lines: `log VKEY [URL]`, `witness NAME VKEY [URL]`,
`group NAME all|any|K MEMBER…` and exactly one `quorum NAME|none`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from acx.log.checkpoint import Checkpoint, open_checkpoint
from acx.log.cosignature import WitnessKey
from acx.log.errors import MalformedKey, MalformedPolicy, QuorumNotMet
from acx.log.note import Signature, Verifier, parse_note, verified_signatures

NO_WITNESSES: Final = "quorum none\n"
"""The policy that asks for no cosignature."""

MAX_POLICY_BYTES: Final = 64 * 1024

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_COUNT: Final = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Log:
    """A log that a policy accepts.

    Attributes:
        key: its public key, whose name is the log's origin.
        url: where it answers; may be empty.
    """

    key: Verifier
    url: str = ""


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness that a policy knows.

    Attributes:
        key: its public key.
        url: where it answers; may be empty.
    """

    key: WitnessKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A group has witnessed a checkpoint when enough of its members have.

    Attributes:
        threshold: how many are enough.
        members: names of witnesses or of groups.
    """

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy, parsed and consistent in itself.

    Attributes:
        logs: the logs that are accepted; may be empty where the log is known anyway.
        witnesses: name in this policy ► witness.
        groups: name ► group; a group's members are defined before it.
        quorum: name of the witness or group that must have witnessed; empty for none.
    """

    logs: tuple[Log, ...] = ()
    witnesses: dict[str, Witness] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    quorum: str = ""

    def satisfied(self, note: str | bytes) -> bool:
        """Whether enough witnesses have cosigned a checkpoint.

        Args:
            note: the checkpoint as a signed note. The log's own signature is another question.

        Raises:
            MalformedNote: it is no signed note.
            BadSignature: a line in a known witness's name is not its own.
        """
        return self._has_quorum({witness for witness, _ in self.cosignatures(note)})

    def open(self, note: str | bytes, *logs: Verifier) -> Checkpoint:
        """Read a checkpoint that its log has signed and enough witnesses have cosigned.

        Args:
            note: as received.
            logs: the log's keys, where they are known from elsewhere; by default, the policy's.

        Raises:
            MalformedNote, UntrustedNote, BadSignature: as with `open_checkpoint`.
            QuorumNotMet: too few witnesses.
        """
        checkpoint = open_checkpoint(note, *(logs or [log.key for log in self.logs]))
        seen = {witness for witness, _ in self.cosignatures(note)}
        if not self._has_quorum(seen):
            raise QuorumNotMet(
                f"checkpoint of size {checkpoint.size}: cosigned by "
                f"{', '.join(sorted(seen)) or 'no known witness'}, which is not the quorum "
                f"{self.quorum!r}: wait for witnesses, or ask the operator"
            )
        return checkpoint

    def cosignatures(self, note: str | bytes) -> list[tuple[str, Signature]]:
        """The verified cosignatures of a note, each with the name of its witness in this policy.

        Raises:
            MalformedNote: it is no signed note.
            BadSignature: a line in a known witness's name is not its own.
        """
        names = {(w.key.name, w.key.key_id): name for name, w in self.witnesses.items()}
        keys = [witness.key for witness in self.witnesses.values()]
        verified = verified_signatures(parse_note(note), keys)
        return [(names[s.name, s.key_id], s) for s in verified]

    def _has_quorum(self, cosigners: set[str]) -> bool:
        seen = set(cosigners)
        for name, group in self.groups.items():
            if len(seen.intersection(group.members)) >= group.threshold:
                seen.add(name)
        return not self.quorum or self.quorum in seen


def parse_policy(text: str) -> Policy:
    """Read a policy.

    Raises:
        MalformedPolicy: with the line and the reason.
    """
    if len(text) > MAX_POLICY_BYTES:
        raise MalformedPolicy(f"policy is longer than {MAX_POLICY_BYTES} characters")
    return _Parser().parse(text)


class _Parser:
    def __init__(self) -> None:
        self._logs: list[Log] = []
        self._witnesses: dict[str, Witness] = {}
        self._groups: dict[str, Group] = {}
        self._quorum: str | None = None
        self._members: set[str] = set()

    def parse(self, text: str) -> Policy:
        for number, words in _lines(text):
            try:
                self._read(*words)
            except (MalformedPolicy, MalformedKey) as error:
                raise MalformedPolicy(f"policy, line {number}: {error}") from None
        if self._quorum is None:
            raise MalformedPolicy("policy: a quorum line is missing; 'quorum none' asks for none")
        return Policy(
            logs=tuple(self._logs),
            witnesses=self._witnesses,
            groups=self._groups,
            quorum=self._quorum,
        )

    def _read(self, keyword: str, *words: str) -> None:
        match keyword:
            case "log":
                self._read_log(*words)
            case "witness":
                self._read_witness(*words)
            case "group":
                self._read_group(*words)
            case "quorum":
                self._read_quorum(*words)
            case _:
                raise MalformedPolicy(f"{keyword[:40]!r} is none of log, witness, group, quorum")

    def _read_log(self, *words: str) -> None:
        if len(words) not in (1, 2):
            raise MalformedPolicy("a log line reads: log VKEY [URL]")
        log = Log(Verifier.parse(words[0]), *words[1:])
        if any(log.key.public == other.key.public for other in self._logs):
            raise MalformedPolicy("the same log key stands here twice")
        self._logs.append(log)

    def _read_witness(self, *words: str) -> None:
        if len(words) not in (2, 3):
            raise MalformedPolicy("a witness line reads: witness NAME VKEY [URL]")
        name = self._new_name(words[0])
        witness = Witness(WitnessKey.parse(words[1]), *words[2:])
        # One key under two names would count twice.
        if any(witness.key.public == w.key.public for w in self._witnesses.values()):
            raise MalformedPolicy("the same witness key stands here twice")
        self._witnesses[name] = witness

    def _read_group(self, *words: str) -> None:
        if len(words) < 3:
            raise MalformedPolicy("a group line reads: group NAME all|any|K MEMBER…")
        name, (threshold, *members) = self._new_name(words[0]), words[1:]
        for member in members:
            self._check_defined(member)
            # Else a witness could count in more than one way.
            if member in self._members:
                raise MalformedPolicy(f"{member!r} is a member already")
            self._members.add(member)
        count = {"all": len(members), "any": 1}.get(threshold)
        if count is None:
            count = int(threshold) if _COUNT.fullmatch(threshold) else 0
        if not 1 <= count <= len(members):
            raise MalformedPolicy(
                f"threshold {threshold[:20]!r} where all, any or a number from 1 to "
                f"{len(members)} is due"
            )
        self._groups[name] = Group(count, tuple(members))

    def _read_quorum(self, *words: str) -> None:
        if len(words) != 1:
            raise MalformedPolicy("a quorum line reads: quorum NAME|none")
        if self._quorum is not None:
            raise MalformedPolicy("there is a quorum line already")
        if words[0] == "none":
            self._quorum = ""
        else:
            self._check_defined(words[0])
            self._quorum = words[0]

    def _new_name(self, name: str) -> str:
        if name == "none" or name in self._witnesses or name in self._groups:
            raise MalformedPolicy(f"the name {name[:80]!r} is taken")
        return name

    def _check_defined(self, name: str) -> None:
        if name not in self._witnesses and name not in self._groups:
            raise MalformedPolicy(f"{name[:80]!r} is not defined above this line")


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    # Only these characters separate: what else looks like a space may be part of a name.
    for number, line in enumerate(text.split("\n"), start=1):
        if _CONTROL.search(line):
            raise MalformedPolicy(f"policy, line {number}: a control character")
        words = [word for word in re.split(r"[ \t]+", line) if word]
        if words and not words[0].startswith("#"):
            yield number, words
