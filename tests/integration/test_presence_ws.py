"""Who is online, as WebSocket sessions see it: a snapshot, then changes; and GET /users."""

import contextlib
import json
import re
import socket
import struct
import time

import pytest

from harness.dialogue import MARKER, TIMEOUT, TIMESTAMP, Closed, wait_for

A, B, C = "alice@example.com", "bob@example.com", "carol+x@example.com"
NO_GRACE = {"presence_grace": "0s"}
WINDOW = 0.5
SINGLES, TOGETHER = 20, 500  # people a window who get a frame each; people in one frame


class Watcher:
    """A session that opted in to presence, and what it has been shown. markers and the like: `but`."""

    def __init__(self, chat, user, but=(), raw=False, **more):
        self.but = {user, MARKER} | set(but)
        self.shown, self.frames, self.changes, self.sizes = {}, 0, [], []
        self.client = (chat.raw_ws if raw else chat.ws)(user, events="presence", **more)
        if raw:
            self.client.expect_ready()

    def entry(self, entry):
        assert entry["status"] in ("online", "offline") and TIMESTAMP.fullmatch(entry["timestamp"]), entry
        assert self.shown.get(entry["user"], {}).get("status", "offline") != entry["status"], \
            "%r is nothing new" % entry
        self.shown[entry["user"]] = entry
        if entry["user"] not in self.but:
            self.changes.append((entry["user"], entry["status"]))

    def take(self, timeout=TIMEOUT):
        frame = self.client.next(timeout)
        assert not isinstance(frame, Closed), frame
        self.frames += 1
        if "users" in frame:
            assert list(frame) == ["type", "users"] and frame["type"] == "presence", frame
            assert 1 <= len(frame["users"]) <= TOGETHER
            self.sizes.append(len(frame["users"]))
            for entry in frame["users"]:
                assert list(entry) == ["user", "status", "timestamp"], entry
                self.entry(entry)
        else:
            assert list(frame) == ["type", "user", "status", "timestamp"] and frame["type"] == "presence", frame
            self.sizes.append(1)
            self.entry(frame)
        return frame

    def until(self, *users, status="online", timeout=TIMEOUT):
        """Reads until all of them are shown so."""
        end = time.monotonic() + timeout
        while any(self.shown.get(user, {}).get("status") != status for user in users):
            self.take(max(0.01, end - time.monotonic()))
        return self

    def clear(self):
        self.frames, self.changes, self.sizes = 0, [], []


def string(text):
    return struct.pack("!H", len(text)) + text.encode()


@contextlib.contextmanager
def people(chat, users):
    """Plain MQTT clients without ceremony, all at once."""
    sockets = []
    try:
        for n, user in enumerate(users):
            body = string("MQTT") + bytes([4, 0x82, 0, 0]) + string("crowd-%d" % n) + string(user)
            head, left = b"\x10", len(body)
            while True:
                head += bytes([left % 128 | (0x80 if left > 127 else 0)])
                left //= 128
                if not left:
                    break
            sock = socket.create_connection(("127.0.0.1", chat.mqtt_port), timeout=TIMEOUT)
            sockets.append(sock)
            sock.sendall(head + body)
        for sock in sockets:
            assert sock.recv(4) == b"\x20\x02\x00\x00"
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


def users_of(chat):
    """None until it is known."""
    answer = chat.http("GET", "/users")
    assert answer.status in (200, 503), answer
    return [entry["user"] for entry in answer.json] if answer.status == 200 else None


def until_users(chat, *users):
    """Exactly these are online, by /users."""
    wait_for(lambda: users_of(chat) == sorted(users), lambda: "online are %r" % users_of(chat))


# ---- sessions ---------------------------------------------------------------------------


def test_a_snapshot_then_changes(brokers):
    chat = brokers(options=NO_GRACE)
    bob = chat.mqtt(B)
    carol = chat.ws(C)
    until_users(chat, B, C)
    alice = Watcher(chat, A)
    alice.until(A, B, C)
    assert sorted(alice.changes) == sorted([(B, "online"), (C, "online")]) and alice.frames == 3
    since = {entry["user"]: entry["since"] for entry in chat.http("GET", "/users").json}
    assert since == {user: alice.shown[user]["timestamp"] for user in (A, B, C)}
    alice.clear()
    carol.close()
    alice.until(C, status="offline")
    assert alice.shown[C]["timestamp"] >= since[C]
    bob.close()
    alice.until(B, status="offline")
    again = chat.ws(B)
    alice.until(B)
    assert alice.changes == [(C, "offline"), (B, "offline"), (B, "online")]
    assert alice.frames == 3
    again.send({"message": "hi"})  # the session still is one
    alice.client.expect_message("hi", B)


def test_who_did_not_ask_gets_none(chat):
    plain, typing, alice = chat.plain_ws(B).sync(), chat.ws(C), Watcher(chat, A)
    alice.until(A, B, C)
    with people(chat, ["someone@example.com"]):
        alice.until("someone@example.com")
    plain.expect_nothing()
    typing.expect_nothing()


def test_a_snapshot_after_those_who_left(brokers):
    """Nobody is in it who is not there."""
    chat = brokers(options=NO_GRACE)
    first = Watcher(chat, A)
    with people(chat, [B, C]):
        first.until(B, C)
    first.until(B, C, status="offline")
    second = Watcher(chat, "dora@example.com").until(A, "dora@example.com")
    assert set(second.shown) == {A, "dora@example.com"}


def test_a_large_snapshot(chat):
    """More than 20: together."""
    crowd = ["u%03d@example.com" % n for n in range(60)]
    with people(chat, crowd):
        Watcher(chat, B).until(B, *crowd)
        alice = Watcher(chat, A, but=[B]).until(A, *crowd)
        assert alice.sizes[0] == 61 and alice.frames == 2
        assert {user for user, _ in alice.changes} == set(crowd)
    alice.until(*crowd, status="offline", timeout=TIMEOUT + 5)


def test_the_largest_snapshot(chat):
    """At most 500 in a frame."""
    crowd = ["u%04d@example.com" % n for n in range(1100)]
    with people(chat, crowd):
        Watcher(chat, B).until(B, *crowd)
        alice = Watcher(chat, A).until(A, *crowd)
        assert alice.sizes[:3] == [500, 500, 101]


def test_many_at_once_are_few_frames(brokers):
    chat = brokers(options=NO_GRACE)
    alice = Watcher(chat, A).until(A)
    alice.clear()
    crowd = ["u%03d@example.com" % n for n in range(60)]
    start = time.monotonic()
    with people(chat, crowd):
        alice.until(*crowd)
        windows = int((time.monotonic() - start) / WINDOW) + 2
        assert len(alice.changes) == 60
        assert alice.frames <= windows * SINGLES, alice.sizes
        alice.clear()
        start = time.monotonic()
    alice.until(*crowd, status="offline")
    windows = int((time.monotonic() - start) / WINDOW) + 2
    assert len(alice.changes) == 60
    assert alice.frames <= windows * SINGLES, alice.sizes


def test_readers_and_arrivals_are_not_multiplied(chat):
    """100 readers, 100 arrivals: each reader gets few frames, the same for all."""
    names = ["reader%02d@example.com" % n for n in range(100)]
    readers = [Watcher(chat, name, but=names) for name in names]
    for reader in readers:
        reader.until(*names, timeout=TIMEOUT + 10)
        reader.clear()
    crowd = ["u%03d@example.com" % n for n in range(100)]
    start = time.monotonic()
    with people(chat, crowd):
        for reader in readers:
            reader.until(*crowd)
    windows = int((time.monotonic() - start) / WINDOW) + 2
    for reader in readers:
        assert len(reader.changes) == 100
        assert reader.frames <= windows * SINGLES, reader.sizes
    assert len({tuple(reader.sizes) for reader in readers}) == 1


def test_on_and_off_within_a_window_does_not_show(brokers):
    chat = brokers(options=NO_GRACE)
    alice = Watcher(chat, A).until(A)
    for attempt in range(20):
        opens, flits, ends = ["%s%d@example.com" % (name, attempt) for name in ("opens", "flits", "ends")]
        with people(chat, [opens]):
            alice.until(opens)
            start = time.monotonic()  # with what was shown a window begins
            with people(chat, [flits]):
                wait_for(lambda: flits in users_of(chat), "it is online")
            wait_for(lambda: flits not in users_of(chat), "it is offline")
            took = time.monotonic() - start
            with people(chat, [ends]):
                alice.until(ends)
        if took < WINDOW * 0.8:
            assert flits not in alice.shown
            return
    pytest.skip("this machine is too slow to come and go within a window")


def test_a_reconnect_within_the_grace_does_not_show(chat):
    bob = chat.ws(B)
    alice = Watcher(chat, A).until(A, B)
    alice.clear()
    bob.close()
    chat.ws(B)
    with people(chat, ["end@example.com"]):
        alice.until("end@example.com")
    assert alice.changes == [("end@example.com", "online")]


LONG = "x" * 64 + "@" + ".".join(["y" * 60] * 3)


def test_a_snapshot_larger_than_the_outbox(brokers):
    chat = brokers(options={"outbox_bytes": 65536})
    crowd = ["%04d%s" % (n, LONG[4:]) for n in range(1500)]
    with people(chat, crowd):
        Watcher(chat, C).until(C, *crowd, timeout=TIMEOUT + 10)
        assert len(chat.http("GET", "/users").body) > 6 * 65536
        slow = Watcher(chat, B, raw=True, receive_buffer=4096)
        alice = Watcher(chat, A).until(A, *crowd)
        assert max(alice.sizes) > 1
        slow.until(A, *crowd)


def test_a_reader_that_does_not_read(brokers):
    """More than outbox_bytes of changes behind: 4001, and nobody else notices."""
    chat = brokers(options={"outbox_bytes": 65536, "outbox_seconds": "600s", "presence_grace": "0s"})
    slow = chat.raw_ws(B, events="presence", receive_buffer=4096)
    slow.expect_ready()
    alice = Watcher(chat, A).until(A, B)
    crowd = ["%03d%s" % (n, LONG[3:]) for n in range(400)]
    since = len(chat.log())
    for _ in range(60):
        with people(chat, crowd):
            alice.until(*crowd, timeout=TIMEOUT + 10)
        alice.until(*crowd, status="offline", timeout=TIMEOUT + 10)
        if re.search(r"session of %s closed: 4001" % re.escape(B), chat.log()[since:]):
            break
    else:
        raise AssertionError("the one that does not read was never closed")
    assert not re.search(r"session of %s closed" % re.escape(A), chat.log()[since:])


def test_a_reader_that_stops_reading(brokers):
    """Not far behind, but it does not move: 4001 after outbox_seconds."""
    chat = brokers(options={"outbox_bytes": 65536, "outbox_seconds": "1s"})
    crowd = ["%04d%s" % (n, LONG[4:]) for n in range(1500)]
    with people(chat, crowd):
        alice = Watcher(chat, A).until(A, *crowd, timeout=TIMEOUT + 10)
        chat.raw_ws(B, events="presence", receive_buffer=4096)
        chat.wait_log(r"session of %s closed: 4001" % re.escape(B), timeout=TIMEOUT + 10)
        alice.until(B)


def test_two_bridges(brokers):
    chat = brokers(options={"presence_grace": "0s", "bridges": 2})
    chat.wait_bridges(2)
    with people(chat, [B]):
        watchers = [Watcher(chat, "w%d@example.com" % n) for n in range(8)]
        for watcher in watchers:
            watcher.until(B, *["w%d@example.com" % n for n in range(8)])
    for watcher in watchers:
        watcher.until(B, status="offline")


def test_after_a_restart_nobody_is_shown_who_is_not_there(brokers):
    chat = brokers(options=NO_GRACE)
    with people(chat, [B, C]):
        Watcher(chat, A).until(A, B, C)
    chat.restart()
    alice = Watcher(chat, A).until(A)
    with people(chat, ["end@example.com"]):
        alice.until("end@example.com")
    assert set(alice.shown) == {A, "end@example.com"}


def test_the_bridge_comes_back(chat):
    """A bridge that was killed: the next one knows who is there."""
    import os
    import signal

    with people(chat, [B]):
        Watcher(chat, A).until(A, B)
        chat.allow("ended|is killed|next start in|exited")
        old = chat.bridge_pids()
        os.kill(old[0], signal.SIGKILL)
        chat.wait_bridges(1, but=old)

        def again():
            try:
                return chat.http("GET", "/users").status == 200
            except OSError:
                return False
        wait_for(again, "/users answers")
        Watcher(chat, "dora@example.com").until("dora@example.com", B)


# ---- GET /users --------------------------------------------------------------------------


def test_users(brokers):
    chat = brokers(options=NO_GRACE)
    until_users(chat)
    assert chat.http("GET", "/users").body == b"[]\n"
    odd = "o'brien&co{x}@example.com"
    with people(chat, [C, odd, A, A]):  # two clients of alice
        until_users(chat, A, C, odd)
        answer = chat.http("GET", "/users?x=y")
        assert answer.headers["content-type"] == "application/json"
        for entry in answer.json:
            assert list(entry) == ["user", "status", "since"], entry
            assert entry["status"] == "online" and TIMESTAMP.fullmatch(entry["since"]), entry
        head = chat.http("HEAD", "/users")
        assert head.status == 200 and head.body == b""
        assert head.headers == answer.headers
    until_users(chat)
    refused = chat.http("POST", "/users", [("Content-Length", "2")], b"{}")
    assert refused.status == 405 and refused.headers["allow"] == "GET, HEAD, OPTIONS"
    assert chat.http("GET", "/users/").status == 404


def test_users_in_large_numbers(chat):
    crowd = sorted("user-%04d@example.com" % n for n in range(1500))
    with people(chat, crowd):
        until_users(chat, *crowd)
        answer = chat.http("GET", "/users")
        assert int(answer.headers["content-length"]) == len(answer.body) > 100000
        # One who takes it in drops does not hold the others up.
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", chat.ws_port))
            slow.sendall(b"GET /users HTTP/1.1\r\nHost: x\r\n\r\n")
            assert users_of(chat) == crowd
            slow.settimeout(TIMEOUT)
            got = b""
            while True:
                piece = slow.recv(3000)
                if not piece:
                    break
                got += piece
            assert json.loads(got.split(b"\r\n\r\n", 1)[1]) == answer.json


def test_before_it_is_known(brokers):
    """No broker to ask: the socket of the settings leads nowhere."""
    chat = brokers(start=False)
    real, chat.socket_path = chat.socket_path, chat.socket_path + "-elsewhere"
    chat.allow("cannot connect to the broker", "broker_socket", ".*")
    assert real
    chat.start()

    def answer():
        with contextlib.suppress(OSError):
            return chat.http("GET", "/users")
        return None
    got = wait_for(answer, "an answer", timeout=TIMEOUT + 5)
    assert got.status == 503 and got.json["error"] == "starting", got
    assert got.headers["access-control-allow-origin"] == "*"
    assert chat.http("HEAD", "/users").status == 503
    assert chat.http("GET", "/health").status == 503


@pytest.mark.parametrize("path", ["/users", "/health"])
def test_pages_of_any_origin(chat, path):
    for headers in ([], [("Origin", "https://chat.example.com")]):
        answer = chat.http("GET", path, headers)
        assert answer.headers["access-control-allow-origin"] == "*" and "vary" not in answer.headers
    asked = chat.http("OPTIONS", path, [("Origin", "https://chat.example.com"),
                                        ("Access-Control-Request-Method", "GET"),
                                        ("Access-Control-Request-Headers", "authorization")])
    assert asked.status == 204 and asked.body == b"" and "content-length" not in asked.headers
    assert asked.headers["access-control-allow-origin"] == "*"
    assert asked.headers["access-control-allow-methods"] == asked.headers["allow"] == "GET, HEAD, OPTIONS"
    assert asked.headers["access-control-allow-headers"] == "Authorization"
    assert int(asked.headers["access-control-max-age"]) > 0


def test_pages_of_listed_origins(brokers):
    chat = brokers(options={"allowed_origins": "https://chat.example.com,http://localhost:3000"})
    for method in ("GET", "HEAD", "OPTIONS"):
        for origin in ("https://chat.example.com", "http://localhost:3000"):
            answer = chat.http(method, "/users", [("Origin", origin)])
            assert answer.headers["access-control-allow-origin"] == origin, (method, answer.headers)
            assert answer.headers["vary"] == "Origin"
        for headers in ([], [("Origin", "https://evil.example")], [("Origin", "null")],
                        [("Origin", "https://chat.example.com,http://localhost:3000")]):
            answer = chat.http(method, "/users", headers)
            assert answer.status in (200, 204)
            assert "access-control-allow-origin" not in answer.headers, (method, headers)
            assert answer.headers["vary"] == "Origin"
    missing = chat.http("GET", "/nothing", [("Origin", "http://localhost:3000")])
    assert missing.status == 404 and missing.headers["access-control-allow-origin"] == "http://localhost:3000"
