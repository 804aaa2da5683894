"""RFC 6455 at the byte level: what is answered, what closes, with which code."""

import os
import random
import re
import socket
import time

import pytest

from harness import valgrind as memcheck
from harness.dialogue import Closed
from harness.websocket import BINARY, CLOSE, PING, PONG, TEXT, HttpAnswer

A, B = "alice@example.com", "bob@example.com"
HI = b'{"message":"hi"}'
BREATH = 5 if memcheck.ALL else 1  # seconds: ping_interval and ping_timeout where a test waits for both
PINGS = {"ping_interval": "%ds" % BREATH, "ping_timeout": "%ds" % BREATH}


@pytest.fixture
def pair(chat):
    """alice as bytes, bob as a witness that nothing came through."""
    alice = chat.raw_ws(A, events="typing")
    alice.expect_ready()
    return alice, chat.ws(B)


def goes_on(chat, bob):
    """One session's end touched nobody else."""
    bob.expect_nothing()
    carol = chat.ws("carol@example.com")
    bob.send({"message": "still here"})
    carol.expect_message("still here", B)


def test_masked_and_whole(chat, pair):
    alice, bob = pair
    alice.send_frame(TEXT, HI)
    bob.expect_message("hi", A)


@pytest.mark.parametrize("cuts", [[5], [1, 2, 3], [0, 5], list(range(16)), [11], [16]])
def test_fragments(chat, pair, cuts):
    alice, bob = pair
    parts, last = [], 0
    for cut in cuts + [len(HI)]:
        parts.append(HI[last:cut])
        last = cut
    for n, part in enumerate(parts):
        alice.send_frame(0 if n else TEXT, part, fin=n == len(parts) - 1)
    bob.expect_message("hi", A)
    alice.send_frame(TEXT, HI)
    bob.expect_message("hi", A)


def test_control_frames_between_fragments(chat, pair):
    alice, bob = pair
    alice.send_frame(TEXT, HI[:4], fin=False)
    alice.send_frame(PING, b"now")
    alice.expect_pong(b"now")
    alice.send_frame(PONG, b"unasked")
    alice.send_frame(0, HI[4:8], fin=False)
    alice.send_frame(PING, b"again")
    alice.expect_pong(b"again")
    alice.send_frame(0, HI[8:])
    bob.expect_message("hi", A)


def test_one_byte_at_a_time(chat, pair):
    alice, bob = pair
    for byte in alice.frame(TEXT, HI):
        alice.send_bytes(bytes([byte]))
        time.sleep(0.001)
    bob.expect_message("hi", A)


def test_a_character_across_fragments(chat, pair):
    alice, bob = pair
    data = '{"message":"😀é"}'.encode()
    for cut in range(12, 18):
        alice.send_frame(TEXT, data[:cut], fin=False)
        alice.send_frame(0, data[cut:])
        bob.expect_message("😀é", A)


@pytest.mark.parametrize("payload", [b"", b"x", b"\x00\xff" * 62, b"y" * 125])
def test_ping(chat, pair, payload):
    alice, _ = pair
    alice.send_frame(PING, payload)
    alice.expect_pong(payload)


def test_longer_length_forms(chat, pair):
    """RFC 6455 5.2 asks for the shortest form; whether another is read or refused, it is never misread."""
    alice, bob = pair
    alice.send_frame(TEXT, b'{"message":"hi","ref":"1"}', length_form=2)
    answer = alice.next()
    if isinstance(answer, Closed):
        assert answer.code == 1002, answer
    else:
        assert (answer["type"], answer["ref"]) == ("ack", "1"), answer
        bob.expect_message("hi", alice.address)
    goes_on(chat, bob)


# against RFC 6455: 1002

@pytest.mark.parametrize("name, frames", [
    ("unmasked text", [dict(opcode=TEXT, payload=HI, mask=False)]),
    ("unmasked ping", [dict(opcode=PING, payload=b"x", mask=False)]),
    ("unmasked close", [dict(opcode=CLOSE, payload=b"\x03\xe8", mask=False)]),
    ("unmasked empty text", [dict(opcode=TEXT, payload=b"", mask=False)]),
    ("unmasked continuation", [dict(opcode=TEXT, payload=HI[:4], fin=False), dict(opcode=0, payload=HI[4:], mask=False)]),
    ("unmasked after masked", [dict(opcode=PONG, payload=b""), dict(opcode=TEXT, payload=HI, mask=False)]),
    ("reserved bit 1", [dict(opcode=TEXT, payload=HI, rsv=4)]),
    ("reserved bit 2", [dict(opcode=TEXT, payload=HI, rsv=2)]),
    ("reserved bit 3", [dict(opcode=TEXT, payload=HI, rsv=1)]),
    ("reserved bit on a ping", [dict(opcode=PING, payload=b"x", rsv=4)]),
    ("opcode 3", [dict(opcode=3, payload=b"x")]),
    ("opcode 7", [dict(opcode=7, payload=b"x")]),
    ("opcode 11", [dict(opcode=11, payload=b"x")]),
    ("opcode 15", [dict(opcode=15, payload=b"x")]),
    ("continuation of nothing", [dict(opcode=0, payload=HI)]),
    ("text inside fragments", [dict(opcode=TEXT, payload=HI[:4], fin=False), dict(opcode=TEXT, payload=HI)]),
    ("fragmented ping", [dict(opcode=PING, payload=b"x", fin=False)]),
    ("fragmented close", [dict(opcode=CLOSE, payload=b"\x03\xe8", fin=False)]),
    ("long ping", [dict(opcode=PING, payload=b"x" * 126)]),
    ("long pong", [dict(opcode=PONG, payload=b"x" * 200)]),
    ("long close", [dict(opcode=CLOSE, payload=b"\x03\xe8" + b"x" * 124)]),
])
def test_protocol_errors(chat, pair, name, frames):
    alice, bob = pair
    alice.say(">", name)
    for frame in frames:
        frame = dict(frame)
        alice.send_frame(frame.pop("opcode"), frame.pop("payload"), **frame)
    alice.expect_close(1002)
    alice.expect_end()
    goes_on(chat, bob)


@pytest.mark.parametrize("payload", [b"\x03", b"\x03\xe7", b"\x00\x00", b"\x03\xec", b"\x03\xed", b"\x03\xee", b"\x03\xf7",
                                     b"\xff\xff", b"\x07\xcf"])
def test_bad_close_codes(chat, pair, payload):
    """A Close of one byte or with a code that must not be on the wire: 1002, or just the end."""
    alice, bob = pair
    alice.send_frame(CLOSE, payload)
    end = alice.next()
    assert end.code in (1002, 1000, 1005, 1006) or end.code == int.from_bytes(payload, "big"), end
    alice.expect_end()
    goes_on(chat, bob)


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xe9", b"\x0f\xa0", b"\x13\x87x"])
def test_close_is_answered(chat, pair, payload):
    alice, bob = pair
    alice.send_frame(CLOSE, payload)
    end = alice.next()
    assert end.code in (int.from_bytes(payload[:2], "big") if payload else 1005, 1000), end
    alice.expect_end()
    goes_on(chat, bob)


# other frames that end a session

@pytest.mark.parametrize("payload", [b"", HI, bytes(range(256)) * 4])
def test_binary_frames(chat, pair, payload):
    alice, bob = pair
    alice.send_frame(BINARY, payload)
    alice.expect_close(1003)
    alice.expect_end()
    goes_on(chat, bob)


def test_a_fragmented_binary_frame(chat, pair):
    alice, bob = pair
    alice.send_frame(BINARY, HI[:4], fin=False)
    alice.send_frame(0, HI[4:])
    alice.expect_close(1003)
    goes_on(chat, bob)


@pytest.mark.parametrize("payload", [
    b'{"message":"\xff"}', b'{"message":"\xc3\x28"}', b'{"message":"\xc0\xaf"}', b'{"message":"\xed\xa0\x80"}',
    b'{"message":"\xf4\x90\x80\x80"}', b'{"message":"\xf0\x9f\x98"}', b'{"message":"hi"}\xe9', b"\x80", b"\xf0\x9f",
])
def test_bad_utf8(chat, pair, payload):
    alice, bob = pair
    alice.send_frame(TEXT, payload)
    alice.expect_close(1007)
    alice.expect_end()
    goes_on(chat, bob)


def test_bad_utf8_in_fragments(chat, pair):
    alice, bob = pair
    alice.send_frame(TEXT, b'{"message":"\xf0\x9f', fin=False)
    alice.send_frame(0, b'x"}')
    alice.expect_close(1007)
    goes_on(chat, bob)


def test_a_close_with_a_bad_reason(chat, pair):
    alice, bob = pair
    alice.send_frame(CLOSE, b"\x03\xe8\xff\xfe")
    assert alice.next().code in (1007, 1002, 1000, 1006)
    alice.expect_end()
    goes_on(chat, bob)


# size

def text_of(size):
    return b'{"message":"%s"}' % (b"x" * (size - 14))


@pytest.mark.parametrize("size", [65536, 65535, 65537 - 1])
def test_the_largest_frame(chat, pair, size):
    """max_frame_bytes is 64k: so much is read (and is too long a message), the session stays."""
    alice, bob = pair
    alice.send_frame(TEXT, text_of(size))
    alice.expect_error("too_long", field="message")
    goes_on(chat, bob)


@pytest.mark.parametrize("size", [65537, 100000, 1000000])
def test_too_large_a_frame(chat, pair, size):
    alice, bob = pair
    alice.send_frame(TEXT, text_of(size))
    alice.expect_close(1009)
    goes_on(chat, bob)


def test_a_length_that_lies(chat, pair):
    """The head alone is enough to know; nothing is allocated for it."""
    alice, bob = pair
    alice.send_frame(TEXT, HI, length=2 ** 40, length_form=8)
    alice.expect_close(1009)
    goes_on(chat, bob)


def test_a_length_beyond_63_bits(chat, pair):
    alice, bob = pair
    alice.send_frame(TEXT, HI, length=2 ** 64 - 1, length_form=8)
    alice.expect_close(1002, 1009)
    goes_on(chat, bob)


def test_fragments_count_together(chat, pair):
    alice, bob = pair
    alice.send_frame(TEXT, b'{"message":"', fin=False)
    for _ in range(7):
        alice.send_frame(0, b"x" * 10000, fin=False)
    alice.expect_close(1009)
    goes_on(chat, bob)


def test_endless_empty_fragments(chat, pair):
    """They cost nothing but their own bytes, and pings are answered meanwhile."""
    alice, bob = pair
    alice.send_frame(TEXT, b"", fin=False)
    alice.send_bytes(alice.frame(0, b"", fin=False) * 5000)
    alice.send_frame(PING, b"?")
    alice.expect_pong(b"?")
    alice.send_frame(0, HI)
    bob.expect_message("hi", A)


def test_max_frame_bytes(brokers):
    chat = brokers(options={"max_frame_bytes": "1k"})
    alice, bob = chat.raw_ws(A, events="typing"), chat.ws(B)
    alice.expect_ready()
    alice.send_frame(TEXT, text_of(1024))
    bob.expect_message("x" * 1010, A)
    alice.send_frame(TEXT, text_of(1025))
    alice.expect_close(1009)
    goes_on(chat, bob)


def test_many_sizes(chat, pair):
    """Each way of writing a length, and the seams of buffers."""
    alice, bob = pair
    for size in (15, 125, 126, 127, 1023, 1024, 1025, 2047, 2048, 3000, 4000):
        alice.send_frame(TEXT, text_of(size))
        bob.expect_message("x" * (size - 14), A)


# the end without a word

@pytest.mark.parametrize("data", [b"", b"\x81", b"\x81\x8f", b"\x81\x8f\x01\x02\x03", b"\x81\xfe\x10", b"\x01\x84\x00\x00\x00\x00abcd"])
def test_hang_up_in_the_middle(chat, pair, data):
    alice, bob = pair
    alice.send_bytes(data)
    alice.socket.close()
    goes_on(chat, bob)


def test_reset(chat, pair):
    alice, bob = pair
    alice.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    alice.socket.close()
    goes_on(chat, bob)


def test_noise(chat):
    """A thousand sessions' worth of random bytes: the bridge lives and its neighbours do not notice."""
    rng = random.Random(7)
    bob = chat.ws(B)
    pids = chat.bridge_pids()
    for _ in range(150):
        alice = chat.raw_ws(A)
        alice.send_bytes(bytes(rng.getrandbits(8) for _ in range(rng.choice((3, 20, 300)))))
        alice.socket.close()
    for _ in range(100):
        alice = chat.raw_ws(A)
        alice.send_bytes(alice.frame(rng.randrange(16), os.urandom(rng.randrange(140)), fin=rng.random() < .7,
                                     mask=rng.random() < .9, rsv=rng.choice((0, 0, 0, 1, 4))))
        alice.socket.close()
    assert chat.bridge_pids() == pids
    carol = chat.ws("carol@example.com")
    chat.mqtt("dave@example.com").send({"message": "calm"})
    carol.expect_message("calm", "dave@example.com")
    while bob.next().get("sender") != "dave@example.com":
        pass


def test_pings_of_the_server(brokers):
    """A client that answers lives, one that does not is closed after ping_interval and ping_timeout."""
    chat = brokers(options=PINGS)
    good = chat.raw_ws(A)
    dead = chat.raw_ws(B, autopong=False)
    started = time.monotonic()
    fin, opcode, payload = good.next_frame()
    assert fin and opcode == PING
    good.send_frame(PONG, payload)
    with pytest.raises(TimeoutError):
        good.next(3.5 * BREATH)
    while True:
        frame = dead.next_frame(6 * BREATH)
        if frame is None or frame[1] == CLOSE:
            break
        assert frame[1] == PING
    assert BREATH < time.monotonic() - started < 8 * BREATH
    good.send({"message": "alive", "ref": "1"})
    good.expect_ack("1")


def test_a_busy_client_without_pongs_is_not_dead(brokers):
    """Whatever arrives shows that somebody is there; only silence ends a session."""
    chat = brokers(options=PINGS)
    alice = chat.raw_ws(A, autopong=False)
    end, n = time.monotonic() + 4 * BREATH, 0
    while time.monotonic() < end:
        n += 1
        alice.send({"message": "x", "ref": "r%d" % n})
        while True:
            frame = alice.next_frame()
            assert frame is not None and frame[1] != CLOSE, frame
            if frame[1] == TEXT:
                break
        time.sleep(0.2)


# handshakes

@pytest.mark.parametrize("status, change", [
    (426, dict(drop=["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"])),
    (426, dict(drop=["Upgrade"])),
    (426, dict(headers=[("Upgrade", "h2c")])),
    (426, dict(headers=[("Upgrade", "TLS/1.0")])),
    (426, dict(headers=[("Sec-WebSocket-Version", "8")])),
    (426, dict(headers=[("Sec-WebSocket-Version", "14")])),
    (400, dict(drop=["Sec-WebSocket-Key"])),
    (400, dict(headers=[("Sec-WebSocket-Key", "short")])),
    (400, dict(drop=["Host"])),
    (405, dict(method="POST")),
    (405, dict(method="PUT")),
    (404, dict(path="/nothing/here")),
    (404, dict(path="/ws")),
    (404, dict(path="/wsx")),
], ids=str)
def test_refused_handshakes(chat, status, change):
    with pytest.raises(HttpAnswer) as refused:
        chat.raw_ws(A, **change)
    answer = refused.value
    allowed = {status}
    if "Sec-WebSocket-Version" in change.get("drop", []) + [h[0] for h in change.get("headers", [])]:
        allowed.add(400)
    if "Upgrade" in change.get("drop", []) or "Upgrade" in [h[0] for h in change.get("headers", [])]:
        allowed.add(400)
    assert answer.status in allowed, answer
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    assert isinstance(answer.json, dict)
    chat.ws(B)


@pytest.mark.parametrize("headers", [
    [("Connection", "keep-alive, Upgrade")], [("Upgrade", "WebSocket")], [("connection", "upgrade")],
    [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")], [("Cookie", "a=b; c=" + "d" * 3000)],
    [("X-Forwarded-For", "1.2.3.4"), ("Forwarded", "for=1.2.3.4")], [("Authorization", "Basic Zm9vOmJhcg==")],
    [("User-Agent", "x" * 500)],
], ids=lambda h: h[0][0] + h[0][1][:20])
def test_accepted_handshakes(chat, headers):
    alice = chat.raw_ws(A, headers=headers, events="typing")
    alice.expect_ready(["general"])
    assert "sec-websocket-extensions" not in alice.headers


def test_half_a_handshake_is_given_up(brokers):
    chat = brokers(options={"header_timeout": "1s"})
    bob = chat.ws(B)
    with chat.connect() as idle, \
            chat.connect() as slow:
        started = time.monotonic()
        idle.settimeout(8), slow.settimeout(8)
        for byte in b"GET /ws/alice@example.com HT":
            try:
                slow.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(0.05)
        for sock in (slow, idle):
            try:
                data = sock.recv(4096)
                while data and sock.recv(4096):
                    pass
            except ConnectionError:
                pass
        assert 0.9 < time.monotonic() - started < 6
    goes_on(chat, bob)


def test_log_names_the_reason(chat, pair):
    """Every end of a session can be found in the broker's log with its code."""
    alice, bob = pair
    alice.send_frame(BINARY, b"x")
    alice.expect_close(1003)
    chat.wait_log(r"chat-bridge.*(%s.*1003|1003.*%s)" % (re.escape(A), re.escape(A)))
