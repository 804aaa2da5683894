"""Section 10: a message that its sender's library cuts into frames of a size of its own choice."""

import pytest

from conversation import chat_message_of, pieces
from harness.websocket import PING


def test_auto_fragmentation_10_1_1(client):
    """64 KB in frames of 1300 bytes, each in a packet of its own."""
    payload = chat_message_of(65000)
    for n, part in enumerate(parts := pieces(payload, 1300)):
        client.send_bytes(client.frame(0 if n else 1, part, fin=n == len(parts) - 1))
    client.expect_answer(payload)
    client.closes()


@pytest.mark.parametrize("fragment", [1, 2, 3, 125, 126, 127, 1023, 1024, 1025, 1039, 1040, 1041])
def test_frames_of(client, fragment):
    """Around the sizes at which heads and the server's buffers change."""
    payload = chat_message_of(3000)
    client.send_fragments(pieces(payload, fragment))
    client.expect_answer(payload)
    client.send_fragments(pieces(payload, fragment), between=[client.frame(PING, b"")])
    client.expect_pongs([b""] * (len(pieces(payload, fragment)) - 1))
    client.expect_answer(payload)
    client.closes()
