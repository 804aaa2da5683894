"""Things that break: bridges, brokers, sockets, descriptors. Who is not concerned does not notice."""

import contextlib
import ctypes
import os
import re
import resource
import signal
import socket
import subprocess
import time

import pytest

from harness import valgrind as memcheck
from harness.broker import running, stat_fields
from harness.dialogue import ANY, FACTOR, MARKER, Closed, wait_for
from harness.tunnel import Tunnel
from harness.websocket import HttpAnswer, read_answer

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"
GONE = (1001, 1006, 1012, 4003)


def test_bridge_killed(chat):
    chat.allow("chat-bridge", "Socket error", "protocol error")
    alice, bob = chat.ws(A), chat.ws(B)
    reader, writer = chat.mqtt(C).read_room().read_notices(), chat.mqtt(B, 4)
    old = chat.bridge_pids()
    for n in range(3):
        [pid] = chat.wait_bridges(1)
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        for session in (alice, bob):
            session.expect_close(1006)
        # Connections made in between wait at the socket, which is the plugin's.
        alice = chat.ws(A)
        assert time.monotonic() - killed < 1.5 * FACTOR, "no new session within a second"
        bob = chat.ws(B)
        alice.send({"message": "back %d" % n, "ref": "back-%d" % n})
        alice.expect_ack("back-%d" % n)
        bob.expect_message("back %d" % n, A)
        reader.expect_message("back %d" % n, A)
        writer.send({"message": "from mqtt"})
        for client in (alice, bob, reader):
            client.expect_message("from mqtt", B)
    assert not set(old) & set(chat.bridge_pids())
    reader.expect_nothing()
    writer.alive()


def test_bridge_killed_again_and_again(brokers):
    """Sessions of the dead bridge are gone at the broker: people are away, their ids free; a device is waited for."""
    chat = brokers()
    chat.allow("chat-bridge", "Socket error", "protocol error")
    phone = chat.mqtt(A).read_notices()
    chat.ws(B, device="phone")
    chat.ws(B)
    [pid] = chat.bridge_pids()
    os.kill(pid, signal.SIGKILL)

    def away():
        phone.send({"message": "?", "ref": str(time.monotonic())}, to=B)
        return any(f.get("code") == "recipient_offline" for f in phone._barrier())
    wait_for(away, "bob away with his bridge")
    bob = chat.ws(B, device="phone")
    phone.send({"message": "there"}, to=B)
    missed = bob.expect(message=ANY, sender=A, to=B)
    while missed["message"] == "?":
        missed = bob.expect(message=ANY, sender=A, to=B)
    assert missed["message"] == "there"


def test_one_of_two_bridges_killed(brokers):
    chat = brokers(options={"bridges": "2"})
    chat.allow("chat-bridge", "Socket error", "protocol error")
    pids = chat.wait_bridges(2)
    sessions = [chat.ws("u%d@example.com" % n) for n in range(12)]
    os.kill(pids[0], signal.SIGKILL)
    chat.wait_bridges(2, but=(pids[0],))
    left = []
    for session in sessions:
        try:
            event = session.next(0.5)
            assert isinstance(event, Closed) and event.code == 1006, event
        except TimeoutError:
            left.append(session)
    # The kernel spreads connections by hash: that all twelve were on one has a chance of 1 in 2048.
    assert 0 < len(left) < 12
    new = [chat.ws("n%d@example.com" % n) for n in range(8)]
    new[0].send({"message": "all here?"})
    for session in left + new[1:]:
        session.expect_message("all here?", "n0@example.com")


def test_broker_killed(brokers):
    """No orphan, whatever bridges were doing."""
    chat = brokers(options={"bridges": "2"})
    alice = chat.ws(A)
    alice.send({"message": "x"})
    pids = chat.wait_bridges(2)
    chat.kill()
    wait_for(lambda: not any(running(p) for p in pids), "bridges gone with their broker", 5)
    alice.expect_close(*GONE)
    # The port is free again: the next broker starts with the same configuration.
    chat.close_clients()
    chat.start()
    chat.ws(A)


def test_broker_killed_while_a_bridge_hangs(chat):
    [pid] = chat.bridge_pids()
    os.kill(pid, signal.SIGSTOP)
    chat.kill()
    wait_for(lambda: not running(pid), "the stopped bridge gone with its broker", 5)


def test_broker_stopped(brokers):
    """SIGTERM: sessions get a Close frame with a reason, nothing is left, the exit code is 0."""
    chat = brokers()
    alice, bob = chat.ws(A), chat.raw_ws(B)
    [pid] = chat.bridge_pids()
    started = time.monotonic()
    assert chat.terminate() == 0
    assert time.monotonic() - started < 4
    for session in (alice, bob):
        session.expect_close(1001, 1012, 4003)
    assert not running(pid)
    assert not re.search(r"chat-bridge.*(signal|killed)", chat.log())


def test_broker_restarted(brokers):
    chat = brokers()
    for _ in range(3):
        alice, bob = chat.ws(A), chat.ws(B)
        alice.send({"message": "hi"})
        bob.expect_message("hi", A)
        chat.restart()


def test_broker_socket_missing(brokers):
    """The option names a path where no listener is."""
    chat = brokers(start=False)
    chat.options["broker_socket"] = os.path.join(chat.folder, "nowhere.sock")
    chat.start()
    chat.allow("chat-bridge", "nowhere")
    session = chat.raw_ws(A)
    session.expect_close(4003)
    match = chat.wait_log(r"chat-bridge.*nowhere\.sock.*")
    assert "listener 0" in chat.log() or "broker_socket" in chat.log(), match.group(0)
    # MQTT clients do not care.
    alice, bob = chat.mqtt(A), chat.mqtt(B).read_room()
    alice.send({"message": "hi"})
    bob.expect_message("hi", A)


def test_broker_socket_removed(chat):
    """Live sessions go on, new ones are told to come back."""
    alice, bob = chat.ws(A), chat.ws(B)
    os.unlink(chat.socket_path)
    chat.allow("chat-bridge")
    session = chat.raw_ws(C)
    session.expect_close(4003)
    chat.wait_log(r"chat-bridge.*%s" % re.escape(chat.socket_path))
    alice.send({"message": "still here"})
    bob.expect_message("still here", A)
    alice.send({"message": "psst", "to": B})
    bob.expect_message("psst", A)


def test_a_stranger_on_the_broker_socket(brokers):
    """Something listens there that is no broker and never answers: 4003, not for ever."""
    chat = brokers(start=False)
    path = os.path.join(chat.folder, "deaf.sock")
    chat.options["broker_socket"] = path
    chat.allow("chat-bridge", "deaf")
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(path)
        deaf.listen(50)
        chat.start()
        session = chat.raw_ws(A)
        session.expect_close(4003, timeout=30)


def test_broker_refuses_the_session(brokers):
    """max_connections is used up: the session is told 4003 (or 1013), the log says so, others go on."""
    chat = brokers(start=False)
    chat.config = lambda make=chat.config: make().replace(
        "listener 0 %s\n" % chat.socket_path, "listener 0 %s\nmax_connections 3\n" % chat.socket_path)
    chat.start()
    chat.allow("chat-bridge", "max")
    sessions = []
    ended = None
    for n in range(6):
        session = chat.raw_ws("u%d@example.com" % n, events="typing")
        event = session.next(30)
        if isinstance(event, Closed):
            ended = event
            break
        sessions.append(session)
    assert ended and ended.code in (4003, 1013), ended
    assert sessions
    chat.mqtt(B).send({"message": "hi"})
    sessions[0].expect_message("hi", B)


@pytest.mark.parametrize("fanout", ["shared", "session"])
def test_a_session_kicked_at_the_broker(brokers, fanout):
    """A session's connection at the broker ends: that session is closed with 4003, nobody else."""
    chat = brokers(options={"fanout": fanout})
    chat.allow("chat-bridge")
    alice, bob = chat.ws(A), chat.ws(B)
    [pid] = chat.bridge_pids()
    # Which of the bridge's connections is whose cannot be told from outside: they are cut one by one.
    if not _can_take_descriptors():
        pytest.skip("pidfd_getfd is not allowed here")
    closed = None
    for fd in _unix_descriptors(pid)[1:]:
        with _take_descriptor(pid, fd) as sock:
            with contextlib.suppress(OSError):
                if sock.getpeername() not in (chat.socket_path, chat.socket_path.encode()):
                    continue
                sock.shutdown(socket.SHUT_RDWR)
        for session in (alice, bob):
            try:
                closed = session.next(0.5)
            except TimeoutError:
                continue
            other = bob if session is alice else alice
            break
        if closed:
            break
    assert closed and closed.code == 4003 and closed.reason, closed
    with contextlib.suppress(TimeoutError):
        # The shared reader may have been cut on the way; that closes nobody else for good.
        event = other.next(0.3)
        assert isinstance(event, Closed) and event.code == 4003
    carol = chat.ws(C)
    chat.mqtt(A).send({"message": "hi"})
    carol.expect_message("hi", A)


def _syscall(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(number, *arguments)


def _pidfd_getfd(pid, fd):
    pidfd = os.pidfd_open(pid)
    try:
        return _syscall(438, pidfd, fd, 0)
    finally:
        os.close(pidfd)


def _can_take_descriptors():
    fd = -1
    try:
        fd = _pidfd_getfd(os.getpid(), 0)
    except OSError:
        return False
    if fd >= 0:
        os.close(fd)
    return fd >= 0


@contextlib.contextmanager
def _take_descriptor(pid, fd):
    number = _pidfd_getfd(pid, fd)
    if number < 0:
        raise AssertionError("cannot take descriptor %d" % fd)
    with socket.socket(fileno=number) as sock:
        yield sock


def _unix_descriptors(pid):
    found = []
    for name in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(OSError):
            if os.readlink("/proc/%d/fd/%s" % (pid, name)).startswith("socket:") and int(name) > 4:
                number = _pidfd_getfd(pid, int(name))
                if number < 0:
                    continue
                with socket.socket(fileno=number) as sock:
                    if sock.family == socket.AF_UNIX:
                        found.append(int(name))
    return sorted(found)


# descriptors

def limit(pid, extra):
    """Leaves so many descriptors; returns the limits of before."""
    numbers = [int(n) for n in os.listdir("/proc/%d/fd" % pid)]
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(numbers) + 1 + extra, before[1]))
    return before


@memcheck.OWN_DESCRIPTORS
@pytest.mark.parametrize("extra", [0, 1, 2, 3, 5])
def test_bridge_out_of_descriptors(chat, extra):
    """New sessions get 503, old ones go on; when there is room again, so do new ones."""
    chat.allow("chat-bridge")
    alice, bob = chat.ws(A), chat.ws(B)
    [pid] = chat.bridge_pids()
    before = limit(pid, extra)
    waiting, refused = [], None
    for n in range(extra + 8):
        try:
            waiting.append(chat.raw_ws("u%d@example.com" % n, events="typing"))
        except HttpAnswer as answer:
            refused = answer
            break
    assert refused is not None and refused.status == 503, refused
    assert refused.headers["content-type"].split(";")[0] == "application/json" and refused.json
    for session in waiting:
        # Let in, though perhaps there was no descriptor for its own connection.
        event = session.next()
        assert event.get("type") == "ready" if not isinstance(event, Closed) else event.code == 1013, event
    alice.send({"message": "still here"})
    bob.expect_message("still here", A)
    alice.send({"message": "psst", "to": B})
    bob.expect_message("psst", A)
    assert chat.bridge_pids() == [pid]
    # No busy loop meanwhile.
    ticks = _cpu(pid)
    time.sleep(1)
    assert _cpu(pid) - ticks < 50, "the bridge is busy without work"
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    carol = wait_for(lambda: _try_session(chat), "a session after the shortage")
    alice.send({"message": "welcome"})
    carol.expect_message("welcome", A)


def _descriptors(pid):
    return {int(n) for n in os.listdir("/proc/%d/fd" % pid)}


@memcheck.OWN_DESCRIPTORS
@pytest.mark.parametrize("who", ["session", "device", "tunnel"])
def test_no_descriptor_for_the_way_to_the_broker(chat, who):
    """Let in, and while the broker keeps them waiting the last descriptor goes: try again later. Nobody is told that the
    broker is away, or a device that another one has replaced it."""
    chat.allow("chat-bridge")
    alice = chat.ws(A)
    [pid] = chat.bridge_pids()
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    there = len(_descriptors(pid))
    os.kill(chat.pid, signal.SIGSTOP)
    try:
        if who == "tunnel":
            # The broker's socket has room for eleven; who comes later asks again and again.
            first = [Tunnel(chat) for _ in range(11)]
            last, line = Tunnel(chat), "a tunnel has no connection to the broker at .*"
        else:
            # Eight connect at the same time; who comes later has its turn after them.
            first = [chat.raw_ws("u%d@example.com" % n, events="typing") for n in range(8)]
            last = chat.raw_ws(B, **({"device": "phone"} if who == "device" else {}))
            line = "a session has no connection to the broker"
        wait_for(lambda: len(_descriptors(pid)) == there + 2 * len(first) + 1, "all but one on their way to the broker")
        used = _descriptors(pid)
        none_left = min(set(range(len(used) + 1)) - used)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (none_left, before[1]))
        if who == "tunnel":
            last.expect_close(1013)
    finally:
        os.kill(chat.pid, signal.SIGCONT)
    if who != "tunnel":
        last.expect_close(1013, "out of file descriptors, try again later")
        for session in first:
            assert session.next()["type"] == "ready"
    chat.wait_log(line + ": Too many open files .raise LimitNOFILE.")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    bob = chat.ws(B, device="phone")
    alice.send({"message": "welcome"})
    bob.expect_message("welcome", A)


def _try_session(chat):
    try:
        session = chat.raw_ws(C, events="typing")
    except HttpAnswer:
        return None
    event = session.next()
    return session if not isinstance(event, Closed) else None


def _cpu(pid):
    fields = stat_fields(pid)
    return int(fields[11]) + int(fields[12])


def test_connections_that_say_nothing(brokers):
    """Idle TCP connections are given up after header_timeout and keep nobody out."""
    chat = brokers(options={"header_timeout": "1s"})
    idle = [chat.connect() for _ in range(100)]
    alice = chat.ws(A)
    for sock in idle:
        sock.settimeout(8)
        with contextlib.suppress(ConnectionError):
            while sock.recv(1000):
                pass
        sock.close()
    chat.mqtt(B).send({"message": "hi"})
    alice.expect_message("hi", B)


# SIGHUP

@pytest.mark.parametrize("bridges", ["1", "2"])
def test_reload(brokers, bridges):
    """A reload asks the plugin about every client again, with names and passwords of before."""
    chat = brokers(options={"bridges": bridges})
    alice, bob = chat.ws(A), chat.ws(B)
    phone = chat.mqtt(C).read_room().read_inbox().read_notices()
    nobody = chat.mqtt(None).read_room()
    keeper = chat.mqtt("keeper@example.com", client_id="keeper", clean=False, session_expiry=600).read_inbox()
    keeper.disconnect()
    pids = chat.bridge_pids()
    for n in range(4):
        since = len(chat.log())
        chat.hup()
        chat.wait_log("Reloading config", since=since)
        alice.send({"message": "after %d" % n, "ref": "r%d" % n})
        alice.expect_ack("r%d" % n)
        for client in (bob, phone, nobody):
            client.expect_message("after %d" % n, A)
        phone.send({"message": "psst"}, to=A)
        alice.expect_message("psst", C, to=A)
        phone.expect_message("psst", C, to=A)
    assert chat.bridge_pids() == pids
    back = chat.mqtt("keeper@example.com", client_id="keeper", clean=False, session_expiry=600)
    assert back.session_present
    for client in (alice, bob, phone, nobody, back):
        client.expect_nothing()
    chat.ws("new@example.com")


def test_reload_after_a_restart_with_restored_sessions(brokers):
    """Sessions from disk have neither password nor address; the reload must not stumble over them."""
    chat = brokers(start=False)
    chat.lines += ["persistence true", "persistence_location %s/" % chat.folder]
    chat.start()
    keeper = chat.mqtt(B, client_id="keeper", clean=False, session_expiry=600).read_inbox().read_room()
    keeper.disconnect()
    chat.mqtt(A).send({"message": "before"}, to=B)
    chat.ws(A)
    chat.restart()
    for _ in range(2):
        since = len(chat.log())
        chat.hup()
        chat.wait_log("Reloading config", since=since)
        chat.mqtt(A).alive()
    alice = chat.ws(A)
    alice.send({"message": "after"})
    back = chat.mqtt(B, client_id="keeper", clean=False, session_expiry=600)
    assert back.session_present
    back.expect_all({"message": "before", "to": B}, {"message": "after"})


def test_persistence_keeps_no_chat_topic_retained(brokers):
    chat = brokers(start=False)
    chat.lines += ["persistence true", "persistence_location %s/" % chat.folder]
    chat.start()
    chat.mqtt(A).send({"message": "x"}, retain=True)
    chat.restart()
    late = chat.mqtt(B)
    late.subscribe("#")
    late.expect_nothing()


# the network between

def test_clients_that_vanish(chat):
    """Half of a crowd is gone without a word while somebody speaks: the others hear it all."""
    sessions = [chat.ws("u%d@example.com" % n) for n in range(10)]
    ghosts = [chat.raw_ws("g%d@example.com" % n, events="typing") for n in range(10)]
    for ghost in ghosts:
        ghost.expect_ready()
    for n, ghost in enumerate(ghosts):
        sessions[0].send({"message": "m%d" % n})
        if n % 2:
            ghost.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        ghost.socket.close()
    for session in sessions[1:]:
        for n in range(10):
            session.expect_message("m%d" % n, "u0@example.com")
        session.expect_nothing()


def test_hundreds_of_short_sessions(chat):
    """Come and go leaves nothing behind: no descriptor, no client at the broker."""
    chat.ws(A).close()
    [pid] = chat.bridge_pids()

    def descriptors():
        return len(os.listdir("/proc/%d/fd" % pid))
    wait_for(lambda: "disconnected" in chat.log() or "closed" in chat.log(), "alice gone")
    time.sleep(0.3)
    before = descriptors()
    for n in range(150):
        session = chat.raw_ws("u%d@example.com" % n)
        if n % 3 == 0:
            session.send({"message": "x"})
        if n % 3 == 1:
            session.send_frame(8, b"\x03\xe8")
        session.socket.close()
    wait_for(lambda: descriptors() <= before, lambda: "%d descriptors, %d before" % (descriptors(), before))
    assert chat.bridge_pids() == [pid]
    assert MARKER not in chat.log()


def test_the_log_is_not_a_way_in(chat):
    """What a peer sends is shown without control characters."""
    with contextlib.suppress(HttpAnswer):
        chat.raw_ws(path="/ws/a%0A1234:%20Error:%20forged@example.com").next()
    with socket.create_connection(("127.0.0.1", chat.ws_port), timeout=5) as sock:
        sock.sendall(b"GET /\x1b[31m\xff HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(OSError, AssertionError):
            read_answer(sock)
    chat.ws(A)
    assert "\x1b" not in chat.log()
    assert not re.search(r"^1234: Error: forged", chat.log(), re.M)


def test_debians_clients(chat):
    """mosquitto_sub and mosquitto_pub, as the README has it."""
    alice = chat.ws(A)
    port = str(chat.mqtt_port)
    try:
        sub = subprocess.Popen(["mosquitto_sub", "-p", port, "-t", "chat/rooms/general", "-C", "2"],
                               stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        pytest.skip("mosquitto-clients is not installed")
    try:
        chat.wait_log(r"Sending SUBACK to auto-|Sending SUBACK to mosq")
        subprocess.run(["mosquitto_pub", "-p", port, "-t", "chat/rooms/general/send", "-m", '{"message":"hi"}', "-u", B],
                       check=True, timeout=20)
        alice.expect_message("hi", B)
        alice.send({"message": "hello"})
        out, _ = sub.communicate(timeout=20)
    finally:
        if sub.poll() is None:
            sub.kill()
        sub.wait()
    lines = out.splitlines()
    assert '"sender":"bob@example.com"' in lines[0] and '"message":"hello"' in lines[1]
