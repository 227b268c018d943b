"""An invite survives the way from the operator to the member, or is refused."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acx.records.invite import Invite, InviteError, Operator, format_invite, parse_invite

INVITE = Invite(
    origin="acx.example/test",
    url="https://acx.example",
    log_key="acx.example/test+00000000+AQ==",
    operators=(Operator(name="op", key=base64.b64encode(bytes(32)).decode()),),
    witnesses="",
    relays=(),
    matching_key=base64.b64encode(bytes(range(32))).decode(),
    invite_id="i",
    secret="s3cr3t-value",
    role="contributor",
    sandbox=False,
)


def test_reads_what_was_written() -> None:
    assert parse_invite(format_invite(INVITE)) == INVITE


def test_forgives_line_breaks_that_mail_put_in() -> None:
    line = format_invite(INVITE)
    assert parse_invite(f"  {line[:40]}\r\n {line[40:]}\n") == INVITE


@given(end=st.integers(0, len(format_invite(INVITE)) - 1))
def test_refuses_a_truncated_invite(end: int) -> None:
    with pytest.raises(InviteError, match="operator"):
        parse_invite(format_invite(INVITE)[:end])


@given(text=st.text(max_size=60))
def test_refuses_anything_else_without_showing_it(text: str) -> None:
    with pytest.raises(InviteError):
        parse_invite("acx1." + text)


def test_never_shows_the_secret() -> None:
    payload = format_invite(INVITE)[5:]
    damaged = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).replace(
        b'"role":"contributor"', b'"role":"intruder"'
    )
    with pytest.raises(InviteError) as refused:
        parse_invite("acx1." + base64.urlsafe_b64encode(damaged).decode().rstrip("="))
    assert "s3cr3t" not in str(refused.value)
