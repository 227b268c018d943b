"""Websites: hosts, and who registered them."""

from __future__ import annotations

import socket

import pytest

from acx.records.normalise import NotNormalisable, normalise, registered_domain


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("https://www.Example.COM:8080/shop?id=1#top", "example.com"),
        ("example.com", "example.com"),
        ("//example.com/x", "example.com"),
        ("http:\\\\example.com\\x", "example.com"),
        ("https://http://example.com", "example.com"),
        ("https://user:secret@example.com/", "example.com"),
        ("WWW.example.com.", "example.com"),
        ("www.com", "www.com"),
        ("shop.example.com", "shop.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("straße.example", "xn--strae-oqa.example"),
        ("my_shop.example.com", "my_shop.example.com"),
        ("http://192.0.2.7/shop", "192.0.2.7"),
        ("http://[2001:DB8:0::1]:80/", "[2001:db8::1]"),
    ],
    ids=ascii,
)
def test_a_url_is_its_host(written: str, host: str) -> None:
    assert normalise("website", written) == host


@pytest.mark.parametrize(
    "written",
    [
        "n/a", "none", "http://", "localhost", "jane@example.com", "https://exa mple.com", "a..b",
        "-x.com", "x" * 64 + ".com", "1.2.3", "256.1.1.1", "http://[::1", "💩.example", ".com",
        "javascript:alert(1)",
    ],
)  # fmt: skip
def test_refuses_what_has_no_host(written: str) -> None:
    with pytest.raises(NotNormalisable):
        normalise("website", written)


@pytest.mark.parametrize(
    ("host", "registered"),
    [
        ("a.b.example.co.uk", "example.co.uk"),
        ("www.example.com", "example.com"),
        ("one.myshopify.com", "one.myshopify.com"),
        ("a.one.myshopify.com", "one.myshopify.com"),
        ("b.c.kobe.jp", "b.c.kobe.jp"),  # publicsuffix.org's own tests
        ("www.city.kobe.jp", "city.kobe.jp"),  # likewise
        ("www.xn--85x722f.com.cn", "xn--85x722f.com.cn"),  # likewise
        ("a.shop.test", "shop.test"),
        ("co.uk", "co.uk"),
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:db8::1]", "[2001:db8::1]"),
    ],
)
def test_the_registered_domain_follows_the_public_suffix_list(host: str, registered: str) -> None:
    assert registered_domain(host) == registered


def test_the_public_suffix_list_is_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        pytest.fail("went to the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    from acx.records.normalise import website

    website._extractor.cache_clear()
    assert registered_domain("a.example.org") == "example.org"
