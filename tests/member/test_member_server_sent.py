"""A stream of server-sent events reads the same however the network cuts it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acx.member.errors import BadAnswer
from acx.member.server_sent import ServerSentEvent, parse_stream

STREAM = (
    ": heartbeat\r\n\r\n"
    'id: 7\nevent: entry\ndata: {"a":"\u2028"}\n\n'
    "event: checkpoint\rdata: one\rdata: two\r\r"
    "unknown: x\ndata:tight\n\n"
    "event: nothing\n\n"
    "data: unfinished\n"
).encode()
EVENTS = [
    ServerSentEvent("", b"heartbeat", ""),
    ServerSentEvent("entry", '{"a":"\u2028"}'.encode(), "7"),
    ServerSentEvent("checkpoint", b"one\ntwo", "7"),
    ServerSentEvent("message", b"tight", "7"),
]


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_reads_the_same_however_it_is_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[a:b] for a, b in pairwise(places)]
    assert list(parse_stream(chunks)) == EVENTS


def test_refuses_a_line_without_end() -> None:
    stream = parse_stream(b"x" * 65536 for _ in range(100))
    with pytest.raises(BadAnswer, match="line longer"):
        list(stream)


def test_refuses_an_event_without_end() -> None:
    stream = parse_stream(b"data: " + b"x" * 60000 + b"\n" for _ in range(100))
    with pytest.raises(BadAnswer, match="event larger"):
        list(stream)
