"""What all cases share: a session that gets its own messages back, and ways of cutting bytes.

The server is a chat and echoes nothing but chat messages, so a case's payload is such a message, and "echo"
means that the author's own session, opened with echo=1, receives it as a chat message with the same text.
"""

import itertools
import json
import time

from harness.dialogue import Closed
from harness.websocket import CLOSE, PING, PONG, TEXT, RawWs

# file: number and title, in the order in which the sums are printed
SECTIONS = {
    "1_framing": ("1", "framing"),
    "2_pings": ("2", "pings and pongs"),
    "3_reserved_bits": ("3", "reserved bits"),
    "4_opcodes": ("4", "opcodes"),
    "5_fragmentation": ("5", "fragmentation"),
    "6_utf8": ("6", "UTF-8"),
    "7_close": ("7", "close"),
    "9_limits": ("9", "limits, large messages"),
    "10_fragmented_sends": ("10", "fragmented sends"),
    "12_compression": ("12,13", "compression is declined"),
    "handshake": ("RFC", "handshake"),
    "library": ("lws", "known faults of libwebsockets"),
}

rooms = ("case-%d" % n for n in itertools.count(1))


def chat_message(text):
    """The payload of a text frame that says so (text: str or bytes as they are)."""
    text = text.encode() if isinstance(text, str) else text
    return b'{"message":"' + text + b'"}'


def chat_message_of(size, filler=b"*"):
    """One of so many bytes; its text is filler throughout."""
    room = size - len(chat_message(b""))
    assert room >= 0 and room % len(filler) == 0
    return chat_message(filler * (room // len(filler)))


def pieces(data, size=1):
    return [data[at:at + size] for at in range(0, len(data), size)]


class Client(RawWs):
    """Opened, and in its room. early: frames that come with the request; their answers are still to be read."""

    def __init__(self, server, address, early=b"", **more):
        super().__init__(server, address, rooms=[next(rooms)], echo="1", events="typing", early=early, **more)
        if not early:
            self.expect_ready()

    # what a case sends

    def send_chopped(self, data, size=1, pause=0.0003):
        """So many bytes in each packet. The pause lets the server read them one by one; no answer tells that it has."""
        for piece in pieces(data, size):
            self.send_bytes(piece)
            time.sleep(pause)

    def send_fragments(self, parts, opcode=TEXT, between=()):
        """The parts as frames of one message, in one packet; between: frames that go between any two."""
        self.send_bytes(self.fragments(parts, opcode, between))

    def fragments(self, parts, opcode=TEXT, between=()):
        out = b""
        for n, part in enumerate(parts):
            out += self.frame(0 if n else opcode, part, fin=n == len(parts) - 1)
            if n < len(parts) - 1:
                out += b"".join(between)
        return out

    # what it expects

    def expect_echo(self, text):
        text = text.decode() if isinstance(text, bytes) else text
        return self.expect_message(text, self.address)

    def expect_refusal(self, *codes):
        """The message was read as a whole, and is none of chat: the session stays."""
        frame = self.expect(type="error")
        assert frame["code"] in codes, frame
        return frame

    def expect_answer(self, payload):
        """What a whole, well-formed text message deserves: its echo where it is a chat message, else an error."""
        try:
            text = json.loads(payload)["message"]
        except (ValueError, KeyError, TypeError):
            return self.expect_refusal("invalid_json", "not_an_object", "missing_field")
        return self.expect_echo(text)

    def expect_failed(self, *codes):
        """Closed by the server with that code, then the end of the stream, and nothing before."""
        end = self.expect_close(*codes)
        self.expect_end()
        return end

    def expect_pongs(self, payloads):
        got = [self.next_frame() for _ in payloads]
        assert got == [(True, PONG, payload) for payload in payloads], got

    def answers(self):
        """Still here, and nothing else was on its way: a ping is answered by its pong and a message by its echo."""
        self.send_frame(PING, b"still here?")
        self.expect_pong(b"still here?")
        self.send_frame(TEXT, chat_message("still here"))
        self.expect_echo("still here")

    def closes(self):
        """As a client should: 1000, answered by 1000, then the end of the stream."""
        self.send_frame(CLOSE, b"\x03\xe8")
        end = self.next()
        assert end == Closed(1000, ""), end
        self.expect_end()
