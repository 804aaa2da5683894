"""GET /mqtt: MQTT over WebSocket, byte for byte to the broker, which judges its clients as everywhere."""

import hashlib
import os
import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from harness.broker import INSTRUMENTED, mosquitto_version, running
from harness.dialogue import FACTOR, wait_for
from harness.tunnel import CONTINUATION, CUTS, Tunnel
from harness.websocket import BINARY, CLOSE, PING, TEXT, HttpAnswer, RawWs
from harness.wire import PINGRESP, string, varint

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"
NOT_AUTHORIZED, BAD_USER_OR_PASSWORD, PACKET_TOO_LARGE = 0x87, 0x86, 0x95
REFUSED = {4: (4, 5), 5: (NOT_AUTHORIZED, BAD_USER_OR_PASSWORD)}


def refused(status, error, call):
    with pytest.raises(HttpAnswer) as caught:
        call()
    answer = caught.value
    assert answer.status == status, answer
    assert answer.headers.get("content-type") == "application/json" and answer.json["error"] == error, answer.body
    assert answer.json["message"]


def rss(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def numbered(n, size):
    """A payload that can be checked without a copy of it."""
    head = struct.pack("!II", n, size)
    return head + random.Random(n).randbytes(size)


def check_numbered(payload, n):
    number, size = struct.unpack_from("!II", payload)
    assert (number, len(payload)) == (n, size + 8)
    assert payload == numbered(n, size), "message %d is damaged" % n


def publish_packet(topic, payload):
    """MQTT 3.1.1, QoS 0."""
    body = string(topic) + payload
    return b"\x30" + varint(len(body)) + body


def wait_left(chat, client, how="(disconnected|closed)"):
    """In the broker's words, of 2.0 or 2.1; "disconnected." alone: by DISCONNECT."""
    chat.wait_log(r"Client %s (\[.*\] )?%s" % (client.client_id, how))


def drain(client, n):
    for _ in range(n):
        frame = client.next(60 * FACTOR)
    return frame


# the request

@pytest.mark.parametrize("asked, answered", [
    ("mqtt", "mqtt"), ("mqttv3.1", "mqttv3.1"), ("mqtt, mqttv3.1", "mqtt"), ("mqttv3.1,mqtt", "mqttv3.1"),
    ("chat , mqtt", "mqtt"), ("bearer, xyz, mqttv3.1", "mqttv3.1"), (",,mqtt,", "mqtt"),
])
def test_subprotocols(chat, asked, answered):
    tunnel = Tunnel(chat, subprotocol=asked)
    assert tunnel.subprotocol == answered
    chat.tunnel(A, transport=tunnel).alive()


def test_mqtt_31(chat):
    """The oldest one, by its own subprotocol and name."""
    tunnel = Tunnel(chat, subprotocol="mqttv3.1")
    connect = string("MQIsdp") + b"\x03\x02\0\x3c" + string("old")
    tunnel.sendall(bytes([0x10, len(connect)]) + connect)
    assert tunnel.recv(4) == b"\x20\x02\0\0"


@pytest.mark.parametrize("asked", [None, "", "chat", "MQTT", "mqttv5", "mqttv3", "bearer", "mqtt;q=1", "m qtt"])
def test_no_subprotocol_of_ours(chat, asked):
    refused(400, "no_subprotocol", lambda: Tunnel(chat, subprotocol=asked))


def test_requests_that_are_no_upgrade(chat):
    mqtt = ("Sec-WebSocket-Protocol", "mqtt")
    for answer, status, error in (
            (chat.http("GET", "/mqtt"), 426, "upgrade_required"),
            (chat.http("GET", "/mqtt", headers=[mqtt]), 426, "upgrade_required"),
            (chat.http("POST", "/mqtt", headers=[mqtt]), 405, "method_not_allowed"),
            (chat.http("GET", "/mqtt", headers=[mqtt, ("Content-Length", "3")], body=b"abc"), 400, "bad_request")):
        assert answer.status == status and answer.json["error"] == error, answer
    assert chat.http("HEAD", "/mqtt").status == 426
    assert chat.http("OPTIONS", "/mqtt").status == 204
    version = ("Sec-WebSocket-Version", "12")
    refused(426, "upgrade_required", lambda: Tunnel(chat, headers=[version]))
    refused(400, "bad_request", lambda: Tunnel(chat, headers=[("Sec-WebSocket-Key", "short")]))


@pytest.mark.parametrize("path", ["/mqtt/", "/mqttx", "/mqtt/x", "/MQTT", "/%6dqtt", "//mqtt", "/mqtt%3f", "/ws/../mqtt"])
def test_other_paths(chat, path):
    if path.startswith("/ws"):
        RawWs(chat, path=path, headers=[("Sec-WebSocket-Protocol", "mqtt")]).expect_close(4100)
    else:
        refused(404, "not_found", lambda: Tunnel(chat, path=path))


def test_the_path_decides_and_not_the_subprotocol(chat):
    """A session that offers mqtt is a session; a query says nothing to a tunnel."""
    session = chat.raw_ws(A, headers=[("Sec-WebSocket-Protocol", "mqtt")], events="typing")
    assert "sec-websocket-protocol" not in session.headers
    session.expect_ready()
    session.send_frame(BINARY, b"\xc0\0")
    session.expect_close(1003)
    chat.tunnel(A, transport=Tunnel(chat, path="/mqtt?room=a&device=%00")).alive()


def test_origins(brokers):
    chat = brokers(options={"allowed_origins": "https://good.example"})
    for origin in ("https://evil.example", "https://good.example.evil.example", "null", ""):
        refused(403, "forbidden_origin", lambda: Tunnel(chat, headers=[("Origin", origin)]))
    chat.tunnel(A, transport=Tunnel(chat, headers=[("Origin", "https://good.example")])).alive()
    chat.tunnel(A).alive()


def test_off(brokers):
    chat = brokers(options={"mqtt": "off"})
    refused(404, "not_found", lambda: Tunnel(chat))
    assert chat.http("GET", "/mqtt").status == 404
    alice, bob = chat.ws(A), chat.mqtt(B).read_room()
    alice.send({"message": "hi"})
    bob.expect_message("hi", A)


def test_bytes_behind_the_request(chat):
    """A client that does not wait for the 101: what it says at once is not lost."""
    connect = string("MQTT") + b"\x04\x02\0\x3c" + string("hasty")
    packet = bytes([0x10, len(connect)]) + connect
    with chat.connect() as sock:
        frame = RawWs.frame(BINARY, packet)
        sock.sendall(b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                     b"Sec-WebSocket-Protocol: mqtt\r\n\r\n" + frame)
        got = b""
        while not got.endswith(b"\x82\x04\x20\x02\0\0"):
            data = sock.recv(4096)
            assert data, got
            got += data


# conversations

@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("version", [4, 5])
def test_a_conversation(chat, cut, version):
    plain = chat.mqtt(B, version)
    plain.subscribe("other/#", qos=2)
    client = chat.tunnel(A, version, transport=Tunnel(chat, cut))
    assert client.subscribe("other/#", qos=2) == 2
    for n, qos in enumerate((0, 1, 2, 2, 1, 0)):
        text = b"from %s %d" % (b"tunnel" if n % 2 else b"plain", n) + b"." * (n * 100)
        assert (client if n % 2 else plain).publish("other/topic", text, qos=qos) in (None, 0)
        for reader in (client, plain):
            frame = reader.next()
            assert (frame.raw, frame.topic, frame.qos) == (text, "other/topic", qos)
    plain.publish("other/kept", b"kept", retain=True)
    client.next(), plain.next()
    assert client.unsubscribe("other/#")
    assert client.subscribe("other/kept") == 1
    frame = client.next()
    assert frame.raw == b"kept" and frame.retain
    client.alive()
    client.disconnect()
    chat.wait_log(r"tunnel 1 from 127\.0\.0\.1 closed: \d+ .* bytes from the client, \d+ to it")


def test_several_packets_in_one_frame(chat):
    client = chat.tunnel(A, 4)
    client.subscribe("other/#")
    packets = b"".join(publish_packet("other/t", b"%d" % n) for n in range(50)) + b"\xc0\0"
    client.socket.sendall(packets)
    assert [client.next().raw for _ in range(50)] == [b"%d" % n for n in range(50)]
    assert client._wait(PINGRESP) is not None


@pytest.mark.parametrize("version", [4, 5])
def test_paho_over_websockets(chat, version):
    """What users really run."""
    client, plain = chat.paho(A, version, tunnel=True), chat.mqtt(B, version)
    client.subscribe("other/#", qos=2)
    plain.subscribe("other/#", qos=2)
    for qos in (0, 1, 2):
        for size in (1, 125, 126, 65535, 65536, 200000):
            payload = numbered(qos, size)
            (client if size % 2 else plain).publish("other/t", payload, qos=qos)
            for reader in (client, plain):
                frame = reader.next()
                assert frame.raw == payload and frame.qos == qos
    client.publish("other/kept", b"kept", retain=True)
    client.next(), plain.next()
    other = chat.paho(C, version, tunnel=True)
    other.subscribe("other/kept")
    assert other.next().retain
    client.close()
    chat.wait_log(r"tunnel 1 from 127\.0\.0\.1 closed")


def test_a_chat(chat):
    """A browser's MQTT client and sessions in one room: the same rules, and readers are told how it came."""
    alice = chat.tunnel(A).read_room().read_inbox().read_notices()
    bob, watcher = chat.ws(B), chat.mqtt(C).read_room()
    alice.send({"message": "from a page", "ref": "1"})
    frame = bob.expect_message("from a page", A)
    assert watcher.expect_message("from a page", A).properties["user"][0] == ("via", "mqtt")
    got = alice.expect_all({"type": "ack", "ref": "1"}, {"message": "from a page"})
    assert got[0]["id"] == got[1]["id"] == frame["id"]
    bob.send({"message": "psst", "to": A})
    alice.expect_message("psst", B, to=A)
    assert alice.send({"message": "spoofed", "from": B}) == NOT_AUTHORIZED
    alice.expect_error("sender_mismatch", field="from")
    assert alice.publish("chat/rooms/general", b"{}") == NOT_AUTHORIZED
    alice.expect_error("not_allowed")
    assert alice.subscribe("chat/users/bob@example.com/inbox") == NOT_AUTHORIZED
    bob.expect_nothing()
    watcher.expect_nothing()


def test_presence(brokers):
    chat = brokers(options={"presence_grace": "0s"})
    bob = chat.ws(B, events="presence")
    bob.expect(type="presence", user=B, status="online")
    alice = chat.tunnel(A)
    bob.expect(type="presence", user=A, status="online")
    assert {user["user"] for user in chat.http("GET", "/users").json} == {A, B}
    alice.socket.close()
    bob.expect(type="presence", user=A, status="offline")


# how it ends

@pytest.mark.parametrize("way", ["cut", "close frame", "DISCONNECT", "DISCONNECT and close frame"])
def test_wills(chat, way):
    """A WebSocket that ends without DISCONNECT leaves a will, however politely."""
    reader = chat.mqtt(B)
    reader.subscribe("other/#")
    client = chat.tunnel(A, will=("other/will", b"gone", 1, False))
    if way.startswith("DISCONNECT"):
        client.packet(14, 0, b"")
    if way == "cut":
        client.socket.close()
    elif way != "DISCONNECT":
        client.socket.leave()
    else:
        client.socket.expect_close(1000)
    chat.wait_log(r"tunnel 1 .* closed: %d " % (1006 if way == "cut" else 1000))
    wait_left(chat, client)
    if way.startswith("DISCONNECT"):
        reader.expect_nothing()
    else:
        assert reader.next().raw == b"gone"


@pytest.mark.parametrize("way", ["close frame", "cut"])
def test_last_words(chat, way):
    """What a client says before it leaves reaches the broker, also one that is busy at that moment."""
    reader = chat.mqtt(B)
    reader.subscribe("other/#")
    client = chat.tunnel(A, 4)
    os.kill(chat.pid, signal.SIGSTOP)
    try:
        for n in range(20):
            client.socket.sendall(publish_packet("other/t", numbered(n, 1000)))
        client.socket.sendall(b"\xe0\0")
        if way == "cut":
            client.socket.raw.socket.shutdown(socket.SHUT_WR)
            client.socket.raw.expect_end()
        else:
            client.socket.leave()
    finally:
        os.kill(chat.pid, signal.SIGCONT)
    for n in range(20):
        check_numbered(reader.next().raw, n)
    wait_left(chat, client, "disconnected[.]$")


def test_last_words_of_a_client_that_does_not_read(chat):
    """The broker still has much for it, which must not keep it from reading what the client said last."""
    chat.allow("dropped")
    reader = chat.mqtt(B)
    reader.subscribe("last/#")
    client = chat.tunnel(A, 4, transport=Tunnel(chat, receive_buffer=4096))
    client.subscribe("other/#", qos=0)
    for n in range(15000):
        reader.publish("other/t", b"x" * 1000, qos=0)
    reader.alive()
    for n in range(20):
        client.socket.sendall(publish_packet("last/words", b"%d" % n))
    client.socket.sendall(b"\xe0\0")
    client.socket.raw.send_bytes(client.socket.raw.frame(CLOSE, b"\x03\xe8"))
    assert [reader.next().raw for _ in range(20)] == [b"%d" % n for n in range(20)]
    wait_left(chat, client, "disconnected[.]$")


def test_the_broker_ends_the_connection(chat):
    """A take-over: the older one is told by the broker, then by a close frame."""
    first = chat.tunnel(A, client_id="same")
    chat.tunnel(A, client_id="same").alive()
    assert first._wait(99) is None and first.closed.code in (None, 0x8E)
    first.socket.expect_close(1000)
    chat.wait_log(r"tunnel 1 .* closed: 1000 the broker has ended the connection")


def test_the_brokers_last_words(chat):
    """What is on its way to a slow client when the broker hangs up comes first, whole, and then the close frame."""
    chat.allow("dropped")
    client = chat.tunnel(A, 4, client_id="same", transport=Tunnel(chat, receive_buffer=4096))
    client.subscribe("other/#", qos=0)
    writer = chat.mqtt(B, 4)
    for n in range(15000):
        writer.publish("other/t", numbered(n, 1000), qos=0)
    writer.alive()
    chat.tunnel(A, client_id="same").alive()
    frames, _ = client.drain_until_close(None, timeout=60 * FACTOR)
    for n, frame in enumerate(frames):
        check_numbered(frame.raw, n)
    assert len(frames) > 100
    assert client.socket.closed == (1000, "the broker has ended the connection")


def test_broker_away(brokers):
    chat = brokers(start=False)
    chat.options["broker_socket"] = os.path.join(chat.folder, "nowhere.sock")
    chat.start()
    chat.allow("chat-bridge", "nowhere")
    assert Tunnel(chat).expect_close(4003) == b""
    chat.wait_log(r"tunnel 1 .* closed: 4003")
    chat.wait_log(r"a tunnel has no connection to the broker at .*nowhere\.sock: No such file")


def test_broker_stopped_and_killed(brokers):
    chat = brokers()
    client = chat.tunnel(A)
    assert chat.terminate() == 0
    client.socket.expect_close(1001)
    chat.start()
    client = chat.tunnel(A)
    [pid] = chat.bridge_pids()
    chat.kill()
    client.socket.expect_close(1000, 1001, 1006)
    wait_for(lambda: not running(pid), "the bridge is gone")


def test_bridge_killed(chat):
    """The broker sees a lost connection: the will is said, and the next bridge takes the client."""
    chat.allow("next start in", "signal 9")
    reader = chat.mqtt(B)
    reader.subscribe("other/#")
    client = chat.tunnel(A, will=("other/will", b"gone", 1, False))
    [pid] = chat.bridge_pids()
    os.kill(pid, signal.SIGKILL)
    client.socket.expect_close(1006)
    assert reader.next().raw == b"gone"
    chat.wait_bridges(1, but=(pid,))
    chat.tunnel(A).alive()


# frames

def test_text_frames(chat):
    client = chat.tunnel(A)
    client.socket.raw.send_frame(TEXT, b"x")
    client.socket.expect_close(1003)
    chat.wait_log(r"tunnel 1 .* closed: 1003 binary frames only")


def test_a_close_frame_never_comes_inside_another(chat):
    """The client has not taken all of a frame when it makes a mistake: the rest of that comes first."""
    chat.allow("dropped")
    client = chat.tunnel(A, 4, transport=Tunnel(chat, receive_buffer=4096))
    client.subscribe("other/#", qos=0)
    writer = chat.mqtt(B, 4)
    for n in range(15000):
        writer.publish("other/t", numbered(n, 1000), qos=0)
    writer.alive()
    client.socket.raw.send_frame(TEXT, b"x")
    # Its end in the broker tells that the bridge has got it.
    wait_left(chat, client)
    frames, _ = client.drain_until_close(None, timeout=60 * FACTOR)
    for n, frame in enumerate(frames):
        check_numbered(frame.raw, n)
    assert client.socket.closed == (1003, "binary frames only")


def test_frames_against_the_rules(chat):
    for frame, code in ((dict(opcode=BINARY, payload=b"x", mask=False), 1002), (dict(opcode=BINARY, rsv=4), 1002),
                        (dict(opcode=CONTINUATION, payload=b"x"), 1002), (dict(opcode=3), 1002)):
        client = chat.tunnel(A)
        client.socket.raw.send_bytes(client.socket.raw.frame(**frame))
        client.socket.expect_close(code)
    chat.tunnel(A).alive()


def test_bytes_that_are_no_mqtt(chat):
    """The broker's business: it hangs up."""
    chat.allow("protocol error", "Protocol error")
    tunnel = Tunnel(chat)
    tunnel.sendall(b"GET / HTTP/1.1\r\n\r\n")
    tunnel.expect_close(1000)


def test_no_pings_of_ours(brokers):
    """Paho answers a ping with a frame that is not masked, which would have to end it: so an idle client gets none."""
    chat = brokers(options={"ping_interval": "1s", "ping_timeout": "1s"})
    session = chat.raw_ws(A, autopong=False)
    paho, raw = chat.paho(A, tunnel=True), chat.tunnel(B)
    # A session is pinged twice and more often over meanwhile.
    session.expect_close(1011, timeout=10 * FACTOR)
    paho.expect_nothing()
    raw.alive()
    assert raw.socket.pings == 0
    # The client's own pings are answered.
    client = raw.socket.raw
    client.send_bytes(client.frame(PING, b"mine"))
    client.expect_pong(b"mine")


def test_the_kernel_probes_an_idle_client(brokers):
    """Which finds out that a machine has vanished, also where MQTT's keepalive is off."""
    chat = brokers(options={"ping_interval": "7s"})
    client = chat.tunnel(A, keepalive=0)
    port = client.socket.raw.socket.getsockname()[1]

    def timer():
        """(2: keepalive, seconds until then) of the server's end, as the kernel tells."""
        with open("/proc/net/tcp") as f:
            for line in f:
                fields = line.split()
                if fields[1].endswith(":%04X" % chat.ws_port) and fields[2].endswith(":%04X" % port):
                    kind, ticks = fields[5].split(":")
                    return int(kind, 16), int(ticks, 16) / os.sysconf("SC_CLK_TCK")
        return None
    kind, seconds = wait_for(lambda: timer() if timer() and timer()[0] == 2 else None, timer)
    assert 0 < seconds <= 7.1


# who may

@pytest.mark.parametrize("version", [4, 5])
def test_passwords(brokers, version):
    """The broker's own password_file decides, as on its other listeners; nothing of it is in a log."""
    chat = brokers(start=False)
    path = chat.file("passwords", "")
    subprocess.run(["mosquitto_passwd", "-b", path, A, "right-secret"], check=True)
    os.chmod(path, 0o600)
    chat.lines = ["password_file " + path]
    chat.config = lambda make=chat.config: make().replace("allow_anonymous true", "allow_anonymous false")
    chat.start()
    alice = chat.tunnel(A, version, password="right-secret").read_room()
    for user, password in ((A, "wrong-secret"), (A, ""), (A, None), (B, "right-secret"), (None, None)):
        for how in ({}, {"transport": Tunnel(chat)}):
            code = chat.mqtt_refused(user, version, password=password, **how)
            assert code in REFUSED[version], (user, password, how, code)
            if how:
                how["transport"].expect_close(1000)
    # Whoever is in stays in when the broker asks again.
    chat.hup()
    chat.wait_log(r"(?i)reload")
    alice.alive()
    alice.send({"message": "mine"})
    alice.expect_message("mine", A)
    for line in chat.log().splitlines():
        assert "right-secret" not in line and "wrong-secret" not in line, line


def test_no_anonymous_clients(brokers):
    """Without password_file and without allow_anonymous nobody gets in, as elsewhere; sessions do."""
    chat = brokers(start=False)
    chat.config = lambda make=chat.config: make().replace("allow_anonymous true", "allow_anonymous false")
    chat.start()
    for user, password in ((None, None), (A, None), (A, "x")):
        plain = chat.mqtt_refused(user, password=password)
        assert chat.mqtt_refused(user, password=password, transport=Tunnel(chat)) == plain
    chat.ws(A)


@pytest.mark.skipif(mosquitto_version() < (2, 1), reason="mosquitto 2.1 has listener_allow_anonymous")
def test_the_listeners_own_setting(brokers):
    """What is written at the chat's listener is for those who come through tunnels."""
    chat = brokers(start=False)
    chat.config = lambda make=chat.config: make().replace(
        "listener 0 %s\n" % chat.socket_path, "listener 0 %s\nlistener_allow_anonymous false\n" % chat.socket_path)
    chat.start()
    chat.mqtt(None).alive()
    assert chat.mqtt_refused(None, transport=Tunnel(chat)) == NOT_AUTHORIZED
    chat.ws(A)


@pytest.mark.parametrize("user, client_id", [
    (A, "ws-1"), (None, "ws-x"), ("$chat-bridge", "chat-bridge-0"), ("$chat-bridge", "mine"), (A, "chat-bridge-0"),
])
def test_reserved_names(chat, user, client_id):
    for password in (None, "0" * 64) if user else (None,):
        tunnel = Tunnel(chat)
        assert chat.mqtt_refused(user, client_id=client_id, password=password, transport=tunnel) == NOT_AUTHORIZED
        tunnel.expect_close(1000)
    chat.wait_log("refused client %s from .*: its client id or user name is kept" % re.escape(client_id))
    assert "0000000000" not in chat.log()


@pytest.mark.parametrize("version", [4, 5])
def test_persistent_sessions(chat, version):
    """One session, whichever way its client comes."""
    how = {"client_id": "keeper", "clean": False, "session_expiry": 600}
    client = chat.tunnel(A, version, **how)
    assert not client.session_present
    client.subscribe("other/#", qos=1)
    client.socket.close()
    chat.wait_log("tunnel 1 .* closed: 1006")
    writer = chat.mqtt(B)
    for n in range(3):
        writer.publish("other/t", b"%d" % n)
    plain = chat.mqtt(A, version, **how)
    assert plain.session_present and [plain.next().raw for _ in range(3)] == [b"0", b"1", b"2"]
    plain.close()
    writer.publish("other/t", b"3")
    client = chat.tunnel(A, version, **how)
    assert client.session_present and client.next().raw == b"3"


# sizes

def test_the_brokers_packet_size(brokers):
    """max_packet_size bounds a packet, and max_frame_bytes nothing here."""
    chat = brokers(lines=["max_packet_size 300000"], options={"max_frame_bytes": "1k"})
    chat.allow("protocol error", "oversize", "Error")
    reader = chat.mqtt(B, 4)
    reader.subscribe("other/#", qos=0)
    most = 300000 - (1 + 3) - len(string("other/t"))
    client = chat.tunnel(A, 4)
    client.socket.sendall(publish_packet("other/t", b"x" * most))
    assert len(reader.next().raw) == most
    # the broker counts with or without the packet's head, by version
    client.socket.sendall(publish_packet("other/t", b"x" * 300000))
    client.socket.expect_close(1000)
    client = chat.tunnel(A, 5)
    assert client.publish("other/t", b"x" * 300000) is None
    assert client.closed.code in (None, PACKET_TOO_LARGE)


# flow

@pytest.mark.parametrize("seed", range(3))
def test_a_flood_both_ways(chat, seed):
    """Random sizes, cut at random, to and from the broker at once: every byte in its place."""
    count, sizes = 400, random.Random(seed)
    chat.allow("dropped")

    def cut(raw, data):
        out, at = [], 0
        while at < len(data):
            step = sizes.choice((1, 17, 1000, 4096, 30000, 70000, 300000))
            out.append(raw.frame(BINARY, data[at:at + step]))
            at += step
        return b"".join(out)
    client = chat.tunnel(A, 4, transport=Tunnel(chat, cut))
    client.subscribe("other/#", qos=0)
    payloads = [sizes.choice((0, 10, 100, 5000, 60000, 65530, 150000)) for _ in range(count)]

    def send():
        for n, size in enumerate(payloads):
            client.socket.sendall(publish_packet("other/t", numbered(n, size)))
    sender = threading.Thread(target=send)
    sender.start()
    digest = hashlib.sha256()
    for n in range(count):
        frame = client.next(60 * FACTOR)
        check_numbered(frame.raw, n)
        digest.update(frame.raw)
    sender.join(60)
    assert not sender.is_alive()
    client.alive()


def test_a_slow_broker(chat):
    """It is not read for a while: the client's bytes wait with the client, none are lost."""
    reader = chat.mqtt(B, 4)
    reader.subscribe("other/#", qos=0)
    client = chat.tunnel(A, 4)
    [pid] = chat.bridge_pids()
    before, count, size = rss(pid), 2000, 20000
    sent = []

    def send():
        client.socket.settimeout(120)
        raw = client.socket.raw
        raw.socket.settimeout(120)
        for n in range(count):
            raw.socket.sendall(raw.frame(BINARY, publish_packet("other/t", numbered(n, size))))
            sent.append(n)
    os.kill(chat.pid, signal.SIGSTOP)
    try:
        sender = threading.Thread(target=send)
        sender.start()
        # until nothing moves any more
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < 1:
            if len(sent) != seen:
                seen, since = len(sent), time.monotonic()
            time.sleep(0.02)
        assert sent and len(sent) < count
        grown = rss(pid) - before
        assert INSTRUMENTED or grown < 2048, "%d KB more" % grown
    finally:
        os.kill(chat.pid, signal.SIGCONT)
    for n in range(count):
        check_numbered(reader.next(60 * FACTOR).raw, n)
    sender.join(60)
    client.alive()


def test_a_slow_reader(brokers):
    """It takes nothing: the bridge keeps no more than a message, the broker drops, and everybody else lives on."""
    chat = brokers(options={"ping_interval": "10m"})  # the kernel ends nobody for that meanwhile
    chat.allow("dropped")
    alice, bob = chat.ws(A), chat.ws(B)
    slow = chat.tunnel(C, 4, transport=Tunnel(chat, receive_buffer=4096))
    slow.subscribe("other/#", qos=0)
    reader = chat.tunnel(A, 4)
    reader.subscribe("other/#", qos=0)
    writer = chat.mqtt(B, 4)
    [pid] = chat.bridge_pids()
    before, count, size = rss(pid), 30000, 1000
    for n in range(count):
        writer.publish("other/t", numbered(n, size), qos=0)
        if n % 1000 == 999:
            # the writer goes no faster than the other reader
            check_numbered(drain(reader, 1000).raw, n)
            alice.send({"message": "m%d" % n})
            bob.expect_message("m%d" % n, A)
    grown = rss(pid) - before
    assert INSTRUMENTED or grown < 2048, "%d KB more" % grown
    # It reads again: what the broker has kept comes, in order and whole, and there is room for its PINGRESP.
    first = [slow.next(60 * FACTOR).raw for _ in range(1000)]
    slow.alive(60 * FACTOR)  # all that waits stands before it
    last = -1
    for payload in first + [frame.raw for frame in slow.events]:
        number = struct.unpack_from("!I", payload)[0]
        assert number > last
        check_numbered(payload, number)
        last = number
    assert len(first) + len(slow.events) < count, "nothing was slow here"


def test_a_reader_that_never_reads_again(brokers):
    """The kernel ends it, since nothing that it is sent arrives."""
    chat = brokers(options={"ping_interval": "1s", "ping_timeout": "1s", "outbox_seconds": "1s"})
    chat.allow("dropped")
    slow = chat.tunnel(C, 4, transport=Tunnel(chat, receive_buffer=4096), keepalive=0)
    slow.subscribe("other/#", qos=0)
    writer = chat.mqtt(B, 4)
    for n in range(3000):
        writer.publish("other/t", numbered(n, 1000), qos=0)
    chat.wait_log(r"tunnel 1 .* closed: 1006 connection lost", timeout=30 * FACTOR)
    writer.alive()


# how many

def test_max_sessions(brokers):
    """A tunnel counts like a session."""
    chat = brokers(options={"max_sessions": "3"})
    session, one, two = chat.ws(A), chat.tunnel(B), chat.tunnel(C)
    refused(503, "overloaded", lambda: Tunnel(chat))
    refused(503, "overloaded", lambda: chat.raw_ws(C))
    two.socket.leave()

    def again():
        try:
            return Tunnel(chat)
        except HttpAnswer:
            return None
    chat.tunnel(C, transport=wait_for(again, "a place")).alive()
    one.alive()
    session.sync()


def test_many_at_once(chat):
    """More than the broker's listen backlog of ten, sessions among them; and all leave at once."""
    tunnels, errors = [None] * 100, []

    def dial(n):
        try:
            if n % 5:
                tunnels[n] = chat.tunnel("u%d@example.com" % n, 4).read_room()
            else:
                tunnels[n] = chat.ws("u%d@example.com" % n)
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=dial, args=(n,)) for n in range(len(tunnels))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors and all(tunnels)
    tunnels[1].send({"message": "to all"})
    for one in tunnels[:1] + tunnels[2:]:
        one.expect_message("to all", "u1@example.com")
    [pid] = chat.bridge_pids()
    descriptors = len(os.listdir("/proc/%d/fd" % pid))
    for n, one in enumerate(tunnels):
        if n % 5:
            one.socket.close()
    wait_for(lambda: len(re.findall(r"tunnel \d+ from .* closed", chat.log())) == 80, "all tunnels are closed")
    wait_for(lambda: len(os.listdir("/proc/%d/fd" % pid)) == descriptors - 160, "no descriptor is left behind")
    tunnels[0].sync()


def test_a_broker_that_does_not_accept(chat):
    """Its backlog is full for long: those in the queue are told to come back."""
    os.kill(chat.pid, signal.SIGSTOP)
    try:
        tunnels = [Tunnel(chat) for _ in range(20)]
        for tunnel in tunnels[-5:]:
            tunnel.expect_close(4003, timeout=20 * FACTOR)
    finally:
        os.kill(chat.pid, signal.SIGCONT)
    chat.tunnel(A, transport=tunnels[0]).alive()
