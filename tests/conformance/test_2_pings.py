"""Section 2: pings are answered with their payload, pongs by nothing."""

import pytest

from conversation import chat_message, pieces
from harness.dialogue import Closed
from harness.websocket import CLOSE, PING, PONG, TEXT

PAYLOADS = {"2.1": b"", "2.2": b"Hello, world!", "2.3": b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", "2.4": b"\xfe" * 125}


@pytest.mark.parametrize("case", PAYLOADS)
def test_ping(client, case):
    client.send_frame(PING, PAYLOADS[case])
    client.expect_pong(PAYLOADS[case])
    client.closes()


def test_too_long_a_ping_2_5(client):
    client.send_frame(PING, b"\xfe" * 126)
    client.expect_failed(1002)


def test_byte_by_byte_2_6(client):
    client.send_chopped(client.frame(PING, b"\xfe" * 125))
    client.expect_pong(b"\xfe" * 125)
    client.closes()


@pytest.mark.parametrize("payload", [b"", b"unsolicited"], ids=["2.7", "2.8"])
def test_unasked_pong(client, payload):
    client.send_frame(PONG, payload)
    client.answers()
    client.closes()


def test_unasked_pong_then_ping_2_9(client):
    client.send_bytes(client.frame(PONG, b"unsolicited") + client.frame(PING, b"ping"))
    client.expect_pong(b"ping")
    client.closes()


def ten():
    return [b"payload-%d" % n for n in range(10)]


def test_ten_pings_2_10(client):
    """In one packet. RFC 6455 would let a server answer the last alone."""
    client.send_bytes(b"".join(client.frame(PING, payload) for payload in ten()))
    client.expect_pongs(ten())
    client.closes()


def test_ten_pings_byte_by_byte_2_11(client):
    client.send_chopped(b"".join(client.frame(PING, payload) for payload in ten()))
    client.expect_pongs(ten())
    client.closes()


@pytest.mark.parametrize("size", [2, 3, 5, 7, 11, 100])
def test_ten_pings_in_pieces_2_10_x(client, size):
    for piece in pieces(b"".join(client.frame(PING, payload) for payload in ten()), size):
        client.send_bytes(piece)
    client.expect_pongs(ten())
    client.closes()


def test_pings_between_messages_in_a_packet(client):
    """Each message and each ping is answered, whatever shares their packet."""
    data = b"".join(client.frame(TEXT, chat_message("m%d" % n)) + client.frame(PING, b"p%d" % n) for n in range(5))
    client.send_bytes(data)
    pongs, texts = [], []
    for _ in range(10):
        fin, opcode, payload = client.next_frame()
        (pongs if opcode == PONG else texts).append(payload)
    assert pongs == [b"p%d" % n for n in range(5)]
    assert [b'"m%d"' % n in text for n, text in enumerate(texts)] == [True] * 5
    client.closes()


def test_pings_with_the_close_behind_them(client):
    """In one packet: whoever says goodbye waits for no answer but the one to that."""
    client.send_bytes(client.frame(PING, b"one") + client.frame(PING, b"two") + client.frame(CLOSE, b"\x03\xe8"))
    assert client.next() == Closed(1000, "")
    client.expect_end()


def test_a_flood_of_pings_from_one_who_does_not_read(server, connect):
    """Costs the server one small buffer; once they are read, the newest has been answered."""
    flood = connect(receive_buffer=4096)
    sent = 0
    for n in range(3000):
        sent = n
        flood.send_frame(PING, b"%0100d" % n)
    last = None
    while last != b"%0100d" % sent:
        fin, opcode, last = flood.next_frame()
        assert (fin, opcode) == (True, PONG)
    flood.answers()
