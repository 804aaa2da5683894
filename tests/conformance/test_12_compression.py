"""Sections 12 and 13: permessage-deflate is offered in many ways, declined, and the connection works without."""

import zlib

import pytest

from conversation import chat_message, chat_message_of
from harness.websocket import TEXT

OFFERS = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_max_window_bits=8",
    "permessage-deflate; server_max_window_bits=8",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=15; client_max_window_bits=15",
    "permessage-deflate; client_no_context_takeover, permessage-deflate",
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; nonsense",
    "x-webkit-deflate-frame",
    "permessage-bzip2, permessage-snappy, permessage-deflate",
    ", ,permessage-deflate,,",
    "\"quoted\"; x=\"y;z\"",
]


@pytest.mark.parametrize("offer", OFFERS)
def test_declined(connect, offer):
    client = connect(headers=[("Sec-WebSocket-Extensions", offer)])
    assert "sec-websocket-extensions" not in client.headers
    for size in (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65000):
        payload = chat_message_of(size)
        client.send_frame(TEXT, payload)
        client.expect_answer(payload)
    client.closes()


def test_two_offers(connect):
    client = connect(headers=[("Sec-WebSocket-Extensions", OFFERS[0]), ("Sec-WebSocket-Extensions", OFFERS[1])])
    assert "sec-websocket-extensions" not in client.headers
    client.answers()


@pytest.mark.parametrize("offered", [False, True])
def test_a_compressed_message_is_refused(connect, offered):
    """Nobody agreed to it."""
    client = connect(headers=[("Sec-WebSocket-Extensions", OFFERS[0])] if offered else [])
    deflate = zlib.compressobj(wbits=-15)
    data = deflate.compress(chat_message("x")) + deflate.flush(zlib.Z_SYNC_FLUSH)
    client.send_frame(TEXT, data[:-4], rsv=4)
    client.expect_failed(1002)
