"""The opening handshake of RFC 6455 section 4, from the server's side."""

import base64
import hashlib
import socket
import time

import pytest

from conversation import chat_message
from harness.dialogue import TIMEOUT
from harness.websocket import GUID, TEXT, RawWs, read_head

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455 1.3
PATH = "/ws/case@example.com?room=handshake&echo=1&events=typing"

GOOD = [("Host", "localhost"), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13")]


def request(change=(), drop=(), method="GET", path=PATH, version="HTTP/1.1"):
    """The good one, but for some of its lines."""
    names = {name.lower() for name, _ in change} | {name.lower() for name in drop}
    lines = [line for line in GOOD if line[0].lower() not in names] + list(change)
    head = "%s %s %s\r\n" % (method, path, version) + "".join("%s: %s\r\n" % line for line in lines)
    return (head + "\r\n").encode("latin-1")


@pytest.fixture
def ask(server, neighbour):
    """ask(bytes): what the server says to them: status, headers, what follows. Afterwards it lives."""
    sockets = []

    def one(data, chop=None):
        sock = socket.create_connection(("127.0.0.1", server.ws_port), timeout=TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets.append(sock)
        for at in range(0, len(data), chop or len(data)):
            sock.sendall(data[at:at + (chop or len(data))])
            if chop:
                time.sleep(0.0003)
        return read_head(sock)

    yield one
    for sock in sockets:
        sock.close()
    neighbour.answers()


def expect_accepted(answer):
    status, headers, _ = answer
    assert status == 101, answer
    assert headers["upgrade"].lower() == "websocket"
    assert headers["connection"].lower() == "upgrade"
    assert "sec-websocket-extensions" not in headers
    return headers


def test_the_example_of_the_rfc(ask):
    assert expect_accepted(ask(request()))["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("n", range(8))
def test_keys(ask, n):
    key = base64.b64encode(bytes([n * 31 % 256, n] * 8)).decode()
    headers = expect_accepted(ask(request([("Sec-WebSocket-Key", key)])))
    assert headers["sec-websocket-accept"] == base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


@pytest.mark.parametrize("change", [
    [("Upgrade", "WebSocket")], [("Upgrade", "WEBSOCKET")], [("upgrade", "websocket")],
    [("Upgrade", "websocket, h2c")], [("Upgrade", "h2c, websocket")], [("Upgrade", "h2c"), ("Upgrade", "websocket")],
    [("Connection", "upgrade")], [("CONNECTION", "UPGRADE")], [("Connection", "keep-alive, Upgrade")],
    [("Connection", "Upgrade,keep-alive")], [("Connection", " , Upgrade ,, ")], [("Connection", "keep-alive"), ("Connection", "Upgrade")],
    [("Connection", "\tUpgrade\t")],
    [("sec-websocket-key", KEY)], [("SEC-WEBSOCKET-VERSION", "13")], [("Sec-WebSocket-Key", "  %s  " % KEY)],
    [("host", "localhost:8000")], [("Host", "")],
    [("Sec-WebSocket-Protocol", "chat")], [("Sec-WebSocket-Protocol", "a, b, c")], [("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "b")],
    [("Sec-WebSocket-Extensions", "permessage-deflate")], [("Content-Length", "0")],
    [("Cookie", "a=b; c=" + "d" * 6000)], [("X-%d" % n, "y") for n in range(80)], [("User-Agent", "ä" * 50)],
    [("Origin", "https://example.com")], [("Origin", "null")], [("X-Empty", "")],
], ids=lambda lines: "; ".join("%s: %s" % line for line in lines)[:50])
def test_accepted(ask, change):
    headers = expect_accepted(ask(request(change)))
    assert "sec-websocket-protocol" not in headers


def test_a_later_version_of_http_1(ask):
    """RFC 9110 2.5: understood as the latest that is known."""
    expect_accepted(ask(request(version="HTTP/1.2")))


def test_a_protocol_that_is_known(ask):
    headers = expect_accepted(ask(request([("Sec-WebSocket-Protocol", "bearer, abc.def.ghi")])))
    assert headers["sec-websocket-protocol"] == "bearer"


@pytest.mark.parametrize("status, how", [
    (405, dict(method="POST")), (405, dict(method="PUT")), (426, dict(method="HEAD")), (405, dict(method="DELETE")),
    (405, dict(method="get")), (405, dict(method="CONNECT")),
    (426, dict(version="HTTP/1.0")), (505, dict(version="HTTP/0.9")), (505, dict(version="HTTP/2.0")),
    (400, dict(version="http/1.1")), (400, dict(version="HTTP/1.11")), (400, dict(version="HTTP/11")), (400, dict(version="ICY")),
    (400, dict(drop=["Host"])), (400, dict(change=[("Host", "a"), ("Host", "b")])),
    (426, dict(drop=["Upgrade"])), (426, dict(drop=["Connection"])), (426, dict(change=[("Upgrade", "h2c")])),
    (426, dict(change=[("Upgrade", "websockets")])), (426, dict(change=[("Upgrade", "web socket")])),
    (426, dict(change=[("Upgrade", "websocket/13")])), (426, dict(change=[("Upgrade", "")])),
    (426, dict(change=[("Connection", "keep-alive")])), (426, dict(change=[("Connection", "close")])),
    (426, dict(change=[("Connection", "Upgraded")])), (426, dict(change=[("Connection", "Up grade")])),
    (426, dict(drop=["Sec-WebSocket-Version"])), (426, dict(change=[("Sec-WebSocket-Version", "")])),
    *[(426, dict(change=[("Sec-WebSocket-Version", str(version))]))
      for version in (0, 7, 8, 12, 14, 130, 255, "013", "+13", "13.0", "0x0d", "13, 8", "8, 13", "thirteen")],
    (400, dict(change=[("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Version", "13")])),
    (400, dict(drop=["Sec-WebSocket-Key"])), (400, dict(change=[("Sec-WebSocket-Key", "")])),
    (400, dict(change=[("Sec-WebSocket-Key", "short")])), (400, dict(change=[("Sec-WebSocket-Key", KEY[:-1])])),
    (400, dict(change=[("Sec-WebSocket-Key", KEY[:-2])])), (400, dict(change=[("Sec-WebSocket-Key", KEY + "=")])),
    (400, dict(change=[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZSE=")])), (400, dict(change=[("Sec-WebSocket-Key", KEY.replace("S", "*"))])),
    (400, dict(change=[("Sec-WebSocket-Key", KEY.replace("S", " "))])),
    (400, dict(change=[("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Key", KEY)])),
    (400, dict(change=[("Content-Length", "1")])), (400, dict(change=[("Transfer-Encoding", "chunked")])),
    (400, dict(change=[("Bad Name", "x")])), (400, dict(change=[("Name ", "x")])), (400, dict(change=[("X", "a\0b")])),
    (400, dict(change=[("X", "a\rb")])), (400, dict(change=[("X", "y\r\n folded")])),
    (431, dict(change=[("Cookie", "x" * 17000)])), (431, dict(change=[("X-%d" % n, "y") for n in range(200)])),
    (404, dict(path="/wsx")), (404, dict(path="/ws")), (404, dict(path="/nothing")), (400, dict(path="")), (400, dict(path="/ws/a b")),
], ids=lambda x: str(x)[:70])
def test_refused(ask, status, how):
    """By plain HTTP, with a body in JSON, and never by an upgrade."""
    answer, headers, body = ask(request(**how))
    assert answer == status, (answer, headers, body)
    assert headers["connection"].lower() == ("close, upgrade" if status == 426 else "close")
    if status == 426:
        assert headers["upgrade"].lower() == "websocket"
        assert headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize("data, status", [
    (b"GET / HTTP/1.1\nHost: x\n\n", 400), (b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400), (b"\0\0\0\0\r\n\r\n", 400),
    (b"GET\r\n\r\n", 400), (b"GET  / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400), (b"GET / HTTP/1.1\r\n: x\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost\r\n\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    (b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc\r\n\r\n", 400),
], ids=lambda x: repr(x)[:50])
def test_no_request_at_all(ask, data, status):
    assert ask(data)[0] == status


@pytest.mark.parametrize("chop", [1, 2, 7, 100])
def test_in_pieces(ask, chop):
    expect_accepted(ask(request(), chop=chop))


def test_in_two_packets(ask):
    data = request()
    for cut in range(1, len(data), 5):
        expect_accepted(ask(data, chop=max(cut, len(data) - cut)))


@pytest.mark.parametrize("cut", [0, 1, 3, 10, None])
def test_frames_in_the_packet_of_the_request(connect, cut):
    """A client need not wait for the 101. Half a frame may be there too."""
    first, second = RawWs.frame(TEXT, chat_message("one")), RawWs.frame(TEXT, chat_message("two"))
    client = connect(early=first + second[:cut])
    client.send_bytes(second[len(second[:cut]):])
    client.expect_ready()
    client.expect_echo("one")
    client.expect_echo("two")
    client.closes()


def test_two_requests_on_a_connection(ask):
    """Every answer ends its connection; the second request is not read."""
    status, headers, body = ask(request(drop=["Upgrade"]) + request())
    assert status == 426 and headers["connection"].lower() == "close, upgrade"
    assert b"101" not in body
