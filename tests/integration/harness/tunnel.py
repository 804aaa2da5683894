"""/mqtt as a socket for the raw MQTT client: what it writes leaves in binary frames, cut in any way."""

import struct
import time

from .dialogue import TIMEOUT, Closed
from .websocket import BINARY, CLOSE, PING, PONG, RawWs

CONTINUATION = 0


def whole(raw, data):
    return raw.frame(BINARY, data)


def bytewise(raw, data):
    """Each byte is a message."""
    return b"".join(raw.frame(BINARY, data[n:n + 1]) for n in range(len(data)))


def pieces(raw, data, sizes=(1, 2, 3, 5, 7, 125, 126, 127, 1000, 65535, 65536, 3)):
    """Messages of sizes that have nothing to do with the packets, empty ones among them."""
    out, at, n = [], 0, 0
    while at < len(data):
        size = sizes[n % len(sizes)]
        out += [raw.frame(BINARY, data[at:at + size]), raw.frame(BINARY)]
        at, n = at + size, n + 1
    return b"".join(out)


def fragments(raw, data):
    """One message in fragments, empty ones and pings between them."""
    step = max(1, len(data) // 7)
    parts = [data[n:n + step] for n in range(0, len(data), step)] + [b""]
    out = [raw.frame(BINARY if n == 0 else CONTINUATION, part, fin=False) + raw.frame(PING, b"x")
           for n, part in enumerate(parts)]
    return b"".join(out) + raw.frame(CONTINUATION, b"", fin=True)


CUTS = [whole, bytewise, pieces, fragments]


class Tunnel:
    """What Mqtt needs of a socket. closed: the server's close frame, 1006 for an end without one."""

    def __init__(self, broker, cut=whole, subprotocol="mqtt", path="/mqtt", autopong=True, **more):
        headers = [("Sec-WebSocket-Protocol", subprotocol)] if subprotocol is not None else []
        self.raw = RawWs(broker, "tunnel", path=path, headers=headers + list(more.pop("headers", [])), **more)
        self.subprotocol = self.raw.headers.get("sec-websocket-protocol")
        self.cut = cut
        self.autopong = autopong
        self.timeout = TIMEOUT
        self.pings = 0
        self.closed = None

    def settimeout(self, seconds):
        self.timeout = seconds

    def sendall(self, data):
        self.raw.send_bytes(self.cut(self.raw, data))

    def recv(self, _):
        end = time.monotonic() + self.timeout
        while not self.closed:
            frame = self.raw.next_frame(max(0.0, end - time.monotonic()))
            if frame is None:
                self.closed = Closed(1006, "")
                break
            fin, opcode, payload = frame
            if opcode == BINARY:
                assert fin, "the server has no reason for fragments"
                if payload:
                    return payload
            elif opcode == PING:
                self.pings += 1
                if self.autopong:
                    self.raw.send_bytes(self.raw.frame(PONG, payload))
            elif opcode == CLOSE:
                code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
                self.closed = Closed(code, payload[2:].decode())
                self.raw.send_bytes(self.raw.frame(CLOSE, payload[:2]))
            else:
                assert opcode == PONG, "opcode %d from the server" % opcode
        return b""

    def expect_close(self, *codes, timeout=TIMEOUT):
        """Reads on to the end, which has one of these codes; what came before it is returned."""
        self.settimeout(timeout)
        data = b""
        while not self.closed:
            data += self.recv(65536)
        assert self.closed.code in codes, "%r, expected %r" % (self.closed, codes)
        assert self.closed.code == 1006 or self.closed.reason, "%r has no reason" % (self.closed,)
        return data

    def leave(self, code=1000, reason=b""):
        """Says goodbye as WebSocket has it, and waits for the answer."""
        self.raw.send_bytes(self.raw.frame(CLOSE, struct.pack("!H", code) + reason))
        frame = self.raw.next_frame()
        while frame is not None and frame[1] != CLOSE:
            frame = self.raw.next_frame()
        assert frame is not None and frame[2][:2] == struct.pack("!H", code), frame
        self.raw.expect_end()

    def close(self):
        """The connection is cut."""
        self.raw.close()
