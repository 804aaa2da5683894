"""The plugin as the bridge's keeper, seen from a bridge that this test wrote itself; and the credential."""

import json
import os
import re
import signal
import time

import pytest

from harness.broker import running
from harness.dialogue import FACTOR, wait_for

A, B = "alice@example.com", "bob@example.com"

# A bridge that keeps what it was given, says that it is ready and lives until its plugin goes.
FAKE = r'''#!/usr/bin/python3
import json, os, socket, sys
folder = os.path.dirname(os.path.abspath(__file__))
control = os.fdopen(os.dup(3), "rb", 0)
line = b""
while not line.endswith(b"\n"):
    more = control.read(65536)
    if not more:
        break
    line += more
fds = {}
for name in os.listdir("/proc/self/fd"):
    try:
        fds[name] = os.readlink("/proc/self/fd/" + name)
    except OSError:
        pass
status = open("/proc/self/status").read()
part = os.path.join(folder, "part-%d" % os.getpid())
with open(part, "w") as f:
    json.dump({"argv": sys.argv, "settings": line.decode(), "environ": dict(os.environ), "fds": fds, "status": status,
               "pid": os.getpid(), "ppid": os.getppid(), "listen": socket.socket(fileno=os.dup(4)).getsockname()[1]}, f)
number = 0
while True:  # several may start at once
    try:
        os.link(part, os.path.join(folder, "seen-%d" % number))
        break
    except FileExistsError:
        number += 1
os.unlink(part)
def say(text):
    os.write(2, text.encode() + b"\n")
#BODY#
'''
LIVE = '''
os.write(3, b"ready\\n")
while control.read(1):
    pass
'''


def fake_broker(brokers, body=LIVE, start=True, **options):
    broker = brokers(start=False)
    program = broker.file("fake-bridge", FAKE.replace("#BODY#", body), 0o755)
    broker.options.update({"bridge_program": program, **options})
    if start:
        broker.start()
    return broker


def seen(broker, number=0):
    path = os.path.join(broker.folder, "seen-%d" % number)
    wait_for(lambda: os.path.exists(path), "bridge number %d" % number)
    with open(path) as f:
        return json.load(f)


def credential(broker, number=0):
    return json.loads(seen(broker, number)["settings"])["credential"]


def test_what_a_bridge_is_given(brokers):
    broker = fake_broker(brokers, fanout="session", room="lobby", max_frame_bytes="32k", ping_interval="20s",
                         allowed_origins="https://a.example", system_sender="Casa", rate_connects="7/s burst 9")
    it = seen(broker)
    assert it["argv"][1:] == ["--bridge"]
    assert it["ppid"] == broker.pid
    assert it["listen"] == broker.ws_port
    assert it["settings"].endswith("\n")
    settings = json.loads(it["settings"])
    assert re.fullmatch("[0-9a-f]{64}", settings["credential"])
    text = json.dumps(settings)
    for value in (broker.socket_path, "lobby", "https://a.example", "Casa", "32768", "20000"):
        assert value in text, (value, text)
    # 0 to 4 and no more: neither the broker's sockets nor its files. (Python itself opens none that stay;
    # "dup" of control is the test's own.)
    extra = {n: t for n, t in it["fds"].items() if int(n) > 4 and "/proc/" not in t}
    assert set(extra.values()) <= {it["fds"]["3"]}, it["fds"]
    assert it["fds"]["0"] == "/dev/null"
    assert it["fds"]["1"].startswith("pipe:") and it["fds"]["1"] == it["fds"]["2"]
    assert re.search(r"SigBlk:\s*0+$", it["status"], re.M), it["status"]


def test_every_bridge_is_given_its_own(brokers):
    broker = fake_broker(brokers, bridges="3")
    broker.wait_bridges(3)
    its = [seen(broker, n) for n in range(3)]
    settings = [json.loads(it["settings"]) for it in its]
    assert sorted(s["index"] for s in settings) == [0, 1, 2]
    assert len({s["credential"] for s in settings}) == 1
    assert {it["listen"] for it in its} == {broker.ws_port}


def test_the_credential_is_new_for_each_start(brokers):
    broker = fake_broker(brokers)
    first = credential(broker)
    broker.restart()
    assert credential(broker, 1) != first


def test_the_credential_shows_nowhere(brokers):
    broker = fake_broker(brokers)
    secret = credential(broker).encode()
    for _ in range(3):
        broker.mqtt_refused(A, client_id="ws-1", password="x" * 64, unix=broker.socket_path)
    broker.mqtt(A, client_id="ws-1", password=secret, unix=broker.socket_path).alive()
    broker.mqtt(A).send({"message": "hi"})
    broker.hup()
    pid = seen(broker)["pid"]
    os.kill(pid, signal.SIGKILL)
    broker.allow("chat-bridge")
    again = seen(broker, 1)
    for process in (broker.pid, again["pid"]):
        for name in ("cmdline", "environ"):
            with open("/proc/%d/%s" % (process, name), "rb") as f:
                assert secret not in f.read()
    assert secret not in broker.log().encode()
    for name in os.listdir(broker.folder):
        path = os.path.join(broker.folder, name)
        if os.path.isfile(path) and not name.startswith("seen-"):
            with open(path, "rb") as f:
                assert secret not in f.read(), name
    assert broker.terminate() == 0
    assert secret not in broker.log().encode()


def test_the_real_bridge_shows_none_either(chat):
    """No 64 hex digits anywhere in what other users of the machine may read, nor in the log."""
    chat.ws(A)
    pattern = re.compile(rb"(?<![0-9a-fA-F])[0-9a-fA-F]{64}(?![0-9a-fA-F])")
    for pid in [chat.pid] + chat.bridge_pids():
        for name in ("cmdline", "environ", "comm", "status"):
            with open("/proc/%d/%s" % (pid, name), "rb") as f:
                assert not pattern.search(f.read())
    assert not pattern.search(chat.log().encode())
    with open("/proc/%d/cmdline" % chat.bridge_pids()[0], "rb") as f:
        # in valgrind its own arguments and the program come first
        assert f.read().split(b"\0")[-2 if chat.reports else 1:] == [b"--bridge", b""]


def test_who_may_use_the_internal_listener(brokers):
    broker = fake_broker(brokers)
    secret = credential(broker)
    inside = {"unix": broker.socket_path, "password": secret}
    session = broker.mqtt("alice@example.com", client_id="ws-abc", **inside)
    session.read_room().read_inbox().read_session_notices()
    session.send({"message": "psst", "ref": "r"}, to=A)
    session.expect_all({"type": "ack", "ref": "r"}, {"message": "psst", "to": A, "sender": A})
    # Everybody sees it came by WebSocket.
    reader = broker.mqtt(B).read_room()
    session.send({"message": "hi"})
    frame = reader.expect_message("hi", A)
    assert ("via", "ws") in frame.properties["user"]
    # The rules are the same as for anybody else: no policy in a bridge's session.
    assert session.publish("chat/rooms/general", b"{}") == 0x87
    assert session.subscribe("chat/users/bob@example.com/inbox") == 0x87
    # A bridge reads rooms and publishes nothing.
    link = broker.mqtt("$chat-bridge", client_id="chat-bridge-0", **inside)
    link.read_room()
    assert link.send({"message": "hi"}) == 0x87
    assert link.publish("chat/rooms/general", b"{}") == 0x87
    assert link.publish("chat/users/alice@example.com/inbox", b"{}") == 0x87
    assert link.subscribe("chat/users/alice@example.com/inbox") == 0x87
    reader.send({"message": "ho"})
    link.expect_message("ho", B)
    # The credential is no master key.
    for user, client_id in ((A, "mine"), (A, "chat-bridge-0"), ("$chat-bridge", "ws-1"), ("nobody", "ws-1"), ("", "ws-1"),
                            ("$chat-bridge", "mine")):
        assert broker.mqtt_refused(user, client_id=client_id, **inside) == 0x87, (user, client_id)
    # And good for nothing outside.
    assert broker.mqtt_refused(A, client_id="ws-1", password=secret) == 0x87
    assert broker.mqtt_refused("$chat-bridge", client_id="chat-bridge-0", password=secret) == 0x87
    # Nearly right is wrong.
    for wrong in (secret[:-1], secret + "0", secret.upper() if secret.upper() != secret else "x", secret[:-1] + ("0" if secret[-1] != "0" else "1"),
                  "0" + secret[1:] if secret[0] != "0" else "1" + secret[1:]):
        assert broker.mqtt_refused(A, client_id="ws-1", password=wrong, unix=broker.socket_path) == 0x87


def test_the_origin_of_a_session_comes_back(brokers):
    """How a bridge tells the author's own session; nobody outside can set it."""
    broker = fake_broker(brokers)
    inside = {"unix": broker.socket_path, "password": credential(broker)}
    session = broker.mqtt(A, client_id="ws-abc", **inside).read_inbox()
    reader = broker.mqtt(B).read_room()

    def origin(frame):
        return [value for name, value in frame.properties["user"] if name == "origin"]

    session.send({"message": "1"}, properties={"user": [("origin", "0.1234"), ("evil", "x")]})
    frame = reader.expect_message("1", A)
    assert origin(frame) == ["0.1234"] and "evil" not in repr(frame.properties)
    session.send({"message": "2"}, to=A, properties={"user": [("origin", "0.1234")]})
    assert origin(session.expect_message("2", A)) == ["0.1234"]
    session.send({"message": "3"}, properties={"user": [("origin", "x" * 25)]})
    assert origin(reader.expect_message("3", A)) == []
    broker.mqtt(A).send({"message": "4"}, properties={"user": [("origin", "0.1234")]})
    assert origin(reader.expect_message("4", A)) == []


# log lines

def test_log_lines(brokers):
    broker = fake_broker(brokers, '''
say("3 an error")
say("4 a warning")
say("5 a notice")
say("6 some information")
say("7 a detail")
say("no level at all")
say("")
say("6 percent %s%n%d")
say("6 " + "x" * 20000)
os.write(2, b"6 bad \\xff\\xfe\\x00 bytes\\x1b[31m\\n")
os.write(2, b"6 half")
os.write(2, b" a line\\n")
os.write(1, b"6 on stdout\\n")
''' + LIVE)
    for text in ("an error", "a warning", "a notice", "some information", "a detail", "no level at all",
                 re.escape("percent %s%n%d"), "half a line", "on stdout"):
        broker.wait_log(r"chat-bridge: %s$" % text)
    log = broker.log()
    assert "chat-bridge: xxxx" in log and "chat-bridge: bad " in log
    assert "\x1b" not in log and "\0" not in log
    broker.allow("an error")


def test_log_lines_of_several_bridges_tell_which(brokers):
    broker = fake_broker(brokers, 'say("6 here is " + str(json.loads(line)["index"]))\n' + LIVE, bridges="2")
    broker.wait_log(r"chat-bridge\[0\]: here is 0")
    broker.wait_log(r"chat-bridge\[1\]: here is 1")


def test_levels_reach_the_broker(brokers):
    """With log_type error and warning only, information is left out."""
    broker = fake_broker(brokers, 'say("3 bad")\nsay("4 odd")\nsay("6 fine")\nsay("7 detail")\nsay("bare")\n' + LIVE, start=False)
    broker.config = lambda make=broker.config: make().replace("log_type all", "log_type error\nlog_type warning")
    broker.allow("bad")
    broker.start()
    for text in ("bad", "odd", "bare"):
        broker.wait_log("chat-bridge: " + text)
    assert "fine" not in broker.log() and "detail" not in broker.log()


def test_a_talkative_bridge_does_not_stop_the_broker(brokers):
    broker = fake_broker(brokers, '''
os.write(3, b"ready\\n")
import threading
def talk():
    n = 0
    while True:
        n += 1
        os.write(2, b"7 " + b"y" * 1000 + b"\\n")
threading.Thread(target=talk, daemon=True).start()
while control.read(1):
    pass
os._exit(0)
''')
    broker.lines.append("log_type error")
    alice, bob = broker.mqtt(A), broker.mqtt(B).read_room()
    for n in range(50):
        started = time.monotonic()
        alice.send({"message": "m%d" % n})
        bob.expect_message("m%d" % n, A)
        assert time.monotonic() - started < 2
    assert broker.terminate() == 0


# starts and restarts

def test_a_bridge_that_never_gets_ready(brokers):
    broker = fake_broker(brokers, 'say("3 cannot make up my mind")\nwhile control.read(1): pass\n', start=False)
    started = time.monotonic()
    log = broker.start_refused(20)
    assert 4 < time.monotonic() - started < 15
    assert "cannot make up my mind" in log and "chat-bridge" in log


def test_a_bridge_that_ends_at_once(brokers):
    broker = fake_broker(brokers, 'say("3 no library here")\nsys.exit(3)\n', start=False)
    started = time.monotonic()
    log = broker.start_refused(20)
    assert time.monotonic() - started < 4
    assert "no library here" in log and re.search(r"(?i)\b3\b", log.split("no library here")[1])


def test_a_bridge_that_says_something_else(brokers):
    broker = fake_broker(brokers, 'os.write(3, b"nonsense\\n")\nwhile control.read(1): pass\n', start=False)
    broker.start_refused(20)


@pytest.mark.parametrize("how, pattern", [
    ("sys.exit(7)", r"(code|status) 7"), ("os.kill(os.getpid(), 9)", r"signal 9|killed"),
    ("os.abort()", r"signal 6|abort"), ("sys.exit(0)", r"(code|status) 0"),
])
def test_deaths_are_logged_and_restarted_with_back_off(brokers, how, pattern):
    """100 ms, doubling; the log says how it ended and when the next start is."""
    broker = fake_broker(brokers, '''
os.write(3, b"ready\\n")
if number:
    import time
    open(os.path.join(folder, "time-%d" % number), "w").write(str(time.monotonic()))
while number == 0 and not os.path.exists(os.path.join(folder, "go")):
    import time
    time.sleep(0.01)
''' + how + "\n")
    broker.allow("chat-bridge")
    since = len(broker.log())
    broker.file("go", "")

    def times():
        found = []
        for n in range(1, 6):
            path = os.path.join(broker.folder, "time-%d" % n)
            if os.path.exists(path) and os.path.getsize(path):
                with open(path) as f:
                    found.append(float(f.read()))
        return found if len(found) == 5 else None
    at = wait_for(times, "five restarts", 30)
    gaps = [b - a for a, b in zip(at, at[1:])]
    # 200, 400, 800, 1600 ms (and a start of Python each)
    assert 0.15 < gaps[0] < 1.5 and gaps[1] > 0.35 and gaps[2] > 0.7 and gaps[3] > 1.4, gaps
    assert gaps[3] < 5
    for delay in (100, 200, 400, 800):
        assert re.search(r"(?i)bridge.*(%s).*\b%d ms\b" % (pattern, delay), broker.log()[since:]), broker.log()[since:]
    alice, bob = broker.mqtt(A), broker.mqtt(B).read_room()
    alice.send({"message": "nobody minds"})
    bob.expect_message("nobody minds", A)


def test_no_zombies(brokers):
    broker = fake_broker(brokers)
    broker.allow("chat-bridge")
    for n in range(2):
        pid = seen(broker, n)["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not os.path.exists("/proc/%d" % pid), "the dead bridge reaped")
    seen(broker, 2)


def test_a_stopped_broker_ends_its_bridge_gently(brokers):
    """End of file on the control socket first, force only for one that does not listen."""
    broker = fake_broker(brokers, LIVE + 'open(os.path.join(folder, "ended"), "w").close()\n')
    pid = seen(broker)["pid"]
    assert broker.terminate() == 0
    assert os.path.exists(os.path.join(broker.folder, "ended"))
    assert not running(pid)


def test_a_bridge_that_does_not_listen_is_killed(brokers):
    broker = fake_broker(brokers, 'import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.write(3, b"ready\\n")\n'
                                  'import time\nwhile True: time.sleep(1)\n')
    pid = seen(broker)["pid"]
    broker.allow("is killed")
    started = time.monotonic()
    assert broker.terminate() == 0
    assert time.monotonic() - started < 5 * FACTOR
    assert not running(pid)


def test_the_broker_goes_on_while_a_bridge_hangs(brokers):
    broker = fake_broker(brokers)
    pid = seen(broker)["pid"]
    broker.allow("is killed")
    os.kill(pid, signal.SIGSTOP)
    alice, bob = broker.mqtt(A), broker.mqtt(B).read_room()
    for n in range(20):
        alice.send({"message": "m%d" % n})
        bob.expect_message("m%d" % n, A)
    started = time.monotonic()
    assert broker.terminate() == 0
    assert time.monotonic() - started < 5 * FACTOR


def test_other_children_of_the_broker_are_not_touched(brokers):
    """A broker started by a shell that had children already: only own pids are waited for."""
    broker = brokers(start=False)
    broker.command = ["/bin/sh", "-c", 'sleep 0.3 & exec "$@"', "sh"]
    broker.start()
    alice = broker.ws(A)
    wait_for(lambda: len(broker.bridge_pids()) == 1, "the sleep ended")
    broker.mqtt(B).send({"message": "hi"})
    alice.expect_message("hi", B)


def test_a_bridge_has_given_up_rights(chat):
    """Nothing behind the public port gains rights by what it starts, and no core file holds the credential."""
    [pid] = chat.bridge_pids()
    with open("/proc/%d/status" % pid) as f:
        assert re.search(r"^NoNewPrivs:\s+1$", f.read(), re.M)
    with open("/proc/%d/limits" % pid) as f:
        assert re.search(r"^Max core file size\s+0\s+0\s", f.read(), re.M)
