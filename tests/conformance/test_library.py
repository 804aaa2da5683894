"""What is known to be wrong in the libwebsockets of Debian 12 to testing, seen from outside."""

import socket

import pytest

from conversation import chat_message, chat_message_of
from harness.dialogue import TIMEOUT
from harness.websocket import BINARY, CLOSE, PING, PONG, TEXT, RawWs, read_head


@pytest.mark.parametrize("payload", [b"", chat_message("x"), b"*" * 200, b"*" * 70000], ids=len)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_unmasked_data(client, opcode, payload):
    """Accepted before 5.0. RFC 6455 5.1: a server MUST close."""
    client.send_frame(opcode, payload, mask=False)
    client.expect_failed(1002)


@pytest.mark.parametrize("opcode, payload", [(PING, b""), (PING, b"x"), (PONG, b""), (PONG, b"x" * 125), (CLOSE, b""), (CLOSE, b"\x03\xe8")])
def test_unmasked_control(client, opcode, payload):
    client.send_frame(opcode, payload, mask=False)
    client.expect_failed(1002)


def test_unmasked_behind_masked(client):
    client.send_frame(TEXT, b'{"message":', fin=False)
    client.send_bytes(client.frame(PONG) + client.frame(0, b'"x"}', mask=False))
    client.expect_failed(1002)


@pytest.mark.parametrize("size", [126, 127, 128, 1000, 65535, 65536])
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_long_control_frames(client, opcode, size):
    """Ended without a word."""
    client.send_bytes(client.frame(opcode, b"", length=size))
    client.expect_failed(1002)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_long_forms_in_control_frames(client, opcode):
    """Two bytes in 16 bits."""
    client.send_frame(opcode, b"\x03\xe8", length_form=2)
    client.expect_failed(1002)


@pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1, 1 << 63 | 5])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_lengths_of_64_bits(client, opcode, length):
    """Ended without a word. RFC 6455 5.2: the most significant bit MUST be 0."""
    client.send_bytes(client.frame(opcode, b"", length=length, length_form=8) + b"*" * 20)
    client.expect_failed(1002)


@pytest.mark.parametrize("length", [(1 << 63) - 1, 1 << 62, 1 << 32, 1 << 28, (1 << 28) + 1])
def test_lengths_of_63_bits(client, length):
    client.send_frame(TEXT, b"*" * 20, length=length, length_form=8)
    client.expect_close(1009, 1006)


@pytest.mark.parametrize("length_form", [2, 8])
def test_longer_forms_than_needed(client, length_form):
    """RFC 6455 5.2 wants the shortest. Not strict: they are read."""
    client.send_frame(TEXT, chat_message("x"), length_form=length_form)
    client.expect_echo("x")
    client.closes()


@pytest.mark.parametrize("code, data", [(1003, (BINARY, b"x")), (1002, (3, b"x")), (1007, (TEXT, b"\xff")), (1009, (TEXT, chat_message_of(262145)))],
                         ids=lambda x: str(x)[:20])
def test_close_frames_are_not_lost(connect, code, data):
    """Builds with assertions lose it when a connection is closed from one of the callbacks (issue 3569)."""
    for _ in range(5):
        client = connect()
        client.send_frame(*data)
        client.expect_failed(code)


def test_close_frames_at_the_door(server, neighbour):
    for path in ("/ws/nobody", "/ws/a@b.c?room=A", "/ws/%ff@b.c"):
        session = server.raw_ws(path=path)
        session.expect_close(4100)
        session.expect_end()
        server.clients.remove(session)
    neighbour.answers()


def test_an_unknown_upgrade_on_a_used_connection(server, neighbour):
    """Use after free in 4.1.6 to 4.3.5. Here each connection carries one request."""
    for second in ("h2c", "unknown", "websocket"):
        with socket.create_connection(("127.0.0.1", server.ws_port), timeout=TIMEOUT) as sock:
            first = b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
            sock.sendall(first)
            status, headers, _ = read_head(sock)
            assert status == 404 and headers["connection"].lower() == "close"
            try:
                sock.sendall(b"GET /ws/a@b.c HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n" % second.encode())
                rest = b""
                while data := sock.recv(65536):
                    rest += data
            except ConnectionError:
                rest = b""
            assert b"HTTP/1.1" not in rest
    neighbour.answers()


@pytest.mark.parametrize("path", ["/ws/a+b@example.com", "/ws/%61@example.com", "/ws//a@b.c", "/ws/../ws/a@b.c", "/ws/a@b.c&x", "/ws/a@b.c;x"])
def test_paths_are_taken_as_they_are(server, neighbour, path):
    """Its parser decodes, joins and splits them before anybody sees them."""
    session = server.raw_ws(path=path + "?events=typing")
    if path in ("/ws/a+b@example.com", "/ws/%61@example.com"):
        assert session.expect_ready()["user"] == path[4:].replace("%61", "a")
    else:
        session.expect_close(4100)
    session.close()
    server.clients.remove(session)
    neighbour.answers()


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_ping_that_comes_in_part_with_the_request(connect, cut):
    """libwebsockets has its beginning before the guard is there: it answers that one, the guard those behind."""
    ping = RawWs.frame(PING, b"one")
    client = connect(early=ping[:cut])
    client.send_bytes(ping[cut:])
    client.expect_ready()
    client.expect_pong(b"one")
    client.send_bytes(client.frame(PING, b"two") + client.frame(PING, b"three"))
    client.expect_pongs([b"two", b"three"])
    client.closes()


@pytest.mark.parametrize("data", [RawWs.frame(TEXT, chat_message("x"), mask=False), RawWs.frame(PING, b"x" * 126), RawWs.frame(CLOSE, b"x")],
                         ids=["unmasked", "long ping", "half a close code"])
def test_bad_frames_in_the_packet_of_the_request(connect, data):
    """The guard sees them although libwebsockets has them already."""
    client = connect(early=data)
    client.expect_close(1002)
    client.expect_end()
