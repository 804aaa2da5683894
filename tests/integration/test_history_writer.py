"""History as the plugin writes it: what is in the file, when, and what happens when it cannot be written."""

import contextlib
import json
import os
import re
import sqlite3
import stat
import time

import pytest

from harness import valgrind as memcheck
from harness.dialogue import TIMEOUT, wait_for
from harness.wire import PUBCOMP, PUBLISH, PUBREC, PUBREL, string, write_properties
from test_supervision import FAKE, LIVE, credential

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"
GENERAL = "chat/rooms/general/send"
APPLICATION_ID, USER_VERSION = 0x6D634854, 1


class Database:
    """A reader of its own for each question: what a bridge would see at that moment."""

    def __init__(self, broker):
        self.path = broker.options["history_file"]

    def ask(self, sql, *values):
        with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % self.path, uri=True, timeout=5)) as db:
            return db.execute(sql, values).fetchall()

    def messages(self):
        return self.ask("SELECT m.n, m.id, p.kind, p.name, m.ref, m.body FROM messages m JOIN places p USING(place) ORDER BY n")

    def bodies(self):
        return [row[5] for row in self.messages()]

    def wait(self, count, timeout=8):
        """Until that many messages are there; returns them."""
        wait_for(lambda: self.ask("SELECT count(*) FROM messages")[0][0] >= count,
                 lambda: "%d messages in history, there are %r" % (count, self.messages()), timeout)
        rows = self.messages()
        assert len(rows) == count
        return rows

    def mailbox(self, address):
        return [n for n, in self.ask("SELECT n FROM mailbox JOIN users USING(user) WHERE address=? ORDER BY n", address)]

    def check(self):
        assert self.ask("PRAGMA integrity_check") == [("ok",)]

    @contextlib.contextmanager
    def held(self):
        """Nobody else can write meanwhile."""
        db = sqlite3.connect(self.path, timeout=5, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            db.execute("ROLLBACK")
            db.close()


@pytest.fixture
def keeper(brokers):
    """keeper(**options): the plugin alone, with history."""
    def make(start=True, bridge=False, path=None, **options):
        broker = brokers(start=False, bridge=bridge, options=options)
        broker.options["history_file"] = path or os.path.join(broker.folder, "chat.db")
        broker.database = Database(broker)
        return broker.start() if start else broker
    return make


def qos2_publish(client, topic, payload, mid=b"\0\x4d"):
    client.packet(PUBLISH, 4, string(topic) + mid + (write_properties({}) if client.version == 5 else b"") + payload)
    answer = client._wait(PUBREC, mid)
    assert answer is not None and (len(answer) < 3 or answer[2] < 0x80)


def qos2_release(client, mid=b"\0\x4d"):
    client.packet(PUBREL, 2, mid)
    assert client._wait(PUBCOMP, mid) is not None


# what is in it

def test_the_file(keeper):
    broker = keeper()
    assert stat.S_IMODE(os.stat(broker.database.path).st_mode) == 0o600
    assert broker.database.ask("PRAGMA application_id") == [(APPLICATION_ID,)]
    assert broker.database.ask("PRAGMA user_version") == [(USER_VERSION,)]
    assert broker.database.ask("PRAGMA journal_mode") == [("wal",)]
    broker.mqtt(A).send({"message": "hi"})
    broker.database.wait(1)
    for end in "-wal", "-shm":
        assert stat.S_IMODE(os.stat(broker.database.path + end).st_mode) == 0o600


def test_the_bytes_that_were_delivered(keeper):
    broker = keeper(bridge=True)
    alice = broker.mqtt(A).read_notices()
    bob = broker.mqtt(B).read_room().read_room("other").read_inbox()
    carol = broker.ws(C)
    got = []
    for message, where in [({"message": "h\u00e4 \"q\" \U0001f600 \\ /", "ref": "r\u00f6"}, {}), ({"message": "psst"}, {"to": B}),
                           ({"message": "o"}, {"room": "other"}), ({"message": "0", "ref": "z"}, {"qos": 0})]:
        alice.send(message, **where)
        got.append(bob.expect(sender=A))
    carol.send({"message": "ws"})
    got.append(bob.expect(sender=C))
    rows = broker.database.wait(5)
    assert [row[5].encode() for row in rows] == [frame.raw for frame in got]
    assert [row[1] for row in rows] == [frame["id"] for frame in got]
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5]
    assert [row[2:4] for row in rows] == [(0, "general"), (1, A + "_" + B), (0, "other"), (0, "general"), (0, "general")]
    assert [row[4] for row in rows] == ["r\u00f6", None, None, "z", None]
    broker.database.check()


def test_what_is_not_kept(keeper):
    broker = keeper()
    alice = broker.mqtt(A)
    alice.send({"type": "typing"})
    assert alice.send({"message": ""}) == 0x87
    alice.send({"message": "one", "ref": "r"})
    alice.send({"message": "one", "ref": "r"})
    alice.publish("elsewhere", b"x")
    alice.send({"message": "last"})
    assert [json.loads(body)["message"] for body in [row[5] for row in broker.database.wait(2)]] == ["one", "last"]


def test_mailboxes(keeper):
    broker = keeper()
    bob, tag = broker.mqtt(B), "a_b+c@x.org"
    broker.mqtt(tag).send({"message": "1"}, to=B)
    bob.send({"message": "2"}, to=tag)
    bob.send({"message": "3"}, to=B)
    bob.send({"message": "4"})
    bob.send({"message": "5"}, to=A)
    rows = broker.database.wait(5)
    assert [row[3] for row in rows] == [tag + "_" + B, tag + "_" + B, B + "_" + B, "general", A + "_" + B]
    assert broker.database.mailbox(B) == [1, 2, 3, 5]
    assert broker.database.mailbox(tag) == [1, 2]
    assert broker.database.mailbox(A) == [5]


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("way", ["room", "direct"])
def test_exactly_once_messages_move_behind(keeper, way, version):
    """Kept when the author has been promised delivery, and numbered again when it happens."""
    broker = keeper()
    bob = broker.mqtt(B).read_room().read_inbox()
    alice, carol = broker.mqtt(A, version).read_inbox(), broker.mqtt(C)
    topic = GENERAL if way == "room" else "chat/users/%s/send" % B
    qos2_publish(alice, topic, b'{"message":"twice"}')
    first = broker.database.wait(1)
    assert first[0][0] == 1
    carol.send({"message": "between"})
    between = bob.expect_message("between", C)
    assert "late" not in dict(between.properties["user"])
    bob.expect_nothing()
    qos2_release(alice)
    late = bob.expect_message("twice", A)
    assert dict(late.properties["user"])["late"] == "1"
    if way == "direct" and version == 5:
        assert dict(alice.expect_message("twice", A).properties["user"])["late"] == "1"
    wait_for(lambda: [row[0] for row in broker.database.messages()] == [2, 3], broker.database.messages)
    rows = broker.database.messages()
    assert [row[1] for row in rows] == [between["id"], late["id"]]
    assert rows[1][5].encode() == late.raw
    if way == "direct":
        assert broker.database.mailbox(A) == broker.database.mailbox(B) == [3]
    carol.send({"message": "after"})
    assert broker.database.wait(3)[2][0] == 4


# faults

@pytest.mark.parametrize("sync", ["off", "on"])
def test_an_acked_message_survives_a_kill(keeper, sync):
    for _ in range(3):
        broker = keeper(history_sync=sync)
        alice = broker.mqtt(A).read_notices()
        for n in range(200):
            alice.send({"message": "m%d" % n}, qos=0)
        alice.send({"message": "last", "ref": "r"})
        ack = alice.expect_ack("r")
        if sync == "off":
            time.sleep(0.1)
        broker.kill()
        broker.database.check()
        rows = broker.database.messages()
        assert [json.loads(row[5])["message"] for row in rows] == ["m%d" % n for n in range(200)] + ["last"]
        assert rows[-1][1] == ack["id"]


def test_what_is_queued_at_the_end_is_written(keeper):
    broker = keeper()
    alice = broker.mqtt(A)
    for n in range(500):
        alice.send({"message": "m%d" % n}, qos=0)
    alice.alive()
    assert broker.terminate() == 0
    assert len(broker.database.messages()) == 500
    broker.database.check()


def test_sync_acks_what_is_on_disk(keeper):
    broker = keeper(history_sync="on")
    alice = broker.mqtt(A).read_notices()
    for n in range(20):
        alice.send({"message": "m%d" % n, "ref": "r%d" % n})
        ack = alice.expect_ack("r%d" % n)
        assert broker.database.messages()[-1][1] == ack["id"]
    with broker.database.held():
        alice.send({"message": "held", "ref": "h"})
        # A resend is no way around; an error and what needs no disk are.
        alice.send({"message": "held", "ref": "h"})
        alice.send({"message": ""})
        alice.expect_error("empty_message", "message")
        alice.send({"type": "typing", "ref": "t"})
        alice.expect(type="ack", ref="t")
        alice.expect_nothing()
    first = alice.expect_ack("h")
    assert alice.expect_ack("h")["id"] == first["id"]
    assert broker.database.messages()[-1][1] == first["id"]


def test_without_sync_nobody_waits(keeper):
    broker = keeper()
    alice = broker.mqtt(A).read_notices()
    with broker.database.held():
        alice.send({"message": "held", "ref": "h"})
        alice.expect_ack("h")
    broker.database.wait(1)


@pytest.mark.parametrize("sync", ["off", "on"])
def test_a_full_queue(keeper, sync):
    """While the disk cannot be written: accepted up to the bound, then refused; nothing accepted is lost."""
    broker = keeper(history_queue_bytes="1m", history_sync=sync)
    alice, bob = broker.mqtt(A).read_notices(), broker.mqtt(B).read_room()
    accepted, text = [], "x" * 4000
    with broker.database.held():
        for n in range(400):
            code = alice.send({"message": "%d %s" % (n, text[:3990]), "ref": "r%d" % n})
            if code == 0x87:
                break
            accepted.append(bob.expect(sender=A).raw)
        assert 200 < len(accepted) < 270, len(accepted)
        if sync == "off":
            for i in range(n):
                alice.expect_ack("r%d" % i)
        alice.expect_error("unavailable", ref="r%d" % n)
        alice.expect_nothing()
        bob.expect_nothing()
        # What needs no disk goes on, and the broker answers at once.
        alice.send({"type": "typing"})
        begun = time.monotonic()
        for _ in range(20):
            alice.alive()
        assert time.monotonic() - begun < 2
        broker.wait_log("bytes wait to be written")
        broker.wait_log("cannot be written, messages wait in memory")
        assert alice.send({"message": text, "ref": "f"}) == 0x87
        alice.expect_error("unavailable", ref="f")
    rows = wait_for(lambda: len(broker.database.bodies()) >= len(accepted) and broker.database.bodies(), "what was accepted")
    assert [body.encode() for body in rows] == accepted
    if sync == "on":
        for i in range(n):
            alice.expect_ack("r%d" % i)
    broker.wait_log("is written again")
    assert alice.send({"message": "again"}) == 0
    assert len(re.findall("cannot be written|bytes wait", broker.log())) == 2
    broker.database.check()


def test_a_file_that_is_taken_away(keeper):
    broker = keeper()
    broker.allow("not where it was")
    alice = broker.mqtt(A)
    alice.send({"message": "before"})
    broker.database.wait(1)
    os.unlink(broker.database.path)
    alice.send({"message": "after"})
    wait_for(lambda: os.path.exists(broker.database.path), "a new file")
    rows = wait_for(lambda: ready(broker), "the message in it")
    assert [json.loads(body)["message"] for body in rows] == ["after"]
    broker.database.check()
    assert stat.S_IMODE(os.stat(broker.database.path).st_mode) == 0o600
    broker.wait_log("not where it was")


def ready(broker):
    try:
        return broker.database.bodies()
    except sqlite3.Error:
        return None


# over a restart

@pytest.mark.parametrize("way", ["terminate", "kill"])
def test_a_resend_after_a_restart(keeper, way):
    broker = keeper()
    alice = broker.mqtt(A).read_notices()
    alice.send({"message": "once", "ref": "r"})
    ack = alice.expect_ack("r")
    alice.send({"message": "psst", "ref": "d"}, to=B)
    direct = alice.expect_all({"type": "ack", "ref": "d"}, {"code": "recipient_offline"})[0]
    broker.database.wait(2)
    broker.terminate() if way == "terminate" else broker.kill()
    broker.close_clients()
    broker.start()
    bob = broker.mqtt(B).read_room().read_inbox()
    other = broker.mqtt(C).read_notices()
    alice = broker.mqtt(A).read_notices()
    alice.send({"message": "once", "ref": "r"})
    again = alice.expect_ack("r")
    assert (again["id"], again["timestamp"]) == (ack["id"], ack["timestamp"])
    alice.send({"message": "psst", "ref": "d"}, to=B)
    again = alice.expect_ack("d")
    assert (again["id"], again["timestamp"]) == (direct["id"], direct["timestamp"])
    bob.expect_nothing()
    other.send({"message": "mine", "ref": "r"})
    assert other.expect_ack("r")["id"] > direct["id"]
    bob.expect_message("mine", C)
    assert [row[0] for row in broker.database.wait(3)] == [1, 2, 3]


def test_ids_never_go_back(keeper):
    """A clock that was ahead when the file was written: the ids go on behind it, and the log says so."""
    broker = keeper()
    alice = broker.mqtt(A)
    alice.send({"message": "1"})
    broker.database.wait(1)
    broker.terminate()
    future = "7ZZZZZZZZ0ZZZZZZZZZZZZZZZZ"
    with contextlib.closing(sqlite3.connect(broker.database.path)) as db:
        db.execute("UPDATE messages SET id=?, n=77", (future,))
        db.commit()
    broker.close_clients()
    broker.start()
    broker.wait_log("ahead of this machine's clock")
    alice = broker.mqtt(A)
    alice.send({"message": "2"})
    rows = broker.database.wait(2)
    assert rows[0][1] == future and rows[1][1] > future and rows[1][0] == 78


def test_position(keeper):
    """The last number and the newest id of what is kept, also when that was before a restart. What is released late
    gets a new number and has an older id."""
    broker = keeper(start=False, bridge=True)
    broker.options["bridge_program"] = broker.file("fake-bridge", FAKE.replace("#BODY#", LIVE), 0o755)
    broker.start()
    alice, bob = broker.mqtt(A), broker.mqtt(B).read_room()
    ask = Asker(broker)
    assert ask.position() == ("0", "-")
    alice.send({"message": "1"})
    first = bob.expect_message("1", A)["id"]
    assert ask.position() == ("1", first)
    qos2_publish(alice, GENERAL, b'{"message":"2"}')
    alice.send({"message": "3"})
    third = bob.expect_message("3", A)["id"]
    assert ask.position() == ("3", third)
    qos2_release(alice)
    assert bob.expect_message("2", A)["id"] < third
    assert ask.position() == ("4", third)
    broker.restart()
    assert Asker(broker, 1).position() == ("4", third)


class Asker:
    """A session of a bridge, with the credential that the bridge was given."""

    tokens = 0

    def __init__(self, broker, number=0):
        self.session = broker.mqtt(C, unix=broker.socket_path, password=credential(broker, number), client_id="ws-asker")
        self.session.read_session_notices()

    def position(self):
        Asker.tokens += 1
        self.session.publish("chat/sync", b"position %d" % Asker.tokens)
        verb, token, n, ident = self.session.next().raw.decode().split(" ")
        assert (verb, token) == ("position", str(Asker.tokens))
        return n, ident


# retention

def test_the_number_of_messages(keeper):
    broker = keeper(history_messages="100")
    alice = broker.mqtt(A)
    for n in range(300):
        alice.send({"message": "m%d" % n}, qos=0, **({"to": B} if n % 2 else {}))
    wait_for(lambda: broker.database.ask("SELECT max(n), count(*) FROM messages") == [(300, 100)],
             lambda: broker.database.ask("SELECT max(n), count(*) FROM messages"))
    assert [row[0] for row in broker.database.messages()] == list(range(201, 301))
    assert broker.database.mailbox(A) == broker.database.mailbox(B) == list(range(202, 301, 2))
    broker.database.check()


def test_the_age_of_messages(keeper):
    days = 30 if memcheck.ALL else 1  # seconds; none of them is that old before the last one is written
    broker = keeper(history_days="%ds" % days)
    alice = broker.mqtt(A)
    for n in range(700):
        alice.send({"message": "m"}, qos=0, to=B)
    alice.alive()
    broker.terminate()
    assert len(broker.database.messages()) == 700
    newest = broker.database.messages()[-1][1]
    wait_for(lambda: time.time() * 1000 > _milliseconds(newest) + 1000 * days, "old age", 2 * days + TIMEOUT)
    broker.close_clients()
    broker.start()
    wait_for(lambda: broker.database.messages() == [], "an empty history")
    assert broker.database.mailbox(A) == []
    broker.mqtt(A).send({"message": "new"})
    broker.database.wait(1)
    broker.database.check()


def _milliseconds(ulid):
    value = 0
    for c in ulid[:10]:
        value = value * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(c)
    return value


# refused starts

def _text(path):
    with open(path, "w") as f:
        f.write("this is no database, whatever its name says\n" * 50)


def _other(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t(x)")
        db.commit()


def _newer(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t(x)")
        db.execute("PRAGMA application_id=%d" % APPLICATION_ID)
        db.execute("PRAGMA user_version=%d" % (USER_VERSION + 1))
        db.commit()


@pytest.mark.parametrize("make, says", [
    (_text, "not a database"), (_other, "no chat history"), (_newer, "version 2"), (os.mkdir, "(?i)directory"), (os.mkfifo, "regular file"),
], ids=["text", "other", "newer", "folder", "pipe"])
def test_a_file_that_is_none(keeper, make, says):
    broker = keeper(start=False)
    make(broker.database.path)
    before = os.stat(broker.database.path)
    log = broker.start_refused()
    line = next((line for line in log.splitlines() if "history_file" in line), None)
    assert line and broker.database.path in line and re.search(says, line), log
    after = os.stat(broker.database.path)
    assert (before.st_size, before.st_mode) == (after.st_size, after.st_mode)


@pytest.mark.parametrize("path", ["/nonexistent/chat.db", "/proc/chat.db", "/dev/null/chat.db"])
def test_a_folder_that_takes_none(keeper, path):
    broker = keeper(start=False, path=path)
    line = next((line for line in broker.start_refused().splitlines() if "history_file" in line), None)
    assert line and path in line and len(line.split(path)[1]) > 5, line


def test_two_brokers_on_one_file(keeper):
    first = keeper()
    second = keeper(start=False, path=first.database.path)
    assert "another broker" in second.start_refused()
    first.mqtt(A).send({"message": "x"})
    first.database.wait(1)


def test_a_file_cut_short(keeper):
    broker = keeper()
    alice = broker.mqtt(A)
    for n in range(300):
        alice.send({"message": "m%d" % n}, qos=0)
    alice.alive()
    broker.terminate()
    with open(broker.database.path, "r+b") as f:
        f.truncate(os.path.getsize(broker.database.path) // 8)
    assert re.search("malformed|corrupt|damaged", keeper(start=False, path=broker.database.path).start_refused())


def test_off_is_off(broker):
    """No option, no file, no thread."""
    broker.mqtt(A).send({"message": "x"})
    assert not [name for name in os.listdir(broker.folder) if "db" in name]
    names = []
    for task in os.listdir("/proc/%d/task" % broker.pid):
        with open("/proc/%d/task/%s/comm" % (broker.pid, task)) as f:
            names.append(f.read().strip())
    assert "chat-history" not in names
