"""Between bridges and the unix listener of their broker: for tests of what happens while a session is on its way in.

    relay = Relay(chat)      # once the broker runs: takes the listener's place
    relay.hold("client")     # of who connects from now on the first packet goes through, and the rest waits
    relay.hold("broker")     # the same of what the broker answers it
    ...
    relay.release()          # all that was held goes on, and everything passes

Connections of before hold() are not touched. One thread for each direction of a connection; they end with it. close() ends them all.
"""

import contextlib
import os
import socket
import threading


class Relay:
    def __init__(self, broker):
        self.path, self.behind = broker.socket_path, broker.socket_path + ".behind"
        self.passing = threading.Event()
        self.passing.set()
        self.held = None  # whose words are, on new connections
        self.sockets = []
        os.rename(self.path, self.behind)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o666)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, whose):
        self.held = whose
        self.passing.clear()

    def release(self):
        self.held = None
        self.passing.set()

    def close(self):
        self.release()
        for one in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                self.sockets += [client, server]
                server.connect(self.behind)
                held = self.held
                threading.Thread(target=self._pass, args=(client, server, held == "client"), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, held == "broker"), daemon=True).start()

    def _pass(self, source, sink, held):
        """held: what comes first goes through, the rest waits."""
        with contextlib.suppress(OSError):
            while True:
                data = source.recv(65536)
                if not data:
                    break
                sink.sendall(data)
                if held:
                    self.passing.wait()
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
