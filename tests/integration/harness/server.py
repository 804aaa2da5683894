"""A chat server on the ports that its configuration ships with, for the clients of these tests: they take it for their
broker. Who makes one starts it, and gives it clients and transcript (containers of tests/container, machines of
tests/package)."""

import contextlib
import socket

from .dialogue import TIMEOUT, wait_for
from .paho import Paho
from .websocket import Ws, read_answer

A, B = "alice@example.com", "bob@example.com"


class Server:
    root, room = "chat", "general"
    mqtt_port, ws_port = 1883, 8000
    tls = None

    def ws(self, address, **query):
        """A session that is in its rooms."""
        return Ws(self, address, **query).sync()

    def mqtt(self, user):
        return Paho(self, user)

    def http(self, path, address="127.0.0.1"):
        with socket.create_connection((address, self.ws_port), TIMEOUT) as sock:
            sock.sendall(b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path.encode(), address.encode()))
            return read_answer(sock)

    def close_clients(self):
        for client in self.clients:
            with contextlib.suppress(Exception):
                client.close()
        self.clients.clear()

    def talk(self):
        """A session and an MQTT client hear each other; the two messages."""
        alice, bob = self.ws(A), self.mqtt(B).read_room()
        alice.send({"message": "from the browser"})
        first = bob.expect_message("from the browser", A)
        bob.send({"message": "from MQTT"})
        return [first, alice.expect_message("from MQTT", B)]

    def page(self):
        """The newest messages of the room."""
        answer = self.http("/rooms/general/messages")
        assert answer.status == 200, answer
        return [(message["id"], message["message"]) for message in answer.json["messages"]]

    def wait_page(self, messages):
        wanted = [(message["id"], message["message"]) for message in messages]
        wait_for(lambda: self.page() == wanted, lambda: "%r in history, not %r" % (wanted, self.page()))
