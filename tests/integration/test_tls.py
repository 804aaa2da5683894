"""TLS on the WebSocket and HTTP port. CHAT_TLS=1 runs any other test of this folder over TLS as well."""

import os
import re
import signal
import socket
import ssl
import time
import warnings

import pytest

from harness.broker import stat_fields
from harness.dialogue import Closed, wait_for
from harness.tls import Certificate
from harness.websocket import HttpAnswer, read_answer

A, B = "alice@example.com", "bob@example.com"


@pytest.fixture
def certificate():
    return Certificate()


@pytest.fixture
def chat(brokers, certificate):
    return brokers(tls=certificate)


def cpu_ticks(pid):
    fields = stat_fields(pid)
    return int(fields[11]) + int(fields[12])


def test_a_conversation(chat):
    alice, bob = chat.ws(A), chat.raw_ws(B).sync()
    writer = chat.mqtt("sensor@example.com")
    alice.send({"message": "hi", "ref": "1"})
    alice.expect_ack("1")
    bob.expect_message("hi", A)
    writer.send({"message": "21 degrees"})
    for session in (alice, bob):
        session.expect_message("21 degrees", "sensor@example.com")
    assert chat.http("GET", "/health").status == 200
    bob.send({"message": "bye"})
    alice.expect_message("bye", B)
    alice.close()
    bob.close()


@pytest.mark.parametrize("kind", ["ec", "rsa"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_and_keys(brokers, kind, version):
    chat = brokers(tls=Certificate(kind))
    context = chat.tls.context()
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", chat.ws_port)) as sock, \
            context.wrap_socket(sock, server_hostname="localhost") as tls:
        name = tls.cipher()[0]
        assert ("GCM" in name or "CHACHA20" in name) and ("ECDHE" in name or name.startswith("TLS_")), name
        assert tls.compression() is None
        tls.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(tls).status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(chat, version):
    context = chat.tls.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python thinks as we do
        context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", chat.ws_port)) as sock:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(sock, server_hostname="localhost")
    chat.ws(A)


def test_weak_ciphers_are_refused(chat):
    context = chat.tls.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA:ECDHE-ECDSA-AES128-SHA:AES128-GCM-SHA256:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", chat.ws_port)) as sock:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(sock, server_hostname="localhost")


@pytest.mark.parametrize("offered, chosen", [(["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), (None, None)])
def test_http_1_1_is_chosen(chat, offered, chosen):
    """Never HTTP/2, where libwebsockets would speak WebSocket in another way."""
    context = chat.tls.context()
    if offered:
        context.set_alpn_protocols(offered)
    with socket.create_connection(("127.0.0.1", chat.ws_port)) as sock, \
            context.wrap_socket(sock, server_hostname="localhost") as tls:
        assert tls.selected_alpn_protocol() == chosen
        tls.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(tls).status == 200


def test_http_2_alone_is_refused(chat):
    context = chat.tls.context()
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", chat.ws_port)) as sock:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(sock, server_hostname="localhost")


def test_who_speaks_http_is_told(chat):
    with socket.create_connection(("127.0.0.1", chat.ws_port), timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = read_answer(sock)
    assert answer.status == 400 and answer.json["error"] == "tls_required"
    chat.ws(A)


def test_garbage_and_half_handshakes(brokers, certificate):
    chat = brokers(tls=certificate, options={"header_timeout": "1s"})
    alice = chat.ws(A)
    waiting = []
    for first in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01", b"\x16\x03\x01\xff\xff" + b"\0" * 64, os.urandom(600), b"SSH-2.0-x\r\n"):
        sock = socket.create_connection(("127.0.0.1", chat.ws_port), timeout=5)
        sock.sendall(first)
        waiting.append(sock)
    for sock in waiting:
        try:
            while sock.recv(4096):
                pass
        except ConnectionError:
            pass
        sock.close()
    # A handshake that is made and nothing behind it: the same time for the head.
    with chat.connect() as tls:
        assert read_answer(tls) is None
    alice.send({"message": "still here", "ref": "1"})
    alice.expect_ack("1")


def test_the_log_says_with_whom_and_why(chat):
    with socket.create_connection(("127.0.0.1", chat.ws_port), timeout=5) as sock:
        sock.sendall(b"\x16\x03\x01\x00\x04\x63\x00\x00\x00")
        try:
            sock.recv(4096)
        except ConnectionError:
            pass
    chat.wait_log(r"TLS with 127\.0\.0\.1 failed: \w")


def test_many_frames_in_one_record(chat):
    """What a record holds beyond one read of libwebsockets waits in no socket: nobody is woken up by poll()."""
    alice, bob = chat.raw_ws(A).sync(), chat.ws(B)
    for size in (200, 1500, 3000):
        burst = b"".join(alice.frame(1, b'{"message":"%d %s"}' % (n, b"x" * size)) for n in range(12))
        for n in range(0, len(burst), 16384):
            alice.send_bytes(burst[n:n + 16384])
        for n in range(12):
            bob.expect_message("%d %s" % (n, "x" * size), A)
    alice.send_frame(9, b"are you there")
    alice.expect_pong(b"are you there")


def test_frames_byte_by_byte(chat):
    alice, bob = chat.raw_ws(A).sync(), chat.ws(B)
    for byte in alice.frame(1, b'{"message":"slow"}'):
        alice.send_bytes(bytes([byte]))
    bob.expect_message("slow", A)


def test_an_author_who_is_not_read_costs_nothing(chat):
    """libwebsockets' own TLS loops forever here: the broker takes nothing, so the session's socket is not read."""
    alice, bob = chat.raw_ws(A).sync(), chat.ws(B)
    [bridge] = chat.bridge_pids()
    os.kill(chat.pid, signal.SIGSTOP)
    try:
        for n in range(60):
            alice.send_bytes(alice.frame(1, b'{"message":"%d %s"}' % (n, b"y" * 700)))
        # The bridge has taken what it may and sleeps: its CPU time stands still.
        wait_for(lambda: _stands_still(bridge), "the bridge to sleep")
    finally:
        os.kill(chat.pid, signal.SIGCONT)
    for n in range(60):
        bob.expect_message("%d %s" % (n, "y" * 700), A)


def _stands_still(pid):
    before = cpu_ticks(pid)
    time.sleep(0.5)  # the time over which it is measured
    return cpu_ticks(pid) - before <= 2


def test_a_slow_reader_is_closed_and_others_are_not(brokers, certificate):
    chat = brokers(tls=certificate, options={"outbox_bytes": "256k", "outbox_seconds": "2s"})
    slow = chat.raw_ws("slow@example.com", receive_buffer=4096).sync()
    alice, bob = chat.ws(A), chat.ws(B)
    for n in range(900):
        alice.send({"message": "%d %s" % (n, "z" * 3500)})
        if n % 50 == 49:
            bob.expect_message("%d %s" % (n - 49, "z" * 3500), A)
            for k in range(n - 48, n + 1):
                bob.expect_message("%d %s" % (k, "z" * 3500), A)
    chat.wait_log(r"session of slow@example\.com closed: 4001")
    last = -1
    while True:
        event = slow._take(10)
        if isinstance(event, Closed):
            break
        number = int(event["message"].split()[0])
        assert number == last + 1, "a gap before the close"
        last = number
    assert event.code in (4001, 1006)


def test_a_large_answer(brokers, certificate):
    chat = brokers(tls=certificate)
    people = [chat.ws("%s%03d@example.com" % ("p" * 50, n)) for n in range(200)]
    wait_for(lambda: len(chat.http("GET", "/users").json) == len(people), "all of them in one answer")


@pytest.mark.parametrize("what", ["cert", "key", "pair", "missing", "encrypted"])
def test_what_cannot_be_loaded_stops_the_broker(brokers, certificate, what):
    options = dict(certificate.options)
    if what == "pair":
        options["tls_key_file"] = Certificate().key
    elif what == "missing":
        options["tls_key_file"] = certificate.folder + "/nothing"
    elif what == "encrypted":
        with open(certificate.key, "w") as f:
            f.write("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n")
    else:
        with open(getattr(certificate, what), "w") as f:
            f.write("this is no PEM\n")
    log = brokers(start=False, options=options).start_refused()
    expected = {"cert": "no certificate can be read from", "pair": "(do not belong together|values mismatch)"}
    assert re.search(expected.get(what, "no private key for the certificate can be read from"), log), log


@pytest.mark.parametrize("option", ["tls_cert_file", "tls_key_file"])
def test_one_without_the_other(brokers, certificate, option):
    log = brokers(start=False, options={option: certificate.options[option]}).start_refused()
    assert "given together or not at all" in log


def test_a_new_certificate_is_taken_at_a_reload(chat, certificate):
    """Sessions stay; the next connection sees the new one; a bad new one changes nothing and is named."""
    alice, bob = chat.ws(A), chat.ws(B)
    old = certificate.context()
    certificate.renew()
    chat.hup()
    chat.wait_log("new settings and certificate are in force")
    with pytest.raises(ssl.SSLCertVerificationError):
        with socket.create_connection(("127.0.0.1", chat.ws_port)) as sock:
            old.wrap_socket(sock, server_hostname="localhost")
    carol = chat.ws("carol@example.com")
    alice.send({"message": "still here"})
    for session in (bob, carol):
        session.expect_message("still here", A)
    with open(certificate.key) as f:
        good = f.read()
    with open(certificate.key, "w") as f:
        f.write("junk\n")
    chat.hup()
    chat.wait_log("no private key for the certificate can be read from")
    chat.wait_log("with the certificate from before")
    with open(certificate.key, "w") as f:
        f.write(good)
    chat.ws("dave@example.com")
    carol.send({"message": "me too"})
    for session in (alice, bob):
        session.expect_message("me too", "carol@example.com")


def test_origins_hold_over_tls(brokers, certificate):
    chat = brokers(tls=certificate, options={"allowed_origins": "https://good.example"})
    chat.raw_ws(A, headers=[("Origin", "https://good.example")])
    with pytest.raises(HttpAnswer) as refused:
        chat.raw_ws(A, headers=[("Origin", "http://good.example")])
    assert refused.value.status == 403


def test_a_client_that_vanishes_without_goodbye(chat):
    """No close_notify, no close frame: as everywhere, the session ends and is announced."""
    alice = chat.raw_ws(A).sync()
    os.close(alice.socket.detach())
    chat.wait_log(r"session of alice@example\.com closed")
