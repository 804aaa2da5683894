"""Section 9: large messages, in frames and fragments, at once and in pieces.

The original goes to 16 MB; here max_frame_bytes bounds a message (64 KB, and 256 KB at most, as here), and what is
larger is answered by 1009 before it is all there. A chat message of 65000 characters, the most there may be, has
260,014 bytes.
"""

import pytest

from conversation import chat_message, chat_message_of, pieces
from harness.websocket import BINARY, CLOSE, PING, TEXT

MOST = 260014
LETTER = "😀".encode()
SIZES = [16384 + 14, 65536 + 14, 131072 + 14, MOST]
MAX_FRAME = 262144


def text_of(size):
    return chat_message_of(size, LETTER)


@pytest.mark.parametrize("size", SIZES, ids=lambda n: "9.1 %d bytes" % n)
def test_in_a_frame(client, size):
    client.send_frame(TEXT, text_of(size))
    client.expect_answer(text_of(size))
    client.closes()


@pytest.mark.parametrize("size", [1 << 20, 4 << 20, 8 << 20, 16 << 20], ids=lambda n: "9.1 %d MB" % (n >> 20))
def test_too_large_a_frame(client, size):
    """Its head is enough. The rest is not waited for, and may or may not be sent."""
    client.send_frame(TEXT, b"*" * 2000, length=size, length_form=8)
    client.expect_failed(1009)


@pytest.mark.parametrize("size", [65536, 1 << 20, 4 << 20], ids=lambda n: "9.2 %d bytes" % n)
def test_binary(client, size):
    """Nothing of it is kept; it is read to its end so that the answer to the Close is found behind it."""
    client.send_frame(BINARY, b"\xfe" * size)
    client.expect_failed(1003)


@pytest.mark.parametrize("fragment", [64, 256, 1024, 4096, 16384, 65536], ids=lambda n: "9.3 fragments of %d" % n)
def test_in_fragments(client, fragment):
    payload = text_of(MOST)
    client.send_fragments(pieces(payload, fragment))
    client.expect_answer(payload)
    client.closes()


@pytest.mark.parametrize("fragment", [64, 1024, 65536], ids=lambda n: "9.4 fragments of %d" % n)
def test_too_large_in_fragments(client, fragment):
    payload = b'{"message":"' + b"*" * MAX_FRAME
    client.send_fragments(pieces(payload, fragment) + [b'"}'])
    client.expect_failed(1009)


@pytest.mark.parametrize("piece", [64, 128, 256, 512, 1024, 2048], ids=lambda n: "9.5 pieces of %d" % n)
def test_in_pieces(client, piece):
    """One frame; the network brings so many bytes at a time."""
    payload = text_of(65536 + 14)
    client.send_chopped(client.frame(TEXT, payload), piece)
    client.expect_answer(payload)
    client.closes()


@pytest.mark.parametrize("size", [0, 16, 64, 256, 1024, 4096], ids=lambda n: "9.7 of %d bytes" % n)
def test_many_messages(client, size):
    """One after the other, each when the one before has come back."""
    text = "*" * size or "-"
    for _ in range(100):
        client.send_frame(TEXT, chat_message(text))
        client.expect_echo(text)
    client.closes()


@pytest.mark.parametrize("size", [16, 256, 4096], ids=lambda n: "9.8 of %d bytes" % n)
def test_many_messages_at_once(client, size):
    """All sent before any is read: each comes back, in order."""
    texts = ["%d " % n + "*" * size for n in range(100)]
    client.send_bytes(b"".join(client.frame(TEXT, chat_message(text)) for text in texts))
    for text in texts:
        client.expect_echo(text)
    client.closes()


@pytest.mark.parametrize("more", [-1, 0, 1], ids=["one less than max_frame_bytes", "max_frame_bytes", "one more"])
@pytest.mark.parametrize("way", ["frame", "fragments"])
def test_the_bound(client, way, more):
    """As a message of chat it is too long already; up to the bound the session stays."""
    payload = b'{"message":"' + b"*" * (MAX_FRAME + more - 14) + b'"}'
    parts = [payload] if way == "frame" else pieces(payload, 60000)
    client.send_fragments(parts)
    if more > 0:
        client.expect_failed(1009)
        return
    client.expect_refusal("too_long")
    client.closes()


def test_a_ping_inside_a_large_message(client):
    payload = text_of(MOST)
    client.send_fragments(pieces(payload, 50000), between=[client.frame(PING, b"?")])
    client.expect_pongs([b"?"] * 5)
    client.expect_answer(payload)


def test_a_close_inside_a_large_message(client):
    client.send_fragments(pieces(text_of(MOST), 50000)[:3], between=[client.frame(CLOSE, b"\x03\xe8")])
    assert client.next().code == 1000
    client.expect_end()
