"""Section 3: reserved bits mean extensions, and none is ever agreed on: 1002."""

import pytest

from conversation import chat_message
from harness.websocket import BINARY, CLOSE, PING, PONG, TEXT


def test_text_3_1(client):
    client.send_frame(TEXT, chat_message("x"), rsv=1)
    client.expect_failed(1002)


def test_behind_a_good_one_3_2(client):
    """In pieces that the server reads one after the other: the good one is answered first."""
    client.send_frame(TEXT, chat_message("good"))
    client.expect_echo("good")
    client.send_bytes(client.frame(TEXT, chat_message("x"), rsv=2) + client.frame(PING))
    client.expect_failed(1002)


def test_behind_a_good_one_in_a_packet_3_3(client):
    """The good one may or may not be answered: the connection fails at once."""
    client.send_bytes(client.frame(TEXT, chat_message("good")) + client.frame(TEXT, chat_message("x"), rsv=3))
    frames, _ = client.drain_until_close(1002)
    assert [frame["message"] for frame in frames] in ([], ["good"])
    client.expect_end()


def test_byte_by_byte_3_4(client):
    client.send_chopped(client.frame(TEXT, chat_message("good")))
    client.expect_echo("good")
    client.send_chopped(client.frame(TEXT, chat_message("x"), rsv=4) + client.frame(PING))
    client.expect_failed(1002)


@pytest.mark.parametrize("opcode, payload, rsv", [(BINARY, b"\0" * 8, 5), (PING, b"x", 6), (CLOSE, b"\x03\xe8", 7)],
                         ids=["3.5", "3.6", "3.7"])
def test_other_frames(client, opcode, payload, rsv):
    client.send_frame(opcode, payload, rsv=rsv)
    client.expect_failed(1002)


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [0, TEXT, BINARY, CLOSE, PING, PONG])
def test_all(client, opcode, rsv):
    if opcode == 0:
        client.send_frame(TEXT, b"{", fin=False)
    client.send_frame(opcode, b"" if opcode == CLOSE else b"x", rsv=rsv)
    client.expect_failed(1002)
