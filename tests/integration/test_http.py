"""Plain HTTP on the same port, and Origin. Every refusal has a JSON body."""

import email.utils
import json
import re
import socket
import ssl
import time

import pytest

from harness.dialogue import wait_for
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


# RFC 9110, RFC 9112, and what pages may read

ROUTES = ["/", "/index.html", "/health", "/users", "/rooms/general/messages", "/messages/%s_%s" % (A, B), "/ws/" + A]
ALLOW = "GET, HEAD, OPTIONS"


def fields(answer):
    """All but the clock."""
    return {name: value for name, value in answer.headers.items() if name != "date"}


def all_of(chat, raw):
    """Everything that comes until the server closes."""
    with chat.connect() as sock:
        sock.sendall(raw)
        data = b""
        while True:
            more = sock.recv(65536)
            if not more:
                return data
            data += more


def settled(chat):
    """Past the moment in which it is not known yet who is connected."""
    wait_for(lambda: chat.http("GET", "/users").status == 200, "an answer to /users")
    return chat


@pytest.fixture
def kept(brokers):
    """With history, so that each route has something to say."""
    chat = brokers(start=False)
    chat.options["history_file"] = chat.folder + "/chat.db"
    return settled(chat.start())


@pytest.fixture
def ready(chat):
    return settled(chat)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW", "get", "GETX"])
def test_other_methods_are_405_everywhere(chat, method):
    for path in ROUTES + ["/nothing"]:
        answer = chat.http(method, path)
        assert refused(answer, 405)["error"] == "method_not_allowed"
        assert answer.headers["allow"] == ALLOW


def test_connect_is_405(chat):
    answer = chat.http("CONNECT", "example.com:443")
    refused(answer, 405)
    assert answer.headers["allow"] == ALLOW


def test_head_is_get_without_the_body(kept):
    for path in ROUTES + ["/nothing", "/rooms/BAD/messages", "/rooms/general/messages?limit=x"]:
        get, head = kept.http("GET", path), kept.http("HEAD", path)
        assert head.status == get.status and fields(head) == fields(get), path
        assert head.body == b"" and len(get.body) == int(head.headers["content-length"]) > 0, path


def test_no_body_for_head_whatever_is_wrong(chat):
    for raw in (b"HEAD / HTTP/1.1\r\n\r\n", b"HEAD /users HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
                b"HEAD /users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                b"HEAD / HTTP/2.0\r\nHost: x\r\n\r\n", b"HEAD / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20000 + b"\r\n\r\n"):
        head, body = all_of(chat, raw).split(b"\r\n\r\n", 1)
        assert head.split(b" ")[1] in (b"400", b"431", b"505") and body == b"", raw[:60]
        assert b"\r\nContent-Length: 0\r\n" not in head


def test_preflight(brokers):
    chat = brokers(options={"allowed_origins": LIST})
    for path in ROUTES:
        ask = [("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", "authorization")]
        answer = chat.http("OPTIONS", path, [("Origin", "http://localhost:3000")] + ask)
        assert answer.status == 204 and answer.body == b"", path
        assert answer.headers["allow"] == answer.headers["access-control-allow-methods"] == ALLOW
        assert answer.headers["access-control-allow-headers"] == "Authorization"
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
        assert int(answer.headers["access-control-max-age"]) >= 600
        assert answer.headers["vary"] == "Origin"
        assert "content-length" not in answer.headers and "content-type" not in answer.headers
        assert "access-control-allow-origin" not in chat.http("OPTIONS", path, [("Origin", "https://evil.example")] + ask).headers
    answer = chat.http("OPTIONS", "*")
    assert answer.status == 204 and answer.headers["allow"] == ALLOW
    refused(chat.http("OPTIONS", "/nothing"), 404)


REFUSALS = [("POST", "/users", [], 405), ("GET", "/nothing", [], 404), ("GET", "/ws/" + A, [], 426), ("GET", "/users", [("Content-Length", "1")], 400),
            ("GET", "/rooms/BAD/messages", [], 400), ("GET", "/rooms/general/messages", [], 404)]


@pytest.mark.parametrize("method, path, headers, status", REFUSALS)
def test_refusals_can_be_read_as_well(brokers, method, path, headers, status):
    chat = brokers(options={"allowed_origins": LIST})
    answer = chat.http(method, path, headers + [("Origin", "https://chat.example.com")])
    refused(answer, status)
    assert answer.headers["access-control-allow-origin"] == "https://chat.example.com"
    other = chat.http(method, path, headers + [("Origin", "https://evil.example")])
    assert other.status == status and "access-control-allow-origin" not in other.headers
    assert answer.headers["vary"] == other.headers["vary"] == "Origin"
    assert chat.http(method, path, headers).headers["vary"] == "Origin"


def test_what_depends_on_the_origin_says_so(brokers):
    chat = brokers(options={"allowed_origins": LIST})
    with pytest.raises(HttpAnswer) as answer:
        chat.raw_ws(A, headers=[("Origin", "https://evil.example")])
    refused(answer.value, 403)
    assert answer.value.headers["vary"] == "Origin"
    for raw in (b"GET\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n"):
        assert chat.http("GET", "", raw=raw).headers["vary"] == "Origin"


def test_any_page_may_read_what_any_may_ask(chat):
    for raw in (b"GET / HTTP/2.0\r\n\r\n", b"nonsense\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"):
        answer = chat.http("GET", "", raw=raw)
        assert answer.headers["access-control-allow-origin"] == "*" and "vary" not in answer.headers


def test_every_answer_has_a_date_and_ends_the_connection(kept):
    """One request a connection: what keep-alive would bring is not worth what it has cost others."""
    for raw in [b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n" % path.encode() for path in ROUTES + ["/nothing"]] + [
            b"nonsense\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /users HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"]:
        text = all_of(kept, raw).decode()
        head = text.split("\r\n\r\n")[0]
        date = re.search(r"\r\nDate: (.*)\r\n", head).group(1)
        then = email.utils.parsedate_to_datetime(date)
        assert abs(then.timestamp() - time.time()) < 60 and email.utils.format_datetime(then, usegmt=True) == date
        assert "close" in re.search(r"(?i)\r\nConnection: (.*)", head).group(1), head


def test_upgrade_required_names_the_way(chat):
    """RFC 9110 15.5.22 and 7.8: the field Upgrade, and Connection names it."""
    for headers in ([], [("Upgrade", "websocket")], [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "8")]):
        answer = chat.http("GET", "/ws/" + A, headers)
        refused(answer, 426)
        assert answer.headers["upgrade"] == "websocket" and answer.headers["sec-websocket-version"] == "13"
        assert {x.strip().lower() for x in answer.headers["connection"].split(",")} == {"close", "upgrade"}


def test_pipelined_requests_get_one_answer(kept):
    for path in (b"/users", b"/", b"/rooms/general/messages", b"/nothing", b"/ws/x"):
        data = all_of(kept, b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path * 3)
        assert data.count(b"HTTP/1.1 ") == 1, data
        head, body = data.split(b"\r\n\r\n", 1)
        assert len(body) == int(re.search(rb"Content-Length: (\d+)", head).group(1))


@pytest.mark.parametrize("headers, body, status", [
    ([], b"", 200), ([("Content-Length", "0")], b"", 200), ([("Content-Length", "00")], b"", 200),
    ([("Content-Length", "2")], b"{}", 400), ([("Transfer-Encoding", "chunked")], b"0\r\n\r\n", 400),
    ([("Transfer-Encoding", "identity")], b"", 400), ([("Content-Length", "0"), ("Transfer-Encoding", "chunked")], b"0\r\n\r\n", 400),
    ([("Content-Length", "0"), ("Content-Length", "0")], b"", 400), ([("Content-Length", "0, 0")], b"", 400),
    ([("Content-Length", "-1")], b"", 400), ([("Content-Length", "+0")], b"", 400), ([("Content-Length", "")], b"", 400),
    ([("Expect", "100-continue")], b"", 200), ([("Expect", "100-continue"), ("Content-Length", "2")], b"", 400),
    ([("Upgrade", "h2c"), ("Connection", "Upgrade")], b"", 200),
    ([("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")], b"", 200),
])
def test_bodies_and_expectations(ready, headers, body, status):
    answer = ready.http("GET", "/users", headers, body)
    if status == 200:
        assert answer.status == 200 and answer.json == []
    else:
        assert "body" in refused(answer, 400)["message"] or "ength" in headers[0][0]


def test_who_waits_for_100_is_told_at_once(chat):
    """The body was not asked for; the refusal comes instead of it."""
    answer = chat.http("POST", "/users", [("Expect", "100-continue"), ("Content-Length", "1000000")])
    refused(answer, 405)


def test_a_large_body_does_not_hide_the_refusal(chat):
    body = b"x" * 4000000
    answer = chat.http("POST", "/users", [("Content-Length", str(len(body)))], body)
    refused(answer, 405)
    goes_on(chat)


@pytest.mark.parametrize("host, status", [
    (["localhost"], 200), (["localhost:8000"], 200), ([""], 200), (["[::1]:8000"], 200), (["[fe80::1]"], 200), (["a.b-c_d~e"], 200),
    (["127.0.0.1:"], 200), ([], 400), (["a", "a"], 400), (["a", "b"], 400), (["a b"], 400), (["a/b"], 400), (["http://a"], 400),
    (["user@a"], 400), (["a:80x"], 400), (["a:80:80"], 400), (["[::1"], 400), (["[::1]x"], 400), (["a, b"], 400), (["a?b"], 400),
    (["a#b"], 400), (["\xff"], 400), (["[a/b]"], 400), (["a%2"], 400), (["a%20b"], 200),
])
def test_host(ready, host, status):
    answer = ready.http("GET", "/users", [("Host", value) for value in host], host=False)
    if status == 200:
        assert answer.status == 200
    else:
        refused(answer, 400)


@pytest.mark.parametrize("target, status", [
    ("http://localhost/users", 200), ("http://localhost:8000/users?x=1", 200), ("HTTP://[::1]:8000/users", 200), ("https://a/users", 200),
    ("http://localhost", 200), ("http://localhost/", 200), ("http://localhost?x=1", 200), ("http://localhost/nothing", 404),
    ("http:///users", 400), ("http://", 400), ("http://user@localhost/users", 400), ("http://a b/", 400), ("ftp://localhost/users", 400),
    ("http:/users", 400), ("localhost/users", 400), ("users", 400), ("localhost:80", 400), ("*", 400), ("?x=1", 400), ("#", 400),
    ("http://a:x/users", 400),
])
def test_forms_of_the_target(ready, target, status):
    answer = ready.http("GET", target)
    if status == 200:
        assert answer.status == 200, answer
        if "users" in target:
            assert answer.json == []
        else:
            assert answer.headers["content-type"].startswith("text/html")
    else:
        refused(answer, status)


def test_a_session_by_the_absolute_form(chat):
    alice = chat.raw_ws(path="http://localhost:%d/ws/%s?events=typing" % (chat.ws_port, A))
    alice.expect_ready()
    refused(chat.http("GET", "http://localhost/ws/" + A), 426)


@pytest.mark.parametrize("path, status", [
    ("/users", 200), ("/users?", 200), ("/users?x=1", 200), ("/users?x=1?y=/", 200), ("/health?", 200), ("/?", 200), ("/?x", 200),
    ("//users", 404), ("/users/", 404), ("/%75sers", 404), ("/Users", 404), ("/users%20", 404), ("/users;x", 404), ("/users#x", 404),
    ("/./users", 404), ("/x/../users", 404), ("/users%3Fx=1", 404), ("/%2Fusers", 404), ("/users%00", 404), ("//", 404),
    ("/rooms/general/messages/", 404), ("/rooms//messages", 400), ("/rooms/gener%61l/messages", 200), ("/rooms/general%2fmessages", 404),
    ("/rooms/%zz/messages", 400), ("/rooms/general/%6dessages", 404), ("/%77s/" + A, 404), ("//ws/" + A, 404),
])
def test_paths_are_compared_as_they_are_sent(kept, path, status):
    """Only the names inside a path are decoded, once."""
    answer = kept.http("GET", path)
    assert answer.status == status, answer
    if status >= 400:
        refused(answer, status)


@pytest.mark.parametrize("raw, status", [
    (b"GET /users HTTP/1.0\r\n\r\n", 200), (b"GET /users HTTP/1.0\r\nHost: x\r\n\r\n", 200), (b"HEAD /users HTTP/1.0\r\n\r\n", 200),
    (b"GET /users HTTP/1.0\r\nHost: a b\r\n\r\n", 400), (b"POST /users HTTP/1.0\r\n\r\n", 405),
    # A later minor version of 1 is understood as 1.1 (RFC 9110 2.5).
    (b"GET /users HTTP/1.2\r\nHost: x\r\n\r\n", 200), (b"GET /users HTTP/1.9\r\n\r\n", 400),
    (b"GET /users HTTP/2.0\r\nHost: x\r\n\r\n", 505), (b"GET /users HTTP/0.9\r\n\r\n", 505), (b"GET /users HTTP/1.10\r\n\r\n", 400),
    (b"GET /users http/1.1\r\nHost: x\r\n\r\n", 400), (b"GET /users\r\n\r\n", 400),
    # An Upgrade in HTTP/1.0 is ignored (RFC 9110 7.8).
    (b"GET /ws/alice@example.com HTTP/1.0\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 426),
    # One empty line before a request is left over from an older client's last one (RFC 9112 2.2).
    (b"\r\nGET /users HTTP/1.1\r\nHost: x\r\n\r\n", 200), (b"\r\n\r\nGET /users HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"\nGET /users HTTP/1.1\r\nHost: x\r\n\r\n", 400), (b"GET /users HTTP/1.1\nHost: x\n\n", 400),
    (b"GET /users HTTP/1.1\r\n Host: x\r\n\r\n", 400), (b"GET /users HTTP/1.1\r\nHost : x\r\n\r\n", 400),
])
def test_versions_and_lines(ready, raw, status):
    answer = ready.http(raw.split()[0].decode(), "", raw=raw)
    if status == 200:
        assert answer.status == 200
    else:
        refused(answer, status)


def test_who_goes_on_sending_is_cut_off(ready):
    """What comes after the answer is read, so that the answer arrives, but not for as long as somebody likes."""
    with ready.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 405 ")
        sent, piece = 0, b"x" * (1 << 20)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            while sent < 1 << 30:
                sock.sendall(piece)
                sent += len(piece)
    assert sent < 64 << 20
    goes_on(ready)
