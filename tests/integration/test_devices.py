"""Named devices: the broker keeps what they miss, and brings it when they return."""

import os
import re
import signal
import stat
import time

import pytest

from harness.dialogue import ABSENT, Closed, wait_for
from harness.history import INBOX, Pour, Replay, cut, is_message, raws, with_history, say
from harness.wire import topic_level

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"


@pytest.fixture(params=["shared", "session"])
def chat(request, brokers):
    """No history: what is missed waits at the broker alone."""
    return brokers(options={"fanout": request.param})


def visit(chat, user=B, device="phone", rooms=None, make=None, **query):
    """A session of that device that is in its rooms: ready comes before what it has missed."""
    query.setdefault("events", "typing")
    session = (make or chat.plain_ws)(user, device=device, rooms=rooms, **query)
    session.expect_ready(rooms or [chat.room])
    return session


def leave(chat, session):
    """Closes it and waits until the broker has seen it go."""
    since = len(chat.log())
    name = session_name(chat, session.address)
    session.close()
    chat.wait_log(r"Client %s (\[.*\] )?(disconnected|closed)" % re.escape(name), since=since)


def session_name(chat, user):
    """The client id of that user's newest session, which only the broker's log tells."""
    return re.findall(r"as (ws-[\w-]+) .*u'%s'" % re.escape(user), chat.log())[-1]


@pytest.mark.promise("device session", "client connection cut")
def test_what_was_missed_waits(chat):
    leave(chat, visit(chat))
    wanted = []
    for n in range(5):
        wanted += say(chat, ["room %d" % n]) + say(chat, ["direct %d" % n], to=B)
        say(chat, ["elsewhere"], room="other")
    phone = visit(chat)
    got = [phone.next() for _ in wanted]
    assert raws(got) == raws(wanted)
    phone.expect_nothing()
    live = say(chat, ["live"])
    assert phone.expect_message("live", A).raw == live[0].raw
    # And not a second time.
    leave(chat, phone)
    phone = visit(chat)
    phone.expect_nothing()


def test_missed_comes_before_live(chat):
    """While messages pour in: what was missed, then what is live, without a gap or a repetition."""
    leave(chat, visit(chat))
    pour = Pour(chat)
    pour.at_least(200)
    phone = visit(chat)
    for n in range(300):
        phone.expect(message=str(n))
    count = pour.stop()
    for n in range(300, count):
        phone.expect(message=str(n))
    phone.expect_nothing()


def test_qos_0_does_not_wait(chat):
    """The broker keeps nothing of that for who is away; sessions send with QoS 1."""
    leave(chat, visit(chat))
    alice, carol = chat.mqtt(A), chat.ws(C)
    alice.send({"message": "qos 0"}, qos=0)
    alice.send({"message": "qos 1"})
    carol.expect_message("qos 0", A)
    carol.expect_message("qos 1", A)
    carol.send({"message": "by a session", "ref": "r"})
    carol.expect_ack("r")
    alice.send({"message": "qos 0"}, qos=0)
    carol.expect_message("qos 0", A)
    phone = visit(chat)
    phone.expect_message("qos 1", A)
    phone.expect_message("by a session", C)
    phone.expect_nothing()
    # The number of the next one shows the gap, which is no loss on the way here.
    alice.send({"message": "live"})
    phone.expect_message("live", A)
    phone.expect_nothing()


@pytest.mark.parametrize("inflight", [1000, 20])
@pytest.mark.parametrize("reader", ["fast", "slow"])
def test_much_was_missed(brokers, reader, inflight):
    """More than an outbox holds: it comes as fast as the client takes it, and nobody is closed for that."""
    chat = brokers(lines=["max_inflight_messages %d" % inflight])
    leave(chat, visit(chat))
    count, text = 900, "x" * 3900
    author = chat.mqtt(A)
    for n in range(count):
        author.send({"message": "%d %s" % (n, text)})
        if n % 100 == 50:
            author.send({"message": "not kept for who is away"}, qos=0)
    phone = chat.raw_ws(B, device="phone", receive_buffer=4096 if reader == "slow" else None)
    if reader == "slow":
        # Somebody else is served meanwhile.
        other = chat.ws(C)
        say(chat, ["live"])
        other.expect_message("live", A)
    for n in range(count):
        frame = phone.next(20)
        assert not isinstance(frame, Closed) and frame["message"] == "%d %s" % (n, text), (n, frame)
    if reader == "slow":
        phone.expect_message("live", A)
    phone.expect_nothing()


def test_much_was_missed_by_a_small_outbox(brokers):
    """It pauses many times on the way, and goes on each time."""
    chat = brokers(options={"outbox_bytes": "64k"})
    texts = ["%d %s" % (n, "😀" * 3900) for n in range(60)]
    for n in range(8):
        leave(chat, visit(chat))
        say(chat, texts)
        phone = visit(chat)
        for text in texts:
            phone.expect_message(text, A)
        leave(chat, phone)


def test_a_session_without_a_name_misses_it(chat):
    bob = chat.ws(B)
    leave(chat, bob)
    say(chat, ["missed"])
    bob = chat.ws(B)
    bob.expect_nothing()


def test_devices_are_apart(chat):
    leave(chat, visit(chat, device="phone"))
    laptop = visit(chat, device="laptop")
    say(chat, ["one"])
    laptop.expect_message("one", A)
    leave(chat, laptop)
    say(chat, ["two"])
    phone, laptop = visit(chat, device="phone"), visit(chat, device="laptop")
    phone.expect_message("one", A)
    phone.expect_message("two", A)
    laptop.expect_message("two", A)
    phone.expect_nothing()
    laptop.expect_nothing()


def test_the_same_name_of_two_people_is_two_devices(chat):
    bob, carol = visit(chat, B), visit(chat, C)
    assert session_name(chat, B) != session_name(chat, C)
    leave(chat, bob)
    say(chat, ["for bob"], to=B)
    say(chat, ["for carol"], to=C)
    carol.expect_message("for carol", A)
    carol.expect_nothing()
    bob = visit(chat, B)
    bob.expect_message("for bob", A)
    bob.expect_nothing()


def test_a_device_keeps_its_name_at_the_broker(chat):
    """Names are derived, differ in every way that matters, and tell nothing."""
    names = []
    for user, device in ((B, "phone"), (B, "phone"), (B, "Phone"), (B, "laptop"), (C, "phone"), ("bob@EXAMPLE.com", "phone")):
        session = visit(chat, user, device)
        names.append(session_name(chat, user.lower()))
        leave(chat, _Renamed(session, user.lower()))
    assert names[0] == names[1] == names[5] and len(set(names)) == 4
    for name in names:
        assert "phone" not in name.lower() and "bob" not in name.lower() and len(name) >= 3 + 16


class _Renamed:
    """The session under the spelling of its address that the log has."""

    def __init__(self, session, address):
        self.session, self.address = session, address

    def close(self):
        self.session.close()


def test_own_messages_of_other_sessions_wait_too(chat):
    """A device is told what its owner said elsewhere; what it said itself it knows."""
    phone = visit(chat)
    phone.send({"message": "by phone", "ref": "p"})
    phone.expect_ack("p")
    leave(chat, phone)
    laptop = chat.ws(B)
    laptop.send({"message": "by laptop", "ref": "l"})
    laptop.expect_ack("l")
    phone = visit(chat)
    phone.expect_message("by laptop", B)
    phone.expect_nothing()


# rooms of a visit

def test_rooms_changed_between_visits(chat):
    leave(chat, visit(chat, rooms=["one", "two"]))
    say(chat, ["one away"], room="one")
    two = say(chat, ["two away"], room="two")
    say(chat, ["three away"], room="three")
    phone = visit(chat, rooms=["two", "three"])
    assert phone.expect_message("two away", A).raw == two[0].raw
    phone.expect_nothing()
    say(chat, ["one live"], room="one")
    for room in ("two", "three"):
        say(chat, [room + " live"], room=room)
        phone.expect_message(room + " live", A, room=room)
    phone.expect_nothing()
    leave(chat, phone)
    # What the last visit asked for is what waits.
    say(chat, ["one later"], room="one")
    say(chat, ["three later"], room="three")
    phone = visit(chat, rooms=["one", "two", "three"])
    phone.expect_message("three later", A, room="three")
    phone.expect_nothing()


def test_rooms_joined_and_left_in_a_visit(chat):
    phone = visit(chat, rooms=["one"])
    phone.join("two")
    phone.leave("one")
    leave(chat, phone)
    say(chat, ["one away"], room="one")
    say(chat, ["two away"], room="two")
    phone = visit(chat, rooms=["one", "two"])
    phone.expect_message("two away", A, room="two")
    phone.expect_nothing()
    say(chat, ["live"], room="one")
    phone.expect_message("live", A, room="one")


def test_other_parameters_of_a_visit(chat):
    """events and echo are the visit's, not the device's."""
    leave(chat, visit(chat, events="typing", echo="1"))
    chat.mqtt(A).send({"type": "typing"})
    say(chat, ["a"])
    phone = chat.plain_ws(B, device="phone")
    phone.expect_message("a", A)
    phone.send({"message": "mine", "ref": "m"})
    phone.expect_ack("m")
    chat.mqtt(C).send({"type": "typing"})
    phone.expect_nothing()


# one device, one session

def test_the_same_device_replaces(chat):
    old = visit(chat)
    other = visit(chat, device="laptop")
    new = visit(chat)
    old.expect_close(4104)
    say(chat, ["a"])
    new.expect_message("a", A)
    other.expect_message("a", A)
    new.expect_nothing()
    other.expect_nothing()


def test_the_same_device_on_another_bridge(brokers):
    chat = brokers(options={"bridges": "2"})
    sessions = [visit(chat) for _ in range(10)]
    for session in sessions[:-1]:
        session.expect_close(4104)
    say(chat, ["a"])
    sessions[-1].expect_message("a", A)
    sessions[-1].expect_nothing()


def test_replaced_while_messages_pour_in(brokers):
    """Each visit replaces the one before and says what it saw last: nothing twice, no gap."""
    chat = with_history(brokers)
    first = say(chat, ["start"])[0]
    pour = Pour(chat, rate=300)
    seen, last, old = [], first["id"], None
    for _ in range(6):
        session = chat.raw_ws(B, device="phone", since=last)
        replay = Replay(session)
        assert replay.complete()
        if old is not None:
            frames, _ = old.drain_until_close(4104)
        got = replay.all()
        assert [int(f["message"]) for f in got] == list(range(len(seen), len(seen) + len(got)))
        got += [session.next() for _ in range(20)]
        seen += [int(f["message"]) for f in got]
        last, old = got[-1]["id"], session
    pour.stop()
    assert seen == list(range(len(seen)))


# with since

@pytest.mark.parametrize("fanout", ["shared", "session"])
def test_with_since_it_is_exact(brokers, fanout):
    """What waits at the broker and what history has are the same messages: each comes once."""
    chat = with_history(brokers, fanout=fanout)
    phone = visit(chat)
    last = say(chat, ["start"])[0]
    phone.expect_message("start", A)
    for n in range(3):
        leave(chat, phone)
        room, direct = say(chat, ["a", "b"]), say(chat, ["c"], to=B)
        phone = chat.plain_ws(B, device="phone", since=last["id"])
        replay = Replay(phone)
        assert raws(replay.replay["general"]) == raws(room) and replay.complete()
        assert raws(replay.replay[INBOX]) == raws(direct) and replay.complete(INBOX)
        phone.expect_nothing()
        last = say(chat, ["live %d" % n])[0]
        phone.expect_message("live %d" % n, A)


def test_with_an_older_since(brokers):
    """since asks for more than waits at the broker: it gets that, each once, in order."""
    chat = with_history(brokers)
    frames = say(chat, "abc")
    phone = visit(chat)
    more = say(chat, "d")
    phone.expect_message("d", A)
    leave(chat, phone)
    away = say(chat, "ef")
    replay = Replay(chat.plain_ws(B, device="phone", since=frames[0]["id"]))
    assert raws(replay.replay["general"]) == raws(frames[1:] + more + away)


def test_with_a_newer_since(brokers):
    """What waits at the broker but was seen elsewhere does not come again."""
    chat = with_history(brokers)
    leave(chat, visit(chat))
    frames = say(chat, "abc")
    session = chat.plain_ws(B, device="phone", since=frames[1]["id"])
    replay = Replay(session)
    assert raws(replay.all()) == raws(frames[2:])
    session.expect_nothing()


def test_with_since_while_messages_pour_in(brokers):
    chat = with_history(brokers)
    first = say(chat, ["start"])[0]
    pour = Pour(chat)
    seen, last = [], first["id"]
    while len(seen) < 600:
        pour.at_least(len(seen) + 30)
        session = chat.raw_ws(B, device="phone", since=last)
        replay = Replay(session)
        got = replay.all() + [session.next() for _ in range(15)]
        cut(session)
        assert not any(isinstance(frame, Closed) for frame in got) and replay.complete()
        seen += [int(frame["message"]) for frame in got]
        assert seen == list(range(len(seen)))
        last = got[-1]["id"]
    count = pour.stop()
    replay = Replay(chat.raw_ws(B, device="phone", since=last))
    seen += [int(frame["message"]) for frame in replay.replay["general"]]
    assert seen == list(range(count))


def test_with_since_and_no_history(chat):
    """Nothing can be replayed from history; what waits at the broker still comes."""
    phone = visit(chat)
    first = say(chat, ["start"])[0]
    phone.expect_message("start", A)
    leave(chat, phone)
    away = say(chat, "ab") + say(chat, ["psst"], to=B)
    phone = chat.plain_ws(B, device="phone", since=first["id"])
    frames = [phone.next() for _ in range(len(away) + 2)]
    ends = [frame for frame in frames if frame.get("type") == "recovered"]
    assert len(ends) == 2 and not any(end["complete"] for end in ends)
    phone.expect_nothing()
    assert sorted(raws(frame for frame in frames if is_message(frame))) == sorted(raws(away))


# how long

@pytest.mark.parametrize("expiry", ["1s", "0s"])
def test_forgotten_after_session_expiry(brokers, expiry):
    chat = brokers(options={"session_expiry": expiry})
    phone = visit(chat)
    name = session_name(chat, B)
    leave(chat, phone)
    if expiry != "0s":
        chat.wait_log("Expiring.*%s" % re.escape(name), timeout=20)
    say(chat, ["missed"])
    phone = visit(chat)
    phone.expect_nothing()
    say(chat, ["live"])
    phone.expect_message("live", A)
    phone.expect_nothing()


def test_within_session_expiry(brokers):
    chat = brokers(options={"session_expiry": "10s"})
    leave(chat, visit(chat))
    say(chat, ["missed"])
    phone = visit(chat)
    phone.expect_message("missed", A)


# things that break

@pytest.mark.promise("device session", "bridge killed")
def test_bridge_killed(chat):
    chat.allow("chat-bridge", "Socket error", "protocol error")
    for n in range(2):
        phone = visit(chat)
        [pid] = chat.bridge_pids()
        os.kill(pid, signal.SIGKILL)
        phone.expect_close(1006)
        frames = say(chat, ["room %d" % n]) + say(chat, ["direct %d" % n], to=B)
        chat.wait_bridges(1, but=(pid,))
        phone = visit(chat)
        assert raws([phone.next() for _ in frames]) == raws(frames)
        phone.expect_nothing()
        leave(chat, phone)


@pytest.mark.promise("device session", "broker restarted in good order")
@pytest.mark.parametrize("when", ["away before", "there until the end"])
def test_broker_restarted(brokers, when):
    """With the broker's persistence: its key survives, and with it the name of the device at the broker."""
    chat = with_history(brokers, persistence=True, history=False)
    phone = visit(chat)
    name = session_name(chat, B)
    frames = []
    for n in range(2):
        if when == "away before":
            leave(chat, phone)
            frames = say(chat, ["room %d" % n]) + say(chat, ["direct %d" % n], to=B)
        chat.restart()
        if when != "away before":
            frames = say(chat, ["room %d" % n]) + say(chat, ["direct %d" % n], to=B)
        since = len(chat.log())
        phone = visit(chat)
        assert session_name(chat, B) == name
        assert raws([phone.next() for _ in frames]) == raws(frames), chat.log()[since:]
        phone.expect_nothing()


@pytest.mark.promise("device session", "broker killed")
def test_broker_killed(brokers):
    """What waited since the broker last saved its state is gone; since= brings it from history."""
    chat = with_history(brokers, persistence=True, history_sync="on")
    chat.allow(".*")
    phone = visit(chat)
    first = say(chat, ["start"])[0]
    phone.expect_message("start", A)
    leave(chat, phone)
    alice = chat.ws(A)
    for n in range(5):
        alice.send({"message": "m%d" % n, "ref": str(n)})
    ids = [alice.expect_ack(str(n))["id"] for n in range(5)]
    chat.kill()
    chat.close_clients()
    chat.start()
    session = chat.plain_ws(B, device="phone", since=first["id"])
    replay = Replay(session)
    assert [frame["id"] for frame in replay.all()] == ids and replay.complete()
    session.expect_nothing()


# the key

KEY = "chat-device.key"


def test_the_key_is_for_nobody_else(brokers):
    chat = with_history(brokers, persistence=True, history=False)
    path = os.path.join(chat.folder, KEY)
    mode = os.stat(path).st_mode
    assert stat.S_ISREG(mode) and stat.S_IMODE(mode) == 0o600
    with open(path) as f:
        key = f.read()
    assert re.fullmatch(r"[0-9a-f]{64}\n?", key)
    visit(chat)
    chat.restart()
    with open(path) as f:
        assert f.read() == key
    visit(chat)
    assert key.strip() not in chat.log()


def test_no_key_file_without_persistence(brokers):
    chat = brokers()
    visit(chat)
    assert not [name for name in os.listdir(chat.folder) if "key" in name]
    name = session_name(chat, B)
    chat.restart()
    visit(chat)
    assert session_name(chat, B) != name


@pytest.mark.parametrize("content", ["", "x" * 64], ids=["empty", "no digits"])
def test_a_bad_key_file(brokers, content):
    """A warning and a random key; the file is left as it is, for its owner to look at."""
    chat = with_history(brokers, persistence=True, history=False, start=False)
    path = chat.file(KEY, content, 0o600)
    chat.start()
    chat.wait_log("Warning.*%s|%s" % (re.escape(path), re.escape(KEY)))
    leave(chat, visit(chat))
    say(chat, ["missed"])
    visit(chat).expect_message("missed", A)
    with open(path) as f:
        assert f.read() == content


def test_two_installations_name_devices_differently(brokers):
    names = set()
    for _ in range(2):
        chat = with_history(brokers, persistence=True, history=False)
        visit(chat)
        names.add(session_name(chat, B))
    assert len(names) == 2


def test_nobody_sees_or_takes_a_devices_name(chat):
    """Readers never see it, and whoever guesses it is refused."""
    phone = visit(chat)
    name = session_name(chat, B)
    reader, spy = chat.mqtt(C).read_room(), chat.mqtt(B)
    spy.read_inbox()
    for topic in ("#", "chat/#", "$SYS/#", "chat/users/%s/notices/+" % topic_level(B)):
        spy.subscribe(topic)
    reader.subscribe("chat/#")
    frames = []
    for where in ({}, {"to": C}, {"to": B}):
        phone.send({"message": "hi", "ref": "r%d" % len(frames), **where})
        while not frames or frames[-1].get("ref") is None:
            frames.append(phone.next())
        frames.append({})
    phone.send("nonsense")
    frames.append(phone.expect(type="error"))
    frames += spy._barrier() + reader._barrier()
    assert len(frames) > 6
    for frame in frames:
        seen = repr(frame) + repr(getattr(frame, "raw", "")) + repr(getattr(frame, "properties", "")) + repr(getattr(frame, "topic", ""))
        assert name not in seen, seen
    assert chat.mqtt_refused(B, client_id=name) is not None
    assert chat.mqtt_refused(B, client_id=name, version=4) is not None
    phone.send({"message": "still here", "ref": "s"})
    phone.expect_ack("s")


# answers to a device

def test_acks_come_once(chat):
    phone = visit(chat)
    for n in range(5):
        phone.send({"message": "m%d" % n, "ref": "r%d" % n})
        phone.expect_ack("r%d" % n)
    phone.send({"message": "m", "ref": "r0"})
    phone.expect_ack("r0")
    leave(chat, phone)
    phone = visit(chat)
    phone.expect_nothing()


def test_answers_that_nobody_waited_for(chat):
    """The connection is cut between frame and ack; on return the resend is answered, and nothing else comes."""
    reader = chat.mqtt(C).read_room()
    for n in range(10):
        phone = visit(chat, make=chat.raw_ws)
        phone.send({"message": "m%d" % n, "ref": "r%d" % n})
        phone.send({"message": "", "ref": "bad%d" % n})
        phone.send({"message": "psst", "to": "nobody@example.com"})
        reader.expect_message("m%d" % n, B)
        cut(phone)
        phone = visit(chat, make=chat.raw_ws)
        phone.send({"message": "m%d" % n, "ref": "r%d" % n})
        frames = [phone.next()]
        while frames[-1].get("type") != "ack":
            frames.append(phone.next())
        frames += phone._barrier()
        # For the broker that was another session: its message may come as a message, no answer twice.
        assert [frame.get("ref") for frame in frames if not is_message(frame)] == ["r%d" % n], frames
        texts = [frame["message"] for frame in frames if is_message(frame)]
        assert len(texts) == len(set(texts)) and set(texts) <= {"m%d" % n, "psst"}, frames
        cut(phone)
    reader.expect_nothing()


def test_typing_does_not_wait(chat):
    leave(chat, visit(chat))
    alice = chat.mqtt(A)
    alice.send({"type": "typing"})
    alice.send({"type": "typing"}, to=B)
    phone = visit(chat)
    phone.expect_nothing()


def test_a_device_that_is_away_is_away(chat):
    """Waiting messages are no presence: the author is told."""
    leave(chat, visit(chat))
    alice = chat.ws(A)
    alice.send({"message": "psst", "to": B, "ref": "r"})
    alice.expect_all({"type": "system", "code": "recipient_offline", "ref": ABSENT}, {"type": "ack", "ref": "r"})
    visit(chat).expect_message("psst", A, to=B)


@pytest.mark.promise("device session", "slow reader")
@pytest.mark.parametrize("fanout", ["shared", "session"])
def test_a_slow_device(brokers, fanout):
    """What waits for it is safer at the broker: it is given as fast as it reads, and nobody waits for it."""
    chat = brokers(options={"outbox_bytes": "64k", "outbox_seconds": "2s", "fanout": fanout})
    slow = visit(chat, make=chat.raw_ws, receive_buffer=4096)
    other = visit(chat, device="laptop")
    alice, text, count = chat.mqtt(A), "😀" * 3900, 350
    got = []
    # 5.5 MB: more than outbox and kernel buffers hold.
    for n in range(count):
        assert alice.send({"message": "%d %s" % (n, text)}, to=B if n % 10 == 0 else None) == 0
        if n % 10 == 9:
            got.append(slow.next())
    for n in range(count):
        other.expect(message="%d %s" % (n, text))
        if n % 10 == 9:
            got.append(slow.next())
    # Far behind for longer than an outbox may be more than half full.
    end = time.monotonic() + 5
    while time.monotonic() < end:
        got.append(slow.next())
        time.sleep(0.05)
    got += [slow.next() for _ in range(count - len(got))]
    assert [frame["message"] for frame in got] == ["%d %s" % (n, text) for n in range(count)]
    slow.expect_nothing()


def test_a_device_that_reads_nothing(brokers):
    """Is closed in the end, like everybody; what it had not been sent comes when it is back."""
    chat = brokers(options={"outbox_bytes": "64k", "outbox_seconds": "1s"})
    slow = visit(chat, make=chat.raw_ws, receive_buffer=4096)
    alice, text, count = chat.mqtt(A), "😀" * 3900, 350
    for n in range(count):
        assert alice.send({"message": "%d %s" % (n, text)}) == 0
    wait_for(lambda: "closed: 4001" in chat.log(), "the device closed")
    known = [int(frame["message"].split(" ")[0]) for frame in slow.drain_until_close(4001)[0]]
    assert known == list(range(len(known))) and len(known) < count
    rest = [int(frame["message"].split(" ")[0]) for frame in visit(chat)._barrier() if "message" in frame]
    assert rest == list(range(count - len(rest), count)) and rest[0] >= len(known)


def test_more_than_the_broker_keeps_for_a_slow_device(brokers):
    """The broker drops what exceeds max_queued_messages; that is not passed over: the session is closed and may come back."""
    chat = brokers(options={"outbox_bytes": "64k"}, lines=["max_queued_messages 50", "max_inflight_messages 20"])
    chat.allow("dropped", "were lost")
    slow = visit(chat, make=chat.raw_ws, receive_buffer=4096)
    alice, text, count = chat.mqtt(A), "😀" * 3900, 400
    for n in range(count):
        assert alice.send({"message": "%d %s" % (n, text)}) == 0
    frames = []
    while not frames or not isinstance(frames[-1], Closed):
        try:
            frames.append(slow.next(0.2))
        except TimeoutError:
            # All that was kept has been read; the next message shows that others are missing.
            alice.send({"message": "next"})
    end = frames.pop()
    known = [int(frame["message"].split(" ")[0]) for frame in frames]
    assert end.code == 1013 and known == list(range(len(known))) and 0 < len(known) < count


def test_a_device_with_a_full_queue_comes_back(brokers):
    """As much as the broker keeps is waiting: it is given in order, and the device can speak."""
    chat = brokers(options={"outbox_bytes": "64k"}, lines=["max_queued_messages 50"])
    chat.allow("dropped", "were lost")
    slow = visit(chat, make=chat.raw_ws, receive_buffer=4096)
    alice, count = chat.mqtt(A), 400
    for n in range(count):
        assert alice.send({"message": "%d %s" % (n, "😀" * 3900)}) == 0
    cut(slow)
    chat.wait_log(r"Client ws-\S+ (\[.*\] )?(disconnected|closed)")
    phone = visit(chat)
    phone.send({"message": "still here", "ref": "r"})
    frames = [phone.next()]
    while frames[-1].get("ref") != "r":
        frames.append(phone.next())
    known = [int(frame["message"].split(" ")[0]) for frame in frames if is_message(frame)]
    assert known == sorted(set(known)) and 0 < len(known) < count
