"""Contributors are counted by tags: no sequence of a member's acts makes it count twice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from acx.credentials.credential import Credential
from acx.credentials.errors import CredentialError
from acx.credentials.issuance import ClientRequest, MemberSecret, enrol, renew
from acx.credentials.keys import SecretKey
from acx.credentials.single_use import present_once, verify_once

REQUEST_CONTEXT = b"exchange.example"
KEYS = [SecretKey.generate() for _ in range(3)]
"""The issuer's keys of three periods."""
SECRETS = [MemberSecret.generate() for _ in range(4)]
"""Of the members; each has two wallets open, which share it."""


@dataclass
class Exchange:
    """What the operator keeps: commitments by member, and tags by context. Nothing joins them."""

    commitments: dict[int, bytes] = field(default_factory=dict)
    tags: dict[bytes, set[bytes]] = field(default_factory=dict)
    period: int = 0

    def answer(self, member: int, asked: ClientRequest) -> Credential:
        key = KEYS[self.period]
        if member in self.commitments:
            response = renew(key, asked.request, self.commitments[member])
        else:
            response = enrol(key, asked.request)
            self.commitments[member] = asked.request.commitment
        return asked.finalize(response, key.public_key)

    def take(self, presentation: bytes, context: bytes, event: bytes) -> None:
        tag = verify_once(
            KEYS[self.period],
            presentation,
            request_context=REQUEST_CONTEXT,
            context=context,
            message=event,
        )
        self.tags.setdefault(context, set()).add(tag)


acts = st.one_of(
    st.tuples(st.just("stand"), st.integers(0, 3), st.integers(0, 1), st.integers(1, 2)),
    st.tuples(st.just("renew"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("next period")),
)


@settings(max_examples=40)
@given(st.lists(acts, min_size=1, max_size=14))
def test_contributors_are_the_distinct_members_who_stand(history: list[tuple[object, ...]]) -> None:
    exchange = Exchange()
    credentials = {
        member: exchange.answer(member, ClientRequest.create(secret, REQUEST_CONTEXT))
        for member, secret in enumerate(SECRETS)
    }
    standing: dict[bytes, set[int]] = {}
    valid_in = dict.fromkeys(credentials, 0)
    for number, act in enumerate(history):
        match act:
            case ("stand", int(member), int(wallet), int(version)):
                context = b"stand/report/%d" % version
                event = hashlib.sha256(b"%d %d" % (number, wallet)).digest()
                shown = present_once(credentials[member], context=context, message=event)
                try:
                    exchange.take(shown.encode(), context, event)
                except CredentialError:
                    assert valid_in[member] != exchange.period
                else:
                    standing.setdefault(context, set()).add(member)
            case ("renew", int(member), bool(honest)):
                secret = SECRETS[member] if honest else MemberSecret.generate()
                try:
                    credentials[member] = exchange.answer(
                        member, ClientRequest.create(secret, REQUEST_CONTEXT)
                    )
                    valid_in[member] = exchange.period
                except CredentialError:
                    assert not honest
                else:
                    assert honest
            case ("next period",):
                exchange.period = min(exchange.period + 1, len(KEYS) - 1)
    assert {context: len(tags) for context, tags in exchange.tags.items()} == {
        context: len(members) for context, members in standing.items()
    }
