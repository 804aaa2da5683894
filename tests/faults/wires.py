"""Connections for those who do not behave: bytes in, bytes out, frames and packets on top, in one asyncio loop."""

import asyncio
import base64
import contextlib
import os
import random
import socket
import ssl
import struct

from harness.dialogue import FACTOR
from harness.websocket import RawWs, session_path
from harness.wire import CONNACK, CONNECT, PUBLISH, SUBSCRIBE, read_varint, string, topic_level, varint, write_properties

WAIT = 30.0 * FACTOR  # seconds in which a server that lives has answered, or closed
# What a connection to a server may end with that has been told nonsense, or is ended by ourselves.
ENDS = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, BrokenPipeError)
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
SOURCES = ["127.0.%d.%d" % (n // 250 + 1, n % 250 + 1) for n in range(500)]  # every address has a rate of its own


class Stuck(Exception):
    """The server neither answered nor closed."""


class Refused(Exception):
    """The upgrade, or the CONNECT, was answered with something else."""

    def __init__(self, code):
        super().__init__(str(code))
        self.code = code


class Wire:
    """One connection. Use it in `async with`: whatever happens, it is closed."""

    def __init__(self, world, port, secure=None, source=None, narrow=False):
        self.world, self.port, self.narrow = world, port, narrow
        self.secure = world.secure if secure is None else secure
        self.source = source or random.choice(SOURCES)
        self.reader = self.writer = None

    async def __aenter__(self):
        sock = socket.socket()
        try:
            sock.setblocking(False)
            if self.narrow:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.bind((self.source, 0))
            await within(asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port)), "connect")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.reader, self.writer = await within(asyncio.open_connection(
                sock=sock, limit=2048 if self.narrow else 65536, **self.secure), "handshake")
        except BaseException:
            sock.close()
            raise
        return self

    async def __aexit__(self, *_):
        self.writer.transport.abort()

    def send(self, data):
        if not self.writer.is_closing():
            self.writer.write(data)

    async def drain(self):
        await within(self.writer.drain(), "being read")

    async def read(self, n):
        return await within(self.reader.readexactly(n), "an answer")

    def reset(self):
        """RST"""
        sock = self.writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock and sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def end(self, seconds=WAIT):
        """What comes until the server closes, which it has to."""
        data = b""
        while True:
            try:
                more = await within(self.reader.read(65536), "the end", seconds)
            except ENDS:
                return data
            if not more:
                return data
            data = (data + more)[-65536:]

    # HTTP

    async def ask(self, head):
        """Sends a head, reads that of the answer: (status, headers as they came)."""
        self.send(head)
        try:
            answer = await within(self.reader.readuntil(b"\r\n\r\n"), "an HTTP answer")
        except asyncio.LimitOverrunError:
            raise Refused("an endless head") from None
        words = answer.split(b" ", 2)
        return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), answer

    # WebSocket

    async def upgrade(self, path, protocol=None):
        lines = ["GET %s HTTP/1.1" % path, "Host: 127.0.0.1:%d" % self.port, "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode(), "Sec-WebSocket-Version: 13"]
        if protocol:
            lines.append("Sec-WebSocket-Protocol: " + protocol)
        status, _ = await self.ask("\r\n".join(lines + ["", ""]).encode())
        if status != 101:
            raise Refused(status)
        return self

    async def session(self, address, rooms=(), ready=True, **query):
        """Upgraded and, unless said otherwise, in its rooms."""
        if rooms:
            query["room"] = ",".join(rooms)
        if ready:
            query.setdefault("events", "typing")
        await self.upgrade(session_path(address, query))
        if ready:
            await self.until(lambda text: b'"type":"ready"' in text)
        return self

    def frame(self, payload, opcode=TEXT, **how):
        self.send(RawWs.frame(opcode, payload, **how))

    async def next_frame(self):
        """(opcode, payload)"""
        head = await self.read(2)
        n = head[1] & 0x7F
        if n >= 126:
            n = int.from_bytes(await self.read(2 if n == 126 else 8), "big")
        payload = await self.read(n)
        if head[0] & 15 == PING:
            self.frame(payload, 10)
        return head[0] & 15, payload

    async def until(self, wanted):
        """The first text that wanted() says yes to; Refused with the close code when the server closes instead."""
        while True:
            opcode, payload = await self.next_frame()
            if opcode == CLOSE:
                raise Refused(int.from_bytes(payload[:2], "big"))
            if opcode == TEXT and wanted(payload):
                return payload

    async def close_code(self):
        """The server closes: its code, 1006 without one."""
        try:
            await self.until(lambda text: False)
        except Refused as refused:
            return refused.code
        except ENDS:
            return 1006

    async def leave(self, how):
        """how: close, end, reset or abort"""
        if how == "close":
            self.frame(struct.pack("!H", 1000), CLOSE)
            await self.end()
        elif how == "end" and self.writer.can_write_eof():
            self.writer.write_eof()
            await self.end()
        elif how == "reset":
            self.reset()


class MqttWire:
    """The packets of a plain MQTT client on a Wire, or in the tunnel that it was upgraded to."""

    def __init__(self, wire, tunnel, version=5):
        self.wire, self.tunnel, self.version = wire, tunnel, version
        self.left = b""

    def packet(self, kind, flags, body):
        data = bytes([kind << 4 | flags]) + varint(len(body)) + body
        if self.tunnel:
            self.wire.frame(data, BINARY)
        else:
            self.wire.send(data)

    async def read(self, n):
        if not self.tunnel:
            return await self.wire.read(n)
        while len(self.left) < n:
            opcode, payload = await self.wire.next_frame()
            if opcode == CLOSE:
                raise Refused(int.from_bytes(payload[:2], "big"))
            if opcode == BINARY:
                self.left += payload
        data, self.left = self.left[:n], self.left[n:]
        return data

    async def next_packet(self):
        """(kind, body)"""
        head = await self.read(2)
        while head[-1] & 0x80:
            head += await self.read(1)
        n, _ = read_varint(head, 1)
        return head[0] >> 4, await self.read(n)

    async def connect(self, user, client_id, keepalive=60, will=None):
        self.say_connect(user, client_id, keepalive, will)
        while True:
            kind, body = await self.next_packet()
            if kind == CONNACK:
                if body[1]:
                    raise Refused("CONNACK %d" % body[1])
                return self

    def say_connect(self, user, client_id, keepalive=60, will=None):
        flags, payload = 0x82, string(client_id)
        if will:
            flags |= 0x04
            payload += (write_properties({}) if self.version == 5 else b"") + string(will[0]) + string(will[1])
        head = string("MQTT") + bytes([self.version, flags]) + struct.pack("!H", keepalive)
        self.packet(CONNECT, 0, head + (write_properties({}) if self.version == 5 else b"") + payload + string(user))

    def subscribe(self, *topics, qos=0):
        body = struct.pack("!H", 1) + (write_properties({}) if self.version == 5 else b"")
        self.packet(SUBSCRIBE, 2, body + b"".join(string(topic) + bytes([qos]) for topic in topics))

    def publish(self, topic, payload, qos=0, mid=1):
        self.packet(PUBLISH, qos << 1, string(topic) + (struct.pack("!H", mid) if qos else b"") +
                    (b"\0" if self.version == 5 else b"") + payload)

    def send_topic(self, room=None, to=None):
        root = self.wire.world.server.root
        return "%s/rooms/%s/send" % (root, room) if room else "%s/users/%s/send" % (root, topic_level(to))


async def within(work, what, seconds=WAIT):
    try:
        return await asyncio.wait_for(work, seconds)
    except asyncio.TimeoutError:
        raise Stuck("%s did not come within %g s" % (what, seconds)) from None
