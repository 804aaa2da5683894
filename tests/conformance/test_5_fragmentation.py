"""Section 5: messages in several frames, and control frames between them."""

import pytest

from conversation import chat_message, pieces
from harness.websocket import BINARY, CLOSE, PING, PONG, TEXT

PARTS = [b'{"message":"frag', b'ment1fragment2"}']
WHOLE = "fragment1fragment2"
FIVE = [b'{"message":"', b"fragment1", b"fragment2", b"fragment3", b'fragment4"}']


@pytest.mark.parametrize("opcode", [PING, PONG], ids=["5.1", "5.2"])
def test_control_frames_are_whole(client, opcode):
    client.send_fragments([b"fragment1", b"fragment2"], opcode)
    client.expect_failed(1002)


def test_two_fragments_5_3(client):
    client.send_frame(TEXT, PARTS[0], fin=False)
    client.send_frame(0, PARTS[1])
    client.expect_echo(WHOLE)
    client.closes()


def test_two_fragments_in_a_packet_5_4(client):
    client.send_fragments(PARTS)
    client.expect_echo(WHOLE)
    client.closes()


def test_two_fragments_byte_by_byte_5_5(client):
    client.send_chopped(client.fragments(PARTS))
    client.expect_echo(WHOLE)
    client.closes()


def test_ping_between_5_6(client):
    client.send_frame(TEXT, PARTS[0], fin=False)
    client.send_frame(PING, b"ping payload")
    client.send_frame(0, PARTS[1])
    client.expect_pong(b"ping payload")
    client.expect_echo(WHOLE)
    client.closes()


def test_ping_between_in_a_packet_5_7(client):
    client.send_fragments(PARTS, between=[client.frame(PING, b"ping payload")])
    client.expect_pong(b"ping payload")
    client.expect_echo(WHOLE)
    client.closes()


def test_ping_between_byte_by_byte_5_8(client):
    client.send_chopped(client.fragments(PARTS, between=[client.frame(PING, b"ping payload")]))
    client.expect_pong(b"ping payload")
    client.expect_echo(WHOLE)
    client.closes()


NOTHING_TO_CONTINUE = {"5.9": (True, "apart"), "5.10": (True, "packet"), "5.11": (True, "bytes"),
                       "5.12": (False, "apart"), "5.13": (False, "packet"), "5.14": (False, "bytes")}


@pytest.mark.parametrize("case", NOTHING_TO_CONTINUE)
def test_nothing_to_continue(client, case):
    fin, way = NOTHING_TO_CONTINUE[case]
    data = [client.frame(0, b"non-continuation payload", fin=fin), client.frame(TEXT, chat_message("Hello, world!"))]
    if way == "bytes":
        client.send_chopped(b"".join(data))
    else:
        for piece in data if way == "apart" else [b"".join(data)]:
            client.send_bytes(piece)
    client.expect_failed(1002)


def test_nothing_to_continue_behind_a_message_5_15(client):
    client.send_bytes(client.fragments(PARTS) + client.frame(0, b"fragment3", fin=False) +
                      client.frame(TEXT, chat_message("fragment4")))
    frames, _ = client.drain_until_close(1002)
    assert [frame["message"] for frame in frames] in ([], [WHOLE])
    client.expect_end()


@pytest.mark.parametrize("fin", [False, True], ids=["5.16", "5.17"])
def test_nothing_to_continue_twice(client, fin):
    for _ in range(2):
        client.send_bytes(client.frame(0, b"fragment1", fin=fin) + client.frame(TEXT, PARTS[0], fin=False) +
                          client.frame(0, PARTS[1]))
    client.expect_failed(1002)


def test_a_second_text_inside_5_18(client):
    client.send_frame(TEXT, PARTS[0], fin=False)
    client.send_frame(TEXT, PARTS[1])
    client.expect_failed(1002)


def test_five_fragments_and_pings_5_19(client):
    """The answers to the pings do not wait for the message to end."""
    client.send_frame(TEXT, FIVE[0], fin=False)
    client.send_frame(0, FIVE[1], fin=False)
    client.send_frame(PING, b"pongme 1!")
    client.expect_pong(b"pongme 1!")
    client.send_frame(0, FIVE[2], fin=False)
    client.send_frame(0, FIVE[3], fin=False)
    client.send_frame(PING, b"pongme 2!")
    client.expect_pong(b"pongme 2!")
    client.send_frame(0, FIVE[4])
    client.expect_echo(b"fragment1fragment2fragment3fragment4")
    client.closes()


def test_five_fragments_and_pings_in_packets_5_20(client):
    data = client.fragments(FIVE, between=[client.frame(PING, b"pongme!")])
    client.send_bytes(data)
    client.expect_pongs([b"pongme!"] * 4)
    client.expect_echo(b"fragment1fragment2fragment3fragment4")
    client.send_chopped(data, 3)
    client.expect_pongs([b"pongme!"] * 4)
    client.expect_echo(b"fragment1fragment2fragment3fragment4")
    client.closes()


def test_binary_in_fragments(client):
    client.send_fragments([b"fragment1", b"fragment2"], BINARY)
    client.expect_failed(1003)


def test_text_inside_binary(client):
    """1003 for the first of them: nothing waits for the second."""
    client.send_frame(BINARY, b"fragment1", fin=False)
    client.expect_failed(1003)


@pytest.mark.parametrize("empty", range(5), ids=lambda n: "nothing in fragment %d" % n)
def test_empty_fragments(client, empty):
    parts = FIVE[:empty] + [b""] + FIVE[empty:]
    client.send_fragments(parts)
    client.expect_echo(b"fragment1fragment2fragment3fragment4")
    client.closes()


def test_empty_last_fragment(client):
    client.send_fragments(FIVE + [b""])
    client.expect_echo(b"fragment1fragment2fragment3fragment4")
    client.closes()


def test_close_between(client):
    client.send_fragments(PARTS, between=[client.frame(CLOSE, b"\x03\xe8")])
    assert client.next().code == 1000
    client.expect_end()


def test_cut_at_every_boundary(client):
    """Two packets, at each of the bytes of two fragments with a ping between them."""
    whole = client.fragments(PARTS, between=[client.frame(PING, b"?")])
    for cut in range(1, len(whole)):
        client.send_chopped(whole[:cut], cut)
        client.send_bytes(whole[cut:])
        client.expect_pong(b"?")
        client.expect_echo(WHOLE)
    client.closes()


def test_a_byte_a_fragment(client):
    text = "x" * 500
    client.send_fragments(pieces(chat_message(text)), between=[client.frame(PONG, b"")])
    client.expect_echo(text)
    client.closes()
