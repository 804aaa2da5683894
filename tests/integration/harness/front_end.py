"""The original service's React page, imitated in what it does with its sockets.

Its connection effect runs anew at each choice of a conversation: it closes the socket that the page sends by
and opens another. onclose dials again after a second, whatever the reason, so each choice leaves one socket
more open. All of them show what they receive; the page sends by the one that was dialled last, and only
while that is open (a browser throws before, and drops what is sent after).

One thing is not imitated: a browser drops what reaches a socket that its page is closing, here it is shown, so
that a test sees what the server has sent, and how often.

No threads: everything happens in the asyncio loop of the test.
"""

import asyncio
import base64
import collections
import json
import os
import struct

REDIAL_SECONDS = 1.0
CONNECTING, OPEN, CLOSING, CLOSED = "connecting", "open", "closing", "closed"


class Socket:
    """A browser's WebSocket: on_open(), on_frame(text), on_close(code) once; code None where no close frame came."""

    def __init__(self, port, path, on_open, on_frame, on_close):
        self.state = CONNECTING
        self.on_open, self.on_frame, self.on_close = on_open, on_frame, on_close
        self.writer = None
        self.closed_by_page = False
        self.task = asyncio.ensure_future(self._run(port, path))

    async def _run(self, port, path):
        code = None
        try:
            reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
            if self.state == CLOSED:
                raise ConnectionAbortedError
            self.writer.write(("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nOrigin: http://front.example\r\n\r\n"
                               % (path, port, base64.b64encode(os.urandom(16)).decode())).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101"), head
            if self.state == CONNECTING:
                self.state = OPEN
                self.on_open(self)
            while code is None:
                opcode, payload = await self._frame(reader)
                if opcode == 1:
                    self.on_frame(self, payload)
                elif opcode == 9:
                    self._write(10, payload)
                elif opcode == 8:
                    code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
                    if self.state == OPEN:
                        self._write(8, payload[:2])
            await reader.read()  # the server ends the connection
        except (OSError, EOFError):
            pass
        finally:
            self.state = CLOSED
            if self.writer is not None:
                self.writer.close()
        self.on_close(self, code)

    @staticmethod
    async def _frame(reader):
        first, n = await reader.readexactly(2)
        if n >= 126:
            n = int.from_bytes(await reader.readexactly(2 if n == 126 else 8), "big")
        return first & 15, await reader.readexactly(n)

    def _write(self, opcode, payload):
        key = os.urandom(4)
        n = len(payload)
        head = bytes([0x80 | opcode, 0x80 | n]) if n < 126 else bytes([0x80 | opcode, 0xFE]) + struct.pack("!H", n)
        self.writer.write(head + key + bytes(b ^ key[i & 3] for i, b in enumerate(payload)))

    def send(self, text):
        self._write(1, text.encode())

    def close(self):
        """As a page closes: without a code. A socket that is being opened fails."""
        self.closed_by_page = True
        if self.state == OPEN:
            self.state = CLOSING
            self._write(8, b"")
        elif self.state == CONNECTING:
            self.cut()

    def cut(self):
        """The connection breaks."""
        self.state = CLOSED
        if self.writer is not None:
            self.writer.transport.abort()


class Page:
    """One browser tab of address. faults: what must not happen, in words."""

    def __init__(self, port, address):
        self.port, self.address = port, address
        self.sockets = set()     # not closed yet
        self.current = None      # the page's socketRef
        self.lines = collections.Counter()  # what it shows: (sender, message) -> times
        self.closes = collections.Counter()  # that the page did not ask for, by code
        self.faults = []
        self.dials = 0
        self.gone = False

    def open(self):
        self.gone = False
        self._dial()

    def _dial(self):
        if not self.gone:
            self.dials += 1
            self.current = Socket(self.port, "/ws/" + self.address, lambda s: None, self._frame, self._closed)
            self.sockets.add(self.current)

    def _frame(self, socket, payload):
        data = json.loads(payload)
        if not isinstance(data.get("sender"), str) or not isinstance(data.get("message"), str):
            self.faults.append("a conversation called undefined: %r" % payload)
        self.lines[data.get("sender"), data.get("message")] += 1

    def _closed(self, socket, code):
        self.sockets.discard(socket)
        if not socket.closed_by_page and not self.gone:
            self.closes[code] += 1
        if not self.gone:
            asyncio.get_running_loop().call_later(REDIAL_SECONDS, self._dial)

    def choose(self):
        """Another conversation is chosen: the effect's clean-up, then the effect."""
        self.current.close()
        self._dial()

    def send(self, to, message):
        """False where the page cannot send now."""
        if self.current is None or self.current.state != OPEN:
            return False
        self.current.send(json.dumps({"from": self.address, "to": to, "message": message,
                                      "timestamp": "2026-11-26T10:00:00.000Z"}))
        return True

    def open_sockets(self):
        return [s for s in self.sockets if s.state == OPEN]

    def cut(self):
        """The network fails: every socket dials again after its second."""
        for socket in list(self.sockets):
            socket.closed_by_page = True
            socket.cut()

    def vanish(self):
        """The tab is killed: nothing dials again until open()."""
        self.gone = True
        self.cut()
