"""docs/promises.md: each cell of its table has a test that carries its mark, and the tests that no other file has."""

import ast
import contextlib
import glob
import os
import re
import resource
import signal

import pytest

from harness.broker import REPO
from harness.dialogue import FACTOR, wait_for
from harness.history import Replay, burst, history_file, stored_ids, with_history
from harness.wire import PUBACK, PUBCOMP, PUBREC

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"
FOLDER = os.path.dirname(__file__)
NOT_TESTED = "machine loses power"
PLAIN, SINCE, DEVICE = "WebSocket without device", "WebSocket with since", "device session"
QOS_0, CLEAN, PERSISTENT, QOS_2 = "MQTT QoS 0", "MQTT QoS 1 clean", "MQTT QoS 1 persistent", "MQTT QoS 2"
PATHS = [PLAIN, SINCE, DEVICE, QOS_0, CLEAN, PERSISTENT, QOS_2]
FAULTS = ["client connection cut", "bridge killed", "broker restarted in good order", "broker killed", NOT_TESTED, "disk full",
          "slow reader"]


# the table and its marks

def table():
    """{(path, fault): what is promised} of docs/promises.md."""
    with open(os.path.join(REPO, "docs", "promises.md"), encoding="utf-8") as f:
        lines = [line.strip() for line in f if line.startswith("|")]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    heads = [n for n, cells in enumerate(found) if cells[1:] == FAULTS]
    assert len(heads) == 1, "one table with the faults as its columns"
    cells = {}
    for row in found[heads[0] + 2:]:
        if len(row) != len(FAULTS) + 1:
            break
        for fault, text in zip(FAULTS, row[1:]):
            cells[row[0], fault] = text
    return cells


def marks():
    """{(path, fault): [test, …]}, read from the tests' own text."""
    found = {}
    for path in sorted(glob.glob(os.path.join(FOLDER, "test_*.py"))):
        with open(path, encoding="utf-8") as f:
            tree = ast.parse(f.read())
        constants = {}
        for node in tree.body:
            if isinstance(node, ast.Assign):
                with contextlib.suppress(ValueError):
                    value = ast.literal_eval(node.value)
                    targets = node.targets[0].elts if isinstance(node.targets[0], ast.Tuple) else node.targets
                    for target, one in zip(targets, value if isinstance(node.targets[0], ast.Tuple) else [value]):
                        constants[getattr(target, "id", None)] = one
        for node in ast.walk(tree):
            for mark in getattr(node, "decorator_list", []):
                if ast.unparse(getattr(mark, "func", mark)) == "pytest.mark.promise":
                    cell = tuple(constants[a.id] if isinstance(a, ast.Name) else a.value for a in mark.args)
                    found.setdefault(cell, []).append("%s::%s" % (os.path.basename(path), node.name))
    return found


def test_every_cell_has_its_test():
    cells, tests = table(), marks()
    assert list(dict.fromkeys(path for path, _ in cells)) == PATHS
    for (path, fault), text in cells.items():
        assert re.search(r"\w.*\.$", text), "%s, %s: %r is no sentence" % (path, fault, text)
        if fault == NOT_TESTED:
            assert (path, fault) not in tests
        else:
            assert (path, fault) in tests, "nothing tests %s, %s: %s" % (path, fault, text)


def test_every_mark_has_its_cell():
    cells = table()
    for cell, tests in marks().items():
        assert cell in cells, "%r of %s is no cell of docs/promises.md" % (cell, ", ".join(tests))


# readers over MQTT

class Readers:
    """One reader for each way over MQTT, by its name in the table."""

    WAYS = {QOS_0: (0, True), CLEAN: (1, True), PERSISTENT: (1, False), QOS_2: (2, False)}

    def __init__(self, chat):
        self.chat = chat
        self.clients = {}
        self.come()

    def come(self):
        for way, (qos, clean) in self.WAYS.items():
            name = "reader-" + way.replace(" ", "-")
            client = self.chat.mqtt("reader@example.com", client_id=name, clean=clean, session_expiry=None if clean else 600)
            if not client.session_present:
                client.read_room(qos=qos)
            self.clients[way] = client

    def __getitem__(self, way):
        return self.clients[way]

    def leave(self):
        for client in self.clients.values():
            client.disconnect()

    def cut(self):
        for client in self.clients.values():
            client.close()

    def expect(self, texts, *ways):
        """Exactly these next, in this order; all ways unless some are named."""
        for way in ways or self.WAYS:
            for text in texts:
                self.clients[way].expect(message=text)

    def expect_nothing(self):
        for client in self.clients.values():
            client.expect_nothing()


def say(chat, texts, qos=2):
    author = chat.mqtt(A)
    for text in texts:
        assert author.send({"message": text}, qos=qos) in (0, None)
    author.disconnect()


def without(client, *kinds):
    """Packets of these kinds never leave it, as if its connection had been cut before them."""
    packet = client.packet
    client.packet = lambda kind, flags, body: None if kind in kinds else packet(kind, flags, body)


@pytest.mark.promise(PLAIN, "client connection cut")
def test_a_plain_session_is_cut(brokers):
    chat = brokers()
    bob = chat.raw_ws(B, events="typing")
    bob.expect_ready()
    say(chat, ["m%d" % n for n in range(5)], qos=1)
    got = [bob.expect(message="m%d" % n) for n in range(5)]
    assert [frame["id"] for frame in got] == sorted({frame["id"] for frame in got})
    bob.socket.close()
    chat.wait_log(r"Client ws-\S+ (\[.*\] )?(disconnected|closed)")
    say(chat, ["away"], qos=1)
    bob = chat.ws(B)
    bob.expect_nothing()
    say(chat, ["live"], qos=1)
    bob.expect_message("live", A)
    bob.expect_nothing()


@pytest.mark.promise(QOS_0, "client connection cut")
@pytest.mark.promise(CLEAN, "client connection cut")
@pytest.mark.promise(PERSISTENT, "client connection cut")
@pytest.mark.promise(QOS_2, "client connection cut")
def test_mqtt_readers_are_cut(brokers):
    chat = brokers(bridge=False)
    readers = Readers(chat)
    say(chat, "ab")
    readers.expect("ab")
    # They see two more, and the connection is cut before the broker hears of it.
    without(readers[PERSISTENT], PUBACK)
    without(readers[QOS_2], PUBCOMP)
    say(chat, "cd")
    readers.expect("cd")
    readers.cut()
    say(chat, "ef")
    readers.come()
    # QoS 1 repeats what was not confirmed, marked by its id; QoS 2 does not; the others have missed it.
    readers.expect("cdef", PERSISTENT)
    readers.expect("ef", QOS_2)
    say(chat, "gh")
    readers.expect("gh")
    readers.expect_nothing()


def test_qos_2_is_repeated_by_the_protocol_until_it_is_received(brokers):
    """Cut before PUBREC: the same message with the same id comes again, as MQTT has it."""
    chat = brokers(bridge=False)
    readers = Readers(chat)
    without(readers[QOS_2], PUBREC)
    say(chat, "a")
    first = readers[QOS_2].expect(message="a")
    readers.cut()
    readers.come()
    assert readers[QOS_2].expect(message="a").raw == first.raw
    readers[QOS_2].expect_nothing()


@pytest.mark.promise(PLAIN, "bridge killed")
@pytest.mark.promise(QOS_0, "bridge killed")
@pytest.mark.promise(CLEAN, "bridge killed")
@pytest.mark.promise(PERSISTENT, "bridge killed")
@pytest.mark.promise(QOS_2, "bridge killed")
def test_bridge_killed(brokers):
    chat = brokers()
    chat.allow("chat-bridge", "Socket error", "protocol error")
    readers, bob = Readers(chat), chat.ws(B)
    say(chat, "ab")
    for text in "ab":
        bob.expect_message(text, A)
    [pid] = chat.bridge_pids()
    os.kill(pid, signal.SIGKILL)
    bob.expect_close(1006)
    say(chat, "cd")
    chat.wait_bridges(1, but=(pid,))
    bob = chat.ws(B)
    say(chat, "ef")
    for text in "ef":
        bob.expect_message(text, A)
    bob.expect_nothing()
    readers.expect("abcdef")
    readers.expect_nothing()


@pytest.mark.promise(PLAIN, "broker restarted in good order")
@pytest.mark.promise(QOS_0, "broker restarted in good order")
@pytest.mark.promise(CLEAN, "broker restarted in good order")
@pytest.mark.promise(PERSISTENT, "broker restarted in good order")
@pytest.mark.promise(QOS_2, "broker restarted in good order")
def test_broker_restarted(brokers):
    chat = with_history(brokers, persistence=True)
    readers, bob = Readers(chat), chat.ws(B)
    say(chat, "ab")
    readers.expect("ab")
    readers.leave()
    say(chat, "cd")
    for text in "abcd":
        bob.expect_message(text, A)
    assert chat.terminate() == 0
    bob.expect_close(1001, 1012, 4003)
    chat.close_clients()
    chat.start()
    readers.come()
    readers.expect("cd", PERSISTENT, QOS_2)
    bob = chat.ws(B)
    say(chat, "ef")
    readers.expect("ef")
    for text in "ef":
        bob.expect_message(text, A)
    readers.expect_nothing()
    bob.expect_nothing()


@pytest.mark.promise(PLAIN, "broker killed")
@pytest.mark.promise(QOS_0, "broker killed")
@pytest.mark.promise(CLEAN, "broker killed")
@pytest.mark.promise(PERSISTENT, "broker killed")
@pytest.mark.promise(QOS_2, "broker killed")
def test_broker_killed(brokers):
    """What the broker saved last is what it knows: later messages are gone, messages of then come again."""
    chat = with_history(brokers, persistence=True, history_sync="on")
    chat.allow(".*")
    readers, bob = Readers(chat), chat.ws(B)
    readers.leave()
    say(chat, "ab")
    since = len(chat.log())
    chat.process.send_signal(signal.SIGUSR1)
    chat.wait_log("Saving in-memory database", since=since)
    chat.mqtt(A).alive()
    readers.come()
    readers.expect("ab", PERSISTENT, QOS_2)
    readers.leave()
    say(chat, "cd")
    for text in "abcd":
        bob.expect_message(text, A)
    chat.kill()
    bob.drain_until_close(1001, 1006, 1012, 4003)
    chat.close_clients()
    chat.start()
    readers.come()
    readers.expect("ab", PERSISTENT, QOS_2)
    bob = chat.ws(B)
    say(chat, "ef")
    readers.expect("ef")
    for text in "ef":
        bob.expect_message(text, A)
    readers.expect_nothing()
    bob.expect_nothing()


def test_history_has_what_a_killed_broker_forgot(brokers):
    """The way out of the cell above, for whoever reads over MQTT: the pages."""
    chat = with_history(brokers, persistence=True, history_sync="on")
    chat.allow(".*")
    alice = chat.mqtt(A).read_notices()
    ids = []
    for n in range(5):
        alice.send({"message": "m%d" % n, "ref": "r%d" % n})
        ids.append(alice.expect_ack("r%d" % n)["id"])
    chat.kill()
    chat.close_clients()
    chat.start()
    assert [m["id"] for m in chat.http("GET", "/rooms/general/messages").json["messages"]] == ids


# the disk

@contextlib.contextmanager
def full_disk(chat):
    """No file of the broker can grow: what a full disk is to SQLite. Its log is far below that."""
    wal = history_file(chat) + "-wal"
    alice = chat.mqtt("filler@example.com").read_room("filler")
    while not os.path.exists(wal) or os.path.getsize(wal) < 2 * os.path.getsize(chat.log_path) + (1 << 20):
        burst(alice, [{"message": "x" * 3900}] * 50, room="filler")
        last = [alice.next() for _ in range(50)][-1]
        wait_for(lambda: last["id"] in stored_ids(chat)[-1:], "stored")
    alice.disconnect()
    before = resource.prlimit(chat.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(chat.pid, resource.RLIMIT_FSIZE, (os.path.getsize(wal), before[1]))
    try:
        yield
    finally:
        resource.prlimit(chat.pid, resource.RLIMIT_FSIZE, before)


@pytest.mark.promise(PLAIN, "disk full")
@pytest.mark.promise(SINCE, "disk full")
@pytest.mark.promise(DEVICE, "disk full")
@pytest.mark.promise(QOS_0, "disk full")
@pytest.mark.promise(CLEAN, "disk full")
@pytest.mark.promise(PERSISTENT, "disk full")
@pytest.mark.promise(QOS_2, "disk full")
def test_disk_full(brokers):
    """Live goes on for everybody; when there is room again history has it all."""
    # The signal that a file may not grow is ignored, as a full disk sends none.
    chat = with_history(brokers, history_queue_bytes="1m", command=["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"])
    chat.allow("history", "disk", "SQLite")
    readers, bob, phone = Readers(chat), chat.ws(B), chat.ws(C, device="phone")
    first = chat.mqtt(A).read_room()
    first.send({"message": "start"})
    start = first.expect(message="start")
    with full_disk(chat):
        say(chat, "abcd")
        chat.wait_log("cannot be written, messages wait in memory")
        readers.expect(["start", *"abcd"])
        for session in (bob, phone):
            for text in ["start", *"abcd"]:
                session.expect_message(text, A)
        # A replay cannot have what is not written, and says so.
        got = Replay(chat.plain_ws("early@example.com", since=start["id"]), timeout=20 * FACTOR)
        assert not got.complete() and got.texts() == [*"abcd"][:len(got.texts())]
        # The queue is bounded: at last nothing more is accepted, which each author is told, and nothing of that is delivered.
        author, count = chat.mqtt(A).read_notices(), 400
        burst(author, [{"message": "%d %s" % (n, "x" * 3900), "ref": "q%d" % n} for n in range(count)])
        answers = [author.next() for _ in range(count)]
        assert [answer["ref"] for answer in answers] == ["q%d" % n for n in range(count)]
        sent = [answer["type"] for answer in answers].count("ack")
        assert 0 < sent < count and {answer["type"] for answer in answers[:sent]} == {"ack"}
        assert {answer["code"] for answer in answers[sent:]} == {"unavailable"}
        for session in (bob, phone):
            for n in range(sent):
                session.expect(message=re.compile(r"%d x+" % n))
        readers.expect([re.compile(r"%d x+" % n) for n in range(sent)])
        readers.expect_nothing()
        bob.expect_nothing()
    wait_for(lambda: author.send({"message": "room again", "ref": "again"}) == 0, "room again", 10 * FACTOR)
    for client in (bob, phone, *readers.clients.values()):
        client.expect(message="room again")
    got = Replay(chat.plain_ws("late@example.com", since=start["id"]), timeout=20 * FACTOR)
    assert [t.split(" ")[0] for t in got.texts() if t[:4] != "room" and "mark" not in t] == [*"abcd", *map(str, range(sent))]
    assert got.complete() and got.texts()[-1] == "room again"


# readers that do not read

@pytest.mark.promise(QOS_0, "slow reader")
@pytest.mark.promise(CLEAN, "slow reader")
@pytest.mark.promise(PERSISTENT, "slow reader")
@pytest.mark.promise(QOS_2, "slow reader")
@pytest.mark.parametrize("way", [QOS_0, CLEAN, PERSISTENT, QOS_2])
def test_slow_mqtt_readers(brokers, way):
    """The broker keeps so many for a reader and drops the newest; order is kept, nothing comes twice, seq shows the gap."""
    chat = brokers(bridge=False, lines=["max_queued_messages 50", "max_inflight_messages 20"])
    chat.allow("Outgoing messages are being dropped")
    qos, clean = Readers.WAYS[way]
    client = chat.mqtt("reader@example.com", clean=clean, session_expiry=None if clean else 600).read_room(qos=qos)
    # 13 MB: more than kernel buffers hold.
    author, text, count = chat.mqtt(A), "😀" * 3900, 800
    for n in range(count):
        code = author.send({"message": "%d %s" % (n, text)}, qos=qos if n % 20 else max(qos, 1))
        assert code in (0, None)
    frames = []

    def again():
        """Reads on; a queue that is full drops answers to a ping too, so a message tells when it is not."""
        author.send({"message": "again"})
        with contextlib.suppress(TimeoutError):
            while not frames or frames[-1]["message"] != "again":
                frames.append(client.next(0.05))
        return frames[-1:] and frames[-1]["message"] == "again"
    wait_for(again, "a queue that is not full")
    while frames[-1]["message"] == "again":
        frames.pop()
    known = [int(frame["message"].split(" ")[0]) for frame in frames]
    assert known == sorted(set(known)) and 0 < len(known) < count
    if qos < 2:
        assert [dict(frame.properties["user"])["seq"] for frame in frames] == [str(n + 1) for n in known]
    # Still a reader.
    client._barrier()
    author.send({"message": "live"}, qos=qos)
    client.expect(message="live")
    client.expect_nothing()
