"""Section 4: opcodes that mean nothing, 3 to 7 for data and 11 to 15 for control frames: 1002."""

import pytest

from conversation import chat_message
from harness.websocket import PING, TEXT

NUMBERED = [(family, n + 1, opcode) for family, first in (("4.1", 3), ("4.2", 11)) for n, opcode in enumerate(range(first, first + 5))]


@pytest.mark.parametrize("family, n, opcode", NUMBERED, ids=["%s.%d" % (family, n) for family, n, _ in NUMBERED])
def test_opcode(client, family, n, opcode):
    """1: empty; 2: with payload; 3: behind a good message; 4: the same byte by byte; 5: the last number."""
    if n >= 3:
        client.send_frame(TEXT, chat_message("good"))
        client.expect_echo("good")
    payload = b"reserved opcode payload" if n % 2 == 0 else b""
    data = client.frame(opcode, payload) + (client.frame(PING) if n >= 3 else b"")
    if n >= 4:
        client.send_chopped(data)
    else:
        client.send_bytes(data)
    client.expect_failed(1002)


@pytest.mark.parametrize("opcode", [3, 7, 11, 15])
def test_inside_a_message(client, opcode):
    client.send_frame(TEXT, b"{", fin=False)
    client.send_frame(opcode, b"x")
    client.expect_failed(1002)
