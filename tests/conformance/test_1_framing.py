"""Section 1: text and binary messages of all sizes in one frame.

1.1.1 to 1.1.8, 1.2.1 to 1.2.8. A text message comes back; one too long for a chat message is answered with an
error. Binary messages are no chat and are answered by 1003, whatever their size.
"""

import pytest

from conversation import chat_message_of, pieces
from harness.websocket import BINARY, TEXT

SIZES = [0, 125, 126, 127, 128, 65535, 65536]
LONGEST = 65000 + 14  # bytes of a message of max_message_chars


def text_of(size):
    return chat_message_of(size) if size else b""


def expect_text(client, payload):
    if len(payload) > LONGEST:
        client.expect_refusal("too_long")
    else:
        client.expect_answer(payload)


@pytest.mark.parametrize("size", SIZES, ids=lambda n: "1.1.%d" % (SIZES.index(n) + 1))
def test_text(client, size):
    payload = text_of(size)
    client.send_frame(TEXT, payload)
    expect_text(client, payload)
    client.closes()


def test_text_chopped_1_1_8(client):
    payload = text_of(65536)
    client.send_chopped(client.frame(TEXT, payload), 997)
    expect_text(client, payload)
    client.closes()


@pytest.mark.parametrize("size", [0, 125, 126, 127, 128], ids=lambda n: "1.1.%d, byte by byte" % (SIZES.index(n) + 1))
def test_text_byte_by_byte(client, size):
    payload = text_of(size)
    client.send_chopped(client.frame(TEXT, payload))
    expect_text(client, payload)
    client.closes()


@pytest.mark.parametrize("size", SIZES, ids=lambda n: "1.2.%d" % (SIZES.index(n) + 1))
def test_binary(client, size):
    client.send_frame(BINARY, b"\xfe" * size)
    client.expect_failed(1003)


def test_binary_chopped_1_2_8(client):
    client.send_chopped(client.frame(BINARY, b"\xfe" * 65536), 997)
    client.expect_failed(1003)


@pytest.mark.parametrize("key", [b"\0\0\0\0", b"\0\0\0\1", b"\xff\xff\xff\xff", b'{"me'], ids=lambda k: "1.1.x masked with " + k.hex())
def test_masking_keys(client, key):
    payload = chat_message_of(130)
    masked = bytes(byte ^ key[n % 4] for n, byte in enumerate(payload))
    data = b"\x81\xfe" + len(payload).to_bytes(2, "big") + key + masked
    client.send_bytes(data)
    client.expect_answer(payload)
    for piece in pieces(data, 41):
        client.send_bytes(piece)
    client.expect_answer(payload)


@pytest.mark.parametrize("cut", range(1, 24), ids=lambda n: "1.1.x cut at %d" % n)
def test_two_packets(client, cut):
    """A frame in two packets, cut at each byte of its head and beyond."""
    payload = chat_message_of(200)
    data = client.frame(TEXT, payload)
    client.send_chopped(data[:cut], cut)
    client.send_bytes(data[cut:])
    client.expect_answer(payload)


def test_several_frames_in_a_packet(client):
    payloads = [chat_message_of(size) for size in (20, 125, 126, 127, 300, 4000)]
    client.send_bytes(b"".join(client.frame(TEXT, payload) for payload in payloads))
    for payload in payloads:
        client.expect_answer(payload)
    client.closes()
