"""Who is online, as MQTT clients see it: retained events, the grace, and what a crash leaves behind."""

import os
import re
import signal
import subprocess
import time

import pytest

from harness.dialogue import FACTOR, TIMESTAMP, Closed, wait_for
from harness.wire import Refused, topic_level

A, B, C = "alice@example.com", "bob@example.com", "carol+x@example.com"
WATCHER, MARK = "watcher@chat.test", "mark@chat.test"
DAY = 86400

GRACE = {"presence_grace": "%dms" % (500 * FACTOR)}
NO_GRACE = {"presence_grace": "0s"}

class Watch:
    """A client that sees everybody's presence. own: those left out, the watcher itself and the marks."""

    def __init__(self, broker, user=WATCHER, qos=1, subscribe=True, **how):
        self.broker = broker
        self.client = broker.mqtt(user, **how)
        self.client.presence = True
        self.own = {user, WATCHER, MARK}
        if subscribe:
            code = self.client.subscribe(broker.root + "/users/+/presence", qos=qos)
            assert code is not None and code < 0x80

    def next(self, *more):
        """The next event about somebody else, checked."""
        while True:
            frame = self.client.next()
            assert not isinstance(frame, Closed), frame
            assert list(frame) == ["type", "user", "status", "timestamp"], frame
            assert frame["type"] == "presence" and TIMESTAMP.fullmatch(frame["timestamp"]), frame
            assert frame["status"] in ("online", "offline"), frame
            assert frame.topic == "%s/users/%s/presence" % (self.broker.root, topic_level(frame["user"])), frame
            if frame["user"] not in self.own or (frame["user"], frame["status"]) in more:
                return frame

    def expect(self, user, status):
        __tracebackhide__ = True
        frame = self.next()
        assert (frame["user"], frame["status"]) == (user, status), frame
        return frame

    def up_to(self, user, status):
        """All events before that one, which must come."""
        frames = []
        while True:
            frame = self.next((user, status))
            if (frame["user"], frame["status"]) == (user, status):
                return frames
            frames.append(frame)

    def expect_nothing_for_a_grace(self):
        """Somebody who leaves now is announced after everybody who has left before."""
        __tracebackhide__ = True
        mark = self.broker.mqtt(MARK)
        before = self.up_to(MARK, "online")
        mark.disconnect()
        before += self.up_to(MARK, "offline")
        assert not before, before


def announced(broker, user):
    """A client of user that everybody knows of."""
    watch = Watch(broker)
    client = broker.mqtt(user)
    watch.expect(user, "online")
    watch.client.disconnect()
    return client


# coming and going

@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("user", [A, C, "o'b/#+@example.com"])
def test_coming_and_going(brokers, user, version):
    broker = brokers(bridge=False, options=GRACE)
    watch = Watch(broker)
    client = broker.mqtt(user, version)
    came = watch.expect(user, "online")
    assert came.qos == 1 and not came.retain
    left_at = time.monotonic()
    client.disconnect()
    left = watch.expect(user, "offline")
    assert time.monotonic() - left_at >= 0.45 * FACTOR
    assert left["timestamp"] >= came["timestamp"]
    assert broker.mqtt(user, version)
    assert watch.expect(user, "online")["timestamp"] > left["timestamp"]


def test_properties(brokers):
    broker = brokers(bridge=False, options=NO_GRACE)
    watch = Watch(broker)
    alice = broker.mqtt(A)
    assert watch.expect(A, "online").properties == {
        "payload-format-indicator": 1, "content-type": "application/json"}
    alice.disconnect()
    properties = watch.expect(A, "offline").properties
    assert DAY - 5 <= properties.pop("message-expiry-interval") <= DAY
    assert properties == {"payload-format-indicator": 1, "content-type": "application/json"}


def test_what_a_subscriber_finds(brokers):
    """The last state of each, retained; an offline one for a day."""
    broker = brokers(bridge=False, options=NO_GRACE)
    watch = Watch(broker)
    alice = broker.mqtt(A)
    watch.expect(A, "online")
    bob = broker.mqtt(B)
    watch.expect(B, "online")
    bob.disconnect()
    left = watch.expect(B, "offline")
    late = Watch(broker, B + ".test")
    found = {frame["user"]: frame for frame in (late.next(), late.next())}
    assert found[A]["status"] == "online" and found[A].retain and "message-expiry-interval" not in found[A].properties
    assert found[B].raw == left.raw and found[B].retain
    assert DAY - 60 <= found[B].properties["message-expiry-interval"] <= DAY
    one = broker.mqtt(MARK)
    one._granted(alice.topic("presence"))
    assert one.next()["status"] == "online"
    # Who returns is online without an expiry, and found so.
    bob = broker.mqtt(B)
    watch.up_to(B, "online")
    one._granted(bob.topic("presence"))
    found = one.next()
    assert found["status"] == "online" and found.retain and "message-expiry-interval" not in found.properties


def test_a_websocket_session_counts(brokers):
    chat = brokers(options=GRACE)
    watch = Watch(chat)
    session = chat.ws(A)
    watch.expect(A, "online")
    phone = chat.mqtt(A)
    session.close()
    watch.expect_nothing_for_a_grace()
    phone.disconnect()
    watch.expect(A, "offline")


def test_back_within_the_grace(brokers):
    broker = brokers(bridge=False, options=GRACE)
    alice = announced(broker, A)
    watch = Watch(broker)
    since = watch.expect(A, "online")["timestamp"]
    for _ in range(5):
        alice.disconnect()
        alice = broker.mqtt(A)
    watch.expect_nothing_for_a_grace()
    assert Watch(broker, B).up_to(A, "online") == []
    # and it has been online all the time
    again = broker.mqtt(B)
    again._granted(alice.topic("presence"))
    assert again.next()["timestamp"] == since


def test_two_clients_of_one_identity(brokers):
    broker = brokers(bridge=False, options=GRACE)
    phone = announced(broker, A)
    watch = Watch(broker)
    watch.expect(A, "online")
    laptop = broker.mqtt(A)
    phone.disconnect()
    watch.expect_nothing_for_a_grace()
    laptop.close()
    watch.expect(A, "offline")


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("version", [4, 5])
def test_a_take_over(brokers, version, clean):
    """The new client enters before the old one leaves."""
    broker = brokers(bridge=False, options=GRACE)
    watch = Watch(broker)
    how = {"client_id": "phone", "clean": clean, "session_expiry": None if clean else 600}
    clients = [broker.mqtt(A, version, **how)]
    watch.expect(A, "online")
    for _ in range(4):
        clients.append(broker.mqtt(A, version, **how))
    watch.expect_nothing_for_a_grace()
    clients[-1].alive()
    clients[-1].disconnect()
    watch.expect(A, "offline")
    # A persistent session that is away is not there; when it comes, it is.
    if not clean:
        watch.expect_nothing_for_a_grace()
        broker.mqtt(A, version, **how)
        watch.expect(A, "online")


def test_another_identity_takes_the_client_id(brokers):
    broker = brokers(bridge=False, options=NO_GRACE)
    watch = Watch(broker)
    broker.mqtt(A, client_id="phone")
    watch.expect(A, "online")
    broker.mqtt(B, client_id="phone")
    frames = {(f["user"], f["status"]) for f in (watch.next(), watch.next())}
    assert frames == {(A, "offline"), (B, "online")}


def with_passwords(brokers, **people):
    broker = brokers(start=False, bridge=False, options=GRACE)
    path = broker.file("passwords", "", 0o600)
    for name, password in people.items():
        subprocess.run(["mosquitto_passwd", "-b", path, name + "@example.com", password], check=True)
    subprocess.run(["mosquitto_passwd", "-b", path, WATCHER, "w"], check=True)
    subprocess.run(["mosquitto_passwd", "-b", path, MARK, "m"], check=True)
    broker.lines.append("password_file " + path)
    make = broker.mqtt
    broker.mqtt = lambda user=None, *a, **how: make(user, *a, **{**how, **(
        {"password": {WATCHER: "w", MARK: "m"}[user]} if user in (WATCHER, MARK) else {})})
    return broker.start()


def leave_a_mark(watch):
    """As expect_nothing_for_a_grace, where a client counts on 2.0 once it has done something."""
    mark = watch.broker.mqtt(MARK)
    mark.subscribe("chat/rooms/general")
    before = watch.up_to(MARK, "online")
    mark.disconnect()
    return before + watch.up_to(MARK, "offline")


def test_wrong_passwords_disturb_nobody(brokers):
    broker = with_passwords(brokers, alice="rabbit", mallory="hatter")
    watch = Watch(broker)
    alice = broker.mqtt(A, client_id="phone", password="rabbit")
    alice.read_room()
    watch.expect(A, "online")
    for _ in range(5):
        for client_id in ("phone", "tablet"):
            for user in (A, "mallory@example.com", "nobody@example.com"):
                with pytest.raises(Refused):
                    broker.mqtt(user, client_id=client_id, password="wrong")
    assert not leave_a_mark(watch)
    alice.alive()
    # nor one without its session
    alice.disconnect()
    watch.expect(A, "offline")
    with pytest.raises(Refused):
        broker.mqtt(A, client_id="phone", password="wrong")
    assert not leave_a_mark(watch)


def test_asked_again_on_sighup(brokers):
    """The broker authenticates all its sessions again, those that are away included."""
    broker = brokers(bridge=False, options=GRACE)
    watch = Watch(broker)
    broker.mqtt(A)
    watch.expect(A, "online")
    away = broker.mqtt(B, client_id="away", clean=False, session_expiry=600)
    watch.expect(B, "online")
    away.disconnect()
    watch.expect(B, "offline")
    for _ in range(3):
        at = len(broker.log())
        broker.hup()
        broker.wait_log("Reloading config", since=at)
        watch.client.alive()
    watch.expect_nothing_for_a_grace()


def test_a_login_that_fails_later(brokers):
    """Let in by the plugin, turned away by the broker: nobody has seen anybody."""
    broker = brokers(bridge=False, options=NO_GRACE)
    broker.allow("protocol error")
    watch = Watch(broker)
    for _ in range(3):
        with pytest.raises(Refused):
            # Not accepted in a CONNECT, which the broker notices after it has asked who this is.
            broker.mqtt(A, version=5, will=("chat/rooms/general/send", b"x", 3, False))
    watch.expect_nothing_for_a_grace()


# who may

def test_nobody_without_an_address_reads_it(brokers):
    broker = brokers(bridge=False, options=NO_GRACE)
    watch = Watch(broker)
    early = broker.mqtt(None)
    early._granted("chat/users/+/presence")
    early._granted("chat/#")
    other = broker.mqtt("no address")
    other._granted("chat/users/+/presence")
    alice = broker.mqtt(A)
    watch.expect(A, "online")
    late = broker.mqtt(None)
    late._granted("chat/users/+/presence")
    for client in (early, late, other):
        code = client.subscribe(alice.topic("presence"))
        assert code >= 0x80
        client.expect_nothing()


@pytest.mark.parametrize("user", [A, B, "nobody@example.com"])
def test_nobody_writes_it(brokers, user):
    broker = brokers(bridge=False, options=NO_GRACE)
    watch = Watch(broker)
    alice = broker.mqtt(A).read_notices()
    watch.expect(A, "online")
    for payload in ({"type": "presence", "user": user, "status": "online", "timestamp": "2026-11-22T14:07:31.482Z"}, b""):
        for retain in (False, True):
            assert alice.publish("chat/users/%s/presence" % topic_level(user), payload, retain=retain) == 0x87
            alice.expect_error("not_allowed")
    watch.expect_nothing_for_a_grace()
    assert Watch(broker, B).up_to(A, "online") == []


def test_no_will_writes_it(brokers):
    broker = brokers(bridge=False, options=NO_GRACE)
    watch = Watch(broker)
    for user in (A, B):
        event = b'{"type":"presence","user":"%s","status":"online","timestamp":"2026-11-22T14:07:31.482Z"}' % user.encode()
        will = ("chat/users/%s/presence" % user, event, 1, True)
        try:
            alice = broker.mqtt(A, will=will)
        except Refused:
            continue
        watch.expect(A, "online")
        alice.close()
        watch.expect(A, "offline")
    watch.expect_nothing_for_a_grace()


def test_shared_subscriptions_see_it_too(brokers):
    broker = brokers(bridge=False, options=NO_GRACE)
    bob = broker.mqtt(B)
    bob._granted("$share/g/chat/users/%s/presence" % A)
    broker.mqtt(A)
    assert bob.next()["status"] == "online"


# many

def test_many_arrivals_and_departures(brokers):
    """One event for each, whatever else it has done."""
    broker = brokers(bridge=False, options=GRACE)
    watch = Watch(broker)
    users = ["user%d@example.com" % i for i in range(200)]
    clients = [broker.mqtt(user) for user in users]
    assert sorted(watch.next()["user"] for _ in users) == sorted(users)
    for client in clients[::2]:
        client.close()
    back = [broker.mqtt(user) for user in users[::4]]
    gone = {watch.next()["user"]: 1 for _ in range(50)}
    assert set(gone) == set(users[2::4])
    watch.expect_nothing_for_a_grace()
    late = Watch(broker, "late@chat.test")
    found = {}
    for _ in users:
        frame = late.next()
        found[frame["user"]] = frame["status"]
    assert found == {user: "offline" if user in gone else "online" for user in users}
    assert back


def test_a_bridge_that_is_killed(brokers):
    chat = brokers(options=GRACE)
    chat.allow("next start in", "protocol error")
    watch = Watch(chat)
    sessions = [chat.ws("user%d@example.com" % i) for i in range(20)]
    assert {watch.next()["user"] for _ in sessions} == {"user%d@example.com" % i for i in range(20)}
    stays = chat.mqtt("user0@example.com")
    os.kill(chat.bridge_pids()[0], signal.SIGKILL)
    gone = [watch.next() for _ in range(19)]
    assert {(f["user"], f["status"]) for f in gone} == {("user%d@example.com" % i, "offline") for i in range(1, 20)}
    watch.expect_nothing_for_a_grace()
    stays.alive()


# after a crash

def persistent(brokers, bridge=False, **options):
    broker = brokers(start=False, bridge=bridge, options=options)
    broker.lines += ["persistence true", "persistence_location %s/" % broker.folder, "autosave_interval 1000000"]
    return broker.start()


def saved(broker, *texts):
    """The broker's database on disk holds all of them."""
    path = os.path.join(broker.folder, "mosquitto.db")

    def there():
        broker.process.send_signal(signal.SIGUSR1)
        try:
            with open(path, "rb") as f:
                data = f.read()
        except OSError:
            return False
        return all(text in data for text in texts)
    wait_for(there, "a database with %r" % (texts,))


def event_start(user, status):
    return b'"user":"%s","status":"%s"' % (user.encode(), status.encode())


def crash(broker):
    broker.kill()
    broker.close_clients()
    broker.ended = False
    broker.start()


def test_a_crash_leaves_nobody(brokers):
    """Who was online then is never shown, and is offline for everybody after the settling time."""
    broker = persistent(brokers, **GRACE)
    watch = Watch(broker)
    broker.mqtt(A)
    bob = broker.mqtt(B)
    watch.expect(A, "online"), watch.expect(B, "online")
    bob.disconnect()
    left = watch.expect(B, "offline")
    saved(broker, event_start(A, "online"), event_start(B, "offline"))
    crash(broker)
    watch = Watch(broker)
    # what was true then and is still is found as it was
    assert watch.expect(B, "offline").raw == left.raw
    event = watch.expect(A, "offline")
    assert event["timestamp"] > left["timestamp"] and event.properties["message-expiry-interval"] >= DAY - 5
    watch.expect_nothing_for_a_grace()
    fresh = broker.mqtt("fresh@chat.test")
    fresh._granted("chat/users/%s/presence" % A)
    found = fresh.next()
    assert found.raw == event.raw and found.retain


def test_who_comes_back_after_a_crash(brokers):
    """Nothing false in between: online from its return on, and never offline."""
    broker = persistent(brokers, presence_grace="%dms" % (1500 * FACTOR))
    watch = Watch(broker)
    broker.mqtt(A)
    before = watch.expect(A, "online")
    saved(broker, event_start(A, "online"))
    crash(broker)
    watch = Watch(broker)
    broker.mqtt(A)
    event = watch.expect(A, "online")
    assert event["timestamp"] > before["timestamp"]
    watch.expect_nothing_for_a_grace()


def test_a_ghost_that_looks_in(brokers):
    """Here for less than a flush while it is a ghost: corrected all the same."""
    broker = persistent(brokers, presence_grace="%dms" % (1000 * FACTOR))
    watch = Watch(broker)
    broker.mqtt(A)
    watch.expect(A, "online")
    saved(broker, event_start(A, "online"))
    crash(broker)
    watch = Watch(broker)
    for _ in range(5):
        broker.mqtt(A).disconnect()
    frames = watch.up_to(A, "offline")
    assert all(f["status"] == "online" for f in frames)
    watch.expect_nothing_for_a_grace()


def test_a_stop_and_a_start(brokers):
    broker = persistent(brokers, **GRACE)
    alice = announced(broker, A)
    assert alice
    broker.restart()
    watch = Watch(broker)
    watch.expect(A, "offline")
    watch.expect_nothing_for_a_grace()


def told_before_the_crash(broker):
    """A persistent subscriber that knows alice as online, and what it sees after the crash."""
    how = {"client_id": "watcher", "clean": False, "session_expiry": 3600}
    watch = Watch(broker, **how)
    broker.mqtt(A)
    watch.expect(A, "online")
    watch.client.alive()
    saved(broker, event_start(A, "online"), b"watcher")
    crash(broker)
    started = time.monotonic()
    watch = Watch(broker, subscribe=False, **how)
    assert watch.client.session_present
    return watch, started


def test_a_persistent_subscriber_is_put_right(brokers):
    """Somebody else's subscription makes the broker look at what it retains."""
    broker = persistent(brokers)
    watch, started = told_before_the_crash(broker)
    other = broker.mqtt(None)
    other._granted("chat/users/+/presence")
    watch.expect(A, "offline")
    assert time.monotonic() - started < 5 * FACTOR
    other.expect_nothing()


def test_a_persistent_subscriber_that_comes_later(brokers):
    """It was away when ghosts were put right: the correction has waited for it."""
    broker = persistent(brokers, **GRACE)
    how = {"client_id": "watcher", "clean": False, "session_expiry": 3600}
    watch = Watch(broker, **how)
    broker.mqtt(A)
    watch.expect(A, "online")
    watch.client.alive()
    saved(broker, event_start(A, "online"), b"watcher")
    crash(broker)
    other = Watch(broker, B)
    other.up_to(A, "offline")
    watch = Watch(broker, subscribe=False, **how)
    assert watch.client.session_present
    frames = watch.up_to(A, "offline")
    assert not [f for f in frames if f["user"] == A], frames


def test_a_persistent_subscriber_is_put_right_by_the_bridge(brokers):
    """Nobody subscribes: the bridge's look at its start is enough."""
    broker = persistent(brokers, bridge=True)
    watch, started = told_before_the_crash(broker)
    watch.expect(A, "offline")
    assert time.monotonic() - started < 5 * FACTOR


def test_what_waits_for_a_subscriber_is_not_older_than_the_truth(brokers):
    """Queued for somebody who is away: of what has been replaced since, no "online" is left, and nothing is
    announced anew because of it."""
    broker = brokers(bridge=False, options=NO_GRACE)
    how = {"client_id": "watcher", "clean": False, "session_expiry": 3600}
    Watch(broker, **how).client.disconnect()
    witness = Watch(broker, B)
    for _ in range(3):
        alice = broker.mqtt(A)
        witness.up_to(A, "online")
        alice.disconnect()
        witness.up_to(A, "offline")
    watch = Watch(broker, subscribe=False, **how)
    seen = []
    mark = broker.mqtt(MARK)
    for frame in watch.up_to(MARK, "online"):
        if frame["user"] == A:
            seen.append(frame["status"])
    assert seen and set(seen) == {"offline"}, seen
    mark.disconnect()
    assert not [f for f in witness.up_to(MARK, "offline") if f["user"] == A]


# the key for named devices

def test_the_device_key(brokers):
    broker = persistent(brokers, bridge=True)
    path = os.path.join(broker.folder, "chat-device.key")
    with open(path) as f:
        key = f.read()
    assert re.fullmatch("[0-9a-f]{64}\n", key)
    assert os.stat(path).st_mode & 0o777 == 0o600
    inode = os.stat(path).st_ino
    broker.restart()
    with open(path) as f:
        assert f.read() == key
    assert os.stat(path).st_ino == inode
    assert key.strip() not in broker.log()
    assert not [name for name in os.listdir(broker.folder) if name.endswith(".new")]


def test_no_device_key_without_persistence(brokers):
    broker = brokers()
    assert not os.path.exists(os.path.join(broker.folder, "chat-device.key"))
    assert "chat-device.key" not in broker.log()


def make_short(path):
    with open(path, "w") as f:
        f.write("abc\n")
    os.chmod(path, 0o600)


def make_open(path):
    with open(path, "w") as f:
        f.write("a" * 64 + "\n")
    os.chmod(path, 0o640)


def make_link(path):
    with open(path + ".other", "w") as f:
        f.write("a" * 64 + "\n")
    os.chmod(path + ".other", 0o600)
    os.symlink(path + ".other", path)


def make_upper(path):
    with open(path, "w") as f:
        f.write("A" * 64 + "\n")
    os.chmod(path, 0o600)


@pytest.mark.parametrize("make", [make_short, make_open, make_link, make_upper, os.mkdir, os.mkfifo])
def test_a_device_key_that_is_none(brokers, make):
    """A warning; named devices then live as long as the broker. The file is left as it is."""
    broker = brokers(start=False)
    broker.lines += ["persistence true", "persistence_location %s" % broker.folder]
    path = os.path.join(broker.folder, "chat-device.key")
    make(path)
    before = os.lstat(path)
    broker.start()
    broker.wait_log(r"chat: .*chat-device\.key cannot be used \(.+\)")
    after = os.lstat(path)
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, before.st_size)
    broker.ws(A)


def test_a_folder_for_the_device_key_that_is_missing(brokers):
    broker = brokers(start=False)
    broker.lines += ["persistence true", "persistence_location %s/missing" % broker.folder]
    broker.allow("Error")
    broker.start()
    broker.wait_log(r"chat: .*missing/chat-device\.key cannot be used \(No such file")


