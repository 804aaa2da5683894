"""Section 7: how a connection ends (7.1 to 7.13)."""

import struct

import pytest

from conversation import chat_message, chat_message_of
from harness.dialogue import Closed
from harness.websocket import CLOSE, PING, TEXT


def close_payload(code, reason=b""):
    return struct.pack("!H", code) + reason


def expect_goodbye(client, code=1000):
    """The server's Close, and no frame behind it."""
    end = client.next()
    assert isinstance(end, Closed) and end.code == code, end
    assert client.next_frame() is None


# 7.1: what comes behind

def test_behind_a_message_7_1_1(client):
    client.send_frame(TEXT, chat_message("Hello World!"))
    client.expect_echo("Hello World!")
    client.send_frame(CLOSE, close_payload(1000))
    expect_goodbye(client)


def test_two_closes_7_1_2(client):
    client.send_bytes(client.frame(CLOSE, close_payload(1000)) * 2)
    expect_goodbye(client)


def test_a_ping_behind_7_1_3(client):
    client.send_bytes(client.frame(CLOSE, close_payload(1000)) + client.frame(PING, b"too late"))
    expect_goodbye(client)


def test_a_message_behind_7_1_4(client, connect):
    witness = connect()
    room = sorted(client.rooms)[0]
    witness.send({"type": "join", "room": room, "ref": "j"})
    witness.expect(type="ack", ref="j")
    client.send_bytes(client.frame(CLOSE, close_payload(1000)) + client.frame(TEXT, chat_message("too late")))
    expect_goodbye(client)
    witness.answers()


def test_inside_a_message_7_1_5(client):
    client.send_bytes(client.frame(TEXT, b'{"message":', fin=False) + client.frame(CLOSE, close_payload(1000)) +
                      client.frame(0, b'"x"}'))
    expect_goodbye(client)


def test_behind_a_large_message_7_1_6(client):
    """Whether its echo still comes before the answer to the Close is up to the server."""
    payload = chat_message_of(260000 + 14, "😀".encode())
    client.send_bytes(client.frame(TEXT, payload) + client.frame(CLOSE, close_payload(1000)) + client.frame(PING, b"late"))
    frames, _ = client.drain_until_close(1000)
    assert len(frames) <= 1
    assert client.next_frame() is None


# 7.3: lengths

def test_empty_7_3_1(client):
    client.send_frame(CLOSE)
    expect_goodbye(client, 1005)


def test_half_a_code_7_3_2(client):
    client.send_frame(CLOSE, b"a")
    client.expect_failed(1002)


def test_a_code_7_3_3(client):
    client.send_frame(CLOSE, close_payload(1000))
    expect_goodbye(client)


def test_a_reason_7_3_4(client):
    client.send_frame(CLOSE, close_payload(1000, b"Hello World!"))
    expect_goodbye(client)


def test_the_longest_reason_7_3_5(client):
    client.send_frame(CLOSE, close_payload(1000, b"*" * 123))
    expect_goodbye(client)


def test_too_long_a_reason_7_3_6(client):
    client.send_frame(CLOSE, close_payload(1000, b"*" * 124))
    client.expect_failed(1002)


# 7.5: the reason is UTF-8

def test_a_reason_that_is_not_utf8_7_5_1(client):
    client.send_frame(CLOSE, close_payload(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64"))
    client.expect_failed(1007)


@pytest.mark.parametrize("reason", [b"\x80", b"\xff", b"x\xe2\x82", b"*" * 122 + b"\xc3"])
def test_a_reason_that_is_not_utf8(client, reason):
    client.send_frame(CLOSE, close_payload(1000, reason))
    client.expect_failed(1007)


@pytest.mark.parametrize("reason", ["κόσμε", "x", "😀" * 30, "é" * 61])
def test_a_reason_in_utf8(client, reason):
    client.send_frame(CLOSE, close_payload(1000, reason.encode()))
    expect_goodbye(client)


# 7.7, 7.9, 7.13: codes

VALID = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
INVALID = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999]


@pytest.mark.parametrize("code", VALID, ids=lambda code: "7.7.%d" % (VALID.index(code) + 1))
def test_valid_code(client, code):
    client.send_frame(CLOSE, close_payload(code))
    expect_goodbye(client, code)


@pytest.mark.parametrize("code", [1012, 1013, 1014])
def test_code_registered_later(client, code):
    """Of servers and proxies, not of clients: libwebsockets takes them for invalid. Not numbered, not strict."""
    client.send_frame(CLOSE, close_payload(code))
    expect_goodbye(client, 1002)


@pytest.mark.parametrize("code", INVALID, ids=lambda code: "7.9.%d" % (INVALID.index(code) + 1))
def test_invalid_code(client, code):
    client.send_frame(CLOSE, close_payload(code, b"reason"))
    client.expect_failed(1002)


@pytest.mark.parametrize("code", [5000, 65535], ids=["7.13.1", "7.13.2"])
def test_code_without_meaning(client, code):
    """RFC 6455 says nothing of them; the original only looks. Here they are refused."""
    client.send_frame(CLOSE, close_payload(code))
    client.expect_failed(1002)


# however it is cut

@pytest.mark.parametrize("payload, code", [(b"", 1005), (close_payload(1000, b"bye"), 1000), (close_payload(999), 1002),
                                           (b"x", 1002), (close_payload(1000, b"\xff"), 1007)],
                         ids=["empty", "fine", "bad code", "half a code", "bad reason"])
def test_byte_by_byte(client, payload, code):
    client.send_chopped(client.frame(CLOSE, payload))
    expect_goodbye(client, code)
