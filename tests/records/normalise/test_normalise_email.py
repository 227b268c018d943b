"""E-mail addresses, and the mailboxes they lead to."""

# ruff: noqa: RUF001 -- letters and digits that look like others are what is tested

from __future__ import annotations

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from tests.records.normalise.writings import written_value

from acx.records.normalise import NotNormalisable, mailbox, normalise


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("Jane.Doe@Example.COM", "jane.doe@example.com"),
        (" Jane Doe <jane@example.com> ", "jane@example.com"),
        ("mailto:jane@example.com?subject=x", "jane@example.com"),
        ("jane@bücher.example", "jane@xn--bcher-kva.example"),
        ("jane@XN--BCHER-KVA.example", "jane@xn--bcher-kva.example"),
        ("用户@例え.jp", "用户@xn--r8jz45g.jp"),
        ("ｊａｎｅ@example。com", "jane@example.com"),
        ("ja\u200bne@example.com", "jane@example.com"),
        ("jane@shop.test", "jane@shop.test"),
        ("o'brien+tag@example.com.", "o'brien+tag@example.com"),
    ],
    ids=ascii,
)
def test_one_address_has_one_writing(written: str, normalised: str) -> None:
    assert normalise("email", written) == normalised


@pytest.mark.parametrize(
    "written",
    [
        "jane", "@example.com", "jane@", "jane@localhost", "jane@@example.com", "a b@example.com",
        "jane@example..com", ".jane@example.com", "jane@1.2.3.4", "jane@-x.com",
        "a@b.com, c@d.com", '"jane doe"@example.com', "jane@" + "x" * 64 + ".com",
    ],
)  # fmt: skip
def test_refuses_what_is_no_address(written: str) -> None:
    with pytest.raises(NotNormalisable):
        normalise("email", written)


@given(written_value("email"))
def test_takes_every_address_that_email_validator_takes(written: str) -> None:
    try:
        checked = validate_email(written, check_deliverability=False)
    except EmailNotValidError:
        return
    normalised = normalise("email", written)
    assert normalised.rpartition("@")[2] == checked.ascii_domain
    if checked.ascii_email:
        assert normalised == checked.ascii_email.lower()


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("j.ane.doe+shop@gmail.com", "janedoe@gmail.com"),
        ("janedoe@googlemail.com", "janedoe@gmail.com"),
        ("jane+a@outlook.com", "jane@outlook.com"),
        ("jane.doe@outlook.com", "jane.doe@outlook.com"),
        ("jane-shop@yahoo.com", "jane@yahoo.com"),
        ("ja_ne@protonmail.com", "jane@proton.me"),
        ("jane+x@example.com", "jane@example.com"),
        ("+@example.com", "+@example.com"),
        ("...@gmail.com", "...@gmail.com"),
    ],
)
def test_variants_lead_to_one_mailbox(address: str, same: str) -> None:
    assert mailbox(address) == same
    assert mailbox(same) == same
