"""A way between browser and server that can be cut: at once, after so many bytes, at certain bytes, or gone dead."""

import contextlib
import socket
import threading

from harness.broker import free_port


class Proxy:
    """cut_after: bytes from the server until each connection is cut. cut_at: bytes of the server's that are not let
    through: they and the connection are lost. dead: nothing is passed on any more, and nobody is told."""

    def __init__(self, port):
        self.target = port
        self.cut_after = None
        self.cut_at = None
        self.dead = False
        self.cuts = 0
        self.connections = 0
        self.lock = threading.Lock()
        self.open = set()
        self.listener = socket.create_server(("127.0.0.1", free_port()))
        self.port = self.listener.getsockname()[1]
        self.url = "ws://127.0.0.1:%d" % self.port
        self.ended = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.ended:
            try:
                browser, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                browser.close()
                continue
            self.connections += 1
            pair = (browser, server)
            with self.lock:
                self.open.add(pair)
            threading.Thread(target=self._up, args=(pair,), daemon=True).start()
            threading.Thread(target=self._down, args=(pair,), daemon=True).start()

    def _up(self, pair):
        browser, server = pair
        with contextlib.suppress(OSError):
            while True:
                data = browser.recv(65536)
                if not data:
                    break
                if not self.dead:
                    server.sendall(data)
        self._end(pair)

    def _down(self, pair):
        browser, server = pair
        passed = 0
        with contextlib.suppress(OSError):
            while True:
                data = server.recv(65536)
                if not data:
                    break
                if self.dead:
                    continue
                if self.cut_at is not None and self.cut_at in data:
                    self.cuts += 1
                    break
                limit = self.cut_after
                if limit is not None and passed + len(data) > limit:
                    browser.sendall(data[:max(0, limit - passed)])
                    self.cuts += 1
                    break
                passed += len(data)
                browser.sendall(data)
        self._end(pair)

    def _end(self, pair):
        with self.lock:
            if pair not in self.open:
                return
            self.open.discard(pair)
        for sock in pair:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def cut(self):
        """Every connection, now; new ones are let through."""
        with self.lock:
            pairs = list(self.open)
        for pair in pairs:
            self.cuts += 1
            self._end(pair)
        return len(pairs)

    def close(self):
        self.ended = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
