"""Changed messages, none accepted; `python -m benchmarks credentials.mutations` tries 100,000."""

from __future__ import annotations

from random import Random

import pytest
from tests.credentials.mutating import TARGETS, Target, mutated

from acx.credentials.errors import CredentialError

MUTATIONS = 350


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_messages_as_they_were_made_are_accepted(target: Target) -> None:
    for message in target.valid:
        assert target.accept(message)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_changed_message_is_accepted_or_breaks_anything(target: Target) -> None:
    random = Random(target.name)  # noqa: S311 -- which changes are tried is no secret
    for _ in range(MUTATIONS):
        message = mutated(target, random)
        with pytest.raises(CredentialError):
            target.accept(message)
