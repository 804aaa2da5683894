"""Plain HTTP on the same port, and Origin. Every refusal has a JSON body."""

import json
import socket

import pytest

from harness.websocket import HttpAnswer

A, B = "alice@example.com", "bob@example.com"


def refused(answer, *statuses):
    assert answer is not None, "closed without an answer"
    assert answer.status in statuses, answer
    assert answer.headers["content-type"].split(";")[0] == "application/json", answer.headers
    body = json.loads(answer.body)
    assert isinstance(body, dict) and body, body
    assert all(isinstance(value, (str, int)) for value in body.values())
    assert "\r" not in answer.headers.get("content-type")
    return body


def goes_on(chat):
    alice, bob = chat.ws(A), chat.ws(B)
    alice.send({"message": "hi"})
    bob.expect_message("hi", A)


@pytest.mark.parametrize("path", ["/nothing", "/nothing/", "/ws", "/wsx", "/ws2/a@b", "/users/x", "/favicon.ico", "/%2e%2e/etc/passwd",
                                  "/../../etc/passwd", "/%00", "/ws%00", "/x" * 200, "/?x=y&" + "z" * 500])
def test_not_found(chat, path):
    answer = chat.http("GET", path)
    if path.startswith("/?"):
        assert answer.status in (200, 404)
    else:
        refused(answer, 404, 400)
        assert answer.status == 404 or "%00" in path or ".." in path or "%2e" in path
    goes_on(chat)


@pytest.mark.parametrize("path", ["/nothing", "/ws/" + A])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_methods(chat, method, path):
    """405 where the path is known (404 may come first where it is not); an unheard-of method may be a 400 or 501."""
    body = b"" if method in ("OPTIONS", "TRACE", "CONNECT") else b"{}"
    headers = [("Content-Length", str(len(body)))] if body else []
    if method == "CONNECT":
        path = "example.com:443"
    answer = chat.http(method, path, headers, body)
    if method == "CONNECT" and answer is None:
        return  # refused without a word is fine for a proxy request
    if method == "OPTIONS":
        assert answer.status in (204, 200, 403, 404, 405)
    else:
        refused(answer, *{"BREW": (400, 404, 405, 501), "TRACE": (400, 404, 405, 501), "CONNECT": (400, 404, 405, 501)}.get(
            method, (405,) if path.startswith("/ws") else (404, 405)))
    if answer.status == 405:
        assert "GET" in answer.headers.get("allow", "GET")
    goes_on(chat)


def test_head(chat):
    answer = chat.http("HEAD", "/nothing")
    assert answer.status in (404, 405) and answer.body == b""


def test_no_upgrade(chat):
    answer = chat.http("GET", "/ws/" + A)
    refused(answer, 426)
    assert answer.headers.get("upgrade", "websocket").lower() == "websocket"


@pytest.mark.parametrize("raw, statuses", [
    (b"nonsense\r\n\r\n", (400,)),
    (b"GET\r\n\r\n", (400,)),
    (b"GET /\r\n\r\n", (400, 404)),
    (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", (400, 404, 505)),
    (b"GET  /  HTTP/1.1\r\nHost: x\r\n\r\n", (400, 404)),
    (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", (400, 404)),
    (b"GET /ws/alice@example.com HTTP/1.0\r\n\r\n", (400, 426)),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50 + b"\r\n\r\n", (400,)),
    (b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03abc\r\n\r\n", (400,)),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 404, 405, 505)),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20000 + b"\r\n\r\n", (400, 431)),
    (b"GET /" + b"y" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", (400, 404, 414, 431)),
    (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(1500)) + b"\r\n", (400, 404, 431)),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", (400, 404)),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n", (400, 404)),
], ids=lambda v: ascii(v)[:30])
def test_bad_requests(chat, raw, statuses):
    """An answer with a JSON body, or at worst just the end of that connection; never of anything else."""
    pids = chat.bridge_pids()
    answer = chat.http("GET", "", raw=raw)
    if answer is not None:
        refused(answer, *statuses)
    assert chat.bridge_pids() == pids
    goes_on(chat)


def test_malformed_heads_are_named_400(chat):
    """The ordinary malformed ones have to be answered."""
    refused(chat.http("GET", "", raw=b"GET / HTTP/1.1\r\nHost x\r\n\r\n"), 400, 404)
    refused(chat.http("GET", "", raw=b"nonsense\r\n\r\n"), 400)


@pytest.mark.parametrize("first", [b"", b"Connection: keep-alive\r\n"])
def test_two_requests_on_a_connection(chat, first):
    """Answered or closed, never mixed up; an unknown Upgrade on the second was a use after free elsewhere."""
    with chat.connect() as sock:
        sock.settimeout(8)
        sock.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n" + first + b"\r\n")
        assert sock.recv(65536).split(b" ")[1] == b"404"
        try:
            sock.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\nUpgrade: spdy\r\nConnection: Upgrade\r\n\r\n")
            data = b""
            while True:
                more = sock.recv(65536)
                if not more:
                    break
                data += more
        except ConnectionError:
            data = b""
        assert b"101" not in data
    goes_on(chat)


def test_pipelined_requests(chat):
    with chat.connect() as sock:
        sock.settimeout(8)
        sock.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        data = b""
        try:
            while True:
                more = sock.recv(65536)
                if not more:
                    break
                data += more
        except (ConnectionError, socket.timeout):
            pass
        assert data.startswith(b"HTTP/1.") and b" 404 " in data.split(b"\r\n")[0]
    goes_on(chat)


def test_a_body_is_not_a_request(chat):
    body = b"GET /ws/eve@example.com HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = chat.http("POST", "/nothing", [("Content-Length", str(len(body)))], body)
    refused(answer, 404, 405)
    goes_on(chat)


def test_the_answer_says_nothing_about_the_peer(chat):
    """No echo of the path: nothing to inject."""
    answer = chat.http("GET", "/<script>alert(1)</script>")
    refused(answer, 404, 400)
    assert b"<script>" not in answer.body
    answer = chat.http("GET", "/x%0d%0aSet-Cookie:%20a=b")
    refused(answer, 404, 400)
    assert "set-cookie" not in answer.headers


# Origin

@pytest.mark.parametrize("origin", ["https://chat.example.com", "http://localhost:3000", "null", "https://evil.example"])
def test_any_origin_while_authentication_is_off(chat, origin):
    chat.raw_ws(A, headers=[("Origin", origin)], events="typing").expect_ready()


LIST = "https://chat.example.com,http://localhost:3000"


@pytest.mark.parametrize("origin", ["https://chat.example.com", "http://localhost:3000"])
def test_listed_origins(brokers, origin):
    chat = brokers(options={"allowed_origins": LIST})
    chat.ws(A, origin=origin)
    bob = chat.raw_ws(B, headers=[("Origin", origin)], events="typing")
    bob.expect_ready()


@pytest.mark.parametrize("origin", [
    "https://evil.example", "https://chat.example.com.evil.example", "https://evil.example/https://chat.example.com",
    "https://xchat.example.com", "http://chat.example.com", "https://chat.example.com:8443", "https://chat.example.com/",
    "https://sub.chat.example.com", "https://chat.example.co", "null", "", "https://chat.example.com,http://localhost:3000",
    "http://localhost:30000", "http://localhost", "*", "https://chat.example.com https://evil.example", "file://",
])
def test_other_origins(brokers, origin):
    chat = brokers(options={"allowed_origins": LIST})
    with pytest.raises(HttpAnswer) as answer:
        chat.raw_ws(A, headers=[("Origin", origin)])
    refused(answer.value, 403)
    # A request without an Origin does not come from a page.
    chat.ws(B)


def test_two_origins_are_no_origin(brokers):
    chat = brokers(options={"allowed_origins": LIST})
    with pytest.raises(HttpAnswer) as answer:
        chat.raw_ws(A, headers=[("Origin", "https://chat.example.com"), ("Origin", "https://evil.example")])
    refused(answer.value, 403, 400)
    with pytest.raises(HttpAnswer) as answer:
        chat.raw_ws(A, headers=[("Origin", "https://evil.example"), ("Origin", "https://chat.example.com")])
    refused(answer.value, 403, 400)


def test_a_refused_origin_is_never_upgraded(brokers):
    """Not even to be told of a bad address."""
    chat = brokers(options={"allowed_origins": LIST})
    with pytest.raises(HttpAnswer) as answer:
        chat.raw_ws(path="/ws/nonsense", headers=[("Origin", "https://evil.example")])
    refused(answer.value, 403)
    assert not chat.log().count("u'%s'" % A)


@pytest.mark.parametrize("rate, burst", [("1/s", 3)])
def test_rate_of_connects(brokers, rate, burst):
    chat = brokers(options={"rate_connects": "%s burst %d" % (rate, burst)})
    sessions, limited = [], None
    for n in range(burst + 3):
        try:
            sessions.append(chat.raw_ws(A, events="typing"))
        except HttpAnswer as answer:
            limited = answer
            break
    assert len(sessions) >= burst and limited is not None
    refused(limited, 429)
    for session in sessions:
        session.expect_ready()
    bob = chat.mqtt(B)
    bob.send({"message": "hi"})
    for session in sessions:
        session.expect_message("hi", B)
