"""WebSocket sessions: Ws is python3-websockets (10 to 15), RawWs writes every byte itself."""

import asyncio
import base64
import hashlib
import json
import os
import queue
import re
import socket
import struct
import threading
import time
import urllib.parse

import websockets

from .dialogue import MARKER, TIMEOUT, Closed, Dialogue, Frame

try:
    from websockets.asyncio.client import connect as _connect
    _HEADERS = "additional_headers"
except ImportError:
    from websockets.client import connect as _connect
    _HEADERS = "extra_headers"

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class _Loop:
    """One asyncio loop in a thread for all clients of this process."""

    loop = None

    @classmethod
    def get(cls):
        if cls.loop is None:
            cls.loop = asyncio.new_event_loop()
            threading.Thread(target=cls.loop.run_forever, daemon=True).start()
        return cls.loop

    @classmethod
    def run(cls, coroutine, timeout=TIMEOUT):
        future = asyncio.run_coroutine_threadsafe(coroutine, cls.get())
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise


def session_path(address, query):
    path = "/ws/" + urllib.parse.quote(address, safe="-_.~@")
    return path + ("?" + urllib.parse.urlencode(query, safe=",") if query else "")


class _Session(Dialogue):
    """What both WebSocket clients share. rooms is kept by hand: it bounds expect_nothing()."""

    def _session(self, broker, address, rooms):
        self.broker = broker
        self.address = address
        self.rooms = set(rooms)
        self.syncs = 0
        broker.clients.append(self)

    def send(self, message, **_):
        """A dict as a text frame; str and bytes as they are (text and binary frames)."""
        if isinstance(message, dict):
            message = json.dumps(message)
        self.say(">", message)
        self._send(message)

    def expect_ready(self, rooms=None):
        frame = self.expect(type="ready", user=ANY_TEXT, rooms=ANY_LIST)
        if rooms is not None:
            assert sorted(frame["rooms"]) == sorted(rooms), frame
        return frame

    def sync(self):
        """Waits until the session is in its rooms, without opting in to anything."""
        room = sorted(self.rooms)[0]
        self.syncs += 1
        ref = "sync-%d" % self.syncs
        self.send({"type": "join", "room": room, "ref": ref})
        self.expect(type="ack", ref=ref)
        return self

    def join(self, room):
        self.syncs += 1
        ref = "join-%d" % self.syncs
        self.send({"type": "join", "room": room, "ref": ref})
        self.expect(type="ack", ref=ref)
        self.rooms.add(room)

    def leave(self, room):
        self.syncs += 1
        ref = "leave-%d" % self.syncs
        self.send({"type": "leave", "room": room, "ref": ref})
        self.expect(type="ack", ref=ref)
        self.rooms.discard(room)

    def _barrier(self):
        # Room messages and one's own messages reach a session on different connections:
        # one marker on each way.
        outstanding = self.broker.mark(self.address, self.rooms)
        events, end = [], time.monotonic() + TIMEOUT
        while outstanding:
            try:
                event = self._take(max(0.0, end - time.monotonic()))
            except TimeoutError:
                self._fail("markers never came: %r (got %r)" % (outstanding, events))
            if isinstance(event, Closed):
                return events + [event]
            if event.get("sender") == MARKER:
                outstanding.discard(event.get("message"))
            else:
                events.append(event)
        return events


class _AnyOf:
    def __init__(self, kind):
        self.kind = kind

    def __eq__(self, other):
        return isinstance(other, self.kind)

    def __repr__(self):
        return "any " + self.kind.__name__


ANY_TEXT, ANY_LIST = _AnyOf(str), _AnyOf(list)


class Ws(_Session):
    """A session by python3-websockets. path: the whole request path instead of address and query."""

    counter = 0

    def __init__(self, broker, address, path=None, rooms=None, origin=None, subprotocols=None, headers=None, **query):
        Ws.counter += 1
        self.name = "%s(ws #%d)" % (address, Ws.counter)
        self._session(broker, address, rooms or [broker.room])
        if rooms:
            query["room"] = ",".join(rooms)
        self.events = queue.Queue()
        uri = "%s://127.0.0.1:%d%s" % ("wss" if broker.tls else "ws", broker.ws_port, path or session_path(address, query))
        options = {"max_size": None, "ping_interval": None, "close_timeout": TIMEOUT, "open_timeout": TIMEOUT,
                   "max_queue": None, "origin": origin, "subprotocols": subprotocols, _HEADERS: headers}
        if broker.tls:
            options["ssl"] = broker.tls.context()
        self.socket = _Loop.run(self._open(uri, options), TIMEOUT + 1)
        self.reader = asyncio.run_coroutine_threadsafe(self._read(), _Loop.get())

    @staticmethod
    async def _open(uri, options):
        return await _connect(uri, **options)

    async def _read(self):
        try:
            while True:
                data = await self.socket.recv()
                self.events.put(Frame(data.encode() if isinstance(data, str) else data))
        except websockets.exceptions.ConnectionClosed as end:
            got = getattr(end, "rcvd", None)
            self.events.put(Closed(got.code, got.reason) if got else Closed(1006, ""))
        except asyncio.CancelledError:
            pass

    def _send(self, message):
        _Loop.run(self.socket.send(message))

    def send_many(self, messages):
        """Without a round through this thread for each."""
        async def go():
            for message in messages:
                await self.socket.send(json.dumps(message))
        _Loop.run(go(), 60 + TIMEOUT)

    def close(self, code=1000, reason=""):
        _Loop.run(self.socket.close(code, reason))

    def _take(self, timeout):
        try:
            return self.events.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None


class HttpAnswer(Exception):
    """The server answered the upgrade with plain HTTP; also what Broker.http returns."""

    def __init__(self, status, headers, body):
        super().__init__("HTTP %d %r" % (status, body[:200]))
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


def read_head(sock, buffer=b"", timeout=TIMEOUT):
    """(status, headers by lower-case name, what follows); status None when the peer just closed."""
    end = time.monotonic() + timeout
    while b"\r\n\r\n" not in buffer:
        sock.settimeout(max(0.001, end - time.monotonic()))
        try:
            data = sock.recv(65536)
        except ConnectionError:
            data = b""
        except socket.timeout:
            raise TimeoutError("no HTTP answer") from None
        if not data:
            return None, {}, buffer
        buffer += data
    head, rest = buffer.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    match = re.match(r"HTTP/1\.[01] (\d{3})", lines[0])
    assert match, "not HTTP: %r" % lines[0]
    headers = {}
    for line in lines[1:]:
        name, value = line.split(":", 1)
        headers[name.strip().lower()] = value.strip()
    return int(match.group(1)), headers, rest


def read_answer(sock, head_only=False, timeout=TIMEOUT):
    """A whole HTTP answer; None when the peer closed without one."""
    status, headers, body = read_head(sock, timeout=timeout)
    if status is None:
        return None
    length = headers.get("content-length")
    end = time.monotonic() + timeout
    while not head_only and (length is None or len(body) < int(length)):
        sock.settimeout(max(0.001, end - time.monotonic()))
        try:
            data = sock.recv(65536)
        except ConnectionError:
            data = b""
        except socket.timeout:
            raise TimeoutError("half an HTTP answer: %r" % body) from None
        if not data:
            break
        body += data
    return HttpAnswer(status, headers, body)


class RawWs(_Session):
    """Own handshake, own frames; path and extra header lines go out as given. early: bytes in the packet of the request."""

    counter = 0

    def __init__(self, broker, address="raw@chat.test", path=None, rooms=None, headers=(), receive_buffer=None,
                 drop=(), method="GET", version="HTTP/1.1", autopong=True, early=b"", **query):
        RawWs.counter += 1
        self.name = "%s(raw #%d)" % (address, RawWs.counter)
        self._session(broker, address, rooms or [broker.room])
        if rooms:
            query["room"] = ",".join(rooms)
        if path is None:
            path = session_path(address, query)
        self.autopong = autopong
        self.buffer = b""
        self.parts = b""
        self.over = None
        self.socket = broker.connect(receive_buffer)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [("Host", "127.0.0.1:%d" % broker.ws_port), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
                 ("Sec-WebSocket-Key", key), ("Sec-WebSocket-Version", "13")]
        given = {name.lower() for name, _ in headers} | {name.lower() for name in drop}
        lines = [line for line in lines if line[0].lower() not in given] + list(headers)
        path = path if isinstance(path, bytes) else path.encode("latin-1")
        request = method.encode() + b" " + path + b" " + version.encode() + b"\r\n"
        request += "".join("%s: %s\r\n" % line for line in lines).encode("latin-1") + b"\r\n"
        self.socket.sendall(request + early)
        status, headers, rest = read_head(self.socket)
        if status != 101:
            if status is None:
                raise HttpAnswer(0, {}, b"closed without an answer")
            body = rest
            length = int(headers.get("content-length", "0"))
            while len(body) < length:
                data = self.socket.recv(65536)
                if not data:
                    break
                body += data
            self.socket.close()
            raise HttpAnswer(status, headers, body)
        self.headers = headers
        want = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
        assert headers.get("sec-websocket-accept") == want or "sec-websocket-key" in given, headers
        self.buffer = rest

    @staticmethod
    def frame(opcode, payload=b"", fin=True, mask=True, rsv=0, length=None, length_form=None):
        """One frame; length lies about the payload's, length_form (1, 2, 8) about the shortest form."""
        n = len(payload) if length is None else length
        out = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
        bit = 0x80 if mask else 0
        form = length_form or (1 if n < 126 else 2 if n < 65536 else 8)
        if form == 1:
            out += bytes([bit | n])
        elif form == 2:
            out += bytes([bit | 126]) + struct.pack("!H", n)
        else:
            out += bytes([bit | 127]) + struct.pack("!Q", n)
        if mask:
            key = os.urandom(4)
            stream = (key * (len(payload) // 4 + 1))[:len(payload)]
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(payload), "big")
            out += key
        return out + payload

    def send_frame(self, opcode, payload=b"", **how):
        self.say(">", "frame opcode %d, %d bytes %r %r" % (opcode, len(payload), payload[:100], how or ""))
        self.send_bytes(self.frame(opcode, payload, **how))

    def send_bytes(self, data):
        try:
            self.socket.settimeout(TIMEOUT)
            self.socket.sendall(data)
        except ConnectionError:
            # A server may close while the rest of a bad frame is on its way; its Close is still to be read.
            pass

    def _send(self, message):
        text = isinstance(message, str)
        self.send_bytes(self.frame(TEXT if text else BINARY, message.encode() if text else message))

    def _need(self, n, end):
        while len(self.buffer) < n:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                data = b""
            except socket.timeout:
                raise TimeoutError from None
            if not data:
                return False
            self.buffer += data
        return True

    def next_frame(self, timeout=TIMEOUT):
        """(fin, opcode, payload) as on the wire, control frames too; None at the end of the stream."""
        end = time.monotonic() + timeout
        if not self._need(2, end):
            return None
        first, second = self.buffer[0], self.buffer[1]
        assert not second & 0x80, "a server must not mask"
        assert not first & 0x70, "reserved bits from the server"
        n, at = second & 0x7F, 2
        if n >= 126:
            form = 2 if n == 126 else 8
            if not self._need(2 + form, end):
                return None
            n, at = int.from_bytes(self.buffer[2:2 + form], "big"), 2 + form
        if not self._need(at + n, end):
            return None
        payload, self.buffer = self.buffer[at:at + n], self.buffer[at + n:]
        return bool(first & 0x80), first & 15, payload

    def _take(self, timeout):
        end = time.monotonic() + timeout
        while True:
            if self.over:
                return self.over
            frame = self.next_frame(max(0.0, end - time.monotonic()))
            if frame is None:
                self.over = Closed(1006, "")
                continue
            fin, opcode, payload = frame
            if opcode == PING:
                if self.autopong:
                    self.send_bytes(self.frame(PONG, payload))
            elif opcode == CLOSE:
                code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
                self.over = Closed(code, payload[2:].decode())
                self.send_bytes(self.frame(CLOSE, payload[:2]))
            elif opcode in (TEXT, BINARY, 0):
                self.parts += payload
                if fin:
                    whole, self.parts = self.parts, b""
                    return Frame(whole)

    def expect_pong(self, payload):
        frame = self.next_frame()
        assert frame == (True, PONG, payload), frame

    def expect_end(self, timeout=TIMEOUT):
        """The TCP stream ends."""
        end = time.monotonic() + timeout
        while self.next_frame(max(0.0, end - time.monotonic())) is not None:
            pass

    def close(self):
        self.socket.close()
